package test

import (
	"fmt"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// own starts a transportd of this scenario alone, on the shared servers.
func (s *site) own(t *testing.T, o GatewayOptions) *site {
	t.Helper()
	o.XMPP = s.server
	o.Networks = []Network{{Name: s.network, Server: s.ircd, TLS: true}}
	g, err := shared.env.StartTransportd(wait(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if fault := g.Fault(); fault != "" {
			t.Errorf("transportd reported a fault:\n%s", fault)
		}
		if t.Failed() {
			t.Logf("the log of its own transportd:\n%s", Tail(g.Log(), 60))
		}
		g.Stop()
	})
	return &site{domain: o.Domain, network: s.network, server: s.server, ircd: s.ircd, gateway: g, clients: s.clients}
}

// The stream between transportd and the XMPP server drops and returns: the
// network does not notice, what happened meanwhile arrives in order, and the
// rooms of who is still there are as they are on the network. Who went and comes
// back later finds the same lines as history.
func TestStreamDrops(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		way, err := NewProxy(Address(s.server.Component))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(way.Close)
		s = s.own(t, GatewayOptions{Domain: cutOff, Via: way.Address()})

		bob, garden := s.host(t, "bob", "garden")
		dave := s.irc(t, "dave")
		dave.join(garden)
		alice, erin := s.user(t, "alice"), s.user(t, "erin")
		room := alice.enter(garden)
		erin.enter(garden)
		for _, u := range []*user{alice, erin} {
			bob.meets(u.name, garden)
		}
		alice.expect(Presence(From(room+"/"+erin.name), Type("")))
		bob.Forget()

		way.Cut()
		erin.close()
		const lines = 40
		for n := range lines {
			bob.says(garden, fmt.Sprintf("line %d", n))
		}
		bob.says(alice.name, "and a private one")
		carol := s.irc(t, "carol")
		carol.join(garden)
		dave.Send("QUIT :gone")
		bob.topic(garden, "meanwhile")
		bob.none(`^:(%s|%s)!\S+ (QUIT|PART)`, alice.name, erin.name)

		if err := way.Restore(); err != nil {
			t.Fatal(err)
		}
		var order []Match
		for n := range lines {
			order = append(order, Message(From(room+"/"+bob.Nick), Type("groupchat"), Body(fmt.Sprintf("line %d", n))))
		}
		alice.inOrder(order...)
		try(t, erin.Reconnect(wait(t)))
		erin.send(`<presence/>`)
		erin.join(room, erin.name, "")
		erin.inOrder(order...)
		alice.expect(Message(FromBare(s.person(bob.Nick)), Type("chat"), Body("and a private one")))
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("")))
		alice.expect(Presence(From(room+"/"+dave.Nick), Type("unavailable")))
		alice.expect(Message(FromBare(room), Subject("meanwhile")))

		id := alice.say(room, "still here")
		bob.expect(`PRIVMSG %s :still here`, garden)
		alice.expect(Message(ID(id), Type("groupchat")))
		alice.fence(room)
		alice.none(Message(From(room+"/"+bob.Nick), BodyLike("^line")))
		bob.none(`^:(%s|%s)!\S+ (QUIT|PART)`, alice.name, erin.name)
	})
}

