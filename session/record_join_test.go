package session

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// joining begins a join of alice's that waits for the archive to be read.
func (w *world) joining() {
	w.t.Helper()
	w.lines.Slow(5 * time.Second)
	w.from("<presence from='ALICE/late' to='#room%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
}

// joined waits until that join is done and returns the bodies it was shown, in order.
func (w *world) joined() (bodies []string) {
	w.t.Helper()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	w.lines.Slow(0)
	in := false
	for _, s := range w.news() {
		if !strings.Contains(s, `to="alice@home.example/late"`) {
			continue
		}
		in = in || strings.Contains(s, `code="110"`)
		if m := bodyPattern.FindStringSubmatch(s); m != nil && strings.Contains(s, "/bob") {
			bodies = append(bodies, m[1])
		}
	}
	if !in {
		w.t.Fatal("the client is not in")
	}
	return bodies
}

var lobbyAddress = bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}

// Recording that ends, and begins again, while a client is joining: the client gets each
// line once, and the archive has those from while it was on.
func TestRecordOffWhileJoining(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "recorded")
		w.news()
		w.joining()
		off, on := false, true
		set := func(record *bool) {
			w.m.post(w.user(), func(s *Session) {
				s.changeRoom(w.m.jid(lobbyAddress), lobbyAddress, roomChange{setRecord: true, record: record}, func(*component.StanzaError) {})
			})
			time.Sleep(time.Second)
			synctest.Wait()
		}
		set(&off)
		w.line("bob", "not recorded")
		set(&on)
		w.line("bob", "again")
		if got := strings.Join(w.joined(), "|"); got != "recorded|not recorded|again" {
			t.Errorf("the client was shown %q", got)
		}
		if p := w.ask(""); strings.Join(p.bodies, "|") != "recorded|again" {
			t.Errorf("the archive has %q", p.bodies)
		}
	})
}

// What is said while a room is forgotten stays, and who joins meanwhile gets it once.
func TestForgetWhileJoining(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "old")
		w.news()
		slow := make(chan struct{})
		w.store.mu.Lock()
		w.store.slow = slow
		w.store.mu.Unlock()
		done := make(chan error, 1)
		go func() { done <- w.m.forgetHistory(context.Background(), w.user(), w.m.jid(lobbyAddress), lobbyAddress) }()
		synctest.Wait()
		w.line("bob", "meanwhile")
		w.joining()
		w.line("bob", "later")
		close(slow)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := w.joined()
		if last := strings.Join(got[max(0, len(got)-2):], "|"); last != "meanwhile|later" {
			t.Errorf("the client was shown %q", got)
		}
		if p := w.ask(""); !strings.HasSuffix(strings.Join(p.bodies, "|"), "meanwhile|later") {
			t.Errorf("the archive has %q", p.bodies)
		}
	})
}
