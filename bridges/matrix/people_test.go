package matrix

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

func with(u *matrixtest.User) bridges.Place { return bridges.Place{User: bridges.UserID(u.ID)} }

// TestAskedForChat: who asks is a contact that asks; agreed to, they are one, what they
// say comes from them, and m.direct knows the room beside what stood there.
func TestAskedForChat(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	bob.SetName("Bob")
	alice.SetData(nil, "m.direct", map[string]any{"@gone:hs.test": []string{"!old:hs.test"}, "strange": 7})
	l := openLink(t, srv, Config{}, nil).online()
	chat := bob.Direct(alice)
	c := want(l, "who asks", func(c *bridges.Contact) bool { return c.Asks })
	if c.Member.ID != bridges.UserID(bob.ID) || c.Member.Nick != "Bob" {
		t.Errorf("who asks is %+v", c)
	}
	ref := l.nextRef()
	l.ok(l.net.Befriend(ref, c.Member.ID))
	want(l, "the contact", func(c *bridges.Contact) bool { return c.Member.ID == bridges.UserID(bob.ID) && !c.Asks && !c.Gone })
	chat.WaitMember(t, alice, "join")
	want(l, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
	var direct map[string]json.RawMessage
	if err := json.Unmarshal(alice.Data(nil, "m.direct"), &direct); err != nil || !strings.Contains(string(direct[bob.ID]), chat.ID) ||
		direct["@gone:hs.test"] == nil || direct["strange"] == nil {
		t.Errorf("m.direct is %s", alice.Data(nil, "m.direct"))
	}
	bob.Say(chat, "hello")
	if m := l.heard("hello"); m.Place != with(bob) || m.From.ID != bridges.UserID(bob.ID) || m.Self {
		t.Errorf("message %+v", m)
	}
	ref = l.say(with(bob), "hello yourself")
	want(l, "the answer", func(m *bridges.Message) bool { return m.Ref == ref && m.Place == with(bob) })
	l.join(chat)
	bob.Say(chat, "in the room")
	if m := l.heard("in the room"); m.Place != inRoom(chat) {
		t.Errorf("the room that was entered is silent: %+v", m)
	}
	ref = l.nextRef()
	l.ok(l.net.Leave(ref, bridges.RoomID(chat.ID), ""))
	want(l, "Left", func(e *bridges.Left) bool { return e.Ref == ref })
	alice.Say(chat, "from my phone")
	if m := l.heard("from my phone"); !m.Self || m.Place != with(bob) {
		t.Errorf("the line from another client is %+v", m)
	}
	ref = l.nextRef()
	l.ok(l.net.Unfriend(ref, bridges.UserID(bob.ID)))
	want(l, "the end of it", func(c *bridges.Contact) bool { return c.Gone && c.Member.ID == bridges.UserID(bob.ID) })
	chat.WaitMember(t, alice, "leave")
}

// TestSeveralChats: of several direct rooms with somebody that carries the chat in which
// something was said last, from that line on; the other can be entered as a room.
func TestSeveralChats(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	one, two := bob.Direct(alice), bob.Direct(alice)
	alice.Join(one)
	alice.Join(two)
	alice.SetData(nil, "m.direct", map[string]any{bob.ID: []string{one.ID, two.ID}})
	l := openLink(t, srv, Config{}, nil).online()
	want(l, "bob", func(c *bridges.Contact) bool { return c.Member.ID == bridges.UserID(bob.ID) && !c.Gone })
	for i, r := range []*matrixtest.Room{one, two, one, two} {
		text := fmt.Sprint("line ", i)
		bob.Say(r, text)
		if m := l.heard(text); m.Place != with(bob) {
			t.Errorf("%q is said at %+v", text, m.Place)
		}
		ref := l.say(with(bob), "answer "+text)
		want(l, "the answer", func(m *bridges.Message) bool { return m.Ref == ref })
		events := r.Events()
		if last := events[len(events)-1]; !strings.Contains(string(last.Content), "answer "+text) {
			t.Errorf("the answer to %q is not in its room, where the last is %s", text, last.Content)
		}
	}
	l.join(one)
	bob.Say(one, "in the room")
	if m := l.heard("in the room"); m.Place != inRoom(one) {
		t.Errorf("the room that was entered is silent: %+v", m)
	}
	bob.Say(two, "in the chat")
	if m := l.heard("in the chat"); m.Place != with(bob) {
		t.Errorf("the chat is silent: %+v", m)
	}
	for _, ev := range l.all() {
		if c, ok := ev.(*bridges.Contact); ok && c.Gone {
			t.Errorf("bob was gone: %+v", c)
		}
	}
}

// TestFirstLine: a line to somebody makes the room, once, and the answer comes from
// them.
func TestFirstLine(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	l := openLink(t, srv, Config{}, nil).online()
	one, two := l.say(with(bob), "one"), l.say(with(bob), "two")
	want(l, "one", func(m *bridges.Message) bool { return m.Ref == one })
	want(l, "two", func(m *bridges.Message) bool { return m.Ref == two })
	rooms := bob.Rooms("invite")
	if len(rooms) != 1 || len(alice.Rooms("join")) != 1 {
		t.Fatalf("bob is asked into %d rooms", len(rooms))
	}
	bob.Join(rooms[0])
	bob.Say(rooms[0], "who is there?")
	if m := l.heard("who is there?"); m.Place != with(bob) {
		t.Errorf("message %+v", m)
	}
	bob.Typing(rooms[0], true)
	want(l, "typing", func(ev *bridges.Typing) bool { return ev.On && ev.Place == with(bob) })
	bob.Leave(rooms[0], "")
	want(l, "the end of it", func(c *bridges.Contact) bool { return c.Gone && c.Member.ID == bridges.UserID(bob.ID) })
	three := l.say(with(bob), "three")
	want(l, "three", func(m *bridges.Message) bool { return m.Ref == three })
	if again := bob.Rooms("invite"); len(again) != 1 || again[0].ID == rooms[0].ID {
		t.Errorf("bob is asked into %d rooms after he had left", len(again))
	}
	ref := l.nextRef()
	l.ok(l.net.Send(ref, bridges.Place{User: "nobody"}, bridges.Outgoing{Body: "x"}))
	if f := want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref }); f.Err.Kind != bridges.NotFound {
		t.Errorf("failed with %+v", f.Err)
	}
}

