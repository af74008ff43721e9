package archive

import (
	"maps"
	"time"
)

// Member is a user who is in a room and has it recorded. Its methods are for one
// goroutine at a time; those of several members need not wait for each other.
type Member struct {
	h     *hall
	user  string // bare JID
	jid   string // of the room, bare
	slot  int
	since int64 // key from which on lines are this member's
	last  int64 // key of the last one
	back  int64 // key of the last line put in place
	nick  string
	left  bool
}

type memberKey struct{ gateway, user, jid string }

// Heard is a line as a user's connection brought it, or as the user said it.
type Heard struct {
	Nick, Body string
	At         time.Time // the network's time; zero: now
	Came       time.Time // when it came here; zero: now
	ID         string    // message id; empty: the key
	NetID      string    // what the network calls it, where it does
	Occupant   string    // identity, where known
	Extra      []byte    // further children of the message, as XML
	Self       bool      // the user said it
	Private    bool      // it was said to the user and some others only
	// InPlace: an old line, played back, that belongs where its time says. It is
	// this user's alone.
	InPlace bool
	Named   bool // the network refers to its lines by NetID
}

// Enter notes that a user is in a room from now on, under a nick. jid is the bare
// JID under which the user knows the room.
func (a *Archive) Enter(room Room, user, jid, nick string) *Member {
	key := memberKey{room.Gateway, user, jid}
	a.mu.Lock()
	old := a.members[key]
	a.mu.Unlock()
	if old != nil { // the same user by another door: the newer one counts
		old.Leave()
	}
	m := &Member{user: user, jid: jid, nick: nick}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.halls[room]
	now := a.now()
	if h == nil {
		h = &hall{a: a, name: room, last: a.ahead[room]}
		if a.reached > now { // somebody may have been there at that time
			h.last = max(h.last, a.reached)
		}
		a.halls[room] = h
	}
	a.members[key] = m
	h.mu.Lock()
	defer h.mu.Unlock()
	m.h = h
	m.since = max(now, h.last+1, h.left+1)
	// What m hears must not stand before that, whatever the network's clock says, or
	// ours when it is set back.
	h.last = m.since - 1
	m.slot = h.takeSlot(time.Now())
	h.members[m.slot], h.users[m.slot] = m, user
	h.present++
	a.Apply(&Enter{Room: room, User: user, JID: jid, At: m.since})
	return m
}

// now is the time by our clock, in microseconds. The caller holds a.mu.
func (a *Archive) now() int64 {
	now := a.clock().UnixMicro()
	a.reached = max(a.reached, now)
	return now
}

// keepAhead remembers the last line of a room that is empty now, while it is later
// than our clock: whoever comes next must not be put before it.
func (a *Archive) keepAhead(room Room, last int64) {
	now := a.now()
	maps.DeleteFunc(a.ahead, func(_ Room, at int64) bool { return at < now })
	if last >= now {
		a.ahead[room] = last
	}
}

// Leave notes that the user is no longer in the room, or wants it recorded no
// longer.
func (m *Member) Leave() {
	h := m.h
	h.a.mu.Lock()
	defer h.a.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.left {
		return
	}
	m.left = true
	for i := range h.recent {
		if e := &h.recent[i]; e.line != nil && e.expect.has(m.slot) && !e.claims.has(m.slot) {
			h.conclude(e) // while it is known who m is
		}
	}
	at := max(h.a.now(), m.last+1, m.since+1)
	h.left, h.last = max(h.left, at), max(h.last, at-1) // what comes now is not m's any more
	h.a.Apply(&Leave{Room: h.name, User: m.user, At: at})
	h.members[m.slot] = nil
	h.freed = append(h.freed, freedSlot{m.slot, time.Now()})
	if h.present--; h.present == 0 {
		for i := range h.recent {
			h.conclude(&h.recent[i])
		}
		delete(h.a.halls, h.name)
		h.a.keepAhead(h.name, max(h.last, h.left))
	}
	if key := (memberKey{h.name.Gateway, m.user, m.jid}); h.a.members[key] == m {
		delete(h.a.members, key)
	}
}

// Record stores a line and returns its key. False: it could not be kept (see
// Archive.Apply); it is then not in the archive.
func (m *Member) Record(in *Heard) (Key, bool) {
	h := m.h
	now := in.Came
	if now.IsZero() {
		now = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.left {
		return Key{}, false
	}
	own := in.Self || in.Private || in.InPlace
	shared := h.name.Owner == "" && !own && h.present > 1
	var hash uint64
	if shared {
		hash = in.hash()
		if key, ok := h.claim(m, hash); ok {
			m.last = max(m.last, key.At)
			return key, true
		}
	}
	op := &AddLine{Room: h.name, Line: Line{
		Self: in.Self, Nick: in.Nick, Body: in.Body, ID: in.ID, NetID: in.NetID, Occupant: in.Occupant, Extra: in.Extra,
	}, Named: in.Named && in.NetID != ""}
	l := &op.Line
	l.Key = Key{At: m.placeOf(in, h.a.clock()), Tie: tie()}
	if h.name.Owner == "" {
		if own {
			l.Only = m.user
		} else {
			l.Except = h.speaker(in.Nick)
		}
	}
	if !h.a.Apply(op) {
		return Key{}, false
	}
	h.a.lines.Add(1)
	if !in.InPlace {
		m.last = l.At
	}
	if shared {
		h.remember(m, hash, op, now)
	}
	return l.Key, true
}

// placeOf is the time of a new line's key, in microseconds.
func (m *Member) placeOf(in *Heard, now time.Time) int64 {
	if !in.InPlace {
		return m.h.nextAt(in.At, now)
	}
	// Lines of one millisecond come in their order.
	at := in.At.UnixMicro()
	if in.At.IsZero() || in.At.After(now.Add(ClockDoubt)) {
		at = now.UnixMicro()
	}
	if m.back >= at && m.back < at+int64(time.Millisecond/time.Microsecond) {
		at = m.back + 1
	}
	m.back = at
	return at
}

// speaker is the user of the gateway who has a nick in the room, if any: they have
// the line as they wrote it.
func (h *hall) speaker(nick string) string {
	for _, m := range h.members {
		if m != nil && m.nick == nick {
			return m.user
		}
	}
	return ""
}

// Renamed tells the user's present nick.
func (m *Member) Renamed(nick string) {
	m.h.mu.Lock()
	defer m.h.mu.Unlock()
	m.nick = nick
}

// Amend replaces what a line of the room says. It does not block; false as Apply.
func (m *Member) Amend(key Key, body string, extra []byte, at time.Time) bool {
	return m.h.a.Apply(&Amend{Room: m.h.name, Key: key, Body: body, Extra: extra, Edited: at.UnixMicro()})
}

// Retract takes a line of the room back: what it said is gone from the archive.
// In its place stands tombstone, XML that tells so.
func (m *Member) Retract(key Key, tombstone []byte, at time.Time) bool {
	return m.h.a.Apply(&Amend{Room: m.h.name, Key: key, Extra: tombstone, Retracted: at.UnixMicro()})
}
