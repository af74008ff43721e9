package matrix

import (
	"sync"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// outcomes are the events that answer an action.
func (l *linked) outcomes(ref bridges.Ref) (out []bridges.Event) {
	for _, ev := range l.all() {
		switch e := ev.(type) {
		case *bridges.Done:
			if e.Ref == ref {
				out = append(out, ev)
			}
		case *bridges.Failed:
			if e.Ref == ref {
				out = append(out, ev)
			}
		case *bridges.SubjectChanged:
			if e.Ref == ref {
				out = append(out, ev)
			}
		}
	}
	return out
}

// outcome waits for the answer to an action.
func (l *linked) outcome(ref bridges.Ref) bridges.Event {
	l.t.Helper()
	return want(l, "the outcome", func(ev bridges.Event) bool {
		switch e := ev.(type) {
		case *bridges.Done:
			return e.Ref == ref
		case *bridges.Failed:
			return e.Ref == ref
		case *bridges.SubjectChanged:
			return e.Ref == ref
		}
		return false
	})
}

// ownRoom is a room of alice's, with bob and carol.
func ownRoom(t *testing.T) (l *linked, r *matrixtest.Room, at bridges.RoomID) {
	srv := matrixtest.New(t)
	r = srv.User("alice").Create(matrixtest.RoomOptions{Preset: "public_chat"})
	srv.User("bob").Join(r)
	srv.User("carol").Join(r)
	l = openLink(t, srv, Config{}, nil).online()
	return l, r, l.join(r).Room
}

// deaf has the homeserver tell alice's link nothing more until goOn is called: then it
// goes on, or cuts the connections.
func (l *linked) deaf(r *matrixtest.Room, cut matrixtest.Cut) (goOn func()) {
	l.t.Helper()
	hold := make(chan struct{})
	fault := l.srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: hold, Cut: cut})
	l.srv.User("bob").Say(r, "ends the answer that waits") // which was asked for before
	fault.Wait(l.t, 1)
	return sync.OnceFunc(func() {
		if cut == matrixtest.CutNever { // else the request, repeated, must fail again
			fault.Remove()
		}
		close(hold)
	})
}

// A change is told as done when the room shows it, and not before.
func TestChangeIsShownFirst(t *testing.T) {
	l, r, at := ownRoom(t)
	carol := l.srv.User("carol")
	goOn := l.deaf(r, matrixtest.CutNever)
	changes := []struct {
		what  string
		ask   func(bridges.Ref) error
		shown func(bridges.Event) bool
	}{
		{"a role", func(ref bridges.Ref) error { return l.net.SetRole(ref, at, "carol", bridges.RoleModerator, "") },
			func(ev bridges.Event) bool {
				u, ok := ev.(*bridges.Updated)
				return ok && u.Member.ID == bridges.UserID(carol.ID) && u.Member.Role == bridges.RoleModerator
			}},
		{"an affiliation", func(ref bridges.Ref) error {
			return l.net.SetAffiliation(ref, at, "bob", bridges.AffiliationOwner, "")
		}, func(ev bridges.Event) bool {
			u, ok := ev.(*bridges.Updated)
			return ok && u.Member.Nick == "bob" && u.Member.Affiliation == bridges.AffiliationOwner
		}},
		{"a kick", func(ref bridges.Ref) error { return l.net.SetRole(ref, at, "carol", bridges.RoleNone, "") },
			func(ev bridges.Event) bool {
				e, ok := ev.(*bridges.Left)
				return ok && e.Member.ID == bridges.UserID(carol.ID) && e.Kind == bridges.Kicked
			}},
	}
	refs := map[bridges.Ref]int{}
	for i, c := range changes {
		ref := l.nextRef()
		l.ok(c.ask(ref))
		refs[ref] = i
	}
	// All are in one lane, so the first holds the others back until answers come.
	for _, ev := range l.all() {
		if d, ok := ev.(*bridges.Done); ok {
			if _, ours := refs[d.Ref]; ours {
				t.Fatalf("%s is done, and nothing was shown", changes[refs[d.Ref]].what)
			}
		}
	}
	goOn()
	for ref, i := range refs {
		deadline := time.After(patience)
		for len(l.outcomes(ref)) == 0 {
			l.mu.Lock()
			changed := l.changed
			l.mu.Unlock()
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("%s has no outcome", changes[i].what)
			}
		}
		got := l.outcomes(ref)
		if _, ok := got[0].(*bridges.Done); len(got) != 1 || !ok {
			t.Fatalf("%s came to %+v", changes[i].what, got)
		}
		for _, ev := range l.all() {
			if ev == got[0] {
				t.Fatalf("%s is done before it was shown", changes[i].what)
			}
			if changes[i].shown(ev) {
				break
			}
		}
	}
}

