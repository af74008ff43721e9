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
