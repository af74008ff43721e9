package irc

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// patience is how long a test waits for what must come before it fails.
const patience = 10 * time.Second

// recorder is the session's end of a link: it keeps every event.
type recorder struct {
	ctx     context.Context
	mu      sync.Mutex
	events  []bridges.Event
	read    int
	changed chan struct{}
	ended   bool
	late    int // events after Run returned
	tasks   sync.WaitGroup
	// onEmit, when set, is called with each event before it is kept.
	onEmit func(bridges.Event)
}

func newRecorder(ctx context.Context) *recorder {
	return &recorder{ctx: ctx, changed: make(chan struct{})}
}

// Commit implements bridges.Sink: the driver keeps nothing.
func (r *recorder) Commit(context.Context, map[string][]byte) error { return nil }

func (r *recorder) Emit(ctx context.Context, ev bridges.Event) error {
	r.mu.Lock()
	onEmit := r.onEmit
	r.mu.Unlock()
	if onEmit != nil {
		onEmit(ev)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		r.late++
	}
	r.events = append(r.events, ev)
	close(r.changed)
	r.changed = make(chan struct{})
	return ctx.Err()
}

func (r *recorder) Go(f func(context.Context)) { r.tasks.Go(func() { f(r.ctx) }) }

// next returns the next event that fits, passing over others.
func (r *recorder) next(t testing.TB, what string, fits func(bridges.Event) bool) bridges.Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		for r.read < len(r.events) {
			ev := r.events[r.read]
			r.read++
			if fits(ev) {
				r.mu.Unlock()
				return ev
			}
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %s; events: %s", what, r.dump())
		}
	}
}

func (r *recorder) dump() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := ""
	for _, ev := range r.events {
		s += "\n  " + describe(ev)
	}
	return s
}

// since returns the events from a mark on.
func (r *recorder) since(mark int) []bridges.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]bridges.Event(nil), r.events[mark:]...)
}

// want returns the next event of a type that fits.
func want[T bridges.Event](t testing.TB, w *world, what string, fits func(T) bool) T {
	t.Helper()
	return w.rec.next(t, what, func(ev bridges.Event) bool {
		e, ok := ev.(T)
		return ok && (fits == nil || fits(e))
	}).(T)
}

// world is a server, a link to it, and who watches it.
type world struct {
	t    testing.TB
	srv  *irctest.Server
	d    *Driver
	net  *network
	rec  *recorder
	me   *irctest.Client // our connection as the server sees it
	stop context.CancelFunc
	done chan error
	ref  bridges.Ref
}

// setup changes how a world is made.
type setup struct {
	server   irctest.Config
	link     LinkConfig
	settings map[string]string
	start    bridges.Start
	hooks    func(*irctest.Server)
	nick     string // expected at Online; "" alice
	offline  bool   // Run is expected to end by itself
}

func newDriver(t testing.TB, srv *irctest.Server, l LinkConfig) *Driver {
	t.Helper()
	yes := true
	l.Plain, l.AllowPrivate = &yes, &yes
	l.Ports = []string{strconv.Itoa(int(srv.Port()))}
	if l.Burst == 0 {
		l.Burst = -1
	}
	if l.ConnectInterval == 0 {
		l.ConnectInterval = time.Nanosecond
	}
	d, err := New(Config{Networks: []NetworkConfig{{Name: "test", Hosts: []string{srv.Host()}, Link: l}}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func open(t testing.TB, s setup) *world {
	t.Helper()
	w := &world{t: t, srv: irctest.Start(t, s.server)}
	if s.hooks != nil {
		s.hooks(w.srv)
	}
	w.d = newDriver(t, w.srv, s.link)
	w.run(s)
	return w
}

// run opens the link and connects it.
func (w *world) run(s setup) {
	t := w.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	if w.net == nil {
		w.rec = newRecorder(ctx)
		link, err := w.d.Open(bridges.Account{Owner: "user@example.org", Network: "test", Nick: "alice", Settings: s.settings}, w.rec)
		if err != nil {
			t.Fatal(err)
		}
		w.net = link.(*network)
	}
	w.rec.ctx = ctx
	done := make(chan error, 1)
	w.done = done
	go func() {
		err := w.net.Run(ctx, s.start)
		w.rec.mu.Lock()
		w.rec.ended = true
		w.rec.mu.Unlock()
		cancel()
		w.rec.tasks.Wait()
		done <- err
	}()
	t.Cleanup(func() { w.end() })
	if s.offline {
		return
	}
	want(t, w, "Online", func(s *bridges.State) bool { return s.Kind == bridges.Online })
	w.me = w.srv.WaitClient(t, or(s.nick, "alice"))
}

// end ends the link and returns what Run said.
func (w *world) end() error {
	w.stop()
	return w.ended()
}

func (w *world) ended() error {
	w.t.Helper()
	select {
	case err := <-w.done:
		w.done <- err
		return err
	case <-time.After(patience):
		w.t.Fatal("Run does not end")
		return nil
	}
}

func (w *world) nextRef() bridges.Ref { w.ref++; return w.ref }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// join enters a channel.
func (w *world) join(name string) *bridges.Entered {
	w.t.Helper()
	ref := w.nextRef()
	w.ok(w.net.Join(ref, name, bridges.JoinOptions{}))
	return want(w.t, w, "Entered "+name, func(e *bridges.Entered) bool { return e.Ref == ref })
}

// failed waits for the refusal of an action.
func (w *world) failed(ref bridges.Ref) *bridges.Error {
	w.t.Helper()
	return want(w.t, w, "Failed", func(f *bridges.Failed) bool { return f.Ref == ref }).Err
}

// fence waits until everything the server has sent so far is handled.
func (w *world) fence() {
	w.t.Helper()
	ref := w.nextRef()
	w.ok(w.net.Raw(ref, "TIME"))
	want(w.t, w, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
}

func memberNicks(ms []bridges.Member) map[string]bridges.Member {
	all := make(map[string]bridges.Member, len(ms))
	for _, m := range ms {
		all[m.Nick] = m
	}
	return all
}