// Where there is nothing to change the answer comes at once.
func TestNothingToChange(t *testing.T) {
	l, _, at := ownRoom(t)
	for what, ask := range map[string]func(bridges.Ref) error{
		"a role": func(ref bridges.Ref) error {
			return l.net.SetRole(ref, at, "bob", bridges.RoleParticipant, "")
		},
		"an affiliation": func(ref bridges.Ref) error {
			return l.net.SetAffiliation(ref, at, "bob", bridges.AffiliationNone, "")
		},
	} {
		ref := l.nextRef()
		l.ok(ask(ref))
		if _, ok := l.outcome(ref).(*bridges.Done); !ok {
			t.Errorf("%s came to %+v", what, l.outcomes(ref))
		}
	}
	for range 2 { // banned twice: the second time there is nothing to do
		ref := l.nextRef()
		l.ok(l.net.SetAffiliation(ref, at, "@carol:hs.test", bridges.AffiliationOutcast, ""))
		if _, ok := l.outcome(ref).(*bridges.Done); !ok {
			t.Errorf("a ban came to %+v", l.outcomes(ref))
		}
	}
}

// What the homeserver refuses has failed, once, and changes nothing.
func TestRefusedChange(t *testing.T) {
	l, r, at := ownRoom(t)
	l.srv.User("bob").Say(r, "hello")
	for what, c := range map[string]struct {
		path string
		ask  func(bridges.Ref) error
	}{
		"a subject": {"/m.room.topic", func(ref bridges.Ref) error { return l.net.SetSubject(ref, at, "mine") }},
		"a role":    {"/m.room.power_levels", func(ref bridges.Ref) error { return l.net.SetRole(ref, at, "bob", bridges.RoleModerator, "") }},
		"a kick":    {"/kick", func(ref bridges.Ref) error { return l.net.SetRole(ref, at, "bob", bridges.RoleNone, "") }},
		"a ban": {"/ban", func(ref bridges.Ref) error {
			return l.net.SetAffiliation(ref, at, "bob", bridges.AffiliationOutcast, "")
		}},
		"an affiliation": {"/m.room.power_levels", func(ref bridges.Ref) error { return l.net.SetAffiliation(ref, at, "bob", bridges.AffiliationOwner, "") }},
	} {
		fault := l.srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: c.path, Status: 403, Code: "M_FORBIDDEN", Text: "Not today."})
		ref := l.nextRef()
		l.ok(c.ask(ref))
		failed, ok := l.outcome(ref).(*bridges.Failed)
		fault.Remove()
		if !ok || failed.Err.Kind != bridges.Forbidden || failed.Err.Uncertain || failed.Err.Text != "Not today." {
			t.Errorf("%s came to %+v", what, l.outcomes(ref))
		}
	}
	ref := l.nextRef()
	l.ok(l.net.SetSubject(ref, at, "mine"))
	if e, ok := l.outcome(ref).(*bridges.SubjectChanged); !ok || e.Subject.Text != "mine" {
		t.Errorf("a subject after a refusal came to %+v", l.outcomes(ref))
	}
}

