package matrix

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// opened is a link that is in a room of bob's.
func opened(t *testing.T) (l *linked, bob *matrixtest.User, r *matrixtest.Room) {
	t.Helper()
	srv := matrixtest.New(t)
	bob, r = publicRoom(srv)
	l = openLink(t, srv, Config{}, nil).online()
	l.join(r)
	return l, bob, r
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

const aPoll = `{"m.text":[{"body":"fallback"}],"m.poll":{"max_selections":2,"question":{"m.text":[{"body":"Tea?"}]},` +
	`"answers":[{"m.id":"a","m.text":[{"body":"Yes"}]},{"m.id":"b","m.text":[{"body":"No"}]},{"m.id":"c","m.text":[{"body":"Later"}]}]}}`

func choice(poll, ids string) json.RawMessage {
	return raw(fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.reference","event_id":%q},"m.selections":[%s]}`, poll, ids))
}

func TestPollIsCounted(t *testing.T) {
	l, bob, r := opened(t)
	carol, dave := l.srv.User("carol"), l.srv.User("dave")
	carol.Join(r)
	dave.Join(r)
	poll := bob.Send(r, "m.poll.start", raw(aPoll))
	l.heard("Poll: Tea?\n1. Yes\n2. No\n3. Later\n(Up to 2 answers.)")

	ref := l.nextRef()
	l.ok(l.net.Send(ref, bridges.Place{Room: bridges.RoomID(r.ID)}, bridges.Outgoing{Body: "1, 3", ReplyTo: bridges.MessageID(poll)}))
	want(l, "the vote", func(m *bridges.Message) bool { return m.Ref == ref })
	if last := r.Events()[len(r.Events())-1]; last.Type != "m.poll.response" || !strings.Contains(string(last.Content), `["a","c"]`) {
		t.Fatalf("sent %s %s", last.Type, last.Content)
	}
	carol.Send(r, "m.poll.response", choice(poll, `"a"`))
	carol.Send(r, "m.poll.response", choice(poll, `"b","c","a"`)) // the last counts, and two of it
	dave.Send(r, "m.poll.response", choice(poll, `"x"`))
	bob.Send(r, "m.poll.response", choice(poll, ``))

	carol.Send(r, "m.poll.end", raw(fmt.Sprintf(`{"m.text":[{"body":"mine"}],"m.relates_to":{"rel_type":"m.reference","event_id":%q}}`, poll))) // who is not its author
	bob.Send(r, "m.poll.end", raw(fmt.Sprintf(`{"m.text":[{"body":"over"}],"m.relates_to":{"rel_type":"m.reference","event_id":%q}}`, poll)))
	end := want(l, "the end", func(m *bridges.Message) bool { return m.Kind == bridges.Notice })
	if want := "The poll has ended: Tea?\n1. Yes: 1 vote\n2. No: 1 vote\n3. Later: 2 votes\n(2 people voted.)"; end.Body != want {
		t.Errorf("%q, want %q", end.Body, want)
	}
}

// TestPollIsAskedFor: one that this process has not seen can be voted on, and counted.
func TestPollIsAskedFor(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	poll := bob.Send(r, "m.poll.start", raw(aPoll))
	for range 200 {
		bob.Say(r, "what pushes it out of the history of a join")
	}
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	ref := l.nextRef()
	l.ok(l.net.Send(ref, bridges.Place{Room: bridges.RoomID(r.ID)}, bridges.Outgoing{Body: "2", ReplyTo: bridges.MessageID(poll)}))
	want(l, "the vote", func(m *bridges.Message) bool { return m.Ref == ref })
	if last := r.Events()[len(r.Events())-1]; last.Type != "m.poll.response" {
		t.Fatalf("sent %s %s", last.Type, last.Content)
	}
	bob.Send(r, "m.poll.end", raw(fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.reference","event_id":%q}}`, poll)))
	end := want(l, "the end", func(m *bridges.Message) bool { return m.Kind == bridges.Notice })
	if !strings.Contains(end.Body, "2. No: 1 vote\n") || !strings.Contains(end.Body, "(1 person voted.)") {
		t.Errorf("%q", end.Body)
	}
}

// TestPollIsEdited: it says what it says now, and so it is voted on.
func TestPollIsEdited(t *testing.T) {
	l, bob, r := opened(t)
	poll := bob.Send(r, "m.poll.start", raw(aPoll))
	want(l, "the poll", func(m *bridges.Message) bool { return m.ID == bridges.MessageID(poll) })
	bob.Send(r, "m.poll.start", raw(`{"m.new_content":`+strings.Replace(aPoll, "Yes", "Certainly", 1)+`,"m.relates_to":{"rel_type":"m.replace","event_id":"`+poll+`"}}`))
	edit := want(l, "the edit", func(m *bridges.Message) bool { return m.Replaces == bridges.MessageID(poll) })
	if !strings.Contains(edit.Body, "1. Certainly\n") {
		t.Errorf("%q", edit.Body)
	}
	bob.Send(r, "m.poll.end", raw(fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.reference","event_id":%q}}`, poll)))
	end := want(l, "the end", func(m *bridges.Message) bool { return m.Kind == bridges.Notice })
	if !strings.Contains(end.Body, "1. Certainly: 0 votes\n") || !strings.Contains(end.Body, "(0 people voted.)") {
		t.Errorf("%q", end.Body)
	}
}

// TestLiveLocation: of the places where somebody is, the first and the last are told.
func TestLiveLocation(t *testing.T) {
	l, bob, r := opened(t)
	const info, place = "org.matrix.msc3672.beacon_info", "org.matrix.msc3672.beacon"
	start := bob.State(r, info, bob.ID, raw(`{"live":true,"timeout":60000}`))
	at := func(uri string) {
		bob.Send(r, place, raw(fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.reference","event_id":%q},"org.matrix.msc3488.location":{"uri":%q}}`, start, uri)))
	}
	at("geo:1,1")
	first := want(l, "the first place", func(m *bridges.Message) bool { return m.Location != nil })
	at("geo:2,2")
	at("geo:3,3")
	bob.State(r, info, bob.ID, raw(`{"live":false}`))
	last := want(l, "the last place", func(m *bridges.Message) bool { return m.Location != nil })
	if first.Kind != bridges.Emote || first.Location.URI() != "geo:1,1" || last.Location.URI() != "geo:3,3" || !strings.HasPrefix(last.Body, "no longer shares") {
		t.Errorf("%+v, %+v", first, last)
	}
	bob.State(r, info, bob.ID, raw(`{"live":true}`))
	at("geo:4,4")
	if again := want(l, "the next first place", func(m *bridges.Message) bool { return m.Location != nil }); again.Location.URI() != "geo:4,4" {
		t.Errorf("%+v", again)
	}
}

// TestCallIsToldOnce: however many events it is made of.
func TestCallIsToldOnce(t *testing.T) {
	l, bob, r := opened(t)
	carol := l.srv.User("carol")
	carol.Join(r)
	bob.SetPower(r, carol, 50)
	const member = "org.matrix.msc3401.call.member"
	bob.State(r, member, "_"+bob.ID+"_PHONE", raw(`{"application":"m.call","call_id":""}`))
	call := want(l, "the call", func(m *bridges.Message) bool { return m.Kind == bridges.Notice })
	if call.Body != callText || call.From.Nick != "bob" {
		t.Errorf("%+v", call)
	}
	bob.Send(r, "org.matrix.msc4075.rtc.notification", raw(`{"notification_type":"ring"}`))
	carol.State(r, member, "_"+carol.ID+"_PHONE", raw(`{"application":"m.call","call_id":""}`))
	bob.State(r, member, "_"+bob.ID+"_PHONE", raw(`{}`))
	carol.State(r, member, "_"+carol.ID+"_PHONE", raw(`{}`))
	bob.Say(r, "that was it")
	l.heard("that was it")
	if bodies, _ := l.lines(); strings.Count(strings.Join(bodies, "|"), callText) != 1 {
		t.Errorf("told: %q", bodies)
	}
}
