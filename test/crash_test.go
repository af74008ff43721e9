package test

import (
	"context"
	"math"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

const (
	// crashLines is how many lines go each way before the killing, and again
	// after everybody is back.
	crashLines = 40
	// outageLines is how many go at most while something is away: what arrives
	// then has to fit what transportd keeps for who comes back (500 lines).
	outageLines = 30
	// crashPace is the time between lines.
	crashPace = 100 * time.Millisecond
	// inFlight bounds what a killed program may take with it in one direction:
	// the lines of a link that wait for the network to confirm them, and what the
	// sockets on both sides of the killed program held. Nothing that went missing
	// this way was shown to its sender as taken.
	inFlight = 32
)

// crashSite has servers of its own, which can be killed.
type crashSite struct {
	*site
	env *Env
}

// Killed in the middle of traffic both ways, the XMPP server, the IRC server and
// transportd itself come back, and every line is accounted for: it arrived, or
// its sender got an error, or it was never shown to its sender as taken.
func TestKill9(t *testing.T) {
	t.Parallel()
	for xmpp, startXMPP := range map[string]func(*Env, context.Context, XMPPOptions) (*XMPPServer, error){
		"prosody": (*Env).StartProsody, "ejabberd": (*Env).StartEjabberd,
	} {
		for irc, startIRC := range map[string]func(*Env, context.Context) (*IRCServer, error){
			"inspircd": (*Env).StartInspIRCd, "ngircd": (*Env).StartNgIRCd,
		} {
			t.Run(xmpp+"+"+irc, func(t *testing.T) {
				t.Parallel()
				s := newCrashSite(t, startXMPP, startIRC)
				t.Run("the XMPP server", s.killXMPP)
				t.Run("the IRC server", s.killIRC)
				t.Run("transportd", s.killGateway)
				if fault := s.gateway.Fault(); fault != "" {
					t.Errorf("transportd reported a fault:\n%s", fault)
				}
			})
		}
	}
}

func newCrashSite(t *testing.T,
	startXMPP func(*Env, context.Context, XMPPOptions) (*XMPPServer, error),
	startIRC func(*Env, context.Context) (*IRCServer, error),
) *crashSite {
	t.Helper()
	env, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s := &crashSite{site: &site{domain: domain, network: "net"}, env: env}
	t.Cleanup(func() {
		if t.Failed() && s.gateway != nil {
			t.Logf("transportd's log:\n%s", Tail(s.gateway.Log(), 150))
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err = Together(
		func() (err error) {
			s.server, err = startXMPP(env, ctx, XMPPOptions{Components: []string{domain}})
			return
		},
		func() (err error) { s.ircd, err = startIRC(env, ctx); return },
		func() (err error) { s.clients, err = env.StartXMPPClients(); return },
	)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway, err = env.StartTransportd(ctx, GatewayOptions{
		Domain: domain, XMPP: s.server, Binary: shared.env.Binary(),
		Networks: []Network{{Name: s.network, Server: s.ircd, TLS: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// traffic is numbered lines both ways in one channel: "x 1", "x 2" … from alice
// on XMPP, "i 1", "i 2" … from bob on IRC, watched by a third on IRC.
type traffic struct {
	s             *crashSite
	t             *testing.T
	alice         *user
	channel, room string
	bob, witness  *ircWitness
	ids           []string // of alice's lines, by number
	senders       sync.WaitGroup
	sent          [2]atomic.Int64 // lines of alice and bob that are out
	limit         [2]atomic.Int64 // how far they may go
	stop          chan struct{}
}

// ircWitness is an IRC client that comes back when its server was killed.
type ircWitness struct {
	mu    sync.Mutex
	nick  string
	conns []*IRCClient
}

func (w *ircWitness) connect(ctx context.Context, s *site, channel string) error {
	c, err := DialIRC(ctx, s.ircd.Address(), w.nick)
	if err != nil {
		return err
	}
	if err := c.Join(ctx, channel); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	return nil
}

func (w *ircWitness) now() *IRCClient {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[len(w.conns)-1]
}

// lines is everything seen, over all connections.
func (w *ircWitness) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, c := range w.conns {
		for _, l := range c.Lines() {
			all = append(all, l.Text)
		}
	}
	return all
}

// begin brings everybody into a new channel and has the traffic run.
func (s *crashSite) begin(t *testing.T) *traffic {
	t.Helper()
	tr := &traffic{s: s, t: t, channel: "#" + unique("crash"), stop: make(chan struct{})}
	tr.bob, tr.witness = &ircWitness{nick: unique("bob")}, &ircWitness{nick: unique("witness")}
	for _, w := range []*ircWitness{tr.bob, tr.witness} {
		if err := w.connect(wait(t), s.site, tr.channel); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { tr.bob.now().Close(); tr.witness.now().Close() })
	tr.alice = s.user(t, "alice")
	tr.room = tr.alice.enter(tr.channel)
	tr.senders.Go(func() {
		for n := 0; tr.pace(0); n++ {
			id := tr.alice.NewID()
			tr.ids = append(tr.ids, id)
			if err := tr.alice.Send(`<message to='%s' type='groupchat' id='%s'><body>x %d</body></message>`, tr.room, id, n); err != nil {
				t.Error(err)
			}
			tr.sent[0].Add(1)
		}
	})
	tr.senders.Go(func() {
		for n := 0; tr.pace(1); n++ {
			tr.bob.now().Sendf("PRIVMSG %s :i %d", tr.channel, n)
			tr.sent[1].Add(1)
		}
	})
	tr.allow(math.MaxInt64 / 2)
	tr.more()
	return tr
}

// allow lets so many more lines out, each way.
func (tr *traffic) allow(lines int64) {
	for i := range tr.limit {
		tr.limit[i].Store(tr.sent[i].Load() + lines)
	}
}

// pace spreads the lines of alice (0) or bob (1), until the traffic is over.
func (tr *traffic) pace(who int) bool {
	for {
		select {
		case <-time.After(crashPace):
			if tr.sent[who].Load() < tr.limit[who].Load() {
				return true
			}
		case <-tr.stop:
			return false
		case <-tr.t.Context().Done():
			return false
		}
	}
}

// more waits for crashLines more each way.
func (tr *traffic) more() {
	tr.t.Helper()
	for i := range tr.sent {
		for goal := tr.sent[i].Load() + crashLines; tr.sent[i].Load() < goal; {
			pace(tr.t)
		}
	}
}

// pace lies between two looks at something.
func pace(t *testing.T) {
	select {
	case <-time.After(crashPace / 2):
	case <-t.Context().Done():
	}
}

// back waits until alice is in the room again, by the means of a client: it pings
// itself, and joins when it is told that it is out (XEP-0410).
func (tr *traffic) back() {
	tr.t.Helper()
	ctx := wait(tr.t)
	for ctx.Err() == nil {
		r := tr.alice.request("get", tr.room+"/"+tr.alice.name, `<ping xmlns='urn:xmpp:ping'/>`)
		if r.Attr("type") == "result" {
			return
		}
		tr.alice.join(tr.room, tr.alice.name, "")
		own := FromBare(tr.room)
		if p := tr.alice.expect(Presence(own, Any(Status("110"), Type("error")))); p.Attr("type") == "" {
			return
		}
		pace(tr.t)
	}
	tr.t.Fatal("alice did not come back into the room")
}

// end waits for the senders, and for a last line each way that everything before
// it must have come before.
func (tr *traffic) end() {
	tr.t.Helper()
	tr.allow(math.MaxInt64 / 2)
	tr.more()
	close(tr.stop)
	tr.senders.Wait()
	tr.alice.say(tr.room, "x end")
	ctx := wait(tr.t)
	for _, w := range []*ircWitness{tr.witness, tr.bob} {
		if _, err := w.now().Expect(ctx, `PRIVMSG \S+ :x end`); err != nil {
			tr.t.Fatal(err)
		}
	}
	tr.bob.now().Sendf("PRIVMSG %s :i end", tr.channel)
	if _, err := tr.witness.now().Expect(ctx, `PRIVMSG \S+ :i end`); err != nil {
		tr.t.Fatal(err)
	}
	tr.alice.expect(Message(Body("i end")))
	tr.alice.fence(tr.room)
}

func (s *crashSite) killXMPP(t *testing.T) {
	tr := s.begin(t)
	tr.allow(outageLines)
	s.server.Kill9()
	try(t, tr.alice.AwaitDown(wait(t)))
	try(t, s.server.Start(wait(t)))
	try(t, tr.alice.Reconnect(wait(t)))
	tr.alice.send(`<presence/>`)
	try(t, s.gateway.AwaitReady(wait(t)))
	tr.back()
	tr.end()
	// The IRC side never noticed.
	for _, line := range tr.witness.lines() {
		if regexp.MustCompile(`^:` + tr.alice.name + `!\S+ (QUIT|PART)`).MatchString(line) {
			t.Errorf("the link was given up with the XMPP stream: %s", line)
		}
	}
	tr.account(0)
}

func (s *crashSite) killIRC(t *testing.T) {
	tr := s.begin(t)
	tr.allow(outageLines)
	s.ircd.Kill9()
	try(t, s.ircd.Start(wait(t)))
	for _, w := range []*ircWitness{tr.witness, tr.bob} {
		try(t, w.connect(wait(t), s.site, tr.channel))
	}
	// Nobody asked for it: transportd comes back by itself, under the same nick, maybe
	// before the witness.
	if _, err := tr.witness.now().Expect(wait(t), `^:`+tr.alice.name+`!\S+ JOIN|^\S+ 353 .*[ :@]`+tr.alice.name+`\b`); err != nil {
		t.Fatal(err)
	}
	tr.back()
	tr.end()
	tr.account(inFlight)
}

func (s *crashSite) killGateway(t *testing.T) {
	tr := s.begin(t)
	tr.allow(outageLines)
	s.gateway.Kill9()
	try(t, s.gateway.Start(wait(t)))
	tr.back()
	tr.end()
	tr.account(inFlight)
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
