package test

import (
	"net"
	"strconv"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// When one of two linked servers dies, those on it leave the room; they are
// there again when it is back.
func TestLinkNetsplit(t *testing.T) {
	t.Parallel()
	s := linkSite(t,
		func(e *Env) (*IRCServer, error) {
			return e.StartNgIRCdWith(t.Context(), IRCOptions{Peer: "far.test"})
		},
		func(_ *Env, ircd *IRCServer) []Network {
			return []Network{{Name: "net", Server: ircd, TLS: true}}
		})
	s.network = "net"
	far, err := s.env.StartNgIRCdWith(t.Context(), IRCOptions{Name: "far.test", Link: s.ircd})
	if err != nil {
		t.Fatal(err)
	}
	bob, garden := s.host(t, "bob", "garden")
	bob.linked(t)
	alice := s.user(t, "alice")
	room := alice.enter(garden)
	for range 2 {
		carol, err := DialIRC(wait(t), net.JoinHostPort(far.Host, strconv.Itoa(far.Plain)), "carol")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(carol.Close)
		carol.Send("JOIN " + garden)
		alice.expect(Presence(From(room+"/carol"), Type(""), Role("participant")))
		carol.Send("PRIVMSG " + garden + " :here")
		alice.expect(Message(From(room+"/carol"), Type("groupchat"), Body("here")))

		far.Kill9()
		alice.expect(Presence(From(room+"/carol"), Type("unavailable"), StatusText("far.test")))
		bob.expect(`^:carol!\S+ QUIT`)
		bob.says(garden, "still here")
		alice.expect(Message(From(room+"/"+bob.Nick), Body("still here")))
		if err := far.Start(wait(t)); err != nil {
			t.Fatal(err)
		}
		bob.linked(t)
	}
}

// linked waits until the other server is there.
func (p *person) linked(t *testing.T) {
	t.Helper()
	ctx := wait(t)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p.Send("LINKS")
		if err := p.Fence(ctx); err != nil {
			t.Fatal("the servers did not link: ", err)
		}
		_, seen := p.Seen(` 364 \S+ far\.test`)
		p.Forget()
		if seen {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the servers did not link")
		}
	}
}

// Two servers lose each other and meet again: the members on the other side leave
// and come back with the standing they have then, and who went meanwhile does not.
func TestLinkNetsplitHeals(t *testing.T) {
	t.Parallel()
	s := linkSite(t,
		func(e *Env) (*IRCServer, error) {
			return e.StartNgIRCdWith(t.Context(), IRCOptions{Peer: "far.test"})
		},
		func(_ *Env, ircd *IRCServer) []Network {
			return []Network{{Name: "net", Server: ircd, TLS: true}}
		})
	s.network = "net"
	server, err := s.env.StartNgIRCdWith(t.Context(), IRCOptions{Name: "far.test", Link: s.ircd})
	if err != nil {
		t.Fatal(err)
	}
	far := *s.site
	far.ircd = server
	bob, garden := s.host(t, "bob", "garden")
	bob.linked(t)
	carol, dave := far.irc(t, "carol"), far.irc(t, "dave")
	for _, p := range []*person{carol, dave} {
		p.join(garden)
		bob.meets(p.Nick, garden)
	}
	bob.mode(garden, "+v "+carol.Nick)
	alice := s.user(t, "alice")
	room := alice.enter(garden)
	carol.meets(alice.name, garden)
	carolIs, daveIs := From(room+"/"+carol.Nick), From(room+"/"+dave.Nick)
	alice.expect(Presence(carolIs, Type(""), Role("participant"), Affiliation("member")))
	alice.expect(Presence(daveIs, Type(""), Affiliation("none")))

	bob.Send("OPER oper oper")
	bob.expect(` 381 `)
	bob.Send("SQUIT far.test :the cable")
	for _, is := range []Match{carolIs, daveIs} {
		alice.expect(Presence(is, Type("unavailable"), Not(Status("110"))))
	}
	carol.expect(`^:%s!\S+ QUIT`, alice.name)
	carol.says(garden, "is anybody there?")
	dave.Sendf("PART %s", garden)
	carol.expect(`^:%s!\S+ PART`, dave.Nick)
	id := alice.say(room, "nobody but us")
	bob.expect(`PRIVMSG %s :nobody but us`, garden)
	alice.expect(Message(ID(id), Type("groupchat")))

	carol.reconnects()
	bob.linked(t)
	alice.expect(Presence(carolIs, Type(""), Role("participant"), Affiliation("member")))
	carol.meets(alice.name, garden)
	alice.say(room, "welcome back")
	carol.expect(`^:%s!\S+ PRIVMSG %s :welcome back`, alice.name, garden)
	alice.fence(room)
	alice.none(Presence(daveIs, Type("")))
	alice.none(Message(BodyLike("is anybody there")))
}

// reconnects has the person's server link to its peer again.
func (p *person) reconnects() {
	p.t.Helper()
	p.Send("OPER oper oper")
	p.expect(` 381 `)
	p.Send("CONNECT ngircd.test")
}