// A subject has one outcome, whether its echo or the answer to the request is first,
// and the echo is not told again.
func TestSubjectOnce(t *testing.T) {
	for _, echoFirst := range []bool{false, true} {
		l, r, at := ownRoom(t)
		var hold chan struct{}
		if echoFirst { // the answer is late
			hold = make(chan struct{})
			fault := l.srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/m.room.topic", Rewrite: func(body []byte) []byte { <-hold; return body }})
			defer fault.Remove()
		}
		ref := l.nextRef()
		l.ok(l.net.SetSubject(ref, at, "mine"))
		if e, ok := l.outcome(ref).(*bridges.SubjectChanged); !ok || e.Subject.Text != "mine" || e.Subject.By != "alice" {
			t.Fatalf("echo first %v: %+v", echoFirst, l.outcomes(ref))
		}
		l.srv.User("alice").SetPower(r, l.srv.User("bob"), 100)
		l.srv.User("bob").SetTopic(r, "bob's")
		want(l, "bob's subject", func(e *bridges.SubjectChanged) bool { return e.Ref == 0 && e.Subject.Text == "bob's" })
		if echoFirst {
			close(hold)
		}
		l.srv.User("bob").Say(r, "the end")
		l.heard("the end")
		told := 0
		for _, ev := range l.all() {
			if e, ok := ev.(*bridges.SubjectChanged); ok && e.Subject.Text == "mine" {
				told++
			}
		}
		if got := l.outcomes(ref); told != 1 || len(got) != 1 {
			t.Errorf("echo first %v: told %d times, outcomes %+v", echoFirst, told, got)
		}
	}
}

// A change that is under way when the connection ends is told as perhaps made.
func TestChangeAndNoConnection(t *testing.T) {
	l, r, at := ownRoom(t)
	cut := l.deaf(r, matrixtest.CutBefore)
	defer cut()
	ref := l.nextRef()
	l.ok(l.net.SetRole(ref, at, "bob", bridges.RoleModerator, ""))
	deadline := time.After(patience)
	for powers := 0; powers < 2; {
		powers = 0
		for _, ev := range r.Events() {
			if ev.Type == "m.room.power_levels" {
				powers++
			}
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("the change was not asked for")
		}
	}
	cut()
	failed, ok := l.outcome(ref).(*bridges.Failed)
	if !ok || !failed.Err.Uncertain || len(l.outcomes(ref)) != 1 {
		t.Errorf("%d outcomes; %+v", len(l.outcomes(ref)), failed)
	}
}

// A homeserver that refuses without a word has banned the user, or lets nobody in who
// was not invited.
func TestWhyNotIn(t *testing.T) {
	for banned, kind := range map[bool]bridges.ErrorKind{true: bridges.IsBanned, false: bridges.MembersOnly} {
		srv := matrixtest.New(t)
		alice, bob := srv.User("alice"), srv.User("bob")
		r := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
		if banned {
			alice.Join(r)
			bob.Ban(r, alice, "")
		}
		l := openLink(t, srv, Config{}, nil).online()
		srv.Inject(matrixtest.Fault{User: alice.ID, Path: "/join/", Status: 403, Code: "M_FORBIDDEN", Text: "InputWasRejected"})
		ref := l.nextRef()
		l.ok(l.net.Join(ref, r.ID, bridges.JoinOptions{}))
		failed := want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref })
		if failed.Err.Kind != kind || failed.Err.Text == "InputWasRejected" {
			t.Errorf("banned %v: %+v", banned, failed.Err)
		}
	}
}

// What is said in a thread answers its last line, for clients that know no threads.
func TestThreadLast(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	root := bob.Say(r, "root")
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	last := bob.Thread(r, root, "bob's")
	l.heard("bob's")
	for _, text := range []string{"one", "two"} {
		ref := l.nextRef()
		l.ok(l.net.Send(ref, inRoom(r), bridges.Outgoing{Body: text, Thread: bridges.MessageID(root)}))
		mine := want(l, text, func(m *bridges.Message) bool { return m.Ref == ref })
		for _, ev := range r.Events() {
			if ev.Body() != text {
				continue
			}
			rel := readObject(ev.Content).obj("m.relates_to")
			if rel.str("event_id") != root || rel.obj("m.in_reply_to").str("event_id") != last || !rel.bool("is_falling_back") {
				t.Errorf("%q relates to %s", text, ev.Content)
			}
		}
		last = string(mine.ID)
	}
}

