package session

import (
	"context"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// nullStream takes everything.
type nullStream struct{ sent chan struct{} }

func (n nullStream) Send(_ context.Context, o *component.Out) error {
	o.Release()
	select {
	case n.sent <- struct{}{}:
	default:
	}
	return nil
}
func (n nullStream) TrySend(o *component.Out) bool { o.Release(); return true }
func (nullStream) Request(o *component.Out, _ time.Duration, _ func(*component.Stanza, error)) {
	o.Release()
}
func (nullStream) NewID() string { return "id" }
func (nullStream) Up() bool      { return true }

func (nullStream) Confirmed() time.Time { return time.Now() }

func (nullStream) Privileges(string) (component.Privileges, bool) {
	return component.Privileges{}, true
}

// benchRoom is a room with one client in it.
func benchRoom(b *testing.B) *room {
	b.Helper()
	stream := nullStream{make(chan struct{}, 16)}
	policy := &Policy{Allowed: func(component.JID) bool { return true }, OpenJoin: true}
	m := NewManager(Config{
		Domain: component.JID{Domain: domain}, Driver: bridgetest.NewScript(), Stream: stream,
		Store:       &memStore{records: map[string]Record{}, seats: map[string]Seat{}},
		OccupantKey: make([]byte, 32), Policy: func() *Policy { return policy },
	})
	b.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	st, err := component.ParseStanza("<presence from='alice@home.example/a' to='#room%net@" + domain + "/alice'>" + muc + "</presence>")
	if err != nil {
		b.Fatal(err)
	}
	m.Deliver(st)
	<-stream.sent // the user's own presence
	<-stream.sent // the subject
	s := m.peek(component.JID{Local: "alice", Domain: "home.example"})
	got := make(chan *room)
	s.post(func() { got <- s.rooms["#room%net"] })
	return <-got
}

// BenchmarkLineToClient is one line of the network's, from the driver to the stream.
func BenchmarkLineToClient(b *testing.B) {
	r := benchRoom(b)
	ev := &bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "a line of about the usual length, as people write them", At: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.emit(b.Context(), input{l: r.l, ev: ev}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLineFromClient is one line of a client's that the network has taken.
func BenchmarkLineFromClient(b *testing.B) {
	r := benchRoom(b)
	st, err := component.ParseStanza("<message type='groupchat' id='m1' from='alice@home.example/a' to='#room%net@" + domain + "'><body>a line of about the usual length</body><origin-id xmlns='urn:xmpp:sid:0' id='m1'/></message>")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &spoken{r: r, st: st}
		r.sent++
		ref := r.expect(r.l, w)
		if err := r.emit(b.Context(), input{l: r.l, ev: &bridges.Message{Ref: ref, Place: bridges.Place{Room: "#room"}, Self: true}}); err != nil {
			b.Fatal(err)
		}
	}
}
