package matrixtest

import (
	"slices"
	"strconv"
	"time"
)

func (s *Server) historyRoutes() []route {
	list := []route{
		{method: "GET", path: v3 + "rooms/{room}/messages", handle: s.messages},
		{method: "GET", path: v3 + "rooms/{room}/context/{event}", handle: s.getContext},
		{method: "GET", path: v3 + "rooms/{room}/event/{event}", handle: s.getEvent},
		{method: "GET", path: v1 + "rooms/{room}/timestamp_to_event", handle: s.timestampToEvent},
	}
	for _, end := range []string{"", "/{rel}", "/{rel}/{type}"} {
		list = append(list, route{method: "GET", path: v1 + "rooms/{room}/relations/{event}" + end, handle: s.relations})
	}
	return list
}

// page is a part of a room's history.
type page struct {
	events []*Event // in the order of the direction
	end    string   // where it goes on; "": nowhere
}

// page collects events from an index on, downwards with back, that a test takes.
func (r *Room) page(user string, from, to int, back bool, limit int, want func(*Event) bool) page {
	var p page
	if limit == 0 {
		return p
	}
	step := 1
	if back {
		step = -1
	}
	for i := from; i >= 0 && i < len(r.timeline) && i != to; i += step {
		e := r.timeline[i]
		if !r.sees(user, e) || !want(e) {
			continue
		}
		if len(p.events) == limit {
			last := p.events[limit-1]
			p.end = token(last.pos)
			if back {
				p.end = token(last.pos - 1)
			}
			break
		}
		p.events = append(p.events, e)
	}
	return p
}

// start is the index a token stands for, for a direction.
func (r *Room) start(tok string, back bool) (int, error) {
	if tok == "" {
		if back {
			return len(r.timeline) - 1, nil
		}
		return 0, nil
	}
	pos, err := position(tok)
	i := r.after(pos)
	if back {
		i--
	}
	return i, err
}

// way reads the direction of a request; the default is backwards.
func (q *request) way() (back bool, err error) {
	switch q.query("dir") {
	case "b", "":
		return true, nil
	case "f":
		return false, nil
	}
	return false, refuse(400, "M_INVALID_PARAM", "dir must be b or f.")
}

func (s *Server) messages(q *request) (any, error) {
	r, err := q.reader()
	if err != nil {
		return nil, err
	}
	f, err := q.eventFilter()
	if err != nil {
		return nil, err
	}
	if q.query("dir") == "" {
		return nil, refuse(400, "M_MISSING_PARAM", "Missing dir.")
	}
	p, err := q.page(r, 10, f.wants)
	if err != nil {
		return nil, err
	}
	var w writer
	v := s.view(q.dev)
	w.open('{')
	begin := q.query("from")
	orDefault(&begin, token(s.pos))
	w.key("start").str(begin)
	if p.end != "" {
		w.key("end").str(p.end)
	}
	w.key("chunk").events(p.events, v)
	if f.Lazy {
		w.key("state").events(r.senders(p.events), v)
	}
	w.close('}')
	return raw(w.b), nil
}

// page reads from, to, dir and limit.
func (q *request) page(r *Room, limit int, want func(*Event) bool) (p page, err error) {
	back, err := q.way()
	if err != nil {
		return p, err
	}
	if limit, err = q.number("limit", limit, maxTimeline); err != nil {
		return p, err
	}
	from, err := r.start(q.query("from"), back)
	if err != nil {
		return p, err
	}
	to := -1
	if !back {
		to = len(r.timeline)
	}
	if v := q.query("to"); v != "" {
		if to, err = r.start(v, back); err != nil {
			return p, err
		}
	}
	return r.page(q.user.ID, from, to, back, max(1, limit), want), nil
}

// senders are the member events of who said something.
func (r *Room) senders(list []*Event) []*Event {
	var out []*Event
	for _, e := range list {
		if m := r.members[e.Sender]; m != nil && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// event is the event of the path, which the user must be allowed to see.
func (q *request) event() (*Room, *Event, error) {
	r, err := q.reader()
	if err != nil {
		return nil, nil, err
	}
	e := r.events[q.PathValue("event")]
	if e == nil || !r.sees(q.user.ID, e) {
		return nil, nil, notFound("Event not found.")
	}
	return r, e, nil
}

func (s *Server) getEvent(q *request) (any, error) {
	_, e, err := q.event()
	if err != nil {
		return nil, err
	}
	return raw(e.one(s.view(q.dev))), nil
}

func (s *Server) getContext(q *request) (any, error) {
	r, e, err := q.event()
	if err != nil {
		return nil, err
	}
	f, err := q.eventFilter()
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit", 10, maxTimeline)
	if err != nil {
		return nil, err
	}
	before := r.page(q.user.ID, e.index-1, -1, true, (limit+1)/2, f.wants).events
	after := r.page(q.user.ID, e.index+1, len(r.timeline), false, limit/2, f.wants).events
	first, last := e, e
	if n := len(before); n > 0 {
		first = before[n-1]
	}
	if n := len(after); n > 0 {
		last = after[n-1]
	}
	var want map[string]bool
	if f.Lazy {
		want = map[string]bool{}
		for _, x := range slices.Concat(before, after, []*Event{e}) {
			want[x.Sender] = true
		}
	}
	var w writer
	v := s.view(q.dev)
	w.open('{')
	w.key("start").str(token(first.pos - 1))
	w.key("end").str(token(last.pos))
	w.key("event").event(e, v)
	w.key("events_before").events(before, v)
	w.key("events_after").events(after, v)
	w.key("state").events(r.stateAt(last.index+1, want), v)
	w.close('}')
	return raw(w.b), nil
}

func (s *Server) timestampToEvent(q *request) (any, error) {
	r, err := q.reader()
	if err != nil {
		return nil, err
	}
	ms, err := strconv.ParseInt(q.query("ts"), 10, 64)
	if err != nil {
		return nil, refuse(400, "M_INVALID_PARAM", "ts must be a number.")
	}
	back, err := q.way()
	if err != nil {
		return nil, err
	}
	at := time.UnixMilli(ms)
	var best *Event // times need not be in the order of the timeline
	for _, e := range r.timeline {
		off := e.At.Truncate(time.Millisecond).Sub(at)
		if back {
			off = -off
		}
		if off < 0 || !r.sees(q.user.ID, e) {
			continue
		}
		if best == nil || back && !e.At.Before(best.At) || !back && e.At.Before(best.At) {
			best = e
		}
	}
	if best == nil {
		return nil, notFound("Unable to find event from " + q.query("ts"))
	}
	return object{"event_id": best.ID, "origin_server_ts": best.At.UnixMilli()}, nil
}

func (s *Server) relations(q *request) (any, error) {
	r, e, err := q.event()
	if err != nil {
		return nil, err
	}
	rel, typ := q.PathValue("rel"), q.PathValue("type")
	p, err := q.page(r, 50, func(x *Event) bool {
		return x.target == e.ID && (rel == "" || x.rel == rel) && (typ == "" || x.Type == typ)
	})
	if err != nil {
		return nil, err
	}
	var w writer
	w.open('{')
	w.key("chunk").events(p.events, s.view(q.dev))
	if p.end != "" {
		w.key("next_batch").str(p.end)
	}
	if from := q.query("from"); from != "" {
		w.key("prev_batch").str(from)
	}
	w.close('}')
	return raw(w.b), nil
}
