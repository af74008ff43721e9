package matrixtest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// public makes a public room of bob's and lets others in.
func public(s *Server, name string, members ...string) *Room {
	r := s.User("bob").Create(RoomOptions{Name: name, Preset: "public_chat"})
	for _, m := range members {
		s.User(m).Join(r)
	}
	return r
}

func TestFirstSync(t *testing.T) {
	s := New(t)
	alice, bob, carol := login(t, s, "alice"), s.User("bob"), s.User("carol")
	r := public(s, "Room", "alice", "carol")
	for _, body := range strings.Fields("a b c d e") {
		bob.Say(r, body)
	}
	invited := carol.Create(RoomOptions{Name: "Secret", Invite: []string{"@alice:hs.test"}})
	alice.user.SetData(nil, "m.direct", object{"@bob:hs.test": []string{"!x"}})
	resp := alice.sync(`{"room":{"timeline":{"limit":3},"state":{"lazy_load_members":true}}}`)
	j := resp.Rooms.Join[id.RoomID(r.ID)]
	wantBodies(t, j.Timeline.Events, "c", "d", "e")
	if !j.Timeline.Limited || j.Timeline.PrevBatch == "" || *j.Summary.JoinedMemberCount != 3 || *j.Summary.InvitedMemberCount != 0 ||
		!slices.Equal(j.Summary.Heroes, []id.UserID{"@bob:hs.test", "@carol:hs.test"}) {
		t.Fatalf("%+v", j)
	}
	var members []string
	for _, e := range j.State.Events {
		if e.Type == event.StateMember {
			members = append(members, *e.StateKey)
		}
	}
	if !slices.Equal(members, []string{"@bob:hs.test", "@alice:hs.test"}) { // who spoke, and oneself
		t.Fatalf("lazy members: %v", members)
	}
	in := resp.Rooms.Invite[id.RoomID(invited.ID)]
	if in == nil || !slices.ContainsFunc(in.State.Events, func(e *event.Event) bool { return e.Type == event.StateRoomName }) ||
		!slices.ContainsFunc(in.State.Events, func(e *event.Event) bool { return *e.StateKey == "@carol:hs.test" }) {
		t.Fatalf("%+v", in)
	}
	if len(resp.AccountData.Events) != 1 || resp.AccountData.Events[0].Type.Type != "m.direct" || len(resp.ToDevice.Events) != 0 {
		t.Fatalf("%+v", resp.AccountData)
	}
	alice.next = ""
	all := alice.room(r, `{"room":{"timeline":{"limit":100}}}`)
	if n := len(r.Events()); all.Timeline.Limited || len(all.Timeline.Events) != n || len(all.State.Events) != 0 {
		t.Fatalf("%d events of %d and %d of state", len(all.Timeline.Events), n, len(all.State.Events))
	}
}

// TestHeroes names a room without a name after its people.
func TestHeroes(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := alice.user.Direct(bob)
	want := func(joined, invited int, heroes ...id.UserID) {
		t.Helper()
		sum := alice.room(r).Summary
		if *sum.JoinedMemberCount != joined || *sum.InvitedMemberCount != invited || !slices.Equal(sum.Heroes, heroes) {
			t.Fatalf("%d, %d, %v", *sum.JoinedMemberCount, *sum.InvitedMemberCount, sum.Heroes)
		}
	}
	want(1, 1, "@bob:hs.test")
	bob.Join(r)
	want(2, 0, "@bob:hs.test")
	s.User("carol").Create(RoomOptions{})
	alice.user.Invite(r, s.User("carol"), "")
	want(2, 1, "@bob:hs.test", "@carol:hs.test")
	bob.Leave(r, "")
	s.User("carol").Leave(r, "")
	want(1, 0, "@bob:hs.test", "@carol:hs.test")
}