// The stream is half open for a while: nobody is told, and what transportd writes
// is lost. When it breaks in the end all of that is repeated, in order, and what
// had arrived shortly before comes again under the same ids.
func TestStreamIsHalfOpen(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		way, err := NewProxy(Address(s.server.Component))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(way.Close)
		s = s.own(t, GatewayOptions{Domain: silent, Via: way.Address()})

		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		// The server has to be seen to answer transportd's pings to itself.
		// One ping follows the first line, a later one what was said before it.
		for n, start := 0, time.Now(); !way.Back("urn:xmpp:ping") || time.Since(start) < 10*time.Second; n++ {
			bob.says(garden, fmt.Sprintf("early %d", n))
			alice.expect(Message(Body(fmt.Sprintf("early %d", n))))
			pace(t)
		}
		bob.says(garden, "last before")
		alice.expect(Message(Body("last before")))
		way.Silence()
		began := time.Now()
		var order []Match
		bob.says(alice.name, "a private one")
		for n := 0; time.Since(began) < 15*time.Second; n++ { // much more than is repeated unasked
			bob.says(garden, fmt.Sprintf("line %d", n))
			order = append(order, Message(From(room+"/"+bob.Nick), Type("groupchat"), Body(fmt.Sprintf("line %d", n))))
			pace(t)
			pace(t)
			pace(t)
			pace(t)
		}
		alice.none(Message(BodyLike("^(line|a private)")))
		way.Cut()
		try(t, way.Restore())
		alice.inOrder(order...)
		alice.expect(Message(FromBare(s.person(bob.Nick)), Type("chat"), Body("a private one")))
		alice.fence(room)
		copies := alice.Received(Message(Body("last before")))
		if len(copies) != 2 || copies[0].Attr("id") != copies[1].Attr("id") || stanzaID(copies[0], room) != stanzaID(copies[1], room) {
			t.Errorf("what arrived just before came as %v", copies)
		}
		if n := len(alice.Received(Message(Body("early 0")))); n != 1 {
			t.Errorf("what was confirmed came %d times", n)
		}
		bob.none(`^:%s!\S+ (QUIT|PART)`, alice.name)
	})
}

// Told to end, transportd leaves politely on both sides.
func TestEnding(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		s = s.own(t, GatewayOptions{Domain: s.network + "." + ending})
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		s.gateway.Process().Terminate()
		alice.expect(Presence(From(room+"/"+alice.name), Type("unavailable"), Status("110", "332")))
		bob.expect(`^:%s!\S+ (QUIT|PART)`, alice.name)
		select {
		case <-s.gateway.Process().Done():
		case <-time.After(10 * time.Second): // what is promised
			t.Fatal("transportd does not end")
		}
		if code := s.gateway.Process().ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// Who is registered is back on the network after a crash, in the channels they
// named, without doing anything, and their secrets are still readable.
func TestComesBack(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		s = s.own(t, GatewayOptions{Domain: restart})
		account, password := s.registered(t, "acct")
		alice := s.user(t, "alice")
		nick := unique("al")
		bob, garden := s.host(t, "bob", "garden")
		alice.result("set", s.console(), `<query xmlns='jabber:iq:register'>`+
			submit(nsRegister, "nick", nick, "account", account, "password", password, "channels", garden)+`</query>`)
		bob.meets(nick, garden)

		if err := s.gateway.Restart(wait(t)); err != nil {
			t.Fatal(err)
		}
		bob.expect(`^:%s!\S+ QUIT`, nick)
		bob.meets(nick, garden)
		s.loggedIn(t, nick, account)
		shown := alice.result("get", s.console(), `<query xmlns='jabber:iq:register'/>`)
		alice.check(shown, Has(nsRegister, "registered"))
	})
}

// Several gateways in one process do not mix, and each has its own users.
func TestClosedGateway(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		alice := s.user(t, "alice")
		room := "#garden%one@" + closed
		alice.join(room, alice.name, "")
		alice.expect(Presence(FromBare(room), Error("auth", "forbidden")))
		alice.check(alice.request("set", "one@"+closed, `<query xmlns='jabber:iq:register'><nick>alice</nick></query>`),
			Error("auth", "forbidden"))
		_, garden := s.host(t, "bob", "garden")
		alice.enter(garden)
	})
}

// With the flood control it ships with, transportd is slower than who writes, and
// neither loses nor reorders anything.
func TestThrottled(t *testing.T) {
	throttled(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		const lines = 16
		var order []Match
		for n := range lines {
			text := fmt.Sprintf("line %d", n)
			order = append(order, Message(ID(alice.say(room, text)), Type("groupchat"), Body(text)))
		}
		for n := range lines {
			bob.expect(`PRIVMSG %s :line %s$`, garden, fmt.Sprint(n))
		}
		alice.inOrder(order...)
		alice.fence(room)
		alice.none(Message(From(room + "/" + alice.name)))
	})
}
