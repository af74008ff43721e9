package matrix

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// patience bounds one wait. It is no measure of speed: the machine may be busy.
const patience = time.Minute

// Domains of gateways: on linksDomain files are not copied to the XMPP server.
const (
	domain      = "matrix.localhost"
	linksDomain = "links.localhost"
)

// maxUpload is the largest file the XMPP servers keep, in bytes.
const maxUpload = 200_000

// site is an XMPP server with its transportd.
type site struct {
	name       string
	domain     string // of the gateway
	server     *XMPPServer
	gateway    *Gateway
	privileged bool // the server lets transportd act for its users (XEP-0356)
}

// world is what the scenarios share.
type world struct {
	env        *Env
	homeserver *Homeserver
	matrix     *MatrixClients
	xmpp       *XMPPClients
	sites      []*site
	links      *site // where files go by links of the gateway's
}

// shared is made by TestMain.
var shared *world

func TestMain(m *testing.M) { os.Exit(run(m)) }

// atOnce is how many scenarios run side by side: most of the time they wait.
const atOnce = "8"

func run(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	env, err := New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = &world{env: env}
	code := 1
	if err := shared.start(); err != nil {
		fmt.Fprintln(os.Stderr, "the servers for the scenarios did not start:", err)
	} else {
		code = m.Run()
	}
	for _, s := range append(shared.sites, shared.links) {
		if s == nil {
			continue // it did not start
		}
		if fault := s.gateway.Fault(); fault != "" {
			fmt.Fprintf(os.Stderr, "transportd reported a fault:\n%s\n", fault)
			code = 1
		}
	}
	if err := env.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (w *world) start() error {
	// A homeserver that nobody has built yet takes minutes.
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	var prosody, ejabberd *XMPPServer
	o := XMPPOptions{Components: []string{domain, linksDomain}, Upload: maxUpload}
	privileged := o
	privileged.Privileged = []string{domain}
	err := Together(
		func() (err error) { prosody, err = w.env.StartProsody(ctx, privileged); return },
		func() (err error) { ejabberd, err = w.env.StartEjabberd(ctx, o); return },
		func() (err error) { w.xmpp, err = w.env.StartXMPPClients(); return },
		func() (err error) { w.matrix, err = w.env.StartMatrixClients(); return },
		func() error { return w.env.Build(ctx) },
		func() (err error) {
			if err = w.env.BuildDendrite(ctx); err == nil {
				w.homeserver, err = w.env.StartDendrite(ctx, HomeserverOptions{})
			}
			return
		},
	)
	if err != nil {
		return err
	}
	for _, x := range []*XMPPServer{prosody, ejabberd} {
		g, err := w.env.StartTransportd(ctx, GatewayOptions{Domain: domain, XMPP: x, Matrix: true})
		if err != nil {
			return err
		}
		w.sites = append(w.sites, &site{x.Name, domain, x, g, x == prosody})
	}
	g, err := w.env.StartTransportd(ctx, GatewayOptions{Domain: linksDomain, XMPP: prosody, Matrix: true, NoUpload: true})
	w.links = &site{"links", linksDomain, prosody, g, false}
	return err
}

// pair are ben, who is on XMPP and has an account on the homeserver, and anna, who is
// on Matrix. Whatever goes wrong ends the scenario.
type pair struct {
	*testing.T
	*site
	xmpp        *XMPPClient
	anna        *MatrixClient
	benID       string // on Matrix
	annaID      string
	annaAddress string // of anna at the gateway
	alias       string // a name for a room of theirs
}

// sideBySide runs a scenario with each XMPP server, beside others that leave the servers
// as they are.
func sideBySide(t *testing.T, scenario string, run func(p *pair)) {
	t.Parallel()
	everywhere(t, scenario, run)
}

// everywhere runs a scenario with each XMPP server. The names are its own.
func everywhere(t *testing.T, scenario string, run func(p *pair)) {
	for _, s := range shared.sites {
		at(t, s, scenario, run)
	}
}

// at runs a scenario at one site.
func at(t *testing.T, s *site, scenario string, run func(p *pair)) {
	t.Run(s.name, func(t *testing.T) {
		t.Parallel()
		before := len(s.gateway.Log())
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("transportd's log meanwhile:\n%s", Tail(s.gateway.Log()[before:], 60))
			}
		})
		run(meet(t, s, scenario))
	})
}

func must[T any](p *pair) func(T, error) T {
	p.Helper()
	return func(v T, err error) T {
		p.Helper()
		if err != nil {
			p.Fatal(err)
		}
		return v
	}
}

func (p *pair) try(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *pair) wait() context.Context {
	p.Helper()
	ctx, cancel := context.WithTimeoutCause(p.Context(), patience, fmt.Errorf("not within %v", patience))
	p.Cleanup(cancel)
	return ctx
}

// serial makes the names of scenarios' people and rooms their own.
var serial atomic.Int64

// meet logs anna in on Matrix and ben in on XMPP, who registers his account.
func meet(t *testing.T, s *site, scenario string) *pair {
	t.Helper()
	return shared.meet(t, s, scenario)
}

