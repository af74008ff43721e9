package matrix

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

func inRoom(r *matrixtest.Room) bridges.Place { return bridges.Place{Room: bridges.RoomID(r.ID)} }

// TestGap: what an answer leaves out is fetched, in its order, once, and an own line
// in the middle of it hides nothing.
func TestGap(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	bob.Say(r, "before")
	l.heard("before")

	hold := make(chan struct{})
	fault := srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: hold})
	bob.Say(r, "ends the poll that waits already, if one does")
	for i := range 60 {
		bob.Say(r, fmt.Sprint("first ", i))
	}
	ref := l.say(inRoom(r), "mine")
	want(l, "mine", func(m *bridges.Message) bool { return m.Ref == ref })
	for i := range 60 {
		bob.Say(r, fmt.Sprint("second ", i))
	}
	fault.Remove()
	close(hold)
	l.heard("second 59")
	bodies, ids := l.lines()
	at := slices.Index(bodies, "first 0")
	if at < 0 || len(bodies) < at+120 {
		t.Fatalf("%d lines: %q", len(bodies), bodies)
	}
	for i := range 60 {
		if bodies[at+i] != fmt.Sprint("first ", i) || bodies[at+60+i] != fmt.Sprint("second ", i) {
			t.Fatalf("lines out of order: %q", bodies[at:])
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s was reported %d times", id, n)
		}
	}
}

// TestKilled: whatever the process had not stored comes again, with the same ids, and
// nothing is missing: lines of a room in the history of who enters again, lines of a
// chat as old lines.
func TestKilled(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	chat := bob.Direct(srv.User("alice"))
	srv.User("alice").Join(chat)
	srv.User("alice").SetData(nil, "m.direct", map[string]any{bob.ID: []string{chat.ID}})
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	first := bob.Say(r, "one")
	bob.Say(chat, "chat one")
	l.heard("chat one")
	l.heard2("one", first)
	ref := l.say(inRoom(r), "mine")
	mine := want(l, "mine", func(m *bridges.Message) bool { return m.Ref == ref })

	k := l.kept
	l.stop()
	l.ended()
	bob.Say(r, "two")
	topic := bob.SetTopic(r, "what grows")
	chatTwo := bob.Say(chat, "chat two")
	for i := range 45 { // more than an answer has
		bob.Say(r, fmt.Sprint("more ", i))
		bob.Say(chat, fmt.Sprint("chat more ", i))
	}
	l = openLink(t, srv, Config{}, k).online()
	two := l.heard("chat two")
	if !two.Replay || two.ID != bridges.MessageID(chatTwo) || two.Place.User != bridges.UserID(bob.ID) {
		t.Errorf("the line of the chat is %+v", two)
	}
	l.heard("chat more 44")
	e := l.join(r)
	var bodies []string
	for _, m := range e.History {
		bodies = append(bodies, m.Body)
		if !m.Replay || m.At.IsZero() {
			t.Errorf("history has %+v", m)
		}
	}
	if !slices.Contains(bodies, "two") || !slices.Contains(bodies, "more 44") || slices.Contains(bodies, "one") {
		t.Errorf("history of the room: %q", bodies)
	}
	i := slices.Index(bodies, "what grows")
	if i < 0 || e.History[i].Kind != bridges.NewSubject || string(e.History[i].ID) != topic || e.History[i].From.Identity != bob.ID {
		t.Errorf("the subject is not in the history: %q", bodies)
	}
	if e.Subject == nil || e.Subject.Text != "what grows" || string(e.Subject.ID) != topic || e.Subject.Identity != bob.ID {
		t.Errorf("the subject is %+v", e.Subject)
	}
	if i := slices.Index(bodies, "mine"); i >= 0 && e.History[i].ID != mine.ID {
		t.Errorf("the own line comes again as %s, was %s", e.History[i].ID, mine.ID)
	}
	all, ids := l.lines()
	for i := range 45 {
		if !slices.Contains(all, fmt.Sprint("chat more ", i)) || !slices.Contains(all, fmt.Sprint("more ", i)) {
			t.Errorf("line %d is missing", i)
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s was reported %d times", id, n)
		}
	}
}