func TestNews(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r, other := public(s, "Room", "alice"), public(s, "Other", "alice")
	alice.sync()
	poll := alice.poll()
	s.Wait(t, "nobody waits", func() bool { return s.Waiting() == 1 })
	bob.Say(r, "hello")
	got := <-poll
	if got.err != nil || len(got.resp.Rooms.Join) != 1 {
		t.Fatalf("%+v", got)
	}
	alice.next = got.resp.NextBatch
	j := got.resp.Rooms.Join[id.RoomID(r.ID)]
	wantBodies(t, j.Timeline.Events, "hello")
	if j.Timeline.Limited || len(j.State.Events) != 0 || !j.Summary.IsZero() {
		t.Fatalf("%+v", j)
	}
	bob.SetTopic(other, "News")
	j = alice.room(other)
	wantBodies(t, j.Timeline.Events, "m.room.topic")
	if e := j.Timeline.Events[0]; e.Unsigned.PrevContent != nil || e.RoomID != "" {
		t.Fatalf("%+v", e)
	}
	bob.SetTopic(other, "More news")
	if e := alice.room(other).Timeline.Events[0]; e.Unsigned.PrevContent == nil || e.Unsigned.PrevContent.Raw["topic"] != "News" {
		t.Fatalf("%+v", e.Unsigned)
	}
	s.User("carol").Join(r)
	if j = alice.room(r); *j.Summary.JoinedMemberCount != 3 {
		t.Fatalf("%+v", j.Summary)
	}
	bob.Say(r, "x")
	if j = alice.room(r, `{"room":{"state":{"lazy_load_members":true}}}`); len(j.State.Events) != 1 || *j.State.Events[0].StateKey != bob.ID {
		t.Fatalf("%+v", j.State)
	}
	resp := must(alice.FullSyncRequest(t.Context(), mautrix.ReqSync{Since: alice.next, FullState: true, SetPresence: event.PresenceOffline}))(t)
	if len(resp.Rooms.Join) != 2 || len(resp.Rooms.Join[id.RoomID(r.ID)].State.Events) < 8 {
		t.Fatalf("full state: %+v", resp.Rooms.Join)
	}
}

// TestGap fills a limited timeline from /messages.
func TestGap(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	alice.sync()
	since := alice.next
	for _, body := range strings.Fields("a b c d") {
		bob.Say(r, body)
	}
	bob.SetTopic(r, "in the gap")
	for _, body := range strings.Fields("e f g") {
		bob.Say(r, body)
	}
	alice.user.Gap(2)
	j := alice.room(r)
	wantBodies(t, j.Timeline.Events, "f", "g")
	wantBodies(t, j.State.Events, "m.room.topic")
	if !j.Timeline.Limited {
		t.Fatal("not limited")
	}
	part := must(alice.Messages(t.Context(), id.RoomID(r.ID), j.Timeline.PrevBatch, since, mautrix.DirectionBackward, nil, 4))(t)
	wantBodies(t, part.Chunk, "e", "m.room.topic", "d", "c")
	part = must(alice.Messages(t.Context(), id.RoomID(r.ID), part.End, since, mautrix.DirectionBackward, nil, 4))(t)
	wantBodies(t, part.Chunk, "b", "a")
	if part.End != "" {
		t.Fatal("there should be no more")
	}
	bob.Say(r, "h")
	if j = alice.room(r); j.Timeline.Limited {
		t.Fatal("the gap is to happen once")
	}
}

// TestStateAfter has the state behind the timeline instead of before it.
func TestStateAfter(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	alice.sync()
	bob.SetTopic(r, "T")
	bob.Say(r, "x")
	resp := must(alice.FullSyncRequest(t.Context(), mautrix.ReqSync{Since: alice.next, UseStateAfter: true}))(t)
	j := resp.Rooms.Join[id.RoomID(r.ID)]
	wantBodies(t, j.Timeline.Events, "m.room.topic", "x")
	wantBodies(t, j.StateAfter.Events, "m.room.topic")
	if len(j.State.Events) != 0 {
		t.Fatalf("%+v", j.State)
	}
}

func TestRepeat(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	bob.Say(r, "a")
	bob.Say(r, "b")
	alice.sync()
	bob.Say(r, "c")
	alice.user.Repeat(2)
	wantBodies(t, alice.room(r).Timeline.Events, "a", "b", "c")
	bob.Say(r, "d")
	wantBodies(t, alice.room(r).Timeline.Events, "d")
}

// TestOldToken goes on after a time without any login.
func TestOldToken(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r, quiet := public(s, "Room", "alice"), public(s, "Quiet", "alice")
	alice.sync()
	alice.user.Logout()
	bob.Say(r, "meanwhile")
	invited := bob.Create(RoomOptions{Invite: []string{alice.user.ID}})
	bob.Say(r, "and later")
	again := login(t, s, "alice")
	again.next = alice.next
	resp := again.sync()
	wantBodies(t, resp.Rooms.Join[id.RoomID(r.ID)].Timeline.Events, "meanwhile", "and later")
	if resp.Rooms.Join[id.RoomID(quiet.ID)] != nil || resp.Rooms.Invite[id.RoomID(invited.ID)] == nil {
		t.Fatalf("%+v", resp.Rooms)
	}
}

