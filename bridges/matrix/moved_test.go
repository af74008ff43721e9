package matrix

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// upgrade gives a room a successor, as a homeserver does.
func upgrade(t *testing.T, srv *matrixtest.Server, by *matrixtest.User, r *matrixtest.Room, public bool) *matrixtest.Room {
	t.Helper()
	o := matrixtest.RoomOptions{Name: "Next", Version: "12", Preset: "private_chat"}
	if public {
		o.Preset = "public_chat"
	}
	next := by.Create(o)
	by.State(r, "m.room.tombstone", "", map[string]any{"body": "It was full", "replacement_room": next.ID})
	return next
}

// TestMoved: the successor of a room is joined, and the session is told of it once,
// whether it was in or not.
func TestMoved(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	other := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
	srv.User("alice").Join(other)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	next := upgrade(t, srv, bob, r, true)
	m := want(l, "Moved", func(*bridges.Moved) bool { return true })
	if m.Room != bridges.RoomID(r.ID) || m.Name != next.ID || m.Reason != "It was full" || !m.In {
		t.Errorf("moved is %+v", m)
	}
	next.WaitMember(t, srv.User("alice"), "join")
	if _, _, ok := l.net.Members(m.Room); !ok {
		t.Error("the old room is not there to be left")
	}
	ref := l.nextRef()
	l.ok(l.net.Leave(ref, m.Room, ""))
	want(l, "Left", func(e *bridges.Left) bool { return e.Ref == ref })
	if _, err := l.joinNamed(r.ID, bridges.JoinOptions{}); err == nil || err.Kind != bridges.RoomMoved || err.Instead != next.ID || err.Text != "It was full" {
		t.Errorf("the old one again: %+v", err)
	}
	if in, err := l.joinNamed(m.Name, bridges.JoinOptions{}); err != nil || in.Room != bridges.RoomID(next.ID) {
		t.Errorf("the new one: %+v, %+v", in, err)
	}
	second := upgrade(t, srv, bob, other, true)
	if m := want(l, "the other", func(*bridges.Moved) bool { return true }); m.Room != bridges.RoomID(other.ID) || m.Name != second.ID {
		t.Errorf("moved is %+v", m)
	}
	bob.State(r, "m.room.tombstone", "", map[string]any{"body": "again", "replacement_room": other.ID}) // it ends once
	bob.Say(next, "the end")
	l.heard("the end")
	l.stop()
	if err := l.ended(); err != nil {
		t.Fatal(err)
	}
	l.run()
	l.online()
	l.join(next)
	moved := 0
	for _, ev := range l.all() {
		if _, ok := ev.(*bridges.Moved); ok {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("told %d times", moved)
	}
}

// TestMovedUnderItsAlias: the other room is called as the old one was, where that leads
// there.
func TestMovedUnderItsAlias(t *testing.T) {
	srv := matrixtest.New(t)
	bob := srv.User("bob")
	r := bob.Create(matrixtest.RoomOptions{Preset: "public_chat", Alias: "room"})
	l := openLink(t, srv, Config{}, nil).online()
	name := "#room:" + srv.Name
	if _, err := l.joinNamed(name, bridges.JoinOptions{}); err != nil {
		t.Fatal(err)
	}
	next := bob.Upgrade(r, "11")
	m := want(l, "Moved", func(*bridges.Moved) bool { return true })
	if m.Name != name || !m.In || l.net.RoomID(name) != bridges.RoomID(next.ID) {
		t.Errorf("moved is %+v, and the alias leads to %s", m, l.net.RoomID(name))
	}
	if in, err := l.joinNamed(name, bridges.JoinOptions{}); err != nil || in.Room != bridges.RoomID(next.ID) {
		t.Errorf("entered %+v, %+v", in, err)
	}
}

// TestMovedWhereNobodyGetsIn: what cannot be joined is told too, and the old room can
// be entered.
func TestMovedWhereNobodyGetsIn(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	next := upgrade(t, srv, bob, r, false)
	if m := want(l, "Moved", func(*bridges.Moved) bool { return true }); m.Name != next.ID || m.In {
		t.Errorf("moved is %+v", m)
	}
	if _, err := l.joinNamed(r.ID, bridges.JoinOptions{}); err != nil {
		t.Errorf("the old one: %+v", err)
	}
}

// TestMovedInACircle: rooms that lead to each other end there, and can be entered.
func TestMovedInACircle(t *testing.T) {
	srv := matrixtest.New(t)
	bob, one := publicRoom(srv)
	two := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
	three := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
	tomb := func(r, next *matrixtest.Room) {
		bob.State(r, "m.room.tombstone", "", map[string]any{"body": "round", "replacement_room": next.ID})
	}
	l := openLink(t, srv, Config{}, nil).online()
	l.join(one)
	tomb(two, three)
	tomb(three, two)
	tomb(one, two)
	three.WaitMember(t, srv.User("alice"), "join")
	if _, err := l.joinNamed(two.ID, bridges.JoinOptions{}); err != nil {
		t.Errorf("one of the circle: %+v", err)
	}
	joins := 0
	for _, q := range srv.Requests() {
		if q.Method == "POST" && strings.Contains(q.Path, "/v3/join/") {
			joins++
		}
	}
	if joins > 2*len(srv.Rooms()) { // one that is not in an answer yet is joined again
		t.Errorf("joined %d times", joins)
	}
	for _, ev := range l.all() {
		if m, ok := ev.(*bridges.Moved); ok {
			t.Errorf("told %+v", m)
		}
	}
}

// TestMovedLongAgo: what ended before the gateway was there is not followed; what ended
// while it was away, or could not be asked, is.
func TestMovedLongAgo(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	_, away := publicRoom(srv)
	long := upgrade(t, srv, bob, r, true)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(away)
	l.stop()
	if err := l.ended(); err != nil {
		t.Fatal(err)
	}
	next := upgrade(t, srv, bob, away, true)
	blocked := srv.Inject(matrixtest.Fault{Path: "/join/", Status: 502})
	l.d.cfg.RetryFor = 1
	l.run()
	l.online()
	srv.WaitRequest(t, func(q matrixtest.Request) bool { return q.Status == 502 })
	l.stop()
	if err := l.ended(); err != nil {
		t.Fatal(err)
	}
	blocked.Remove()
	l.run()
	l.online()
	if m := want(l, "Moved", func(*bridges.Moved) bool { return true }); m.Name != next.ID {
		t.Errorf("moved is %+v", m)
	}
	if got := long.Membership(srv.User("alice")); got == "join" {
		t.Errorf("what ended long ago was followed: %s", got)
	}
}

// TestChatMoves: a direct room's successor carries the chat.
func TestChatMoves(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	chat := alice.Direct(bob)
	bob.Join(chat)
	l := openLink(t, srv, Config{}, nil).online()
	want(l, "bob", func(c *bridges.Contact) bool { return c.Member.ID == bridges.UserID(bob.ID) && !c.Gone })
	next := bob.Create(matrixtest.RoomOptions{Version: "11", Invite: []string{alice.ID}})
	alice.State(chat, "m.room.tombstone", "", map[string]any{"replacement_room": next.ID})
	next.WaitMember(t, alice, "join")
	bob.Say(next, "still there?")
	if m := l.heard("still there?"); m.Place != with(bob) {
		t.Errorf("the line is %+v", m)
	}
}