// TestReactions: they are full sets, and can be taken back after a restart.
func TestReactions(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	line := bob.Say(r, "well?")
	l.heard("well?")
	one := bob.React(r, line, "👍")
	bob.React(r, line, "🎉")
	got := want(l, "both", func(e *bridges.Reacted) bool { return len(e.Keys) == 2 })
	if string(got.ID) != line || got.Self || got.From.ID != bridges.UserID(bob.ID) {
		t.Errorf("reacted %+v", got)
	}
	bob.Redact(r, one, "")
	want(l, "one less", func(e *bridges.Reacted) bool { return slices.Equal(e.Keys, []string{"🎉"}) })
	ref := l.nextRef()
	l.ok(l.net.React(ref, rand.Text(), inRoom(r), bridges.MessageID(line), []string{"👀", "❤"}))
	want(l, "the outcome", func(e *bridges.Reacted) bool { return e.Ref == ref && e.Self && len(e.Keys) == 2 })
	l.stop()
	l.ended()

	l = openLink(t, srv, Config{}, l.kept).online()
	l.join(r)
	ref = l.nextRef()
	l.ok(l.net.React(ref, rand.Text(), inRoom(r), bridges.MessageID(line), []string{"❤"}))
	want(l, "the outcome", func(e *bridges.Reacted) bool { return e.Ref == ref && slices.Equal(e.Keys, []string{"❤"}) })
	left := 0
	for _, ev := range r.Events() {
		if ev.Type == "m.reaction" && ev.Sender == l.alice.ID && strings.Contains(string(ev.Content), "m.annotation") {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d reactions are left", left)
	}
}

// TestTakenBack: lines taken back by who wrote them, and by who may.
func TestTakenBack(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	own := bob.Say(r, "wrong")
	bob.Edit(r, own, "right")
	edit := want(l, "the edit", func(m *bridges.Message) bool { return m.Replaces != "" })
	if string(edit.Replaces) != own || edit.Body != "right" {
		t.Errorf("edit %+v", edit)
	}
	bob.Redact(r, own, "")
	if e := want[*bridges.Retracted](l, "the retraction", nil); string(e.ID) != own || e.Others || e.Self {
		t.Errorf("retracted %+v", e)
	}
	ref := l.say(inRoom(r), "mine")
	mine := want(l, "mine", func(m *bridges.Message) bool { return m.Ref == ref })
	bob.Redact(r, string(mine.ID), "spam")
	if e := want[*bridges.Retracted](l, "moderation", nil); e.ID != mine.ID || !e.Others || e.Reason != "spam" || e.By.ID != bridges.UserID(bob.ID) {
		t.Errorf("moderated %+v", e)
	}
	line := bob.Say(r, "not yours")
	l.heard("not yours")
	ref = l.nextRef()
	l.ok(l.net.Retract(ref, "token", inRoom(r), bridges.MessageID(line), ""))
	if f := want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref }); f.Err.Kind != bridges.Forbidden {
		t.Errorf("failed with %+v", f.Err)
	}
}

