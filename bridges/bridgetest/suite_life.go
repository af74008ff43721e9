package bridgetest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
)

// testQueueFull: a network that takes nothing makes Send refuse in the end,
// and at once.
func testQueueFull(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	f.Peer.Stall()
	body := strings.Repeat("a long line of words ", 15)
	deadline := time.Now().Add(Patience)
	for time.Now().Before(deadline) {
		err := w.net.Send(w.newRef(), bridges.Place{Room: w.net.RoomID(f.Room)}, bridges.Outgoing{Body: body})
		if err != nil {
			wantKind(t, "Send to a stalled network", err, bridges.RateLimited)
			return
		}
	}
	t.Error("Send never refuses")
}

// testCancel: the end of the context ends Run, with everything it started.
func testCancel(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	before := runtime.NumGoroutine()
	w := start(t, f)
	w.join(f.Room)
	w.stop()
	if err := w.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := w.running.Load(); n != 0 {
		t.Errorf("%d goroutines of the driver are left", n)
	}
	settle(t, before)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.late != 0 {
		t.Errorf("%d events after Run", w.late)
	}
}

// settle waits until no more goroutines run than before: those of the fixture
// that served the connection end a moment after it.
func settle(t *testing.T, before int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for runtime.NumGoroutine() > before {
		if ctx.Err() != nil {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

func testCancelStalled(t *testing.T, f Fixture) {
	w := start(t, f)
	w.join(f.Room)
	f.Peer.Stall()
	for range 50 {
		if w.net.Send(w.newRef(), bridges.Place{Room: w.net.RoomID(f.Room)}, bridges.Outgoing{Body: "is anybody there?"}) != nil {
			break
		}
	}
	w.stop()
	if err := w.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// testCancelDeaf: a session that takes no more events cannot hold Run up.
func testCancelDeaf(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	w.mu.Lock()
	w.deaf = true
	w.mu.Unlock()
	for range 100 {
		f.Peer.Say(f.Room, "ann", "hello?")
	}
	w.stop()
	if err := w.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// testLost: a broken connection ends Run with a reason, and every line under
// way has one outcome.
func testLost(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	var refs []bridges.Ref
	for range 10 {
		refs = append(refs, w.send(f.Room, "on its way"))
	}
	f.Peer.Break()
	err := w.wait()
	var e *bridges.Error
	if !errors.As(err, &e) || e.Permanent || e.Kind == bridges.Internal {
		t.Errorf("Run: %v", err)
	}
	for _, ref := range refs {
		taken, failed := w.outcomes(ref)
		if taken+failed != 1 {
			t.Errorf("line %d was taken %d times and failed %d times", ref, taken, failed)
		}
	}
	wantKind(t, "Send after the end", w.net.Send(w.newRef(), bridges.Place{Room: w.net.RoomID(f.Room)}, bridges.Outgoing{Body: "x"}), bridges.Offline)
	if _, members, ok := w.net.Members(w.net.RoomID(f.Room)); !ok || len(members) != 1 {
		t.Error("the members cannot be read until the next Run")
	}
}

func testRunTwice(t *testing.T, f Fixture) {
	f.Peer.Enter(f.Room, "ann")
	w := start(t, f)
	w.join(f.Room)
	w.stop()
	w.wait()
	w.run(false)
	if _, _, ok := w.net.Members(w.net.RoomID(f.Room)); ok {
		t.Error("in a room after a new connection")
	}
	if e := w.join(f.Room); len(e.Members) != 1 {
		t.Errorf("%d members", len(e.Members))
	}
}