func (w *world) meet(t *testing.T, s *site, scenario string) *pair {
	t.Helper()
	own := fmt.Sprintf("%s%d", scenario, serial.Add(1))
	anna, ben := "anna"+own, "ben"+own
	p := &pair{
		T: t, site: s, annaID: MatrixID(anna), benID: MatrixID(ben), alias: own,
		annaAddress: anna + "%" + MatrixDomain + "@" + s.domain,
	}
	p.try(w.homeserver.AddUsers(p.wait(), anna, ben))
	p.try(s.server.AddUsers(p.wait(), ben))
	p.anna = must[*MatrixClient](p)(w.matrix.Login(p.wait(), w.homeserver, anna, "phone"))
	p.xmpp = must[*XMPPClient](p)(w.xmpp.Connect(p.wait(), s.server, ben, "phone"))
	t.Cleanup(func() { _ = p.xmpp.Disconnect() })
	p.send(`<presence/>`)
	p.register(w.homeserver, MatrixPassword(ben))
	p.send(`<presence to='%s' type='subscribe'/>`, s.domain)
	p.expect(Presence(From(s.domain), StatusText(`Connected as`)))
	return p
}

// register logs ben in with his Matrix account.
func (p *pair) register(h *Homeserver, password string) {
	p.Helper()
	answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "set", p.domain, `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>`+
		field("FORM_TYPE", "jabber:iq:register")+field("user", p.benID)+field("password", password)+field("homeserver", h.URL)+`</x></query>`))
	if answer.Attr("type") != "result" {
		p.Fatalf("the registration is answered by %s", answer)
	}
}

func field(name, value string) string {
	return `<field var='` + name + `'><value>` + Escape(value) + `</value></field>`
}

func (p *pair) send(format string, args ...any) {
	p.Helper()
	p.try(p.xmpp.Send(format, args...))
}

// expect waits for a stanza to ben.
func (p *pair) expect(ms ...Match) Stanza {
	p.Helper()
	return must[Stanza](p)(p.xmpp.Expect(p.wait(), ms...))
}

// hears waits for an event to anna.
func (p *pair) hears(ms ...EventMatch) MatrixEvent {
	p.Helper()
	return must[MatrixEvent](p)(p.anna.Expect(p.wait(), ms...))
}

func (p *pair) id(id string, err error) string {
	p.Helper()
	return must[string](p)(id, err)
}

// enter has ben enter a room that has their alias and this topic, and returns its
// address.
func (p *pair) enter(topic string) string {
	p.Helper()
	room := "#" + p.alias + "%" + MatrixDomain + "@" + p.domain
	p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
	p.expect(Presence(FromBare(room), Status("110")))
	p.expect(Message(FromBare(room), Type("groupchat"), Subject(topic)))
	return room
}

// say has ben say something, with more in the stanza, and waits until it is shown; it
// returns the id it has for him and the one the room gave it.
func (p *pair) say(room, text, more string) (id, stanzaID string) {
	p.Helper()
	id = p.xmpp.NewID()
	p.send(`<message to='%s' type='groupchat' id='%s'><body>%s</body>%s</message>`, room, id, text, Raw(more))
	shown := p.expect(Message(FromBare(room), ID(id), Body(text)))
	return id, stanzaIDOf(shown)
}

// room is the address of a room that has the pair's alias.
func (p *pair) room() string { return "#" + p.alias + "%" + MatrixDomain + "@" + p.domain }

// public is a room of anna's that anybody may enter; ben is in it.
func (p *pair) public() (id, room string) {
	p.Helper()
	id = p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
	room = p.enter("")
	p.hears(InRoom(id), Membership(p.benID, "join"))
	return id, room
}

// chat is a direct room of anna's with ben, who has agreed to it.
func (p *pair) chat() (id string) {
	p.Helper()
	id = p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Direct: true, Invite: []string{p.benID}}))
	p.expect(Presence(From(p.annaAddress), Type("subscribe")))
	p.send(`<presence to='%s' type='subscribed'/>`, p.annaAddress)
	p.send(`<presence to='%s' type='subscribe'/>`, p.annaAddress)
	p.hears(InRoom(id), Membership(p.benID, "join"))
	return id
}

// another is somebody else on Matrix, with their address at the gateway.
func (p *pair) another(name string) (c *MatrixClient, address string) {
	p.Helper()
	name += p.alias
	p.try(shared.homeserver.AddUsers(p.wait(), name))
	return must[*MatrixClient](p)(shared.matrix.Login(p.wait(), shared.homeserver, name, "phone")), name + "%" + MatrixDomain + "@" + p.domain
}

// ask sends an iq and expects a result.
func (p *pair) ask(typ, to, payload string) Stanza {
	p.Helper()
	answer := must[Stanza](p)(p.xmpp.Request(p.wait(), typ, to, payload))
	if answer.Attr("type") != "result" {
		p.Fatalf("%s is answered by %s", payload, answer)
	}
	return answer
}

// tell has ben say something in the chat with somebody, with more in the stanza.
func (p *pair) tell(address, text, more string) (id string) {
	p.Helper()
	id = p.xmpp.NewID()
	p.send(`<message to='%s' type='chat' id='%s'><body>%s</body>%s</message>`, address, id, text, Raw(more))
	return id
}

func stanzaIDOf(s Stanza) string {
	if n := s.First("stanza-id"); n != nil {
		return n.Attr("id")
	}
	return ""
}
