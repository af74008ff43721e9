package matrix

import (
	"context"
	"errors"
	"slices"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// space is a space of bob's.
func space(bob *matrixtest.User, name string, rooms ...*matrixtest.Room) *matrixtest.Room {
	s := bob.Create(matrixtest.RoomOptions{Name: name, Preset: "public_chat", Creation: map[string]any{"type": "m.space"}})
	for i, r := range rooms {
		put(bob, s, r, string(rune('a'+i)))
	}
	return s
}

func put(bob *matrixtest.User, s, r *matrixtest.Room, order string) {
	bob.State(s, "m.space.child", r.ID, map[string]any{"via": []string{"hs.test"}, "order": order})
}

// group lists what is in a space.
func (l *linked) group(name string) (titles []string, groups int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	entries, err := l.net.Group(ctx, name)
	l.ok(err)
	for _, e := range entries {
		titles = append(titles, e.Title)
		if e.Group {
			groups++
		}
	}
	return titles, groups
}

func (l *linked) groups(name string, groups int, want ...string) {
	l.t.Helper()
	if got, n := l.group(name); !slices.Equal(got, want) || n != groups {
		l.t.Errorf("in %q are %q, %d of them spaces; want %q and %d", name, got, n, want, groups)
	}
}

// TestSpaces: spaces are a tree and no rooms; circles end; what the user is not in is
// listed too, and can be joined from there.
func TestSpaces(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	open := bob.Create(matrixtest.RoomOptions{Name: "Open", Preset: "public_chat"})
	secret := bob.Create(matrixtest.RoomOptions{Name: "Secret", Preset: "private_chat"})
	inner := space(bob, "Inner", open, secret)
	club := space(bob, "Club", open, inner, r, secret)
	circle, back := space(bob, "Circle"), space(bob, "Back")
	put(bob, circle, back, "")
	put(bob, back, circle, "")
	alice := srv.User("alice")
	for _, s := range []*matrixtest.Room{inner, club, circle, back} {
		alice.Join(s)
	}
	l := openLink(t, srv, Config{}, nil).online()
	srv.Wait(t, "the first answer is not handled", func() bool { titles, _ := l.group(""); return len(titles) > 0 })
	top, groups := l.group("")
	if groups != 2 || len(top) != 2 || !slices.Contains(top, "Club") || !slices.Contains(top, "Circle") && !slices.Contains(top, "Back") {
		t.Errorf("on top are %q", top)
	}
	l.groups(club.ID, 1, "Open", "Inner", "Room")
	l.groups(inner.ID, 0, "Open")
	l.groups(circle.ID, 1, "Back")
	l.groups(back.ID, 1, "Circle")
	if _, err := l.net.Group(t.Context(), secret.ID); bridges.AsError(err).Kind != bridges.Forbidden {
		t.Errorf("a space that is none: %v", err)
	}
	if caps := l.net.Capabilities(bridges.Place{Room: bridges.RoomID(club.ID)}); !caps.Group || caps.Subject {
		t.Errorf("a space can %+v", caps)
	}
	ref := l.nextRef()
	l.ok(l.net.Join(ref, club.ID, bridges.JoinOptions{}))
	if f := want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref }); f.Err.Kind != bridges.Unsupported {
		t.Errorf("entering a space: %+v", f.Err)
	}
	// A homeserver without the API costs what the user is not in.
	srv.Inject(matrixtest.Fault{User: alice.ID, Path: "/hierarchy", Status: 404, Code: "M_UNRECOGNIZED"})
	l.groups(club.ID, 1, "Inner", "Room")
	var e *bridges.Error
	if _, err := l.net.Group(t.Context(), open.ID); !errors.As(err, &e) {
		t.Errorf("no error: %v", err)
	}
}

// TestSpaceNames: a room that is in one space is called after it as well, for as long as
// that is so.
func TestSpaceNames(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	alice := srv.User("alice")
	club := space(bob, "Club", r)
	alice.Join(club)
	asked := space(bob, "Asked")
	bob.Invite(asked, alice, "come")
	l := openLink(t, srv, Config{}, nil).online()
	want(l, "the invitation", func(i *bridges.Invited) bool {
		return i.Name == asked.ID && i.Reason == "This is a space, a group of rooms, and not a room itself. come"
	})
	if e := l.join(r); e.Info == nil || e.Info.Name != "Club/Room" {
		t.Fatalf("entered %+v", e.Info)
	}
	renamed := func(name string) {
		t.Helper()
		want(l, "the name "+name, func(i *bridges.RoomInfo) bool { return i.Room == bridges.RoomID(r.ID) && i.Name == name })
	}
	bob.SetRoomName(club, "House")
	renamed("House/Room")
	bob.SetRoomName(r, "Hall")
	renamed("House/Hall")
	other := space(bob, "Other", r)
	alice.Join(other)
	renamed("Hall") // which of them it is called after nobody could tell
	alice.Leave(club, "")
	renamed("Other/Hall")
	bob.State(other, "m.space.child", r.ID, map[string]any{})
	renamed("Hall")
	// The room's own word counts where who gives it may speak for the space.
	carol := srv.User("carol")
	carol.Join(r)
	carol.Join(other)
	bob.SetPower(r, carol, 100)
	carol.State(r, "m.space.parent", other.ID, map[string]any{"via": []string{"hs.test"}})
	bob.Say(r, "carol may not")
	l.heard("carol may not")
	bob.State(r, "m.space.parent", other.ID, map[string]any{"via": []string{"hs.test"}, "canonical": true})
	renamed("Other/Hall")
	called := 0
	for _, ev := range l.all() {
		if i, ok := ev.(*bridges.RoomInfo); ok && i.Name == "Other/Hall" {
			called++
		}
	}
	if called != 2 {
		t.Errorf("called after the other space %d times: also at carol's word", called)
	}
	k := l.kept
	l.stop()
	l.ended()
	l = openLink(t, srv, Config{}, k).online()
	if e := l.join(r); e.Info == nil || e.Info.Name != "Other/Hall" {
		t.Errorf("entered again: %+v", e.Info)
	}
}
