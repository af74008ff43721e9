package matrix

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

func (l *linked) joinNamed(name string, opt bridges.JoinOptions) (*bridges.Entered, *bridges.Error) {
	l.t.Helper()
	ref := l.nextRef()
	l.ok(l.net.Join(ref, name, opt))
	var failed *bridges.Error
	var in *bridges.Entered
	want(l, "the join's outcome", func(ev bridges.Event) bool {
		switch ev := ev.(type) {
		case *bridges.Entered:
			in = ev
			return ev.Ref == ref
		case *bridges.Failed:
			failed = ev.Err
			return ev.Ref == ref
		}
		return false
	})
	if failed != nil {
		in = nil
	}
	return in, failed
}

// TestCreate: a room that is not there is made for who asks for that, with its alias,
// and is the user's; the next join is one.
func TestCreate(t *testing.T) {
	srv := matrixtest.New(t)
	l := openLink(t, srv, Config{}, nil).online()
	alias := "#Garden:" + srv.Name
	if _, err := l.joinNamed(alias, bridges.JoinOptions{}); err == nil || err.Kind != bridges.NotFound {
		t.Fatalf("nobody asked to have it made: %+v", err)
	}
	in, err := l.joinNamed(alias, bridges.JoinOptions{Create: true})
	if err != nil || !in.Created || in.Asked != alias || in.Self.Affiliation != bridges.AffiliationOwner || in.Info.Open {
		t.Fatalf("made is %+v, %+v", in, err)
	}
	r := srv.Room(alias)
	if r == nil || bridges.RoomID(r.ID) != in.Room || !strings.Contains(string(r.State("m.room.join_rules", "").Content), "invite") {
		t.Fatalf("the homeserver has %+v", r)
	}
	ref := l.nextRef()
	l.ok(l.net.Leave(ref, in.Room, ""))
	want(l, "Left", func(e *bridges.Left) bool { return e.Ref == ref })
	if in, err := l.joinNamed(alias, bridges.JoinOptions{Create: true}); err != nil || in.Created {
		t.Errorf("the second time %+v, %+v", in, err)
	}
	for _, name := range []string{"#garden:elsewhere.test", "!nothing:" + srv.Name} {
		if _, err := l.joinNamed(name, bridges.JoinOptions{Create: true}); err == nil {
			t.Errorf("%s has been made", name)
		}
	}
	if n := len(srv.Rooms()); n != 1 {
		t.Errorf("there are %d rooms", n)
	}
}

// TestCreateRefused: the homeserver's word is told, also where the alias is taken; one
// that does not answer after all has made one room.
func TestCreateRefused(t *testing.T) {
	srv := matrixtest.New(t)
	l := openLink(t, srv, Config{}, nil).online()
	refused := srv.Inject(matrixtest.Fault{Path: "createRoom", Status: 403, Code: "M_FORBIDDEN", Text: "You are not a gardener"})
	if _, err := l.joinNamed("#one:"+srv.Name, bridges.JoinOptions{Create: true}); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "gardener") {
		t.Errorf("refused with %+v", err)
	}
	refused.Remove()
	srv.Inject(matrixtest.Fault{Path: "createRoom", Times: 1, Cut: matrixtest.CutAfter})
	if in, err := l.joinNamed("#two:"+srv.Name, bridges.JoinOptions{Create: true}); err != nil || in.Self.Affiliation != bridges.AffiliationOwner {
		t.Errorf("no answer came: %+v, %+v", in, err)
	}
	srv.Inject(matrixtest.Fault{Path: "createRoom", Status: 400, Code: "M_ROOM_IN_USE", Text: "The alias is taken"})
	if _, err := l.joinNamed("#three:"+srv.Name, bridges.JoinOptions{Create: true}); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "taken") {
		t.Errorf("taken: %+v", err)
	}
	if n := len(srv.Rooms()); n != 1 {
		t.Errorf("there are %d rooms", n)
	}
}

// TestCreateIsOff: the operator may have it so.
func TestCreateIsOff(t *testing.T) {
	srv := matrixtest.New(t)
	no := false
	l := openLink(t, srv, Config{CreateRooms: &no}, nil).online()
	if _, err := l.joinNamed("#one:"+srv.Name, bridges.JoinOptions{Create: true}); err == nil || err.Kind != bridges.NotFound {
		t.Errorf("refused with %+v", err)
	}
}

// TestKnock: who may not enter may ask, and the answer is an invitation; or a refusal,
// also after a restart.
func TestKnock(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	r := bob.Create(matrixtest.RoomOptions{Name: "Room", Alias: "room", Version: "10"})
	bob.State(r, "m.room.join_rules", "", map[string]any{"join_rule": "knock"})
	l := openLink(t, srv, Config{}, nil).online()
	name := "#room:" + srv.Name
	if _, err := l.joinNamed(name, bridges.JoinOptions{Create: true}); err == nil || err.Kind != bridges.MembersOnly {
		t.Fatalf("the join: %+v", err)
	}
	knock := func(name, reason string) *bridges.Error {
		t.Helper()
		ref := l.nextRef()
		l.ok(l.net.Knock(ref, name, reason))
		return l.cameTo(ref)
	}
	if err := knock(name, "I have a key"); err != nil {
		t.Fatalf("the knock: %+v", err)
	}
	r.WaitMember(t, alice, "knock")
	if got := string(r.State("m.room.member", alice.ID).Content); !strings.Contains(got, "I have a key") {
		t.Errorf("it says %s", got)
	}
	bob.Invite(r, alice, "come in")
	inv := want(l, "the invitation", func(i *bridges.Invited) bool { return i.Reason == "come in" })
	if _, err := l.joinNamed(inv.Name, bridges.JoinOptions{}); err != nil {
		t.Errorf("the invited: %+v", err)
	}
	second := bob.Create(matrixtest.RoomOptions{Alias: "second", Version: "10"})
	bob.State(second, "m.room.join_rules", "", map[string]any{"join_rule": "knock"})
	if err := knock("#second:"+srv.Name, ""); err != nil {
		t.Fatalf("the knock: %+v", err)
	}
	second.WaitMember(t, alice, "knock")
	l.stop()
	if err := l.ended(); err != nil {
		t.Fatal(err)
	}
	bob.Kick(second, alice, "no")
	l.run()
	l.online()
	if n := want(l, "the refusal", func(*bridges.ServerNotice) bool { return true }); !strings.Contains(n.Text, "#second:") {
		t.Errorf("told is %q", n.Text)
	}
	third := bob.Create(matrixtest.RoomOptions{Alias: "third"})
	if err := knock("#third:"+srv.Name, ""); err == nil || err.Kind != bridges.Forbidden || !strings.Contains(err.Text, "cannot ask") {
		t.Errorf("where one cannot ask: %+v", err)
	}
	if got := third.Membership(alice); got != "" && got != "leave" {
		t.Errorf("alice is there: %s", got)
	}
}