// TestPower: what members may do is their role and affiliation, and changes with the
// room's levels; who may can change it, kick and ban.
func TestPower(t *testing.T) {
	for _, version := range []string{"11", "12"} {
		t.Run(version, func(t *testing.T) {
			srv := matrixtest.New(t)
			alice, bob, carol := srv.User("alice"), srv.User("bob"), srv.User("carol")
			r := bob.Create(matrixtest.RoomOptions{Preset: "public_chat", Version: version})
			alice.Join(r)
			carol.Join(r)
			l := openLink(t, srv, Config{}, nil).online()
			e := l.join(r)
			if e.Self.Affiliation != bridges.AffiliationNone || e.Self.Role != bridges.RoleParticipant {
				t.Errorf("self %+v", e.Self)
			}
			for _, m := range e.Members {
				if m.ID == bridges.UserID(bob.ID) && (m.Affiliation != bridges.AffiliationOwner || m.Role != bridges.RoleModerator) {
					t.Errorf("who made the room: %+v", m)
				}
			}
			ref := l.nextRef()
			err := l.net.SetRole(ref, e.Room, "carol", bridges.RoleNone, "")
			if err == nil {
				err = want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref }).Err
			}
			if bridges.AsError(err).Kind != bridges.Forbidden {
				t.Errorf("SetRole: %v", err)
			}
			bob.SetPower(r, alice, 50)
			if u := want(l, "Updated", func(u *bridges.Updated) bool { return u.Self }); u.Member.Affiliation != bridges.AffiliationAdmin || u.Actor != "bob" {
				t.Errorf("updated %+v", u)
			}
			ref = l.nextRef()
			l.ok(l.net.SetRole(ref, e.Room, "carol", bridges.RoleNone, "enough"))
			left := want(l, "Left", func(e *bridges.Left) bool { return e.Member.ID == bridges.UserID(carol.ID) })
			if left.Kind != bridges.Kicked || left.Actor != "alice" || left.Reason != "enough" {
				t.Errorf("left %+v", left)
			}
			carol.Join(r)
			want(l, "Joined", func(e *bridges.Joined) bool { return e.Member.ID == bridges.UserID(carol.ID) })
			ref = l.nextRef()
			l.ok(l.net.SetAffiliation(ref, e.Room, "carol", bridges.AffiliationOutcast, "really"))
			if left := want(l, "Left", func(e *bridges.Left) bool { return e.Member.ID == bridges.UserID(carol.ID) }); left.Kind != bridges.Banned {
				t.Errorf("left %+v", left)
			}
			list, err := l.net.List(t.Context(), e.Room, bridges.AffiliationOutcast)
			if err != nil || len(list) != 1 || list[0].Mask != carol.ID {
				t.Errorf("outcasts %+v, %v", list, err)
			}
			bob.Kick(r, alice, "and you")
			if left := want(l, "the end", func(e *bridges.Left) bool { return e.Self }); left.Kind != bridges.Kicked || left.Reason != "and you" {
				t.Errorf("left %+v", left)
			}
		})
	}
}

