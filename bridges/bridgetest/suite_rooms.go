package bridgetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
)

func testEntering(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann", "ben", "cyn")
	w := start(t, f)
	e := w.join(f.Room)
	self := w.net.Self()
	if e.Asked != f.Room || e.Room != w.net.RoomID(f.Room) || e.Self.ID != self.ID || self.Nick == "" {
		t.Errorf("entered %+v; Self is %+v", e, self)
	}
	var ids []string
	for _, m := range e.Members {
		if m.ID == self.ID {
			t.Error("the user is among the members")
		}
		if m.ID != w.net.UserID(addressOf(&m)) || m.Role == bridges.RoleNone || m.Affiliation == 0 || m.Identity == "" {
			t.Errorf("member %+v", m)
		}
		if is := m.Address != "" && m.Address == m.Identity; is != f.Driver.Info().Addresses {
			t.Errorf("Info.Addresses is %v and there is the member %+v", !is, m)
		}
		ids = append(ids, string(m.ID))
	}
	slices.Sort(ids)
	want := []string{string(w.net.UserID("ann")), string(w.net.UserID("ben")), string(w.net.UserID("cyn"))}
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("members %v, want %v", ids, want)
	}
	ref := w.newRef() // in already: told again, without asking anybody to leave
	if err := w.net.Join(ref, f.Room, bridges.JoinOptions{}); err != nil {
		t.Fatalf("second Join: %v", err)
	}
	if e := next(w, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref }); len(e.Members) != 3 {
		t.Errorf("second Join: %d members", len(e.Members))
	}
	ref = w.newRef()
	if err := w.net.Leave(ref, e.Room, "done"); err != nil {
		t.Fatalf("Leave: %v", err)
	}
	next(w, "Left", func(l *bridges.Left) bool { return l.Ref == ref && l.Self && l.Room == e.Room })
	if _, _, ok := w.net.Members(e.Room); ok {
		t.Error("still in the room after Left")
	}
}

// addressOf is what somebody is addressed by outside the room.
func addressOf(m *bridges.Member) string {
	if m.Address != "" {
		return m.Address
	}
	return m.Nick
}

// testMembersFollow replays the events into a model and compares it with what
// the network says.
func testMembersFollow(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	for i := range 10 {
		nick := fmt.Sprintf("guest%d", i)
		f.Peer.Enter(f.Room, nick)
		switch i % 3 {
		case 0:
			f.Peer.Rename(nick, fmt.Sprintf("Other%d", i))
		case 1:
			f.Peer.Leave(f.Room, nick)
		}
	}
	f.Peer.Say(f.Room, "ann", "that was all")
	next(w, "the last line", func(m *bridges.Message) bool { return m.Body == "that was all" })

	room := w.net.RoomID(f.Room)
	model := make(map[bridges.UserID]string)
	for _, ev := range w.all() {
		replay(model, room, ev)
	}
	_, members, ok := w.net.Members(room)
	if !ok {
		t.Fatal("not in the room")
	}
	if len(members) != len(model) {
		t.Errorf("events leave %v, Members says %d", model, len(members))
	}
	for _, m := range members {
		if model[m.ID] != m.Nick {
			t.Errorf("events leave %q as %q, Members as %q", m.ID, model[m.ID], m.Nick)
		}
		if one, ok := w.net.Member(room, m.ID); !ok || one != m {
			t.Errorf("Member says %+v, Members %+v", one, m)
		}
	}
}

func replay(model map[bridges.UserID]string, room bridges.RoomID, ev bridges.Event) {
	switch ev := ev.(type) {
	case *bridges.Entered:
		if ev.Room == room {
			clear(model)
			for _, m := range ev.Members {
				model[m.ID] = m.Nick
			}
		}
	case *bridges.Joined:
		if ev.Room == room {
			model[ev.Member.ID] = ev.Member.Nick
		}
	case *bridges.Left:
		if ev.Room == room && !ev.Self {
			delete(model, ev.Member.ID)
		}
	case *bridges.Renamed:
		if ev.Room == room && !ev.Self {
			delete(model, ev.OldID)
			model[ev.Member.ID] = ev.Member.Nick
		}
	}
}

