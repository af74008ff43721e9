package irc

import (
	"context"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// opped makes a world in which we are operator of #room, with bob and carol in.
func opped(t *testing.T, cfg irctest.Config) *world {
	w := open(t, setup{server: cfg})
	for _, nick := range []string{"Bob", "carol"} {
		w.srv.Puppet(nick).Do("JOIN #room")
	}
	w.join("#room")
	w.srv.SetMode("#room", "+o", "alice")
	want(t, w, "op", func(u *bridges.Updated) bool { return u.Self })
	return w
}

func TestRolesAndAffiliations(t *testing.T) {
	for _, cfg := range []irctest.Config{{}, {NoCap: true}} {
		w := opped(t, cfg)
		done := func(ref bridges.Ref) {
			t.Helper()
			w.rec.next(t, "Done", func(ev bridges.Event) bool {
				if f, ok := ev.(*bridges.Failed); ok && f.Ref == ref {
					t.Fatalf("failed: %s", f.Err.Text)
				}
				d, ok := ev.(*bridges.Done)
				return ok && d.Ref == ref
			})
		}
		is := func(role bridges.Role, aff bridges.Affiliation) {
			t.Helper()
			if m, ok := w.net.Member("#room", "carol"); !ok || m.Role != role || m.Affiliation != aff {
				t.Errorf("carol is %+v", m)
			}
		}
		for _, step := range []struct {
			aff      bridges.Affiliation
			wantRole bridges.Role
			wantAff  bridges.Affiliation
		}{
			{bridges.AffiliationMember, bridges.RoleParticipant, bridges.AffiliationMember},
			{bridges.AffiliationAdmin, bridges.RoleModerator, bridges.AffiliationAdmin},
			{bridges.AffiliationNone, bridges.RoleParticipant, bridges.AffiliationNone},
			{bridges.AffiliationNone, bridges.RoleParticipant, bridges.AffiliationNone},
		} {
			ref := w.nextRef()
			w.ok(w.net.SetAffiliation(ref, "#room", "carol", step.aff, ""))
			done(ref)
			is(step.wantRole, step.wantAff)
		}
		ref := w.nextRef()
		w.ok(w.net.SetRole(ref, "#room", "carol", bridges.RoleModerator, ""))
		done(ref)
		is(bridges.RoleModerator, bridges.AffiliationMember) // half-operator
		ref = w.nextRef()
		w.ok(w.net.SetRole(ref, "#room", "carol", bridges.RoleParticipant, ""))
		done(ref)
		is(bridges.RoleParticipant, bridges.AffiliationNone)

		ref = w.nextRef()
		w.ok(w.net.SetRole(ref, "#room", "carol", bridges.RoleNone, "off\nyou go"))
		l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Member.Nick == "carol" })
		if l.Kind != bridges.Kicked || l.Reason != "off you go" || l.Actor != "alice" {
			t.Errorf("left %s", describe(l))
		}
		done(ref)
	}
}

