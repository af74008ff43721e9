package bridgetest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"transportd/bridges"
)

// watch is a link under test, and its sink.
type watch struct {
	t    *testing.T
	net  bridges.Network
	done chan error
	stop context.CancelFunc
	ref  bridges.Ref

	ctx     context.Context
	tasks   sync.WaitGroup
	running atomic.Int64 // goroutines started through Go

	mu      sync.Mutex
	events  []bridges.Event
	read    int
	changed chan struct{}
	ended   bool
	late    int               // events after Run had returned
	gate    chan struct{}     // not nil: Emit waits for it
	deaf    bool              // Emit waits for its context
	state   map[string][]byte // what was committed
}

func open(t *testing.T, f Fixture) *watch {
	t.Helper()
	w := &watch{t: t, changed: make(chan struct{}), ctx: context.Background(), stop: func() {}}
	f.Account.State = w
	net, err := f.Driver.Open(f.Account, w)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	w.net = net
	return w
}

// start opens a link and waits until it is online.
func start(t *testing.T, f Fixture) *watch {
	t.Helper()
	w := open(t, f)
	w.run(true)
	return w
}

func (w *watch) run(attended bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	w.ctx, w.stop, w.ended = ctx, cancel, false
	w.mu.Unlock()
	done := make(chan error, 1)
	w.done = done
	go func() {
		err := w.net.Run(ctx, bridges.Start{Attended: attended})
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		cancel()
		w.tasks.Wait()
		done <- err
	}()
	w.t.Cleanup(func() {
		w.open()
		cancel()
		w.wait()
	})
	next(w, "Online", func(s *bridges.State) bool { return s.Kind == bridges.Online })
}

// wait waits until Run has returned, and everything it started with it.
func (w *watch) wait() error {
	w.t.Helper()
	select {
	case err := <-w.done:
		w.done <- err
		return err
	case <-time.After(Patience):
		w.t.Fatalf("Run does not end; %d goroutines of the driver are left", w.running.Load())
		return nil
	}
}

// Emit implements bridges.Sink. It asks the network back, as sessions do.
func (w *watch) Emit(ctx context.Context, ev bridges.Event) error {
	w.mu.Lock()
	gate, deaf := w.gate, w.deaf
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	w.net.Self()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		w.late++
	}
	w.events = append(w.events, ev)
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// Commit implements bridges.Sink.
func (w *watch) Commit(ctx context.Context, changes map[string][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == nil {
		w.state = make(map[string][]byte)
	}
	for name, value := range changes {
		if value == nil {
			delete(w.state, name)
			continue
		}
		w.state[name] = value
	}
	return ctx.Err()
}

// Load implements bridges.StateStore.
func (w *watch) Load(_ context.Context, prefix string) (map[string][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string][]byte)
	for name, value := range w.state {
		if strings.HasPrefix(name, prefix) {
			out[name] = value
		}
	}
	return out, nil
}

// Go implements bridges.Sink.
func (w *watch) Go(f func(context.Context)) {
	w.running.Add(1)
	ctx := w.ctx
	w.tasks.Go(func() {
		defer w.running.Add(-1)
		f(ctx)
	})
}

// shut makes Emit wait, open lets it go on.
func (w *watch) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = make(chan struct{})
}

func (w *watch) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate != nil {
		close(w.gate)
		w.gate = nil
	}
}

func (w *watch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

func (w *watch) all() []bridges.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]bridges.Event(nil), w.events...)
}

// next returns the next event of a type that fits, passing over others.
func next[T bridges.Event](w *watch, what string, fits func(T) bool) T {
	w.t.Helper()
	deadline := time.After(Patience)
	for {
		w.mu.Lock()
		for w.read < len(w.events) {
			ev, ok := w.events[w.read].(T)
			w.read++
			if ok && fits(ev) {
				w.mu.Unlock()
				return ev
			}
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("no %s", what)
		}
	}
}

// outcomes counts the events that answer an action.
func (w *watch) outcomes(ref bridges.Ref) (taken, failed int) {
	for _, ev := range w.all() {
		switch ev := ev.(type) {
		case *bridges.Message:
			if ev.Ref == ref {
				taken++
			}
		case *bridges.Failed:
			if ev.Ref == ref {
				failed++
			}
		}
	}
	return taken, failed
}

func (w *watch) newRef() bridges.Ref { w.ref++; return w.ref }

// join enters a room.
func (w *watch) join(room string) *bridges.Entered {
	w.t.Helper()
	ref := w.newRef()
	if err := w.net.Join(ref, room, bridges.JoinOptions{}); err != nil {
		w.t.Fatalf("Join %s: %v", room, err)
	}
	return next(w, "Entered "+room, func(e *bridges.Entered) bool { return e.Ref == ref })
}

// send says something and does not wait.
func (w *watch) send(room, body string) bridges.Ref {
	w.t.Helper()
	ref := w.newRef()
	if err := w.net.Send(ref, bridges.Place{Room: w.net.RoomID(room)}, bridges.Outgoing{Body: body}); err != nil {
		w.t.Fatalf("Send: %v", err)
	}
	return ref
}
