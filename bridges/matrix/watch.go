package matrix

import (
	"context"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// watch waits for a room to show a change that the user has asked for.
type watch struct {
	n    *network
	room id.RoomID

	// Under the network's mu.
	kind string // empty: there is nothing to wait for
	key  string
	fits func(*event.Event) bool

	seen chan struct{}
	once sync.Once
}

// expect says which state event is the change. It is called before the request, which
// may be answered later than the event comes.
func (w *watch) expect(kind event.Type, key string, fits func(*event.Event) bool) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	w.kind, w.key, w.fits = kind.Type, key, fits
	if !slices.Contains(w.n.watches, w) {
		w.n.watches = append(w.n.watches, w)
	}
}

// membership expects that somebody becomes one of these to the room.
func (w *watch) membership(user id.UserID, one ...event.Membership) {
	w.expect(event.StateMember, string(user), func(ev *event.Event) bool {
		return slices.Contains(one, event.Membership(readObject(ev.Content.VeryRaw).str("membership")))
	})
}

// shows tells those who wait for it that a room's state has changed. mu is held.
func (n *network) shows(room id.RoomID, ev *event.Event) {
	for _, w := range n.watches {
		if w.room == room && w.kind == ev.Type.Type && w.key == ev.GetStateKey() && w.fits(ev) {
			w.once.Do(func() { close(w.seen) })
		}
	}
}

// changes queues a request that changes a room; the outcome is Done once the room shows
// what request expects, or Failed.
func (n *network) changes(ref bridges.Ref, room bridges.RoomID, request func(context.Context, *watch) error) error {
	return n.do(ref, string(room), func(ctx context.Context) {
		w := &watch{n: n, room: id.RoomID(room), seen: make(chan struct{})}
		err := n.retried(ctx, func(ctx context.Context) error { return request(ctx, w) })
		if err == nil {
			err = w.wait(ctx)
		}
		n.mu.Lock()
		n.watches = slices.DeleteFunc(n.watches, func(o *watch) bool { return o == w })
		n.mu.Unlock()
		n.outcome(ctx, ref, err)
	})
}

// wait waits for the change, of which the homeserver has said that it is made.
func (w *watch) wait(ctx context.Context) *bridges.Error {
	w.n.mu.Lock()
	nothing := w.kind == ""
	w.n.mu.Unlock()
	if nothing {
		return nil
	}
	timer := time.NewTimer(joinTime)
	defer timer.Stop()
	select {
	case <-w.seen:
		return nil
	case <-timer.C:
		return &bridges.Error{Kind: bridges.Timeout, Uncertain: true, Text: "Your homeserver has taken this, but does not show the change yet."}
	case <-ctx.Done():
		return &bridges.Error{Kind: bridges.Offline, Uncertain: true, Text: "The connection to your homeserver was lost; the change may have been made."}
	}
}

func errNotIn() *bridges.Error {
	return bridges.NewError(bridges.NotJoined, "You are not in this room.")
}
