package matrixtest

import (
	"slices"
	"testing"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// TestPuppets lets people without clients do what a client sees.
func TestPuppets(t *testing.T) {
	s := New(t)
	alice, bob, carol := login(t, s, "alice"), s.User("bob"), s.User("@carol:far.test")
	r := bob.Create(RoomOptions{Preset: "public_chat", Name: "Room", Invite: []string{alice.user.ID}})
	alice.user.Join(r)
	carol.Join(r)
	alice.sync()
	said := carol.Say(r, "hello")
	bob.SayHTML(r, "bold", "<b>bold</b>")
	bob.Emote(r, "waves")
	bob.Notice(r, "beep")
	bob.Reply(r, said, "hello yourself")
	bob.Thread(r, said, "in a thread")
	carol.Edit(r, said, "hallo")
	bob.React(r, said, "👋")
	bob.File(r, "m.image", bob.Upload("a.png", "image/png", []byte("png")))
	carol.SetName("Carol C.")
	bob.SetRoomName(r, "New")
	bob.Redact(r, said, "")
	bob.Kick(r, carol, "out")
	bob.Ban(r, carol, "")
	bob.Unban(r, carol)
	j := alice.room(r, `{"room":{"timeline":{"limit":100}}}`)
	wantBodies(t, j.Timeline.Events, "m.room.message", "bold", "waves", "beep", "hello yourself", "in a thread", "* hallo", "m.reaction", "a.png",
		"m.room.member", "m.room.name", "m.room.redaction", "m.room.member", "m.room.member", "m.room.member")
	kinds := []string{}
	for _, e := range j.Timeline.Events {
		if k, ok := e.Content.Raw["msgtype"].(string); ok {
			kinds = append(kinds, k)
		}
		if e.Type == event.EventReaction {
			_ = e.Content.ParseRaw(e.Type)
			if rel := e.Content.AsReaction().RelatesTo; rel.Key != "👋" || rel.EventID != id.EventID(said) {
				t.Errorf("%+v", rel)
			}
		}
	}
	if !slices.Equal(kinds, []string{"m.text", "m.emote", "m.notice", "m.text", "m.text", "m.text", "m.image"}) {
		t.Errorf("%v", kinds)
	}
	if e := r.State("m.room.name", ""); e.Get("name") != "New" || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
	direct := bob.Direct(alice.user)
	if direct.Membership(alice.user) != "invite" || string(bob.Data(nil, "m.direct")) != `{"@alice:hs.test":["`+direct.ID+`"]}` {
		t.Errorf("%s", bob.Data(nil, "m.direct"))
	}
	r.WaitMember(t, carol, "leave")
	if got := bob.Rooms("join"); len(got) != 2 || !slices.Contains(got, direct) || len(s.Rooms()) != 2 {
		t.Errorf("%v", got)
	}
}

// TestRefusedAction fails the test that asked for it; without a test it panics.
func TestRefusedAction(t *testing.T) {
	s, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	r := s.User("bob").Create(RoomOptions{})
	defer func() {
		if got := recover(); got != "matrixtest: @alice:hs.test joins: M_FORBIDDEN: You are not invited to this room." {
			t.Errorf("%v", got)
		}
	}()
	s.User("alice").Join(r)
	t.Error("it was allowed")
}
