package matrix

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// crowd is a room of bob's with many people, who are called by other names than their
// ids are.
func crowd(tb testing.TB, srv *matrixtest.Server, size int) (*matrixtest.User, *matrixtest.Room, []*matrixtest.User) {
	tb.Helper()
	bob := srv.User("bob")
	r := bob.Create(matrixtest.RoomOptions{Name: "Crowd", Preset: "public_chat"})
	people := r.Populate(size)
	srv.User("alice").Join(r)
	return bob, r, people
}

// TestBigRoom: a room of ten thousand is entered with a few requests: with those who have
// power and those who have spoken lately. Others come when they speak, and who spoke
// long ago has a name, too.
func TestBigRoom(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r, people := crowd(t, srv, 10000)
	bob.SetPower(r, people[5000], 50)
	people[1].SetName("Oldest")
	people[1].Say(r, "long ago")
	people[2].SetName("Gone")
	people[2].Say(r, "and gone")
	people[2].Leave(r, "")
	who := people[7777]
	who.SetName("Back Bencher")
	for i := range 60 {
		people[100+i%3].Say(r, fmt.Sprint("lately ", i))
	}
	l := openLink(t, srv, Config{}, nil).online()
	before := requests(srv)
	e := l.join(r)
	in := func(u *matrixtest.User) bool {
		return slices.ContainsFunc(e.Members, func(m bridges.Member) bool { return m.ID == bridges.UserID(u.ID) })
	}
	if len(e.Members) > 20 {
		t.Errorf("%d members", len(e.Members))
	}
	for _, u := range []*matrixtest.User{bob, people[5000], people[100], people[101], people[102]} {
		if !in(u) {
			t.Errorf("%s is not among the first members", u.ID)
		}
	}
	if n := requests(srv) - before; n > 20 {
		t.Errorf("entering took %d requests: %v", n, srv.Counts())
	}
	who.Say(r, "hello from the back")
	joined := want(l, "Joined", func(j *bridges.Joined) bool { return j.Member.ID == bridges.UserID(who.ID) })
	if joined.Member.Role != bridges.RoleParticipant || joined.Member.Nick != "Back Bencher" {
		t.Errorf("joined %+v", joined)
	}
	if m := l.heard("hello from the back"); m.From.ID != joined.Member.ID {
		t.Errorf("message %+v", m)
	}
	lines, _, err := l.net.History(context.Background(), inRoom(r), "", 100)
	l.ok(err)
	for body, nick := range map[string]string{"long ago": "Oldest", "and gone": "Gone"} {
		i := slices.IndexFunc(lines, func(m *bridges.Message) bool { return m.Body == body })
		if i < 0 || lines[i].From.Nick != nick || lines[i].From.Role != bridges.RoleNone {
			t.Errorf("%q is of %+v", body, lines[max(i, 0)].From)
		}
	}
	for path := range srv.Counts() {
		if strings.HasSuffix(path, "/members") {
			t.Errorf("%s was asked for", path)
		}
	}
}

func requests(srv *matrixtest.Server) (n int) {
	for route, count := range srv.Counts() {
		if !strings.HasSuffix(route, "/sync") {
			n += count
		}
	}
	return n
}

// TestStrangers: where the homeserver does not say how somebody is called who speaks, as
// it has said it before, it is asked: for a few in one answer, and for nobody twice.
func TestStrangers(t *testing.T) {
	srv := matrixtest.New(t)
	_, r, people := crowd(t, srv, 600)
	for i, u := range people[100:160] {
		u.SetName(fmt.Sprint("Person ", i))
	}
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Rewrite: func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(`"m.room.member"`), []byte(`"x.room.member"`))
	}})
	people[100].Say(r, "first")
	if m := l.heard("first"); m.From.Nick != "Person 0" {
		t.Errorf("the first is of %+v", m.From)
	}
	before := requests(srv)
	people[100].Say(r, "again")
	l.heard("again")
	if n := requests(srv) - before; n != 0 {
		t.Errorf("%d requests for who is known", n)
	}
	hold := make(chan struct{})
	fault := srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: hold})
	for i, u := range people[101:130] {
		u.Say(r, fmt.Sprint("crowd ", i))
	}
	before = requests(srv)
	fault.Remove()
	close(hold)
	l.heard("crowd 28")
	if n := requests(srv) - before; n == 0 || n > 2*maxAsked {
		t.Errorf("%d requests for 29 strangers", n)
	}
}

// TestAbsentNamesake: who is not in a room and has the name of somebody who is, is not
// taken for them.
func TestAbsentNamesake(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	other := srv.User("other")
	other.SetName("bob")
	other.Join(r)
	other.Say(r, "not bob")
	other.Leave(r, "")
	l := openLink(t, srv, Config{}, nil).online()
	e := l.join(r)
	i := slices.IndexFunc(e.History, func(m *bridges.Message) bool { return m.Body == "not bob" })
	if i < 0 || e.History[i].From.Nick != "bob (@other:hs.test)" {
		t.Errorf("history %+v", e.History)
	}
	if len(e.Members) != 1 || e.Members[0].Nick != "bob" || e.Members[0].ID != bridges.UserID(bob.ID) {
		t.Errorf("members %+v", e.Members)
	}
}