// Who is asked again at once, after having declined, is asked: both may come in one
// answer.
func TestInvitedAgain(t *testing.T) {
	for _, direct := range []bool{false, true} {
		srv := matrixtest.New(t)
		alice, bob := srv.User("alice"), srv.User("bob")
		watched := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
		alice.Join(watched)
		l := openLink(t, srv, Config{}, nil).online()
		var r *matrixtest.Room
		asked := func() {
			t.Helper()
			if direct {
				want(l, "the contact", func(c *bridges.Contact) bool { return c.Asks && c.Member.ID == bridges.UserID(bob.ID) })
				return
			}
			want(l, "the invitation", func(i *bridges.Invited) bool { return i.Name == r.ID })
		}
		if direct {
			r = bob.Direct(alice)
		} else {
			r = bob.Create(matrixtest.RoomOptions{Preset: "private_chat"})
			bob.Invite(r, alice, "")
		}
		asked()
		goOn := l.deaf(watched, matrixtest.CutNever)
		ref := l.nextRef()
		if direct {
			l.ok(l.net.Unfriend(ref, bridges.UserID(bob.ID)))
			want(l, "the contact's end", func(c *bridges.Contact) bool { return c.Gone && c.Member.ID == bridges.UserID(bob.ID) })
		} else {
			l.ok(l.net.Decline(ref, r.ID, "later"))
		}
		if _, ok := l.outcome(ref).(*bridges.Done); !ok {
			t.Errorf("declining came to %+v", l.outcomes(ref))
		}
		if direct {
			bob.State(r, "m.room.member", alice.ID, map[string]any{"membership": "invite", "is_direct": true})
		} else {
			bob.Invite(r, alice, "")
		}
		goOn()
		asked()
	}
}

// TestMembersOfClosedRoom: where only those who are invited can enter, to make somebody a
// member is to invite them, and to take that back is to remove them.
func TestMembersOfClosedRoom(t *testing.T) {
	srv := matrixtest.New(t)
	alice, bob, carol := srv.User("alice"), srv.User("bob"), srv.User("carol")
	r := alice.Create(matrixtest.RoomOptions{Preset: "private_chat"})
	alice.Invite(r, bob, "")
	bob.Join(r)
	alice.SetPower(r, bob, 50)
	l := openLink(t, srv, Config{}, nil).online()
	at := l.join(r).Room
	set := func(who *matrixtest.User, a bridges.Affiliation) {
		t.Helper()
		ref := l.nextRef()
		l.ok(l.net.SetAffiliation(ref, at, who.ID, a, "so it is"))
		if _, ok := l.outcome(ref).(*bridges.Done); !ok {
			t.Fatalf("%s: %+v", who.ID, l.outcomes(ref))
		}
	}
	member := func(who *matrixtest.User, want string) {
		t.Helper()
		got := ""
		for _, ev := range r.Events() {
			if ev.Type == "m.room.member" && ev.StateKey != nil && *ev.StateKey == who.ID {
				got = readObject(ev.Content).str("membership")
			}
		}
		if got != want {
			t.Errorf("%s is %q, want %q", who.ID, got, want)
		}
	}
	set(carol, bridges.AffiliationMember)
	member(carol, "invite")
	carol.Join(r)
	set(carol, bridges.AffiliationMember) // is one
	member(carol, "join")
	set(bob, bridges.AffiliationMember) // was more
	member(bob, "join")
	set(bob, bridges.AffiliationNone)
	member(bob, "leave")
	set(carol, bridges.AffiliationOutcast)
	member(carol, "ban")
	set(carol, bridges.AffiliationNone)
	member(carol, "leave")
	set(carol, bridges.AffiliationOutcast)
	set(carol, bridges.AffiliationMember)
	member(carol, "invite")
}
