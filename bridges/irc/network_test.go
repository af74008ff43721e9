package irc

import (
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

func TestJoinTellsEverythingAtOnce(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("Bob")
	bob.Do("JOIN #room")
	w.srv.Puppet("carol").Do("JOIN #room")
	w.srv.SetMode("#room", "+v", "carol")
	w.srv.SetAccount("carol", "Carola")
	bob.Do("TOPIC #room :what we talk about")

	e := w.join("#Room")
	if e.Room != "#room" || e.Asked != "#Room" || e.Self.Nick != "alice" || e.Self.Mask == "" {
		t.Errorf("entered %s", describe(e))
	}
	m := memberNicks(e.Members)
	if len(m) != 2 {
		t.Fatalf("members %v", e.Members)
	}
	if b := m["Bob"]; b.ID != "bob" || b.Role != bridges.RoleModerator || b.Affiliation != bridges.AffiliationAdmin || b.Mask == "" {
		t.Errorf("Bob is %+v", b)
	}
	if c := m["carol"]; c.Role != bridges.RoleParticipant || c.Affiliation != bridges.AffiliationMember || c.Account != "Carola" {
		t.Errorf("carol is %+v", c)
	}
	if e.Subject == nil || e.Subject.Text != "what we talk about" || e.Subject.By != "Bob" || e.Subject.At.IsZero() {
		t.Errorf("subject %+v", e.Subject)
	}
	if !w.net.Capabilities(bridges.Place{Room: "#room"}).Accounts {
		t.Error("accounts are not followed")
	}
	self, others, ok := w.net.Members("#room")
	if !ok || len(others) != 2 || self.Nick != "alice" {
		t.Errorf("Members: %v %v %v", self, others, ok)
	}
}

func TestMessagesBothWays(t *testing.T) {
	for _, server := range []struct {
		name string
		cfg  irctest.Config
	}{{"labelled echo", irctest.Config{}}, {"fence", irctest.Config{NoCap: true}}, {"echo without labels", irctest.Config{Caps: []string{"echo-message", "server-time"}}}} {
		t.Run(server.name, func(t *testing.T) {
			w := open(t, setup{server: server.cfg})
			bob := w.srv.Puppet("bob")
			bob.Do("JOIN #room")
			w.join("#room")
			ref := w.nextRef()
			w.ok(w.net.Send(ref, bridges.Place{Room: "#room"}, bridges.Outgoing{Body: "first\nsecond"}))
			m := want(t, w, "echo", func(m *bridges.Message) bool { return m.Ref == ref })
			if !m.Self || m.Place.Room != "#room" || m.From.Nick != "alice" {
				t.Errorf("echo %s", describe(m))
			}
			bob.ExpectSeen(t, `^:alice!\S+ PRIVMSG #room :?second$`)
			bob.Do("PRIVMSG #room :\x02hello\x02 you")
			m = want(t, w, "line", func(m *bridges.Message) bool { return m.Ref == 0 && !m.Self })
			if m.Body != "hello you" || m.From.Nick != "bob" || m.From.Mask == "" || m.From.Identity == "" {
				t.Errorf("line %s", describe(m))
			}
			bob.Do("PRIVMSG alice :\x01ACTION waves\x01")
			m = want(t, w, "private line", func(m *bridges.Message) bool { return m.Place.User == "bob" })
			if m.Kind != bridges.Emote || m.Body != "waves" {
				t.Errorf("private line %s", describe(m))
			}
			ref = w.nextRef()
			w.ok(w.net.Send(ref, bridges.Place{User: "bob"}, bridges.Outgoing{Body: "dances", Kind: bridges.Emote}))
			want(t, w, "echo", func(m *bridges.Message) bool { return m.Ref == ref && m.Place.User == "bob" })
			bob.ExpectSeen(t, "PRIVMSG bob :\x01ACTION dances\x01$")
			w.fence()
			for _, ev := range w.rec.since(0) {
				if m, ok := ev.(*bridges.Message); ok && m.Self && m.Ref == 0 {
					t.Errorf("own line shown twice: %s", describe(m))
				}
			}
		})
	}
}

func TestRefusedLineIsAnError(t *testing.T) {
	for _, server := range []struct {
		name string
		cfg  irctest.Config
	}{{"labelled", irctest.Config{}}, {"fence", irctest.Config{NoCap: true}}} {
		t.Run(server.name, func(t *testing.T) {
			w := open(t, setup{server: server.cfg})
			w.srv.Puppet("bob").Do("JOIN #room")
			w.join("#room")
			w.srv.SetMode("#room", "+m")
			first, second := w.nextRef(), w.nextRef()
			w.ok(w.net.Send(first, bridges.Place{Room: "#room"}, bridges.Outgoing{Body: "one\ntwo"}))
			w.ok(w.net.Send(second, bridges.Place{User: "nobody"}, bridges.Outgoing{Body: "anybody?"}))
			if err := w.failed(first); err.Kind != bridges.Forbidden || err.Text == "" {
				t.Errorf("moderated: %+v", err)
			}
			if err := w.failed(second); err.Kind != bridges.NotFound {
				t.Errorf("nobody: %+v", err)
			}
			w.srv.SetMode("#room", "-m")
			third := w.nextRef()
			w.ok(w.net.Send(third, bridges.Place{Room: "#room"}, bridges.Outgoing{Body: "three"}))
			want(t, w, "echo", func(m *bridges.Message) bool { return m.Ref == third })
			for _, ev := range w.rec.since(0) {
				if m, ok := ev.(*bridges.Message); ok && (m.Ref == first || m.Ref == second) {
					t.Errorf("a refused line was shown: %s", describe(m))
				}
			}
		})
	}
}
