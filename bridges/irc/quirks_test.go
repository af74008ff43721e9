package irc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// InspIRCd writes the new nick as the source of a labelled NICK.
func TestNickAnswerFromItself(t *testing.T) {
	w := open(t, setup{hooks: func(s *irctest.Server) {
		s.Hook("NICK", func(c *irctest.Client, m irctest.Msg) bool {
			_, label := m.GetTag("label")
			if label == "" {
				return false
			}
			c.Send("@label=%s :%s!a@h NICK :%s", label, m.Param(0), m.Param(0))
			return true
		})
	}})
	ref := w.nextRef()
	w.ok(w.net.Rename(ref, "alicia"))
	r := want(t, w, "Renamed", func(r *bridges.Renamed) bool { return true })
	if r.Ref != ref || !r.Self || r.OldNick != "alice" || w.net.Self().Nick != "alicia" {
		t.Errorf("renamed %s", describe(r))
	}
}

// A server refuses to tell the modes of a channel that has none with a numeric
// that refuses lines too (ngIRCd).
func TestChannelWithoutModes(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true, ISupport: []string{"CHANTYPES=#+"}}, hooks: func(s *irctest.Server) {
		s.Hook("MODE", func(c *irctest.Client, m irctest.Msg) bool {
			c.Numeric("477", m.Param(0), "Channel doesn't support modes")
			return true
		})
	}})
	w.join("+tea")
	ref := w.nextRef()
	w.ok(w.net.Send(ref, bridges.Place{Room: "+tea"}, bridges.Outgoing{Body: "hello"}))
	w.rec.next(t, "outcome", func(ev bridges.Event) bool {
		switch ev := ev.(type) {
		case *bridges.Failed:
			t.Errorf("refused: %v", ev.Err)
		case *bridges.ServerNotice:
			t.Errorf("told: %s", ev.Text)
		case *bridges.Message:
			return ev.Ref == ref
		}
		return false
	})
}

// A bouncer answers PING itself, before the network has seen what went before.
func TestBouncerAnswersTheFence(t *testing.T) {
	for _, cfg := range []irctest.Config{{}, {NoCap: true}} {
		var late []func()
		w := open(t, setup{server: cfg, hooks: func(s *irctest.Server) {
			s.Hook("JOIN", func(c *irctest.Client, m irctest.Msg) bool {
				late = append(late, func() {
					c.Send(":alice!a@h JOIN %s", m.Param(0))
					c.Send(":irc.test 353 alice = %s :alice bob", m.Param(0))
					c.Send(":irc.test 366 alice %s :End", m.Param(0))
				})
				return true
			})
			s.Hook("PRIVMSG", func(c *irctest.Client, m irctest.Msg) bool {
				_, label := m.GetTag("label")
				late = append(late, func() {
					if label != "" {
						c.Send("@label=%s :alice!a@h PRIVMSG %s :%s", label, m.Param(0), m.Param(1))
					}
				})
				return true
			})
		}})
		line, join := w.nextRef(), w.nextRef()
		w.ok(w.net.Send(line, bridges.Place{User: "bob"}, bridges.Outgoing{Body: "hello"}))
		w.ok(w.net.Join(join, "#room", bridges.JoinOptions{}))
		w.fence()
		for _, send := range late {
			send()
		}
		e := want(t, w, "Entered", func(e *bridges.Entered) bool { return true })
		if e.Ref != join || len(e.Members) != 1 {
			t.Errorf("entered %s", describe(e))
		}
		w.fence()
		echoes := 0
		for _, ev := range w.rec.since(0) {
			if m, ok := ev.(*bridges.Message); ok {
				echoes++
				if m.Ref != line {
					t.Errorf("message %s", describe(m))
				}
			}
		}
		if echoes != 1 {
			t.Errorf("%d echoes", echoes)
		}
	}
}

// A server that owes the answer to a label does not hold up what follows.
func TestLabelThatIsNeverAnswered(t *testing.T) {
	w := open(t, setup{hooks: func(s *irctest.Server) {
		s.Hook("PRIVMSG", func(c *irctest.Client, m irctest.Msg) bool { return m.Param(0) == "hole" })
	}})
	_ = w.srv.Puppet("hole")
	_ = w.srv.Puppet("bob")
	var refs []bridges.Ref
	for i := range 3 * maxUnfenced {
		refs = append(refs, w.nextRef())
		to := bridges.UserID("hole")
		if i%2 == 1 {
			to = "bob"
		}
		w.ok(w.net.Send(refs[i], bridges.Place{User: to}, bridges.Outgoing{Body: fmt.Sprint(i)}))
	}
	taken := make(map[bridges.Ref]bool)
	for len(taken) < len(refs) {
		m := want(t, w, "outcome", func(m *bridges.Message) bool { return m.Ref != 0 })
		if taken[m.Ref] {
			t.Fatalf("%d twice", m.Ref)
		}
		taken[m.Ref] = true
	}
}