func TestBanAndUnban(t *testing.T) {
	w := opped(t, irctest.Config{})
	ref := w.nextRef()
	w.ok(w.net.SetAffiliation(ref, "#room", "Bob", bridges.AffiliationOutcast, "spam"))
	l := want(t, w, "Left", func(l *bridges.Left) bool { return l.Member.Nick == "Bob" })
	if l.Kind != bridges.Banned || l.Reason != "spam" {
		t.Errorf("left %s", describe(l))
	}
	w.fence()
	list, err := w.net.List(context.Background(), "#room", bridges.AffiliationOutcast)
	if err != nil || len(list) != 1 || !strings.HasPrefix(list[0].Mask, "*!*@") || list[0].By != "alice" {
		t.Fatalf("bans %+v, %v", list, err)
	}
	ref = w.nextRef()
	w.ok(w.net.SetAffiliation(ref, "#room", list[0].Mask, bridges.AffiliationNone, ""))
	want(t, w, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
	if list, err = w.net.List(context.Background(), "#room", bridges.AffiliationOutcast); err != nil || len(list) != 0 {
		t.Errorf("bans %+v, %v", list, err)
	}
	list, err = w.net.List(context.Background(), "#room", bridges.AffiliationAdmin)
	if err != nil || !slices.Contains(list, bridges.ListEntry{Mask: "alice"}) {
		t.Errorf("admins %+v, %v", list, err)
	}
}

// Whoever may not do it is told so, with the server's words.
func TestRefusedActions(t *testing.T) {
	for _, cfg := range []irctest.Config{{}, {NoCap: true}} {
		w := open(t, setup{server: cfg})
		for _, nick := range []string{"Bob", "carol"} {
			w.srv.Puppet(nick).Do("JOIN #room")
		}
		w.srv.SetMode("#room", "+t")
		w.join("#room")
		for name, act := range map[string]struct {
			do   func(bridges.Ref) error
			kind bridges.ErrorKind
		}{
			"kick": {func(r bridges.Ref) error {
				return w.net.SetRole(r, "#room", "carol", bridges.RoleNone, "")
			}, bridges.Forbidden},
			"voice": {func(r bridges.Ref) error {
				return w.net.SetAffiliation(r, "#room", "carol", bridges.AffiliationMember, "")
			}, bridges.Forbidden},
			"ban": {func(r bridges.Ref) error {
				return w.net.SetAffiliation(r, "#room", "carol", bridges.AffiliationOutcast, "")
			}, bridges.Forbidden},
			"subject": {func(r bridges.Ref) error { return w.net.SetSubject(r, "#room", "mine") }, bridges.Forbidden},
			"invite":  {func(r bridges.Ref) error { return w.net.Invite(r, "#room", "nobody", "") }, bridges.NotFound},
			"invite2": {func(r bridges.Ref) error { return w.net.Invite(r, "#room", "carol", "") }, bridges.Conflict},
			"nick":    {func(r bridges.Ref) error { return w.net.Rename(r, "9bad") }, bridges.Invalid},
		} {
			ref := w.nextRef()
			if err := act.do(ref); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if err := w.failed(ref); err.Kind != act.kind || err.Text == "" {
				t.Errorf("%s: %+v", name, err)
			}
		}
		if err := bridges.AsError(w.net.SetRole(w.nextRef(), "#room", "nobody", bridges.RoleNone, "")); err.Kind != bridges.NotFound {
			t.Errorf("kick of nobody: %v", err)
		}
	}
}

// A member who has just gone, a mode the server does not know: 441 and 472.
func TestActionsThatComeTooLate(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
		s.Hook("KICK", func(c *irctest.Client, m irctest.Msg) bool {
			c.Numeric("441", m.Param(1), m.Param(0), "They aren't on that channel")
			return true
		})
		s.Hook("MODE", func(c *irctest.Client, m irctest.Msg) bool {
			if m.Param(1) == "" {
				return false
			}
			c.Numeric("472", "v", "is unknown mode char to me")
			return true
		})
	}})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	kick, voice := w.nextRef(), w.nextRef()
	w.ok(w.net.SetRole(kick, "#room", "bob", bridges.RoleNone, ""))
	w.ok(w.net.SetAffiliation(voice, "#room", "bob", bridges.AffiliationMember, ""))
	if err := w.failed(kick); err.Kind != bridges.NotFound {
		t.Errorf("kick: %+v", err)
	}
	if err := w.failed(voice); err.Kind != bridges.Unsupported {
		t.Errorf("voice: %+v", err)
	}
}

func TestSubjectAndInvitations(t *testing.T) {
	w := opped(t, irctest.Config{})
	ref := w.nextRef()
	w.ok(w.net.SetSubject(ref, "#room", "two\nlines"))
	s := want(t, w, "SubjectChanged", func(s *bridges.SubjectChanged) bool { return true })
	if s.Ref != ref || s.Subject.Text != "two lines" || s.Subject.By != "alice" || s.Subject.At.IsZero() {
		t.Errorf("subject %s", describe(s))
	}
	if err := bridges.AsError(w.net.SetSubject(w.nextRef(), "#room", strings.Repeat("x", 301))); err.Kind != bridges.TooLarge {
		t.Errorf("long subject: %v", err)
	}
	dave := w.srv.Puppet("dave")
	ref = w.nextRef()
	w.ok(w.net.Invite(ref, "#room", "dave", "come"))
	want(t, w, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
	dave.ExpectSeen(t, `INVITE dave :?#room`)
	dave.Do("JOIN #party")
	dave.Do("INVITE alice #party")
	i := want(t, w, "Invited", func(*bridges.Invited) bool { return true })
	if i.Name != "#party" || i.By.Nick != "dave" || i.By.Mask == "" {
		t.Errorf("invited %s", describe(i))
	}
}

// Somebody present in a moderated channel without voice can only look on.
func TestModeratedFromTheStart(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("op").Do("JOIN #quiet")
	w.srv.Puppet("bob").Do("JOIN #quiet")
	w.srv.SetMode("#quiet", "+m")
	w.join("#quiet")
	want(t, w, "own role", func(u *bridges.Updated) bool { return u.Self && u.Member.Role == bridges.RoleVisitor })
	want(t, w, "bob's role", func(u *bridges.Updated) bool {
		return u.Member.Nick == "bob" && u.Member.Role == bridges.RoleVisitor
	})
	if m, _ := w.net.Member("#quiet", "op"); m.Role != bridges.RoleModerator {
		t.Errorf("op is %+v", m)
	}
}

func TestKeyIsRemembered(t *testing.T) {
	w := open(t, setup{})
	op := w.srv.Puppet("op")
	op.Do("JOIN #safe")
	op.Do("MODE #safe +k sesame")
	ref := w.nextRef()
	w.ok(w.net.Join(ref, "#safe", bridges.JoinOptions{}))
	if err := w.failed(ref); err.Kind != bridges.PasswordRequired {
		t.Errorf("without key: %+v", err)
	}
	ref = w.nextRef()
	w.ok(w.net.Join(ref, "#safe", bridges.JoinOptions{Password: "sesame"}))
	want(t, w, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref })
	op.Do("MODE #safe -k sesame")
	op.Do("MODE #safe +k other")
	w.fence()
	w.srv.ForceKick("#safe", "alice", "")
	want(t, w, "Left", func(l *bridges.Left) bool { return l.Self })
	w.join("#safe")
}
