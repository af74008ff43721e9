package bridgetest

import (
	"fmt"
	"slices"
	"testing"

	"transportd/bridges"
)

// testSubject: a subject has one outcome, SubjectChanged, and is told once.
func testSubject(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	setter, ok := w.net.(bridges.SubjectSetter)
	if !ok {
		t.Skip("the network is no SubjectSetter")
	}
	e := w.join(f.Room)
	w.promoted(f, e.Room)
	ref := w.newRef()
	if err := setter.SetSubject(ref, e.Room, "roses"); err != nil {
		t.Fatalf("SetSubject: %v", err)
	}
	changed := next(w, "SubjectChanged", func(e *bridges.SubjectChanged) bool { return e.Ref == ref })
	if changed.Room != e.Room || changed.Subject.Text != "roses" || changed.Subject.By != w.net.Self().Nick {
		t.Errorf("the outcome is %+v", changed)
	}
	w.settled(f, ref)
	told := 0
	for _, ev := range w.all() {
		if e, ok := ev.(*bridges.SubjectChanged); ok && e.Subject.Text == "roses" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the subject was told %d times", told)
	}
}

// testRoles: who may not change what others may do is refused; a change is Done once
// it was shown, and has no other outcome.
func testRoles(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann", "ben", "cyn")
	w := start(t, f)
	setter, ok := w.net.(bridges.RoleSetter)
	if !ok {
		t.Skip("the network is no RoleSetter")
	}
	e := w.join(f.Room)
	ben, cyn := w.net.UserID("ben"), w.net.UserID("cyn")
	kick := func(ref bridges.Ref) error { return setter.SetRole(ref, e.Room, "ben", bridges.RoleNone, "out") }
	w.refused(f, "a kick by somebody who may not", kick)
	w.promoted(f, e.Room)
	w.refused(f, "a kick of nobody", func(ref bridges.Ref) error {
		return setter.SetRole(ref, e.Room, "nobody", bridges.RoleNone, "")
	})
	for _, c := range []struct {
		what  string
		ask   func(bridges.Ref) error
		shown func(bridges.Event) bool
	}{
		{"a role", func(ref bridges.Ref) error { return setter.SetRole(ref, e.Room, "ben", bridges.RoleModerator, "") },
			func(ev bridges.Event) bool {
				u, ok := ev.(*bridges.Updated)
				return ok && u.Member.ID == ben && u.Member.Role == bridges.RoleModerator
			}},
		{"a role taken back", func(ref bridges.Ref) error { return setter.SetRole(ref, e.Room, "ben", bridges.RoleParticipant, "") },
			func(ev bridges.Event) bool {
				u, ok := ev.(*bridges.Updated)
				return ok && u.Member.ID == ben && u.Member.Role == bridges.RoleParticipant
			}},
		{"a kick", kick, func(ev bridges.Event) bool {
			l, ok := ev.(*bridges.Left)
			return ok && l.Member.ID == ben && l.Kind == bridges.Kicked && l.Reason == "out"
		}},
		{"a ban", func(ref bridges.Ref) error {
			return setter.SetAffiliation(ref, e.Room, "cyn", bridges.AffiliationOutcast, "never")
		}, nil},
	} {
		ref, from := w.newRef(), w.count()
		if err := c.ask(ref); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		out := next(w, "the outcome of "+c.what, func(ev bridges.Event) bool { return refOf(ev) == ref })
		if _, ok := out.(*bridges.Done); !ok {
			t.Fatalf("%s came to %+v", c.what, out)
		}
		if c.shown == nil { // a ban is one thing, and that it removes who is in another
			removed := func(l *bridges.Left) bool { return l.Member.ID == cyn && l.Kind != bridges.Parted }
			if !slices.ContainsFunc(w.all()[from:], func(ev bridges.Event) bool { l, ok := ev.(*bridges.Left); return ok && removed(l) }) {
				next(w, "the removal of who is banned", removed)
			}
			w.settled(f, ref)
			continue
		}
		shown := false
		for _, ev := range w.all()[from:] {
			if ev == out {
				break
			}
			shown = shown || c.shown(ev)
		}
		if !shown {
			t.Errorf("%s is done and was not shown", c.what)
		}
		w.settled(f, ref)
	}
}

// promoted has the network let the user do everything in a room.
func (w *watch) promoted(f Fixture, room bridges.RoomID) {
	w.t.Helper()
	f.Peer.Promote(f.Room)
	next(w, "the user's new role", func(u *bridges.Updated) bool {
		return u.Room == room && u.Self && u.Member.Role == bridges.RoleModerator
	})
}

// refused wants an action to fail: at once or with its outcome, in words.
func (w *watch) refused(f Fixture, what string, ask func(bridges.Ref) error) {
	w.t.Helper()
	ref := w.newRef()
	err := ask(ref)
	if err == nil {
		out := next(w, "the outcome of "+what, func(ev bridges.Event) bool { return refOf(ev) == ref })
		failed, ok := out.(*bridges.Failed)
		if !ok {
			w.t.Fatalf("%s came to %+v", what, out)
		}
		err = failed.Err
		w.settled(f, ref)
	}
	if e := bridges.AsError(err); e.Text == "" || e.Kind == bridges.Internal || e.Uncertain {
		w.t.Errorf("%s failed with %+v", what, e)
	}
}

// settled has something else happen and wants an action to have had one outcome.
func (w *watch) settled(f Fixture, ref bridges.Ref) {
	w.t.Helper()
	text := fmt.Sprint("after action ", ref)
	f.Peer.Say(f.Room, "ann", text)
	next(w, "a line", func(m *bridges.Message) bool { return m.Body == text })
	outcomes := 0
	for _, ev := range w.all() {
		if refOf(ev) == ref {
			outcomes++
		}
	}
	if outcomes != 1 {
		w.t.Errorf("an action had %d outcomes", outcomes)
	}
}

// refOf is the action that an event is the outcome of; 0: none.
func refOf(ev bridges.Event) bridges.Ref {
	switch e := ev.(type) {
	case *bridges.Done:
		return e.Ref
	case *bridges.Failed:
		return e.Ref
	case *bridges.SubjectChanged:
		return e.Ref
	}
	return 0
}
