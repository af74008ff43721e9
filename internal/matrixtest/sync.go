package matrixtest

import (
	"strconv"
	"strings"
	"time"
)

func (s *Server) syncRoutes() []route {
	return []route{
		{method: "GET", path: v3 + "sync", handle: s.getSync, unlocked: true},
		{method: "POST", path: v3 + "user/{user}/filter", handle: s.postFilter},
		{method: "GET", path: v3 + "user/{user}/filter/{filter}", handle: s.getFilter},
		{method: "GET", path: v3 + "presence/{user}/status", handle: s.getPresence},
		{method: "PUT", path: v3 + "presence/{user}/status", handle: s.putPresence},
	}
}

// v3 and v1 begin the paths of the client-server API.
const (
	v3 = "/_matrix/client/v3/"
	v1 = "/_matrix/client/v1/"
)

// token names a position, and position reads it.
func token(pos int64) string { return "s" + strconv.FormatInt(pos, 10) }

func position(token string) (int64, error) {
	digits, ok := strings.CutPrefix(token, "s")
	pos, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || pos < 0 {
		return 0, refuse(400, "M_INVALID_PARAM", "Invalid token.")
	}
	return pos, nil
}

// maxPoll is how long a sync waits at most.
const maxPoll = 2 * time.Minute

// getSync answers a sync at once when there is news, or waits for some.
func (s *Server) getSync(q *request) (any, error) {
	y, wait, err := s.newSync(q)
	if err != nil {
		return nil, err
	}
	var limit <-chan time.Time
	for {
		body, awake, err := y.round(wait > 0)
		if body != nil || err != nil {
			return body, err
		}
		if limit == nil {
			t := time.NewTimer(wait)
			defer t.Stop()
			limit = t.C
		}
		s.setWaiting(1)
		select {
		case <-awake:
		case <-limit:
			wait = 0
		case <-q.Context().Done():
			err = errGone
		}
		s.setWaiting(-1)
		if err != nil {
			return nil, err
		}
	}
}

func (s *Server) setWaiting(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += n
	s.notify()
}

// Waiting is how many syncs wait for news.
func (s *Server) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// syncing is one sync.
type syncing struct {
	s     *Server
	q     *request
	u     *User
	f     *filter
	since int64
	first bool // no since
	full  bool // full_state
	after bool // use_state_after: the state is that behind the timeline

	ignored map[string]bool // whose messages and invitations are left out

	w   writer
	v   view
	any bool // there is news
}

func (s *Server) newSync(q *request) (*syncing, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := q.filter()
	if err != nil {
		return nil, 0, err
	}
	y := &syncing{s: s, q: q, u: q.user, f: f, full: q.query("full_state") == "true", after: q.query("use_state_after") == "true"}
	if v := q.query("since"); v == "" {
		y.first = true
	} else if y.since, err = position(v); err != nil {
		return nil, 0, err
	}
	ms, err := q.number("timeout", 0, int(maxPoll.Milliseconds()))
	if err != nil {
		return nil, 0, err
	}
	switch p := q.query("set_presence"); p {
	case "", "online":
		y.u.setPresence("online", y.u.presence.text)
	case "unavailable":
		y.u.setPresence(p, y.u.presence.text)
	case "offline":
	default:
		return nil, 0, refuse(400, "M_INVALID_PARAM", "Unknown presence.")
	}
	wait := time.Duration(ms) * time.Millisecond
	if y.first || y.full {
		wait = 0
	}
	return y, wait, nil
}

// round returns what is new, or nothing and what to wait for if it may wait.
func (y *syncing) round(mayWait bool) (*answer, <-chan struct{}, error) {
	s := y.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := y.q.authenticate(false); err != nil { // it may have ended meanwhile
		return nil, nil, err
	}
	y.w, y.any = writer{}, false
	y.v = view{dev: y.q.dev, related: true, now: s.cfg.Now()}
	y.build()
	if !y.any && mayWait {
		return nil, y.u.awake(), nil
	}
	return raw(y.w.b), nil, nil
}

// build writes the whole answer.
func (y *syncing) build() {
	w, u := &y.w, y.u
	w.open('{')
	w.key("next_batch").str(token(y.s.pos))
	y.ignored = u.ignored()
	y.rooms()
	if y.any { // they are for a sync with news of rooms
		u.gap, u.repeat = 0, 0
	}
	w.key("account_data").open('{')
	w.key("events").open('[')
	for typ, content := range u.data.since(y.since) {
		if y.f.Data.wantsType(typ) {
			w.data(typ, content)
			y.any = true
		}
	}
	w.close(']')
	w.close('}')
	w.key("presence").open('{')
	w.key("events").open('[')
	if y.f.Presence.wantsType("m.presence") {
		y.presences()
	}
	w.close(']')
	w.close('}')
	y.toDevice()
	if !y.first && u.keyNews.newest() > y.since {
		w.key("device_lists").raw(encode(u.keyLists(y.since)))
		y.any = true
	}
	w.key("device_one_time_keys_count").raw(encode(y.q.dev.keyCounts()))
	w.key("device_unused_fallback_key_types").raw(encode(y.q.dev.fallbacks()))
	w.close('}')
}

// presences writes whose presence changed; the first time, of all.
func (y *syncing) presences() {
	if y.first {
		for other := range y.u.acquaintances() {
			y.w.presenceEvent(other, y.v)
		}
		return
	}
	for other := range y.u.presences.since(y.since) {
		y.w.presenceEvent(other, y.v)
		y.any = true
	}
}

func (w *writer) data(typ string, content []byte) {
	w.open('{')
	w.key("content").raw(content)
	w.key("type").str(typ)
	w.close('}')
}

// rooms writes the sections of rooms. Rooms that did not change are not looked
// at, but for a first sync.
func (y *syncing) rooms() {
	since := y.since
	if y.full {
		since = -1
	}
	sections := map[string]*writer{}
	for r := range y.u.rooms.since(since) {
		if !y.f.wantsRoom(r.ID) {
			continue
		}
		section, write := y.section(r)
		if write == nil {
			continue
		}
		w := sections[section]
		if w == nil {
			w = new(writer)
			sections[section] = w
		}
		w.key(r.ID)
		write(r, w)
		y.any = true
	}
	y.w.key("rooms").open('{')
	for _, name := range []string{"join", "invite", "knock", "leave"} {
		if w := sections[name]; w != nil {
			y.w.key(name).open('{')
			y.w.b = append(y.w.b, w.b...)
			y.w.close('}')
		}
	}
	y.w.close('}')
}

// section tells where a room belongs, and how it is written; nil: not at all.
func (y *syncing) section(r *Room) (string, func(*Room, *writer)) {
	m := r.members[y.u.ID]
	fresh := m != nil && m.pos > y.since || y.first
	switch kind := m.membership(); kind {
	case "join":
		return kind, y.joined
	case "invite", "knock":
		if (fresh || y.full) && !y.ignored[m.Sender] {
			return kind, y.outside
		}
	case "leave", "ban":
		if y.first || m == nil {
			if y.f.Room.Left && m != nil {
				return "leave", y.left
			}
		} else if fresh {
			return "leave", y.left
		}
	}
	return "", nil
}

// outside writes a room the user is invited to or knocks at.
func (y *syncing) outside(r *Room, w *writer) {
	name := "invite_state"
	if r.membership(y.u.ID) == "knock" {
		name = "knock_state"
	}
	w.open('{')
	w.key(name).open('{')
	w.key("events")
	r.stripped(w, y.u.ID)
	w.close('}')
	w.close('}')
}
