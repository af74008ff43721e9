package matrix

import (
	"context"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"

	"transportd/bridges"
)

// maxCalling bounds the people of a room of whom it is known that they are in a call.
const maxCalling = 1000

// callQuiet is for how long after a call was told of nothing more is told of it: it
// is told in several ways.
const callQuiet = time.Minute

// callMember takes that somebody is in a call, or no longer.
func (t *turn) callMember(ctx context.Context, r *room, ev *event.Event, o object, live bool) {
	in := len(o) > 0 && (!o.has("memberships") || len(o.list("memberships")) > 0)
	n := t.n
	n.mu.Lock()
	begins := in && len(r.calling) == 0
	if key := *ev.StateKey; !in {
		delete(r.calling, key)
	} else if len(r.calling) < maxCalling {
		if r.calling == nil {
			r.calling = map[string]bool{}
		}
		r.calling[strings.Clone(key)] = true
	}
	place, reported := n.place(r)
	n.mu.Unlock()
	if begins && live && reported {
		t.call(ctx, r, place, ev)
	}
}

// callText is what is said of a call that only Matrix clients can be in.
const callText = "A call has begun: it can be joined in a Matrix client."

// call tells of a call, once.
func (t *turn) call(ctx context.Context, r *room, place bridges.Place, ev *event.Event) {
	n := t.n
	n.mu.Lock()
	told := r.callAt != 0 && ev.Timestamp-r.callAt < callQuiet.Milliseconds()
	r.callAt = max(r.callAt, ev.Timestamp)
	n.mu.Unlock()
	if !told {
		t.tellOf(ctx, r, place, ev, &content{What: contentMessage, Kind: bridges.Notice, Body: callText})
	}
}