// heard2 makes sure that a line was or is reported under an id.
func (l *linked) heard2(text, id string) {
	l.t.Helper()
	for _, ev := range l.all() {
		if m, ok := ev.(*bridges.Message); ok && m.Body == text {
			if string(m.ID) != id {
				l.t.Errorf("%q has the id %s, want %s", text, m.ID, id)
			}
			return
		}
	}
	if m := l.heard(text); string(m.ID) != id {
		l.t.Errorf("%q has the id %s, want %s", text, m.ID, id)
	}
}

// TestKilledBetween: a process that dies between an own line and the answer that
// brings what others said before it loses nothing of theirs.
func TestKilledBetween(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	bob.Say(r, "a")
	l.heard("a")
	hold := make(chan struct{})
	held := srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: hold})
	bob.Say(r, "b") // ends the poll that waits already, if one does
	bob.Say(r, "c")
	ref := l.say(inRoom(r), "mine")
	want(l, "mine", func(m *bridges.Message) bool { return m.Ref == ref })
	bodies, _ := l.lines()
	l.stop()
	l.ended()
	held.Remove()
	close(hold)
	l = openLink(t, srv, Config{}, l.kept).online()
	e := l.join(r)
	for _, m := range e.History {
		bodies = append(bodies, m.Body)
	}
	if !slices.Contains(bodies, "c") {
		bodies = append(bodies, l.heard("c").Body)
		all, _ := l.lines()
		bodies = append(bodies, all...)
	}
	if !slices.Contains(bodies, "b") || !slices.Contains(bodies, "c") {
		t.Errorf("lines: %q", bodies)
	}
}

// TestFirstAnswer: what was said in chats before the gateway was there is not news.
func TestFirstAnswer(t *testing.T) {
	srv := matrixtest.New(t)
	bob, alice := srv.User("bob"), srv.User("alice")
	chat := bob.Direct(alice)
	alice.Join(chat)
	alice.SetData(nil, "m.direct", map[string]any{bob.ID: []string{chat.ID}})
	bob.Say(chat, "long ago")
	l := openLink(t, srv, Config{}, nil).online()
	want(l, "the contact", func(c *bridges.Contact) bool { return c.Member.ID == bridges.UserID(bob.ID) })
	srv.WaitRequest(t, func(q matrixtest.Request) bool { return q.User == alice.ID && strings.Contains(q.Path, "/sync") })
	bob.Say(chat, "now")
	l.heard("now")
	if bodies, _ := l.lines(); slices.Contains(bodies, "long ago") {
		t.Errorf("lines %q", bodies)
	}
}

// messages is how many lines of alice's the homeserver has.
func (l *linked) messages() (n int) {
	for _, ev := range l.alice.Sent() {
		if ev.Type == "m.room.message" {
			n++
		}
	}
	return n
}

// poked gives the homeserver something to answer polls with until the link ends.
func (l *linked) poked(bob *matrixtest.User, r *matrixtest.Room) error {
	l.t.Helper()
	for i := 0; ; i++ {
		text := fmt.Sprint("poke ", i)
		bob.Say(r, text)
		for reported := false; !reported; {
			l.mu.Lock()
			changed := l.changed
			l.mu.Unlock()
			bodies, _ := l.lines()
			if reported = slices.Contains(bodies, text); reported {
				break
			}
			select {
			case <-changed:
			case err := <-l.done:
				l.done <- err
				return err
			case <-time.After(patience):
				l.t.Fatal("nothing happens")
			}
		}
	}
}

// TestLoggedOut: a session that has ended is told once, as permanent, with what to do.
func TestLoggedOut(t *testing.T) {
	for name, end := range map[string]func(*matrixtest.User){"soft": (*matrixtest.User).SoftLogout, "hard": (*matrixtest.User).Logout} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			l := openLink(t, srv, Config{}, nil).online()
			end(l.alice)
			var e *bridges.Error
			if err := l.ended(); !errors.As(err, &e) || e.Kind != bridges.BadCredentials || !e.Permanent || e.Text != loggedOut {
				t.Errorf("Run: %+v", err)
			}
		})
	}
}

