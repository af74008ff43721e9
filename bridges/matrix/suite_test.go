package matrix

import (
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/internal/matrixtest"
)

func TestSuite(t *testing.T) {
	bridgetest.Suite(t, func(t *testing.T) bridgetest.Fixture {
		srv := matrixtest.New(t)
		alice := srv.User("alice")
		token, device := alice.Login("GATEWAY")
		p := &peer{t: t, srv: srv, alice: alice, rooms: map[string]*matrixtest.Room{}}
		host := srv.User("host")
		for _, name := range []string{"suite", "other"} {
			r := host.Create(matrixtest.RoomOptions{Preset: "public_chat", Alias: name, PowerOverride: map[string]any{"users": map[string]any{host.ID: 100, "@ann:hs.test": 100}}})
			host.Leave(r, "")
			p.rooms["#"+name+":hs.test"] = r
		}
		return bridgetest.Fixture{
			Driver: newDriver(t, Config{}),
			Account: bridges.Account{Owner: "user@example.org", Network: theNetwork, Nick: "alice", Settings: map[string]string{
				setUser: "@alice:hs.test", setUserID: "@alice:hs.test", setHomeserver: srv.URL, setToken: token, setDevice: device,
			}},
			Peer: p,
			Room: "#suite:hs.test", OtherRoom: "#other:hs.test",
			Addresses: []string{"", "user%hs.test", "#room%hs.test", "!AbC%hs.test", "#we@ird\\name%hs.test", "#50\\25%hs.test"},
			Strangers: []string{"two words", "user", "%hs.test", "#%", "@user:hs.test"},
			SameRooms: [][2]string{{"#room:HS.test", "#room:hs.test"}},
			SameUsers: [][2]string{{"@user:HS.test", "@user:hs.test"}, {"ann", "@ann:hs.test"}},
		}
	})
}

// newDriver is a driver that may ask the test's own machine.
func newDriver(t testing.TB, c Config) *Driver {
	t.Helper()
	c.Homeservers, c.AllowPrivate = []string{"*"}, true
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// peer is the people of a homeserver.
type peer struct {
	t     *testing.T
	srv   *matrixtest.Server
	alice *matrixtest.User

	rooms map[string]*matrixtest.Room
	named map[string]*matrixtest.User
	chats map[string]*matrixtest.Room
}

func (p *peer) person(nick string) *matrixtest.User {
	if u := p.named[nick]; u != nil {
		return u
	}
	u := p.srv.User(nick)
	u.SetName(nick)
	if p.named == nil {
		p.named = map[string]*matrixtest.User{}
	}
	p.named[nick] = u
	return u
}

func (p *peer) Enter(room string, nicks ...string) {
	for _, nick := range nicks {
		p.person(nick).Join(p.rooms[room])
	}
}

func (p *peer) Leave(room, nick string) { p.person(nick).Leave(p.rooms[room], "bye") }

func (p *peer) Rename(nick, to string) {
	u := p.person(nick)
	u.SetName(to)
	delete(p.named, nick)
	p.named[to] = u
}

func (p *peer) Say(room, nick, text string) { p.person(nick).Say(p.rooms[room], text) }

func (p *peer) Whisper(nick, text string) {
	u := p.person(nick)
	r := p.chats[nick]
	if r == nil {
		r = u.Direct(p.alice)
		p.alice.Join(r)
		p.alice.SetData(nil, "m.direct", map[string]any{u.ID: []string{r.ID}})
		if p.chats == nil {
			p.chats = map[string]*matrixtest.Room{}
		}
		p.chats[nick] = r
	}
	u.Say(r, text)
}

func (p *peer) Refuse(room string) {
	ann := p.person("ann")
	ann.State(p.rooms[room], "m.room.power_levels", "", map[string]any{"users": map[string]any{ann.ID: 100, "@host:hs.test": 100}, "events_default": 50})
}

func (p *peer) Promote(room string) {
	ann := p.person("ann") // who alone has all power
	ann.State(p.rooms[room], "m.room.power_levels", "", map[string]any{"users": map[string]any{ann.ID: 100, "@host:hs.test": 100, p.alice.ID: 90}})
}

func (p *peer) Stall() {
	p.srv.Inject(matrixtest.Fault{User: p.alice.ID, Path: "/send/", Hold: p.t.Context().Done()})
}
func (p *peer) Break() { p.srv.Stop() }

func (p *peer) Heard(room string) (lines []string) {
	deadline := time.Now().Add(bridgetest.Patience)
	for ; time.Now().Before(deadline) && len(lines) == 0; lines = lines[:len(lines):len(lines)] {
		for _, ev := range p.rooms[room].Events() {
			if ev.Type == "m.room.message" && ev.Sender == p.alice.ID {
				body := ev.Body()
				lines = append(lines, body)
			}
		}
	}
	return lines
}
