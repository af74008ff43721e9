package matrixtest

import (
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

func TestSend(t *testing.T) {
	s := New(t)
	alice, other := login(t, s, "alice"), login(t, s, "alice")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	alice.sync()
	other.sync()
	content := text("m.text", "hi")
	one := must(alice.SendMessageEvent(t.Context(), rid, event.EventMessage, content, mautrix.ReqSendEvent{TransactionID: "t/1"}))(t)
	two := must(alice.SendMessageEvent(t.Context(), rid, event.EventMessage, content, mautrix.ReqSendEvent{TransactionID: "t/1"}))(t)
	three := must(other.SendMessageEvent(t.Context(), rid, event.EventMessage, content, mautrix.ReqSendEvent{TransactionID: "t/1"}))(t)
	if one.EventID != two.EventID || one.EventID == three.EventID {
		t.Fatal(one, two, three)
	}
	events := alice.room(r).Timeline.Events
	wantBodies(t, events, "hi", "hi")
	if events[0].Unsigned.TransactionID != "t/1" || events[1].Unsigned.TransactionID != "" || events[0].ID != one.EventID {
		t.Fatalf("%+v, %+v", events[0].Unsigned, events[1].Unsigned)
	}
	if events = other.room(r).Timeline.Events; events[0].Unsigned.TransactionID != "" || events[1].Unsigned.TransactionID != "t/1" {
		t.Fatal("another device's transaction is told")
	}
	txns := alice.user.Transactions()
	if len(txns) != 2 || txns[0].ID != "t/1" || txns[0].Times != 2 || txns[0].Event != string(one.EventID) || txns[1].Times != 1 {
		t.Fatalf("%+v", txns)
	}
	if sent := alice.user.Sent(); sent[len(sent)-1].Body() != "hi" {
		t.Fatalf("%+v", sent)
	}
}

func TestBadContent(t *testing.T) {
	s := New(t)
	alice := login(t, s, "alice")
	r := public(s, "Room", "alice")
	path := v3 + "rooms/" + r.ID + "/send/m.room.message/t"
	for body, want := range map[string]string{
		"{":                      "400 M_NOT_JSON",
		"[]":                     "400 M_BAD_JSON",
		`{"n":1.5}`:              "400 M_BAD_JSON",
		`{"n":9007199254740992}`: "400 M_BAD_JSON",
		`{"body":"` + strings.Repeat("x", 70000) + `"}`:   "413 M_TOO_LARGE",
		`{"body":"` + strings.Repeat("x", 2000000) + `"}`: "413 M_TOO_LARGE",
	} {
		a := alice.ask("PUT", path, body)
		if got := itoa(a.status) + " " + a.json(t)["errcode"].(string); got != want {
			t.Errorf("%.30s: %s, want %s", body, got, want)
		}
	}
	if a := alice.ask("POST", v3+"nothing", "{}"); a.status != 404 || a.json(t)["errcode"] != "M_UNRECOGNIZED" {
		t.Errorf("%+v", a)
	}
	if a := alice.ask("POST", v3+"createRoom", `{"name":5}`); a.status != 400 || a.json(t)["errcode"] != "M_BAD_JSON" {
		t.Errorf("%+v", a)
	}
}

func TestRedaction(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	his := id.EventID(bob.Say(r, "secret"))
	mine := must(alice.SendText(t.Context(), rid, "mine"))(t)
	alice.sync()
	_, err := alice.RedactEvent(t.Context(), rid, his)
	wantErr(t, err, mautrix.MForbidden)
	_, err = alice.RedactEvent(t.Context(), rid, "$nothing")
	wantErr(t, err, mautrix.MNotFound)
	done := must(alice.RedactEvent(t.Context(), rid, mine.EventID, mautrix.ReqRedact{Reason: "oops", TxnID: "r1"}))(t)
	again := must(alice.RedactEvent(t.Context(), rid, mine.EventID, mautrix.ReqRedact{Reason: "oops", TxnID: "r1"}))(t)
	if done.EventID != again.EventID {
		t.Fatal("the same transaction made two events")
	}
	bob.SetPower(r, alice.user, 50)
	must(alice.RedactEvent(t.Context(), rid, his, mautrix.ReqRedact{Reason: "rude"}))(t)
	e := alice.room(r).Timeline.Events
	if e[0].Redacts != mine.EventID || e[0].Content.Raw["reason"] != "oops" || e[0].Content.Raw["redacts"] != string(mine.EventID) || e[2].Redacts != his {
		t.Fatalf("%+v", e)
	}
	got := must(alice.GetEvent(t.Context(), rid, his))(t)
	if len(got.Content.Raw) != 0 || got.Unsigned.RedactedBecause == nil || got.Unsigned.RedactedBecause.Content.Raw["reason"] != "rude" {
		t.Fatalf("%+v", got)
	}
	if !r.Event(string(his)).Redacted() || r.Event(string(his)).Body() != "" {
		t.Fatal("the server has kept it")
	}
	topic := bob.SetTopic(r, "rude too")
	bob.Redact(r, topic, "")
	if e := r.State("m.room.topic", ""); string(e.Content) != "{}" {
		t.Fatalf("%s", e.Content)
	}
	member := r.State("m.room.member", alice.user.ID)
	alice.user.Redact(r, member.ID, "")
	if e := r.State("m.room.member", alice.user.ID); string(e.Content) != `{"membership":"join"}` || r.Membership(alice.user) != "join" {
		t.Fatalf("%s", e.Content)
	}
}

func TestRelations(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room", "alice")
	rid := id.RoomID(r.ID)
	root := bob.Say(r, "root")
	bob.Edit(r, root, "first")
	last := bob.Edit(r, root, "second")
	inThread := bob.Thread(r, root, "below")
	bob.Reply(r, root, "answer")
	alice.user.React(r, root, "👍")
	_, err := alice.SendReaction(t.Context(), rid, id.EventID(root), "👍")
	wantErr(t, err, mautrix.RespError{ErrCode: "M_DUPLICATE_ANNOTATION"})
	e := alice.ask("GET", v3+"rooms/"+r.ID+"/event/"+root, "").json(t)
	rel := e["unsigned"].(object)["m.relations"].(object)
	thread := rel["m.thread"].(object)
	if rel["m.replace"].(object)["event_id"] != last || thread["latest_event"].(object)["event_id"] != inThread || thread["count"] != 1.0 || thread["current_user_participated"] != false {
		t.Fatalf("%+v", rel)
	}
	all := must(alice.GetRelations(t.Context(), rid, id.EventID(root), &mautrix.ReqGetRelations{}))(t)
	wantBodies(t, all.Chunk, "m.reaction", "below", "* second", "* first")
	some := must(alice.GetRelations(t.Context(), rid, id.EventID(root), &mautrix.ReqGetRelations{RelationType: event.RelReplace, EventType: event.EventMessage, Limit: 1}))(t)
	wantBodies(t, some.Chunk, "* second")
	some = must(alice.GetRelations(t.Context(), rid, id.EventID(root), &mautrix.ReqGetRelations{RelationType: event.RelReplace, EventType: event.EventMessage, Limit: 1, From: some.NextBatch}))(t)
	wantBodies(t, some.Chunk, "* first")
	bob.Redact(r, last, "")
	rel = alice.ask("GET", v3+"rooms/"+r.ID+"/event/"+root, "").json(t)["unsigned"].(object)["m.relations"].(object)
	if rel["m.replace"].(object)["content"].(object)["body"] != "* first" {
		t.Fatalf("%+v", rel)
	}
}

func TestHistory(t *testing.T) {
	s := New(t)
	alice, bob := login(t, s, "alice"), s.User("bob")
	r := public(s, "Room")
	rid := id.RoomID(r.ID)
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	ids := map[string]id.EventID{}
	for i, body := range strings.Fields("a b c d e") {
		ids[body] = id.EventID(bob.SayAt(r, body, at.Add(time.Duration(i)*time.Minute)))
	}
	_, err := alice.Messages(t.Context(), rid, "", "", mautrix.DirectionBackward, nil, 3)
	wantErr(t, err, mautrix.MForbidden)
	alice.user.Join(r)
	lazy := &mautrix.FilterPart{LazyLoadMembers: true, Types: []event.Type{event.EventMessage}}
	part := must(alice.Messages(t.Context(), rid, "", "", mautrix.DirectionBackward, lazy, 3))(t)
	wantBodies(t, part.Chunk, "e", "d", "c")
	if len(part.State) != 1 || *part.State[0].StateKey != bob.ID || part.Chunk[0].RoomID != rid {
		t.Fatalf("%+v", part.State)
	}
	end := part.End
	part = must(alice.Messages(t.Context(), rid, end, "", mautrix.DirectionBackward, lazy, 10))(t)
	wantBodies(t, part.Chunk, "b", "a")
	if part.End != "" {
		t.Fatal(part.End)
	}
	part = must(alice.Messages(t.Context(), rid, end, "", mautrix.DirectionForward, lazy, 2))(t)
	wantBodies(t, part.Chunk, "c", "d")
	part = must(alice.Messages(t.Context(), rid, part.End, "", mautrix.DirectionForward, lazy, 2))(t)
	wantBodies(t, part.Chunk, "e")
	around := must(alice.Context(t.Context(), rid, ids["c"], lazy, 2))(t)
	wantBodies(t, around.EventsBefore, "b")
	wantBodies(t, around.EventsAfter, "d")
	wantBodies(t, []*event.Event{around.Event}, "c")
	part = must(alice.Messages(t.Context(), rid, around.Start, "", mautrix.DirectionBackward, lazy, 9))(t)
	wantBodies(t, part.Chunk, "a")
	for dir, want := range map[mautrix.Direction]string{mautrix.DirectionForward: "c", mautrix.DirectionBackward: "b"} {
		got := must(alice.TimestampToEvent(t.Context(), rid, at.Add(90*time.Second), dir))(t)
		if got.EventID != ids[want] {
			t.Errorf("%v: %+v", dir, got)
		}
	}
	_, err = alice.TimestampToEvent(t.Context(), rid, at.Add(-time.Hour), mautrix.DirectionBackward)
	wantErr(t, err, mautrix.MNotFound)
	_, err = alice.GetEvent(t.Context(), rid, "$nothing")
	wantErr(t, err, mautrix.MNotFound)
}

// TestHistoryVisibility asks for what was said before, between and after one's
// time in a room.
func TestHistoryVisibility(t *testing.T) {
	for vis, want := range map[string]string{
		"shared": "during invited before", "invited": "during invited", "joined": "during", "world_readable": "after during invited before",
	} {
		s := New(t)
		alice, bob := login(t, s, "alice"), s.User("bob")
		r := bob.Create(RoomOptions{})
		bob.State(r, "m.room.history_visibility", "", object{"history_visibility": vis})
		bob.Say(r, "before")
		bob.Invite(r, alice.user, "")
		bob.Say(r, "invited")
		alice.user.Join(r)
		bob.Say(r, "during")
		alice.user.Leave(r, "")
		bob.Say(r, "after")
		part := must(alice.Messages(t.Context(), id.RoomID(r.ID), "", "", mautrix.DirectionBackward, &mautrix.FilterPart{Types: []event.Type{event.EventMessage}}, 10))(t)
		if got := strings.Join(bodies(part.Chunk), " "); got != want {
			t.Errorf("%s: %q, want %q", vis, got, want)
		}
	}
}
