package matrixtest

import (
	"encoding/json"
	"slices"
	"sort"
	"time"
)

// Room is a room. Its methods are safe for concurrent use.
type Room struct {
	ID      string // "!…:hs.test", of version 12 "!" and 43 characters
	Version string

	s        *Server
	timeline []*Event
	events   map[string]*Event // by id
	related  map[string][]*Event
	state    map[stateKey]*Event // but for members
	members  map[string]*Event   // by user id
	joined   map[*User]struct{}
	watching map[*User]struct{} // those of joined who have logins
	arrivals []*User            // who ever joined, in that order: heroes are the first still there
	invited  int
	power    power
	public   bool  // in the directory
	changed  int64 // position of the last change its members are told

	typing    map[*User]*time.Timer
	typingPos int64
	receipts  recent[receiptKey, receipt]
}

type stateKey struct{ typ, key string }

type receiptKey struct {
	user, kind, thread string
}

type receipt struct {
	event string
	at    int64 // ms
}

func (s *Server) newRoom(id, version string) *Room {
	r := &Room{
		ID: id, Version: version, s: s,
		events: map[string]*Event{}, related: map[string][]*Event{},
		state: map[stateKey]*Event{}, members: map[string]*Event{}, joined: map[*User]struct{}{},
		watching: map[*User]struct{}{},
		typing:   map[*User]*time.Timer{},
	}
	s.rooms[id] = r
	s.order = append(s.order, r)
	return r
}

// current is a state event, nil where there is none.
func (r *Room) current(typ, key string) *Event {
	if typ == "m.room.member" {
		return r.members[key]
	}
	return r.state[stateKey{typ, key}]
}

// stateField is a string of a state event with the empty key.
func (r *Room) stateField(typ, name string) string {
	if e := r.current(typ, ""); e != nil {
		return field(e.Content, name)
	}
	return ""
}

func (r *Room) joinRule() string {
	if rule := r.stateField("m.room.join_rules", "join_rule"); rule != "" {
		return rule
	}
	return "invite"
}

func (r *Room) visibility() string {
	switch v := r.stateField("m.room.history_visibility", "history_visibility"); v {
	case "joined", "invited", "world_readable":
		return v
	}
	return "shared"
}

func (r *Room) membership(user string) string { return r.members[user].membership() }

func (r *Room) spaceType() string { return r.stateField("m.room.create", "type") }

// add appends an event and tells those it concerns. Nothing is checked.
func (r *Room) add(e *Event) *Event {
	s := r.s
	if e.ID == "" {
		e.ID = "$" + s.hash()
	}
	if e.At.IsZero() {
		e.At = s.cfg.Now()
	}
	e.Room, e.pos, e.index = r, s.next(), len(r.timeline)
	if e.StateKey != nil {
		e.was = r.current(e.Type, *e.StateKey)
	}
	if e.core == nil {
		e.encodeCore()
	}
	e.relate()
	if e.target != "" {
		r.related[e.target] = append(r.related[e.target], e)
	}
	r.timeline = append(r.timeline, e)
	r.events[e.ID] = e
	if e.StateKey != nil {
		r.setState(e)
	}
	e.visible = r.visibility()
	if e.Type == "m.room.redaction" && r.events[e.Redacts] != nil {
		r.redact(e)
	}
	r.tell(e.pos)
	return e
}

// tell marks the room as changed for all who are in. Who has no login looks at
// everything with the first sync.
func (r *Room) tell(pos int64) {
	r.changed = pos
	for u := range r.watching {
		u.rooms.put(r, struct{}{}, pos)
		u.wakeUp()
	}
}

func (r *Room) setState(e *Event) {
	if !e.member() {
		r.state[stateKey{e.Type, *e.StateKey}] = e
		switch e.Type {
		case "m.room.power_levels", "m.room.create":
			r.power = r.readPower()
		case "m.room.encryption":
			for u := range r.watching {
				r.shareKeys(u)
			}
		}
		return
	}
	u := r.s.person(*e.StateKey)
	old, now := r.membership(u.ID), e.membership()
	r.members[u.ID] = e
	if old == "invite" {
		r.invited--
	}
	if now == "invite" {
		r.invited++
	}
	if (now == "join" || now == "invite") && (e.was == nil || !slices.Contains(r.arrivals, u)) {
		r.arrivals = append(r.arrivals, u)
	}
	switch {
	case now == "join" && old != "join":
		r.joined[u] = struct{}{}
		if len(u.devices) > 0 {
			r.watching[u] = struct{}{}
		}
		r.s.introduce(r, u)
		r.shareKeys(u)
	case now != "join" && old == "join":
		delete(r.joined, u)
		delete(r.watching, u)
		r.unshareKeys(u)
		r.setTyping(u, false, 0)
	}
	u.rooms.put(r, struct{}{}, e.pos)
	u.wakeUp()
}