func TestSections(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := bob.Create(RoomOptions{Name: "Room"})
	rid := id.RoomID(r.ID)
	alice.sync()
	bob.Invite(r, alice.user, "come")
	resp := alice.sync()
	state := resp.Rooms.Invite[rid].State.Events
	if me := state[len(state)-1]; *me.StateKey != alice.user.ID || me.Content.Raw["reason"] != "come" || me.Sender != "@bob:hs.test" {
		t.Fatalf("%+v", me)
	}
	must(alice.LeaveRoom(t.Context(), rid))(t)
	resp = alice.sync()
	if left := resp.Rooms.Leave[rid]; left == nil || len(left.Timeline.Events) != 1 {
		t.Fatalf("a declined invitation: %+v", resp.Rooms)
	}
	bob.Invite(r, alice.user, "")
	must(alice.JoinRoomByID(t.Context(), rid))(t)
	bob.Say(r, "one")
	j := alice.room(r)
	if names := bodies(j.Timeline.Events); !slices.Contains(names, "one") || len(j.State.Events)+len(names) < 9 {
		t.Fatalf("a new room is whole: %v and %v", bodies(j.State.Events), names)
	}
	bob.Kick(r, alice.user, "out")
	bob.Say(r, "behind your back")
	resp = alice.sync()
	left := resp.Rooms.Leave[rid]
	if left == nil || len(left.Timeline.Events) != 1 || left.Timeline.Events[0].Content.Raw["reason"] != "out" || len(resp.Rooms.Join) != 0 {
		t.Fatalf("%+v", resp.Rooms)
	}
	alice.next = ""
	if resp = alice.sync(); !resp.Rooms.IsZero() {
		t.Fatalf("%+v", resp.Rooms)
	}
	alice.next = ""
	if resp = alice.sync(`{"room":{"include_leave":true}}`); resp.Rooms.Leave[rid] == nil {
		t.Fatalf("%+v", resp.Rooms)
	}
	must(alice.ForgetRoom(t.Context(), rid))(t)
	alice.next = ""
	if resp = alice.sync(`{"room":{"include_leave":true}}`); !resp.Rooms.IsZero() {
		t.Fatalf("forgotten: %+v", resp.Rooms)
	}
}

func TestEphemeral(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	said := bob.Say(r, "x")
	alice.sync()
	bob.Typing(r, true)
	j := alice.room(r)
	if e := j.Ephemeral.Events; len(e) != 1 || e[0].Type.Type != "m.typing" || len(e[0].Content.Raw["user_ids"].([]any)) != 1 || len(j.Timeline.Events) != 0 {
		t.Fatalf("%+v", j)
	}
	second := bob.Say(r, "y") // ends the typing
	if e := alice.room(r).Ephemeral.Events; len(e) != 1 || len(e[0].Content.Raw["user_ids"].([]any)) != 0 {
		t.Fatalf("%+v", e)
	}
	bob.Read(r, second)
	e := alice.room(r).Ephemeral.Events
	if len(e) != 1 || e[0].Content.Raw[second].(object)["m.read"].(object)[bob.ID] == nil {
		t.Fatalf("%+v", e)
	}
	if err := alice.MarkRead(t.Context(), rid, id.EventID(second)); err != nil {
		t.Fatal(err)
	}
	if err := alice.MarkRead(t.Context(), rid, id.EventID(said)); err != nil {
		t.Fatal(err)
	}
	if got := r.Receipt(alice.user, "m.read"); got != second {
		t.Fatalf("the mark went back to %s", got)
	}
	if err := alice.SetReadMarkers(t.Context(), rid, object{"m.fully_read": second, "m.read.private": second}); err != nil {
		t.Fatal(err)
	}
	if j = alice.room(r); len(j.AccountData.Events) != 1 || j.AccountData.Events[0].Type.Type != "m.fully_read" {
		t.Fatalf("%+v", j.AccountData)
	}
	must(alice.UserTyping(t.Context(), rid, true, 20e9))(t)
	if ids := r.Typists(); !slices.Equal(ids, []string{alice.user.ID}) {
		t.Fatalf("%v", ids)
	}
	must(alice.UserTyping(t.Context(), rid, true, 1e6))(t)
	s.Wait(t, "typing does not end", func() bool { return len(r.Typists()) == 0 })
	bobs := login(t, s, "bob")
	for _, e := range bobs.room(r).Ephemeral.Events {
		if strings.Contains(string(must(json.Marshal(e.Content.Raw))(t)), "m.read.private") {
			t.Fatal("a private mark is told")
		}
	}
}

