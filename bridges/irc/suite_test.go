package irc

import (
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/internal/irctest"
)

func TestSuite(t *testing.T) {
	for name, cfg := range map[string]irctest.Config{
		"modern": {},
		"old":    {NoCap: true, ISupport: []string{"CASEMAPPING=rfc1459", "-WHOX"}},
	} {
		t.Run(name, func(t *testing.T) {
			bridgetest.Suite(t, func(t *testing.T) bridgetest.Fixture {
				srv := irctest.Start(t, cfg)
				return bridgetest.Fixture{
					Driver:  newDriver(t, srv, LinkConfig{}),
					Account: bridges.Account{Owner: "user@example.org", Network: "test", Nick: "alice"},
					Peer:    &peer{t: t, srv: srv, people: make(map[string]*irctest.Client)},
					Room:    "#suite", OtherRoom: "#other",
					Addresses: []string{
						"test", "#chan%test", "nick%test", "#we@ird/\\name%test", "[nick]{}|^`%test", "#ünï%test",
						"#50%%test", "&local%test", "#%test", "Q@CServe.example.net%test", "##%test",
					},
					Strangers: []string{
						"", "nowhere", "#chan%nowhere", "%test", "two words%test", "#a,b%test", "a!b%test", "#chan%test:1",
						"#chan%", "#bell\a%test", ":nick%test", strings.Repeat("x", 400) + "%test", "#\xff%test",
					},
					SameRooms: [][2]string{{"#Chan", "#chan"}, {"#x", "#X"}},
					SameUsers: [][2]string{{"Nick", "nICK"}},
				}
			})
		})
	}
}

// peer is the people of a test server.
type peer struct {
	t      *testing.T
	srv    *irctest.Server
	people map[string]*irctest.Client
}

func (p *peer) person(nick string) *irctest.Client {
	if p.people[nick] == nil {
		p.people[nick] = p.srv.Puppet(nick)
	}
	return p.people[nick]
}

func (p *peer) Enter(room string, nicks ...string) {
	for _, nick := range nicks {
		p.person(nick).Do("JOIN " + room)
	}
}

func (p *peer) Leave(room, nick string) { p.person(nick).Do("PART " + room + " :bye") }
func (p *peer) Rename(nick, to string) {
	p.person(nick).Do("NICK " + to)
	p.people[to] = p.people[nick]
	delete(p.people, nick)
}
func (p *peer) Say(room, nick, text string) { p.person(nick).Do("PRIVMSG " + room + " :" + text) }
func (p *peer) Whisper(nick, text string)   { p.person(nick).Do("PRIVMSG alice :" + text) }
func (p *peer) Refuse(room string)          { p.srv.SetMode(room, "+m"); p.srv.SetMode(room, "+v", "ann") }
func (p *peer) Promote(room string)         { p.srv.SetMode(room, "+o", "alice") }
func (p *peer) Stall()                      { p.srv.WaitClient(p.t, "alice").Stall() }
func (p *peer) Break()                      { p.srv.WaitClient(p.t, "alice").Drop(); p.srv.WaitGone(p.t, "alice") }

func (p *peer) Heard(room string) []string {
	var lines []string
	for _, who := range p.people {
		if !slices.Contains(who.Channels(), room) {
			continue
		}
		for _, line := range who.Seen() {
			if from, text, ok := strings.Cut(line, " PRIVMSG "+room+" :"); ok && strings.Contains(from, ":alice!") {
				lines = append(lines, text)
			}
		}
		break
	}
	return lines
}
