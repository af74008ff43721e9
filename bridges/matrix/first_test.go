package matrix

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// manyRooms puts alice into so many rooms of bob's, with a few lines in each; every
// fifth is a direct one of the two.
func manyRooms(srv *matrixtest.Server, rooms int) (last *matrixtest.Room) {
	bob, alice := srv.User("bob"), srv.User("alice")
	direct := map[string][]string{}
	for i := range rooms {
		name := fmt.Sprint("Room ", i)
		last = bob.Create(matrixtest.RoomOptions{Name: name, Topic: "what room " + name + " is about", Preset: "public_chat"})
		alice.Join(last)
		if i%5 == 0 && i < rooms-1 {
			friend := srv.User(fmt.Sprint("friend", i))
			direct[friend.ID] = []string{last.ID}
		}
		for range 3 {
			bob.Say(last, "some words that were said here")
		}
	}
	alice.SetData(nil, "m.direct", direct)
	return last
}

// TestManyRooms: an account with a thousand rooms has them all after the first answer,
// with nothing asked for any of them.
func TestManyRooms(t *testing.T) {
	srv := matrixtest.New(t)
	const rooms = 1000
	last := manyRooms(srv, rooms)
	l := openLink(t, srv, Config{}, nil).online()
	if e := l.join(last); e.Info == nil || e.Info.Name != fmt.Sprint("Room ", rooms-1) {
		t.Errorf("entered %+v", e)
	}
	stored, _ := l.kept.Load(context.Background(), stateRoom)
	if len(stored) != rooms {
		t.Errorf("%d rooms are stored", len(stored))
	}
	n := 0
	for route, count := range srv.Counts() {
		if !strings.Contains(route, "/presence/") { // of those who have said something last
			n += count
		}
	}
	if n > 20 {
		t.Errorf("%d requests: %v", n, srv.Counts())
	}
}

// TestFirstAnswersAtOnce: of a homeserver that does not answer so many wait, and leave
// one to those of another.
func TestFirstAnswersAtOnce(t *testing.T) {
	slow, quick := matrixtest.New(t), matrixtest.New(t)
	d := newDriver(t, Config{FirstSyncs: 2})
	hold := make(chan struct{})
	fault := slow.Inject(matrixtest.Fault{Path: "/sync", Hold: hold})
	link := func(srv *matrixtest.Server, name string) *linked {
		t.Helper()
		l := &linked{t: t, srv: srv, d: d, alice: srv.User(name), kept: &kept{}, changed: make(chan struct{})}
		n, err := d.Open(bridges.Account{Owner: name + "@example.org", Network: theNetwork, Settings: settings(srv, l.alice), State: l.kept}, l)
		if err != nil {
			t.Fatal(err)
		}
		l.net = n.(*network)
		l.run()
		return l.online()
	}
	for i := range 3 {
		link(slow, fmt.Sprint("patient", i))
	}
	fault.Wait(t, 1)
	_, r := publicRoom(quick)
	l := link(quick, "alice")
	if e := l.join(r); e == nil {
		t.Fatal("not entered")
	}
	quick.User("bob").Say(r, "handled")
	l.heard("handled")
	if n := fault.Hits(); n != 1 {
		t.Errorf("%d accounts of the slow homeserver were asked for at once", n)
	}
	close(hold)
	fault.Wait(t, 3) // the others come after it
}
