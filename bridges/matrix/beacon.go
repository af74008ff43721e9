package matrix

import (
	"context"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// personStates take state that is of one person: where they are, that they are in a
// call. None of it is stored, and live tells that it has just changed.
var personStates = map[string]func(t *turn, ctx context.Context, r *room, ev *event.Event, o object, live bool){
	"m.beacon_info":                  (*turn).beaconInfo,
	"org.matrix.msc3672.beacon_info": (*turn).beaconInfo,
	"m.call.member":                  (*turn).callMember,
	"m.rtc.member":                   (*turn).callMember,
	"org.matrix.msc3401.call.member": (*turn).callMember,
	"org.matrix.msc4143.rtc.member":  (*turn).callMember,
}

// maxBeacons bounds the people of a room who share where they are.
const maxBeacons = 200

// beacon is somebody who shares where they are (MSC3489): of the places the first and
// the last are told.
type beacon struct {
	told bool
	last *bridges.Location // after the first; nil: none
}

// readBeacon reads where somebody is who shares that.
func readBeacon(o object) content {
	for _, key := range locationKeys {
		if at, ok := bridges.ParseLocation(o.obj(key).str("uri")); ok {
			return content{What: contentBeacon, Location: at}
		}
	}
	return content{}
}

// beaconInfo takes that somebody begins to share where they are, or has stopped.
func (t *turn) beaconInfo(ctx context.Context, r *room, ev *event.Event, o object, live bool) {
	if !live || ev.StateKey == nil || id.UserID(*ev.StateKey) != ev.Sender {
		return
	}
	n := t.n
	n.mu.Lock()
	was := r.beacons[ev.Sender]
	delete(r.beacons, ev.Sender)
	if o.bool("live") {
		r.beaconOf(ev.Sender)
	}
	place, reported := n.place(r)
	n.mu.Unlock()
	if was != nil && was.last != nil && reported {
		t.tellOf(ctx, r, place, ev, &content{What: contentMessage, Kind: bridges.Emote, Body: "no longer shares their position, the last one was:", Location: was.last})
	}
}

// beaconOf is what is known of somebody who shares where they are; nil: too many do.
func (r *room) beaconOf(user id.UserID) *beacon {
	b := r.beacons[user]
	if b == nil && len(r.beacons) < maxBeacons {
		if r.beacons == nil {
			r.beacons = map[id.UserID]*beacon{}
		}
		b = &beacon{}
		r.beacons[user] = b
	}
	return b
}

// beacon takes where somebody is.
func (t *turn) beacon(ctx context.Context, r *room, place bridges.Place, ev *event.Event, c *content) {
	n := t.n
	n.mu.Lock()
	b := r.beaconOf(ev.Sender)
	first := b != nil && !b.told
	if first {
		b.told = true
	} else if b != nil {
		b.last = c.Location
	}
	n.mu.Unlock()
	if first {
		t.tellOf(ctx, r, place, ev, &content{What: contentMessage, Kind: bridges.Emote, Body: "shares their position for a while:", Location: c.Location})
	}
}

// tellOf tells what an event comes to.
func (t *turn) tellOf(ctx context.Context, r *room, place bridges.Place, ev *event.Event, c *content) {
	if m := t.message(ctx, r, place, ev, c); m != nil {
		t.emit(m)
	}
}