// TestLeaveAndComeBack: what is asked of a room is done in the order it was asked.
func TestLeaveAndComeBack(t *testing.T) {
	srv := matrixtest.New(t)
	bob := srv.User("bob")
	r := bob.Create(matrixtest.RoomOptions{Preset: "public_chat", Alias: "room"})
	srv.User("alice").Join(r)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	for range 10 {
		said := l.say(inRoom(r), "last words")
		left, back := l.nextRef(), l.nextRef()
		l.ok(l.net.Leave(left, bridges.RoomID(r.ID), ""))
		l.ok(l.net.Join(back, "#room:hs.test", bridges.JoinOptions{}))
		want(l, "the line", func(m *bridges.Message) bool { return m.Ref == said })
		want(l, "Left", func(e *bridges.Left) bool { return e.Ref == left && e.Self })
		e := want(l, "Entered", func(e *bridges.Entered) bool { return e.Ref == back })
		if len(e.Members) != 1 || len(e.History) != 0 && e.History[0].Body != "last words" {
			t.Fatalf("entered %+v", e)
		}
	}
}

// TestLinkNamesServers: a link's servers are asked for a room whose id names none.
func TestLinkNamesServers(t *testing.T) {
	srv := matrixtest.New(t)
	l := openLink(t, srv, Config{}, nil).online()
	hash := "!" + strings.Repeat("a", 43)
	a, err := l.d.ParsePrompt("https://matrix.to/#/" + hash + "?via=one.example&via=two.example")
	if err != nil || a.Name != hash {
		t.Fatalf("%+v, %v", a, err)
	}
	ref := l.nextRef()
	l.ok(l.net.Join(ref, a.Name, bridges.JoinOptions{}))
	want(l, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref })
	q := srv.WaitRequest(t, func(q matrixtest.Request) bool { return strings.Contains(q.Path, "/join/") })
	if !strings.Contains(q.Path, "via=one.example") || !strings.Contains(q.Path, "via=two.example") {
		t.Errorf("asked %s", q.Path)
	}
}

// TestPicture: somebody's picture is part of their profile, and can be read.
func TestPicture(t *testing.T) {
	srv := matrixtest.New(t)
	bob := srv.User("bob")
	bob.SetAvatar(bob.Upload("me.png", "image/png", []byte("a face")).URI)
	l := openLink(t, srv, Config{}, nil).online()
	p, err := l.net.Profile(t.Context(), bridges.UserID(bob.ID))
	l.ok(err)
	m, err := l.net.OpenMedia(t.Context(), p.Avatar)
	l.ok(err)
	defer func() { _ = m.Close() }()
	if face, err := io.ReadAll(m); err != nil || string(face) != "a face" || m.Type != "image/png" {
		t.Errorf("the picture is %q (%s), %v", face, m.Type, err)
	}
	bob.SetAvatar("")
	if p, err = l.net.Profile(t.Context(), bridges.UserID(bob.ID)); err != nil || p.Avatar != "" {
		t.Errorf("the picture that was taken away is %q, %v", p.Avatar, err)
	}
}

// TestTurnAfterPanic: what goes wrong in one turn leaves the turn to the next.
func TestTurnAfterPanic(t *testing.T) {
	n := &network{}
	func() {
		defer func() { _ = recover() }()
		turn := n.begin()
		defer turn.release()
		panic("an event like no other")
	}()
	if !n.turns.TryLock() {
		t.Fatal("nobody can take the turn any more")
	}
	n.turns.Unlock()
}

// TestSentBefore: a line that a process before this one sent is an old one, whenever
// the homeserver tells of it.
func TestSentBefore(t *testing.T) {
	srv := matrixtest.New(t)
	_, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	ref := l.say(inRoom(r), "now")
	want(l, "the outcome", func(m *bridges.Message) bool { return m.Ref == ref && !m.Replay })
	cli := l.net.client()
	if _, err := cli.SendMessageEvent(t.Context(), id.RoomID(r.ID), event.EventMessage,
		&event.MessageEventContent{MsgType: event.MsgText, Body: "before"}, mautrix.ReqSendEvent{TransactionID: "of-old"}); err != nil {
		t.Fatal(err)
	}
	if m := l.heard("before"); !m.Self || !m.Replay {
		t.Errorf("the line is %+v", m)
	}
	l.alice.Say(r, "from my phone")
	if m := l.heard("from my phone"); !m.Self || m.Replay {
		t.Errorf("the line of another client is %+v", m)
	}
}
