package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// tell is a one-to-one line from somebody on the network.
func (w *world) tell(nick, text string) {
	w.say(&bridges.Message{Place: bridges.Place{User: bridges.UserID(nick)}, From: bridgetest.Person(nick), Body: text})
}

// A line that was written to a stream which broke before the server had read it
// comes again, once, with its id.
func TestPrivateLineTheServerHasNotRead(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.tell("bob", "read")
		w.expect(`<body>read</body>`)
		time.Sleep(time.Minute)
		w.stream.reads(time.Minute)
		w.tell("bob", "lost")
		id := between(w.news()[0], `id="`, `"`)
		time.Sleep(30 * time.Second)
		w.cut()
		w.tell("bob", "meanwhile")
		w.stream.reads(0)
		w.mend()
		w.expect(`id="`+id+`".*<body>lost</body> & urn:xmpp:delay`, `<body>meanwhile</body> & urn:xmpp:delay`)
		time.Sleep(time.Hour)
		w.cut()
		w.mend()
		w.expect()
	})
}

func between(s, a, b string) string {
	_, rest, _ := strings.Cut(s, a)
	in, _, _ := strings.Cut(rest, b)
	return in
}

// The user's server has nowhere to put a line while no client is there: the user
// gets it when one comes, with its true time, once.
func TestPrivateLineThatCameBack(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.tell("bob", "are you there?")
		id := between(w.news()[0], `id="`, `"`)
		time.Sleep(20 * time.Second)
		w.from("<message type='error' from='ALICE' to='bob%net@GW' id='" + id + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		w.expect()
		time.Sleep(time.Hour)
		w.from("<presence from='ALICE/phone' to='GW'/>")
		w.expect(`to="alice@home.example" & id="` + id + `" & stamp="2000-01-01T00:00:00`)
		time.Sleep(time.Hour)
		w.from("<presence from='ALICE/phone' to='GW'/>")
		w.expect()
	})
}

// What was not delivered for certain when the process ended is delivered by the
// next one; what was, is not.
func TestPrivateLinesOverARestart(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.tell("bob", "delivered")
		time.Sleep(time.Minute)
		w.stream.reads(time.Hour)
		w.tell("bob", "perhaps")
		time.Sleep(time.Minute)
		w.cut()
		w.tell("bob", "kept")
		w.stream.reads(0)
		w.news()
		w.restart()
		w.mend()
		if err := w.m.Restore(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.expect(`<body>perhaps</body> & urn:xmpp:delay & stamp="2000-01-01T00:01:00`, `<body>kept</body> & stamp="2000-01-01T00:02:00`)
		time.Sleep(time.Minute)
		w.restart()
		if err := w.m.Restore(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.expect()
	})
}

// Of lines that came back the archive keeps those for which there is no room.
func TestManyPrivateLinesThatCameBack(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		var ids []string
		for i := range maxKept + 20 {
			w.tell("bob", fmt.Sprint(i))
			ids = append(ids, between(w.news()[0], `id="`, `"`))
		}
		for _, id := range ids {
			w.from("<message type='error' from='ALICE' to='bob%net@GW' id='" + id + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		}
		w.from("<presence from='ALICE/phone' to='GW'/>")
		time.Sleep(time.Minute)
		synctest.Wait()
		var late []string
		for _, s := range w.news() {
			late = append(late, between(s, `id="`, `"`))
		}
		if !slices.Equal(late, ids) {
			t.Errorf("of %d lines %d come late", len(ids), len(late))
		}
	})
}

// A stranger cannot have a line taken back that is not theirs.
func TestPrivateLineForgedBounce(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.tell("bob", "mine")
		id := between(w.news()[0], `id="`, `"`)
		w.from("<message type='error' from='mallory@home.example' to='bob%net@GW' id='" + id + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		time.Sleep(time.Hour)
		w.from("<presence from='ALICE/phone' to='GW'/>")
		w.expect()
	})
}

// A line that came after a restart, before it was looked what the last process had
// left, is not taken for one of those.
func TestPrivateLineBeforePendingOnesAreRead(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.stream.reads(time.Hour)
		w.tell("bob", "new")
		w.expect(`<body>new</body>`)
		w.m.post(w.user(), (*Session).loadPending)
		w.expect()
	})
}

// A database that is away when a process begins does not cost the lines that the
// last one left.
func TestPendingLinesWhileTheDatabaseIsAway(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.cut()
		w.tell("bob", "kept")
		w.restart()
		w.mend()
		w.lines.Fail(errors.New("away"))
		if err := w.m.Restore(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.expect()
		w.lines.Fail(nil)
		time.Sleep(time.Minute)
		w.expect(`<body>kept</body>`)
	})
}