// TestTrouble: what goes wrong with a homeserver ends the link for now, and its text
// shows nothing of ours.
func TestTrouble(t *testing.T) {
	for name, f := range map[string]matrixtest.Fault{
		"gateway": matrixtest.Broken(502),
		"garbage": matrixtest.NoJSON(),
		"null":    {Rewrite: func([]byte) []byte { return []byte(" null") }},
		"retyped": matrixtest.Retyped("next_batch", 7),
		"cut":     {Cut: matrixtest.CutMiddle},
		"banned":  {Status: 403, Code: "M_FORBIDDEN", Text: "no"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := matrixtest.New(t)
			bob, r := publicRoom(srv)
			l := openLink(t, srv, Config{}, nil).online()
			l.join(r)
			f.User, f.Path = l.alice.ID, "/sync"
			srv.Inject(f)
			var e *bridges.Error
			if err := l.poked(bob, r); !errors.As(err, &e) || e.Permanent || e.Text == "" || e.Kind == bridges.Internal || e.Kind == bridges.BadCredentials {
				t.Errorf("Run: %+v", err)
			}
		})
	}
}

// TestNulls: a null where an event or a room is to be costs that one.
func TestNulls(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Rewrite: func(b []byte) []byte {
		b = bytes.ReplaceAll(b, []byte(`"events":[{`), []byte(`"events":[null,{`))
		return bytes.ReplaceAll(b, []byte(`"join":{"!`), []byte(`"join":{"!null:hs.test":null,"!`))
	}})
	for i := range 3 {
		bob.Say(r, fmt.Sprint("line ", i))
		l.heard(fmt.Sprint("line ", i))
	}
}

// TestTooMuch: an answer beyond all bounds costs the link and no memory.
func TestTooMuch(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{MaxResponse: 1 << 20}, nil).online()
	l.join(r)
	srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Pad: 64 << 20})
	var e *bridges.Error
	if err := l.poked(bob, r); !errors.As(err, &e) || e.Permanent || e.Kind == bridges.Internal {
		t.Errorf("Run: %+v", err)
	}
}

// TestSlower: the time a homeserver asks for is kept, for polls and for lines, and the
// link stays.
func TestSlower(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	polls := matrixtest.RateLimited(time.Second)
	polls.User, polls.Path, polls.Times = l.alice.ID, "/sync", 1
	srv.Inject(polls)
	lines := matrixtest.RateLimited(time.Second)
	lines.User, lines.Path, lines.Times = l.alice.ID, "/send/", 1
	srv.Inject(lines)
	ref := l.say(inRoom(r), "patient")
	want(l, "the line", func(m *bridges.Message) bool { return m.Ref == ref })
	bob.Say(r, "still there")
	l.heard("still there")
	if n := l.messages(); n != 1 {
		t.Errorf("%d lines were sent", n)
	}
}

// TestSentOnce: a line whose answer was lost is tried again under the same transaction
// id, so that it is there once; one that cannot be sent fails, and says whether it may
// have arrived.
func TestSentOnce(t *testing.T) {
	srv := matrixtest.New(t)
	_, r := publicRoom(srv)
	l := openLink(t, srv, Config{RetryFor: 4 * time.Second}, nil).online()
	l.join(r)
	srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/send/", Times: 1, Cut: matrixtest.CutAfter})
	ref := l.say(inRoom(r), "once")
	want(l, "the line", func(m *bridges.Message) bool { return m.Ref == ref })
	if n := l.messages(); n != 1 {
		t.Errorf("%d lines were sent", n)
	}
	f := matrixtest.Broken(502)
	f.User, f.Path = l.alice.ID, "/send/"
	fault := srv.Inject(f)
	ref = l.say(inRoom(r), "never")
	if failed := want(l, "Failed", func(e *bridges.Failed) bool { return e.Ref == ref }); !failed.Err.Uncertain {
		t.Errorf("failed with %+v", failed.Err)
	}
	fault.Remove()
	ref = l.say(inRoom(r), "again")
	want(l, "a line after it", func(m *bridges.Message) bool { return m.Ref == ref })
}
