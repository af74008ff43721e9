package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
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
		if err := w.m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.expect(`<body>perhaps</body> & urn:xmpp:delay & stamp="2000-01-01T00:01:00`, `<body>kept</body> & stamp="2000-01-01T00:02:00`)
		time.Sleep(time.Minute)
		w.restart()
		if err := w.m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.expect()
	})
}

func TestPrivateLinesAreBounded(t *testing.T) {
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
		if n := len(w.news()); n != maxKept {
			t.Errorf("%d lines come late", n)
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
		if err := w.m.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.expect()
		w.lines.Fail(nil)
		time.Sleep(time.Minute)
		w.expect(`<body>kept</body>`)
	})
}