// maxHeroes is how many members a room without a name is called after.
const maxHeroes = 5

// heroes are the first members and invited besides one; where there are none,
// those who were there.
func (r *Room) heroes(except *User) []string {
	there, gone := []string{}, []string{}
	for _, u := range r.arrivals {
		if len(there) == maxHeroes {
			break
		}
		list := &gone
		if m := r.membership(u.ID); m == "join" || m == "invite" {
			list = &there
		}
		if u != except && len(*list) < maxHeroes && !slices.Contains(*list, u.ID) {
			*list = append(*list, u.ID)
		}
	}
	if len(there) == 0 {
		return gone
	}
	return there
}

// redact takes the content of what e redacts away.
func (r *Room) redact(e *Event) {
	old := r.events[e.Redacts]
	if old.because != nil {
		return
	}
	p := old.pruned(e)
	r.events[p.ID] = p
	r.timeline[p.index] = p
	if p.StateKey != nil && r.current(p.Type, *p.StateKey) == old {
		if p.member() {
			r.members[*p.StateKey] = p
		} else {
			r.state[stateKey{p.Type, *p.StateKey}] = p
		}
	}
	if list := r.related[old.target]; old.target != "" {
		r.related[old.target] = slices.DeleteFunc(slices.Clone(list), func(x *Event) bool { return x == old })
	}
}

// after is the index of the first event later than a position.
func (r *Room) after(pos int64) int {
	return sort.Search(len(r.timeline), func(i int) bool { return r.timeline[i].pos > pos })
}

// sees tells whether a user may read an event, by the history visibility of its
// time and the user's membership then and since.
func (r *Room) sees(user string, e *Event) bool {
	if e.visible == "world_readable" || e.member() && *e.StateKey == user {
		return true
	}
	later := false
	m := r.members[user]
	for ; m != nil && m.pos > e.pos; m = m.was {
		later = later || m.membership() == "join"
	}
	switch at := m.membership(); e.visible {
	case "joined":
		return at == "join"
	case "invited":
		return at == "join" || at == "invite" && later
	default:
		return at == "join" || later
	}
}

// stateAt is the state after the event before index i of the timeline; members
// are those that want tells, nil: all.
func (r *Room) stateAt(i int, want map[string]bool) []*Event {
	at := map[stateKey]*Event{}
	back := func(e *Event) *Event {
		for e != nil && e.index >= i {
			e = e.was
		}
		return e
	}
	for k, e := range r.state {
		if e := back(e); e != nil {
			at[k] = e
		}
	}
	if want == nil {
		for id, e := range r.members {
			if e := back(e); e != nil {
				at[stateKey{"m.room.member", id}] = e
			}
		}
	}
	for id := range want {
		if e := back(r.members[id]); e != nil {
			at[stateKey{"m.room.member", id}] = e
		}
	}
	return sorted(at)
}

// stateBetween is what changed in the state from index i to before j, with the
// members that want tells besides; nil: all that changed.
func (r *Room) stateBetween(i, j int, want map[string]bool) []*Event {
	at := map[stateKey]*Event{}
	for _, e := range r.timeline[i:j] {
		if e.StateKey != nil {
			at[stateKey{e.Type, *e.StateKey}] = e
		}
	}
	for id := range want {
		e := r.members[id]
		for e != nil && e.index >= j {
			e = e.was
		}
		if e != nil {
			at[stateKey{"m.room.member", id}] = e
		}
	}
	return sorted(at)
}

func sorted(m map[stateKey]*Event) []*Event {
	out := make([]*Event, 0, len(m))
	for _, e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Event) int { return int(a.pos - b.pos) })
	return out
}

// stripped is what the invited and knocking get to know.
func (r *Room) stripped(w *writer, user string) {
	w.open('[')
	for _, typ := range []string{"m.room.create", "m.room.name", "m.room.avatar", "m.room.topic", "m.room.join_rules", "m.room.canonical_alias", "m.room.encryption"} {
		if e := r.current(typ, ""); e != nil {
			w.stripped(e, false)
		}
	}
	me := r.members[user]
	if e := r.members[me.Sender]; me.Sender != user && e != nil {
		w.stripped(e, false)
	}
	w.stripped(me, false)
	w.close(']')
}

// contentOf decodes a content; what does not fit stays zero.
func contentOf[T any](e *Event) (c T) {
	if e != nil {
		_ = json.Unmarshal(e.Content, &c)
	}
	return c
}
