package matrixtest

import "slices"

// maxTimeline is how many events of a room a sync has at most.
const maxTimeline = 1000

// window is the part of a room's timeline that a sync has.
type window struct {
	events  []*Event
	from    int // index of its first event, or of the event after it
	end     int // index behind its last event
	base    int // index where the news begin
	limited bool
	fresh   bool // the user came in meanwhile: everything is news
}

// window chooses events, up to index end.
func (y *syncing) window(r *Room, end int) window {
	f := &y.f.Room.Timeline
	limit := f.limit(10, maxTimeline)
	if y.u.gap > 0 && !y.first {
		limit = min(limit, y.u.gap)
	}
	x := window{fresh: y.first, end: end}
	if !y.first {
		m := r.members[y.u.ID]
		for m != nil && m.pos > y.since {
			m = m.was
		}
		x.fresh = m.membership() != "join" && r.membership(y.u.ID) == "join"
	}
	if !x.fresh {
		x.base = r.after(y.since)
	}
	lowest := x.base
	if !x.fresh {
		lowest = max(0, lowest-y.u.repeat)
		limit += x.base - lowest
	}
	x.from = end
	for i := end - 1; i >= lowest; i-- {
		e := r.timeline[i]
		if !f.wants(e) || !f.wantsRoom(r.ID) || e.StateKey == nil && y.ignored[e.Sender] || !r.sees(y.u.ID, e) {
			continue
		}
		if len(x.events) == limit {
			x.limited = true
			break
		}
		x.events = append(x.events, e)
		x.from = i
	}
	slices.Reverse(x.events)
	return x
}

// state is the state before a window that the client does not have, or behind it.
func (y *syncing) state(r *Room, x window) []*Event {
	f := &y.f.Room.State
	var want map[string]bool
	if f.Lazy {
		want = map[string]bool{}
		if x.fresh || y.full {
			want[y.u.ID] = true
		}
		for _, e := range x.events {
			want[e.Sender] = true
			if e.member() {
				want[*e.StateKey] = true
			}
		}
	}
	var state []*Event
	until := max(x.base, x.from)
	if y.after {
		until = x.end
	}
	if x.fresh || y.full {
		state = r.stateAt(until, want)
	} else {
		state = r.stateBetween(x.base, until, want)
	}
	return slices.DeleteFunc(state, func(e *Event) bool { return !f.wants(e) || !f.wantsRoom(r.ID) })
}

// joined writes a room the user is in.
func (y *syncing) joined(r *Room, w *writer) {
	x := y.window(r, len(r.timeline))
	state := y.state(r, x)
	w.open('{')
	if x.fresh || y.full || slices.ContainsFunc(r.timeline[x.base:], (*Event).member) {
		w.key("summary").open('{')
		w.key("m.heroes").raw(encode(r.heroes(y.u)))
		w.key("m.joined_member_count").int(int64(len(r.joined)))
		w.key("m.invited_member_count").int(int64(r.invited))
		w.close('}')
	}
	y.timeline(w, x, state)
	w.key("ephemeral").open('{')
	w.key("events").open('[')
	y.ephemeral(r, w, x.fresh)
	w.close(']')
	w.close('}')
	w.key("account_data").open('{')
	w.key("events").open('[')
	if data := y.u.roomData[r]; data != nil {
		since := y.since
		if x.fresh || y.full {
			since = -1
		}
		for typ, content := range data.since(since) {
			if y.f.Room.Data.wantsType(typ) {
				w.data(typ, content)
			}
		}
	}
	w.close(']')
	w.close('}')
	w.key("unread_notifications").raw([]byte(`{"highlight_count":0,"notification_count":0}`))
	w.close('}')
}

// left writes a room the user is no longer in: up to the user's going.
func (y *syncing) left(r *Room, w *writer) {
	x := y.window(r, r.members[y.u.ID].index+1)
	w.open('{')
	y.timeline(w, x, y.state(r, x))
	w.close('}')
}

func (y *syncing) timeline(w *writer, x window, state []*Event) {
	name := "state"
	if y.after {
		name = "state_after"
	}
	w.key(name).open('{')
	w.key("events").events(state, y.v)
	w.close('}')
	w.key("timeline").open('{')
	w.key("events").events(x.events, y.v)
	w.key("limited").bool(x.limited)
	prev := y.since
	switch {
	case len(x.events) > 0:
		prev = x.events[0].pos - 1
	case x.fresh:
		prev = y.s.pos
	}
	w.key("prev_batch").str(token(prev))
	w.close('}')
}

// ephemeral writes who types and who has read what.
func (y *syncing) ephemeral(r *Room, w *writer, all bool) {
	since := y.since
	if all || y.full {
		since = 0
	}
	if r.typingPos > since && y.f.Room.Ephemeral.wantsType("m.typing") {
		w.data("m.typing", encode(object{"user_ids": r.typists()}))
	}
	if !y.f.Room.Ephemeral.wantsType("m.receipt") {
		return
	}
	content := object{}
	for k, rc := range r.receipts.since(since) {
		if k.kind == "m.read.private" && k.user != y.u.ID {
			continue
		}
		data := object{"ts": rc.at}
		if k.thread != "" {
			data["thread_id"] = k.thread
		}
		kinds := child(content, rc.event)
		child(kinds, k.kind)[k.user] = data
	}
	if len(content) > 0 {
		w.data("m.receipt", encode(content))
	}
}

// child returns an object inside another, which it makes when there is none.
func child(o object, name string) object {
	c, ok := o[name].(object)
	if !ok {
		c = object{}
		o[name] = c
	}
	return c
}