func TestBanOfUnknownHost(t *testing.T) {
	w := scripted(t, irctest.Config{NoCap: true})
	ref := w.nextRef()
	w.ok(w.net.Join(ref, "#room", bridges.JoinOptions{}))
	w.me.Expect(t, `^JOIN`)
	for _, line := range []string{
		":alice!a@h JOIN #room", ":irc.test 353 alice = #room :@op bob alice", ":irc.test 366 alice #room :End",
		":op!o@h MODE #room +b Bob!*@*", ":op!o@h KICK #room bob :out",
	} {
		w.me.Send("%s", line)
	}
	if l := want(t, w, "Left", func(*bridges.Left) bool { return true }); l.Kind != bridges.Banned {
		t.Errorf("left %s", describe(l))
	}
}

func TestListWithModesInTheSubject(t *testing.T) {
	for in, want := range map[string]string{
		"[+nt] about cats": "about cats", "[+nt]": "", "[news] today": "[news] today", "[+1 for this] idea": "[+1 for this] idea", "plain": "plain",
	} {
		if got := listSubject(in); got != want {
			t.Errorf("listSubject(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOwnInvitationIsNoNews(t *testing.T) {
	w := opped(t, irctest.Config{})
	_ = w.srv.Puppet("dave")
	ref := w.nextRef()
	w.ok(w.net.Invite(ref, "#room", "dave", ""))
	want(t, w, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
	w.me.Send(":alice!a@h INVITE dave #room")
	w.me.Send(":Bob!b@h INVITE erin #room")
	n := want(t, w, "notice", func(*bridges.ServerNotice) bool { return true })
	if n.From != "Bob" || !strings.Contains(n.Text, "erin") {
		t.Errorf("notice %s", describe(n))
	}
}

// Two who ask the same get the same answer from one question.
func TestSharedQuestion(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("bob")
	bob.Do("JOIN #room")
	type answer struct {
		p   bridges.Profile
		err error
	}
	answers := make(chan answer, 4)
	for range 4 {
		go func() {
			p, err := w.net.Profile(context.Background(), "bob")
			answers <- answer{p, err}
		}()
	}
	for range 4 {
		if a := <-answers; a.err != nil || a.p.Nick != "bob" || !strings.Contains(a.p.Text, "#room") {
			t.Errorf("%+v", a)
		}
	}
}

// A nick longer than the server allows is cut, which is no reason to try again
// for ever.
func TestNickIsCut(t *testing.T) {
	cut := func(s string) string { return s[:min(len(s), 9)] }
	w := open(t, setup{server: irctest.Config{ISupport: []string{"NICKLEN=9"}}, nick: "extraordi", settings: map[string]string{setNick: "extraordinary"},
		hooks: func(s *irctest.Server) {
			s.Hook("NICK", func(c *irctest.Client, m irctest.Msg) bool {
				if len(m.Param(0)) > 9 {
					c.Do("NICK " + cut(m.Param(0)))
					return true
				}
				return false
			})
		}})
	w.fence()
	for _, line := range w.me.Got() {
		if strings.Contains(line, "MONITOR") || strings.Contains(line, "ISON") {
			t.Errorf("waits for a nick it cannot have: %s", line)
		}
	}
	ref := w.nextRef()
	w.ok(w.net.Rename(ref, "longlonglong"))
	if r := want(t, w, "Renamed", func(r *bridges.Renamed) bool { return r.Self && r.Room == "" }); r.Ref != ref || r.Member.Nick != "longlongl" {
		t.Errorf("renamed %s", describe(r))
	}
}

// The password belongs to the nick that was set, whatever nick is in use.
func TestLoginAfterRename(t *testing.T) {
	w := open(t, setup{
		server:   irctest.Config{Accounts: map[string]string{"alice": "secret"}},
		settings: map[string]string{setNick: "alice", setPassword: "secret"},
	})
	ref := w.nextRef()
	w.ok(w.net.Rename(ref, "ally"))
	want(t, w, "Renamed", func(r *bridges.Renamed) bool { return r.Ref == ref })
	w.me.Drop()
	w.ended()
	w.srv.WaitGone(t, "ally")
	w.run(setup{nick: "ally"})
	if self := w.net.Self(); self.Nick != "ally" || self.Account != "alice" {
		t.Errorf("self %+v", self)
	}
}