func TestPresence(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	public(s, "Room", "alice")
	alice.sync()
	bob.SetPresence("unavailable", "lunch")
	resp := alice.sync()
	if e := resp.Presence.Events; len(e) != 1 || e[0].Sender != "@bob:hs.test" || e[0].Content.Raw["presence"] != "unavailable" || e[0].Content.Raw["status_msg"] != "lunch" {
		t.Fatalf("%+v", resp.Presence)
	}
	if p := must(alice.GetPresence(t.Context(), "@bob:hs.test"))(t); p.Presence != "unavailable" {
		t.Fatalf("%+v", p)
	}
	if err := alice.SetPresence(t.Context(), mautrix.ReqPresence{Presence: event.PresenceOnline, StatusMsg: "here"}); err != nil {
		t.Fatal(err)
	}
	if state, text := alice.user.Presence(); state != "online" || text != "here" {
		t.Fatal(state, text)
	}
	s.User("stranger").SetPresence("online", "")
	_, err := alice.GetPresence(t.Context(), "@stranger:hs.test")
	wantErr(t, err, mautrix.MForbidden)
	must(alice.FullSyncRequest(t.Context(), mautrix.ReqSync{Since: alice.next, SetPresence: event.PresenceUnavailable}))(t)
	if state, _ := alice.user.Presence(); state != "unavailable" {
		t.Fatal(state)
	}
}

func TestFilters(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r, other := public(s, "Room", "alice"), public(s, "Other", "alice")
	bob.SetPresence("online", "")
	f := must(alice.CreateFilter(t.Context(), &mautrix.Filter{
		EventFormat: mautrix.EventFormatClient,
		Presence:    &mautrix.FilterPart{NotTypes: []event.Type{{Type: "*"}}},
		Room: &mautrix.RoomFilter{
			NotRooms: []id.RoomID{id.RoomID(other.ID)},
			Timeline: &mautrix.FilterPart{Types: []event.Type{event.EventMessage}, NotSenders: []id.UserID{"@carol:hs.test"}},
		},
	}))(t)
	s.User("carol").Join(r)
	s.User("carol").Say(r, "not me")
	bob.Say(r, "me")
	resp := alice.sync(f.FilterID)
	if len(resp.Rooms.Join) != 1 || len(resp.Presence.Events) != 0 {
		t.Fatalf("%+v", resp)
	}
	wantBodies(t, resp.Rooms.Join[id.RoomID(r.ID)].Timeline.Events, "me")
	if a := alice.ask("GET", v3+"user/@alice:hs.test/filter/"+f.FilterID, ""); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	for _, q := range []string{"filter=99", "since=nonsense", "timeout=x", "set_presence=x"} {
		if a := alice.ask("GET", v3+"sync?"+q, ""); a.status < 400 {
			t.Errorf("%s: %+v", q, a)
		}
	}
}

// TestIgnored leaves out what people say whom the user does not want to hear.
func TestIgnored(t *testing.T) {
	s := New(t)
	alice, bob, carol := login(t, s, "alice"), s.User("bob"), s.User("carol")
	r := public(s, "Room", "alice", "carol")
	alice.user.SetData(nil, "m.ignored_user_list", object{"ignored_users": object{carol.ID: object{}}})
	alice.sync()
	carol.Say(r, "rude")
	carol.Create(RoomOptions{Invite: []string{alice.user.ID}})
	bob.Say(r, "kind")
	resp := alice.sync()
	wantBodies(t, resp.Rooms.Join[id.RoomID(r.ID)].Timeline.Events, "kind")
	if len(resp.Rooms.Invite) != 0 {
		t.Fatalf("%+v", resp.Rooms.Invite)
	}
}
