package matrix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// patience is how long a test waits for what must come before it fails.
const patience = 15 * time.Second

// kept is what is stored of an account, over the links that are opened for it.
type kept struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (k *kept) Load(_ context.Context, prefix string) (map[string][]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string][]byte{}
	for name, value := range k.values {
		if strings.HasPrefix(name, prefix) {
			out[name] = value
		}
	}
	return out, nil
}

func (k *kept) Save(_ context.Context, changes map[string][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values == nil {
		k.values = map[string][]byte{}
	}
	maps.Copy(k.values, changes)
	maps.DeleteFunc(k.values, func(_ string, v []byte) bool { return v == nil })
	return nil
}

// linked is a link of alice's with who watches it.
type linked struct {
	t     testing.TB
	d     *Driver
	srv   *matrixtest.Server
	alice *matrixtest.User
	net   *network
	kept  *kept

	stop  context.CancelFunc
	ctx   context.Context
	done  chan error
	tasks sync.WaitGroup
	ref   bridges.Ref

	mu      sync.Mutex
	events  []bridges.Event
	read    int
	changed chan struct{}
}

// settings log alice in at a server.
func settings(srv *matrixtest.Server, u *matrixtest.User) map[string]string {
	token, device := u.Login("GATEWAY")
	return map[string]string{setUser: u.ID, setUserID: u.ID, setHomeserver: srv.URL, setToken: token, setDevice: device}
}

// openLink opens a link for alice and runs it.
func openLink(t testing.TB, srv *matrixtest.Server, c Config, k *kept) *linked {
	t.Helper()
	return openAs(t, srv, c, k, settings(srv, srv.User("alice")))
}

// openAs opens a link for alice with what a login has given, and runs it.
func openAs(t testing.TB, srv *matrixtest.Server, c Config, k *kept, settings map[string]string) *linked {
	t.Helper()
	l := &linked{t: t, srv: srv, d: newDriver(t, c), alice: srv.User("alice"), kept: k, changed: make(chan struct{})}
	if l.kept == nil {
		l.kept = &kept{}
	}
	n, err := l.d.Open(bridges.Account{Owner: "user@example.org", Network: theNetwork, Settings: settings, State: l.kept}, l)
	if err != nil {
		t.Fatal(err)
	}
	l.net = n.(*network)
	l.run()
	return l
}

// run connects the link.
func (l *linked) run() {
	ctx, cancel := context.WithCancel(context.Background())
	l.mu.Lock()
	l.ctx, l.stop = ctx, cancel
	l.mu.Unlock()
	done := make(chan error, 1)
	l.done = done
	go func() {
		err := l.net.Run(ctx, bridges.Start{})
		cancel()
		l.tasks.Wait()
		done <- err
	}()
	l.t.Cleanup(func() { cancel(); l.ended() })
}

func (l *linked) ended() error {
	l.t.Helper()
	select {
	case err := <-l.done:
		l.done <- err
		return err
	case <-time.After(patience):
		l.t.Fatal("Run does not end")
		return nil
	}
}

func (l *linked) Emit(ctx context.Context, ev bridges.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, ev)
	close(l.changed)
	l.changed = make(chan struct{})
	return ctx.Err()
}

func (l *linked) Commit(ctx context.Context, changes map[string][]byte) error {
	return errors.Join(l.kept.Save(ctx, changes), ctx.Err())
}

func (l *linked) Go(f func(context.Context)) {
	l.mu.Lock()
	ctx := l.ctx
	l.mu.Unlock()
	l.tasks.Go(func() { f(ctx) })
}

func (l *linked) all() []bridges.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]bridges.Event(nil), l.events...)
}

// want returns the next event of a type that fits, passing over others.
func want[T bridges.Event](l *linked, what string, fits func(T) bool) T {
	l.t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		for l.read < len(l.events) {
			ev, ok := l.events[l.read].(T)
			l.read++
			if ok && (fits == nil || fits(ev)) {
				l.mu.Unlock()
				return ev
			}
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			var seen []string
			for _, ev := range l.all() {
				seen = append(seen, fmt.Sprintf("%.300s", fmt.Sprintf("%T %+v", ev, ev)))
			}
			l.t.Fatalf("no %s; events:\n%s", what, strings.Join(seen, "\n"))
		}
	}
}

func (l *linked) online() *linked {
	l.t.Helper()
	want(l, "Online", func(s *bridges.State) bool { return s.Kind == bridges.Online })
	return l
}

func (l *linked) nextRef() bridges.Ref { l.ref++; return l.ref }

func (l *linked) ok(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// join enters a room.
func (l *linked) join(r *matrixtest.Room) *bridges.Entered {
	l.t.Helper()
	ref := l.nextRef()
	l.ok(l.net.Join(ref, r.ID, bridges.JoinOptions{}))
	return want(l, "Entered", func(e *bridges.Entered) bool { return e.Ref == ref })
}

func (l *linked) say(to bridges.Place, text string) bridges.Ref {
	l.t.Helper()
	ref := l.nextRef()
	l.ok(l.net.Send(ref, to, bridges.Outgoing{Body: text}))
	return ref
}

// heard waits for a line.
func (l *linked) heard(text string) *bridges.Message {
	l.t.Helper()
	return want(l, "the line "+text, func(m *bridges.Message) bool { return m.Body == text })
}

// lines are the bodies of what was said in a room so far, history included, each
// event once.
func (l *linked) lines() (bodies []string, ids map[bridges.MessageID]int) {
	ids = map[bridges.MessageID]int{}
	take := func(m *bridges.Message) {
		if m.Ref != 0 {
			return
		}
		if ids[m.ID]++; ids[m.ID] == 1 {
			bodies = append(bodies, m.Body)
		}
	}
	for _, ev := range l.all() {
		switch ev := ev.(type) {
		case *bridges.Entered:
			for _, m := range ev.History {
				take(m)
			}
		case *bridges.Message:
			take(ev)
		}
	}
	return bodies, ids
}

// publicRoom is a room of bob's that alice is in.
func publicRoom(srv *matrixtest.Server) (bob *matrixtest.User, r *matrixtest.Room) {
	bob = srv.User("bob")
	r = bob.Create(matrixtest.RoomOptions{Name: "Room", Preset: "public_chat"})
	srv.User("alice").Join(r)
	return bob, r
}