// backlog is more lines than are held in memory.
const backlog = 2*maxKept + 300

// told are the bodies of one-to-one lines that were sent.
func (w *world) told() (out []string) {
	w.t.Helper()
	for _, s := range w.news() {
		if m := bodyPattern.FindStringSubmatch(s); m != nil && strings.Contains(s, `type="chat"`) {
			out = append(out, m[1])
		}
	}
	return out
}

// numbers are the texts of so many lines.
func numbers(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint("line ", i))
	}
	return out
}

func (w *world) mustTell(got, want []string) {
	w.t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			w.t.Fatalf("of %d lines, number %d is %q, not %q", len(got), i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		w.t.Fatalf("there are %d lines, not %d", len(got), len(want))
	}
}

// More one-to-one lines than are held in memory come while there is no stream: all of
// them are delivered, once, in their order, and those that come meanwhile behind them.
func TestManyPrivateLinesWithoutAStream(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.cut()
		lines := numbers(backlog + 10)
		for _, text := range lines[:backlog] {
			w.tell("bob", text)
		}
		w.stream.reads(20 * time.Second)
		w.mend()
		w.answer(nil)
		got := w.told()
		if len(got) > maxKept {
			t.Errorf("%d lines are on their way that nobody has read", len(got))
		}
		for _, text := range lines[backlog:] {
			w.tell("bob", text)
			got = append(got, w.told()...)
		}
		for range 60 {
			time.Sleep(10 * time.Second)
			got = append(got, w.told()...)
		}
		w.mustTell(got, lines)
		w.tell("bob", "at last")
		w.mustTell(w.told(), []string{"at last"})
		time.Sleep(time.Hour)
		w.cut()
		w.mend()
		w.mustTell(w.told(), nil)
	})
}

// The same over a restart, during which the database is away for a while.
func TestManyPrivateLinesOverARestart(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.cut()
		lines := numbers(backlog)
		for _, text := range lines {
			w.tell("bob", text)
		}
		w.restart()
		w.mend()
		w.lines.Fail(errors.New("away"))
		if err := w.m.Restore(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.lines.Fail(nil)
		var got []string
		for range 60 {
			time.Sleep(10 * time.Second)
			got = append(got, w.told()...)
		}
		w.mustTell(got, lines)
		w.restart()
		if err := w.m.Restore(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.mustTell(w.told(), nil)
	})
}

// A stream that breaks again and again while many lines are delivered costs none, and
// none comes under another id; the order is kept.
func TestManyPrivateLinesOverBreaks(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.cut()
		lines := numbers(backlog)
		for _, text := range lines {
			w.tell("bob", text)
		}
		seen := map[string]string{}
		var order []string
		look := func() {
			for _, s := range w.news() {
				m := bodyPattern.FindStringSubmatch(s)
				if m == nil || !strings.Contains(s, `type="chat"`) {
					continue
				}
				id := between(s, ` id="`, `"`)
				if was, again := seen[m[1]]; again && was != id {
					t.Fatalf("%q was %s and is %s", m[1], was, id)
				} else if !again {
					order = append(order, m[1])
				}
				seen[m[1]] = id
			}
		}
		w.stream.reads(7 * time.Second)
		for i := range 40 {
			w.stream.mu.Lock()
			w.stream.failAfter = 0
			if i < 20 {
				w.stream.failAfter = 50 + 37*i
			}
			w.stream.mu.Unlock()
			w.mend()
			w.answer(nil)
			look()
			time.Sleep(20 * time.Second)
			look()
			if i < 20 {
				w.cut()
			}
		}
		w.mustTell(order, lines)
	})
}

// Who may no longer use the gateway gets nothing of what waits, and keeps no session.
func TestPrivateLinesOfWhoIsNoLongerAdmitted(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.cut()
		for _, text := range numbers(backlog) {
			w.tell("bob", text)
		}
		w.restart()
		w.policy.Allowed = func(component.JID) bool { return false }
		w.mend()
		if err := w.m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		w.mustTell(w.told(), nil)
		if s := w.m.peek(w.user()); s != nil {
			t.Error("there is a session")
		}
	})
}

// What a line has beside its text comes with it, also out of the archive.
func TestPrivateLineWithChildrenOverARestart(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		w.join("phone", "Alice")
		w.cut()
		w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), Body: "first", ID: "$1"})
		w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), Body: "better", ID: "$2", Replaces: "$1"})
		time.Sleep(time.Second)
		w.restart()
		w.mend()
		if err := w.m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.expect(`<body>first</body>`, `<body>better</body>.*<replace `)
	})
}