func testEchoOnce(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	var refs []bridges.Ref
	for i := range 20 {
		refs = append(refs, w.send(f.Room, fmt.Sprintf("line %d\nand its second half", i)))
	}
	for _, ref := range refs { // in order: next passes over what it does not want
		m := next(w, "echo in order", func(m *bridges.Message) bool { return m.Ref == ref })
		if !m.Self || m.Place.Room != w.net.RoomID(f.Room) || m.From.ID != w.net.Self().ID {
			t.Errorf("echo %+v", m)
		}
	}
	f.Peer.Say(f.Room, "ann", "thank you")
	next(w, "a line", func(m *bridges.Message) bool { return m.Body == "thank you" })
	for _, ref := range refs {
		if taken, failed := w.outcomes(ref); taken != 1 || failed != 0 {
			t.Errorf("line %d was taken %d times and failed %d times", ref, taken, failed)
		}
	}
	for _, ev := range w.all() {
		if m, ok := ev.(*bridges.Message); ok && m.Self && m.Ref == 0 {
			t.Errorf("a line of the user's without its Ref: %+v", m)
		}
	}
	heard := strings.Join(f.Peer.Heard(f.Room), "\n")
	at := 0
	for i := range refs {
		found := strings.Index(heard[at:], fmt.Sprintf("line %d\n", i))
		if found < 0 {
			t.Fatalf("line %d is missing or out of order in %q", i, heard)
		}
		at += found
	}
}

func testRefused(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	f.Peer.Refuse(f.Room)
	f.Peer.Say(f.Room, "ann", "quiet now")
	next(w, "the change", func(m *bridges.Message) bool { return m.Body == "quiet now" })
	ref := w.send(f.Room, "not heard")
	failed := next(w, "Failed", func(e *bridges.Failed) bool { return e.Ref == ref })
	if failed.Err.Text == "" || failed.Err.Kind == bridges.Internal {
		t.Errorf("failed with %+v", failed.Err)
	}
	f.Peer.Say(f.Room, "ann", "still here")
	next(w, "a line", func(m *bridges.Message) bool { return m.Body == "still here" })
	if taken, _ := w.outcomes(ref); taken != 0 {
		t.Error("a refused line was shown")
	}
}

// testOrder speaks in two rooms and in private while the session is busy.
func testOrder(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	f.Peer.Enter(f.OtherRoom, "ann")
	w := start(t, f)
	w.join(f.Room)
	w.join(f.OtherRoom)
	w.shut()
	const lines = 300
	for i := range lines {
		f.Peer.Say(f.Room, "ann", fmt.Sprint("a", i))
		f.Peer.Say(f.OtherRoom, "ann", fmt.Sprint("b", i))
		f.Peer.Whisper("ann", fmt.Sprint("c", i))
	}
	w.open()
	last := 0 // each place has its own order, and none among them
	next(w, "the last lines", func(m *bridges.Message) bool {
		if strings.HasSuffix(m.Body, fmt.Sprint(lines-1)) {
			last++
		}
		return last == 3
	})
	at := make(map[bridges.Place]int)
	for _, ev := range w.all() {
		m, ok := ev.(*bridges.Message)
		if !ok {
			continue
		}
		if want := fmt.Sprint(at[m.Place]); m.Body[1:] != want {
			t.Fatalf("in %+v: %q where %s was to come", m.Place, m.Body, want)
		}
		at[m.Place]++
	}
	if len(at) != 3 {
		t.Errorf("lines in %d places", len(at))
	}
	for place, n := range at {
		if n != lines {
			t.Errorf("%d lines in %+v", n, place)
		}
	}
}
