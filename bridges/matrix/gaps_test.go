package matrix

import (
	"fmt"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// during holds alice's answers back while something happens. begin makes the homeserver
// answer the poll that waits already.
func (l *linked) during(begin, f func()) {
	hold := make(chan struct{})
	fault := l.srv.Inject(matrixtest.Fault{User: l.alice.ID, Path: "/sync", Hold: hold})
	begin()
	fault.Wait(l.t, 1)
	f()
	fault.Remove()
	close(hold)
}

// toldMissing is how often it was said that lines are left out, and since when.
func (l *linked) toldMissing() (n int, since time.Time) {
	for _, ev := range l.all() {
		m, ok := ev.(*bridges.Message)
		if ok && !m.Missing.IsZero() {
			n++
			since = m.Missing
		}
	}
	return n, since
}

// TestLeftOut: where more was said than is fetched, the line behind it says so once, with
// when the last one before it was said; the rest can be had as history.
func TestLeftOut(t *testing.T) {
	srv := matrixtest.New(t)
	bob, r := publicRoom(srv)
	aside := bob.Create(matrixtest.RoomOptions{Preset: "public_chat"})
	srv.User("alice").Join(aside)
	chat := bob.Direct(srv.User("alice"))
	srv.User("alice").Join(chat)
	srv.User("alice").SetData(nil, "m.direct", map[string]any{bob.ID: []string{chat.ID}})
	l := openLink(t, srv, Config{}, nil).online()
	l.join(r)
	bob.Say(r, "before")
	before := l.heard("before")
	bob.Say(chat, "chat before")
	l.heard("chat before")
	poke := func() { bob.Say(aside, "poke") }
	const many = gapPages*gapLines + tail + 150
	l.during(poke, func() {
		for i := range many {
			bob.Say(r, fmt.Sprint("line ", i))
		}
	})
	l.heard(fmt.Sprint("line ", many-1))
	n, since := l.toldMissing()
	if n != 1 || !since.Equal(before.At) {
		t.Errorf("it was said %d times that lines are missing, since %v; the last was said at %v", n, since, before.At)
	}
	var first *bridges.Message
	for _, ev := range l.all() {
		if m, ok := ev.(*bridges.Message); ok && !m.Missing.IsZero() {
			first = m
		}
	}
	lines, more, err := l.net.History(t.Context(), inRoom(r), first.ID, 1000)
	l.ok(err)
	if k := len(lines); more || k < 100 || lines[k-1].Body != prior(first.Body) {
		t.Errorf("%d lines before %q", k, first.Body)
	}
	l.during(poke, func() {
		for i := range many {
			bob.Say(chat, fmt.Sprint("chat ", i))
		}
	})
	l.heard(fmt.Sprint("chat ", many-1))
	if n, _ := l.toldMissing(); n != 2 {
		t.Errorf("it was said %d times that lines are missing, with those of the chat", n)
	}

	// What was said while the room was not entered.
	l.ok(l.net.Leave(l.nextRef(), bridges.RoomID(r.ID), ""))
	want(l, "Left", func(e *bridges.Left) bool { return e.Self })
	for i := range historyMost + 20 {
		bob.Say(r, fmt.Sprint("away ", i))
	}
	bob.Say(chat, "all of that is handled")
	l.heard("all of that is handled")
	e := l.join(r)
	if len(e.History) != historyMost || e.History[0].Missing.IsZero() || !e.History[1].Missing.IsZero() {
		t.Errorf("%d lines, the first after %v", len(e.History), e.History[0].Missing)
	}
	l.ok(l.net.Leave(l.nextRef(), bridges.RoomID(r.ID), ""))
	want(l, "Left", func(e *bridges.Left) bool { return e.Self })
	bob.Say(r, "one more")
	bob.Say(chat, "that too")
	l.heard("that too")
	if e := l.join(r); len(e.History) != 1 || !e.History[0].Missing.IsZero() {
		t.Errorf("history %+v", e.History)
	}
}

// prior is the text of the line before one.
func prior(body string) string {
	n := 0
	_, _ = fmt.Sscanf(body, "line %d", &n)
	return fmt.Sprint("line ", n-1)
}
