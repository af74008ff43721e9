package matrix

import (
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// TestBelongs: a room that the user is in by another client is told of, once, old ones
// as that; chats, rooms that have ended, and what the session enters itself are not.
func TestBelongs(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	old := bob.Create(matrixtest.RoomOptions{Name: "Old", Alias: "old", Preset: "public_chat"})
	dead := bob.Create(matrixtest.RoomOptions{Name: "Dead", Preset: "public_chat"})
	bob.State(dead, "m.room.tombstone", "", map[string]any{"replacement_room": old.ID})
	alice.Join(old)
	alice.Join(dead)
	chat := alice.Direct(bob)
	bob.Join(chat)
	l := openLink(t, srv, Config{}, nil).online()
	b := want(l, "the old room", func(*bridges.Belongs) bool { return true })
	if b.Name != "#old:"+srv.Name || b.Title != "Old" || !b.Old {
		t.Errorf("told of %+v", b)
	}
	mine := bob.Create(matrixtest.RoomOptions{Name: "Mine", Preset: "public_chat"})
	l.join(mine)
	fresh := bob.Create(matrixtest.RoomOptions{Name: "Fresh", Preset: "public_chat"})
	alice.Join(fresh)
	second := alice.Create(matrixtest.RoomOptions{Invite: []string{srv.User("carol").ID}})
	alice.SetData(nil, "m.direct", map[string]any{bob.ID: []string{chat.ID}, srv.User("carol").ID: []string{second.ID}})
	from := l.read
	bob.Say(mine, "one answer")
	l.heard("one answer")
	bob.Say(mine, "and the next")
	l.read = from // it may have been told of with either
	if b := want(l, "the new room", func(*bridges.Belongs) bool { return true }); b.Name != fresh.ID || b.Title != "Fresh" || b.Old {
		t.Errorf("told of %+v", b)
	}
	l.stop()
	if err := l.ended(); err != nil {
		t.Fatal(err)
	}
	l.run()
	l.online()
	l.join(mine)
	bob.Say(mine, "again")
	l.heard("again")
	bob.Say(mine, "and again")
	l.heard("and again")
	told := 0
	for _, ev := range l.all() {
		if _, ok := ev.(*bridges.Belongs); ok {
			told++
		}
	}
	if told != 2 {
		t.Errorf("told of %d rooms", told)
	}
}
