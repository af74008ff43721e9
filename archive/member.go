package archive

import (
	"context"
	"maps"
	"slices"
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
	if h == nil {
		h = &hall{a: a, name: room, last: a.ahead[room]}
		a.halls[room] = h
	}
	a.members[key] = m
	h.mu.Lock()
	defer h.mu.Unlock()
	m.h = h
	m.since = max(time.Now().UnixMicro(), h.last+1)
	// What m hears must not stand before that, whatever the network's clock says, or
	// ours when it is set back.
	h.last = m.since - 1
	m.slot = h.takeSlot(time.Now())
	h.members[m.slot], h.users[m.slot] = m, user
	h.present++
	a.Apply(&Enter{Room: room, User: user, JID: jid, At: m.since})
	return m
}

// keepAhead remembers the last line of a room that is empty now, while it is later
// than our clock: whoever comes next must not be put before it.
func (a *Archive) keepAhead(room Room, last int64) {
	now := time.Now().UnixMicro()
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
	h.a.Apply(&Leave{Room: h.name, User: m.user, At: max(time.Now().UnixMicro(), m.last+1)})
	h.members[m.slot] = nil
	h.freed = append(h.freed, freedSlot{m.slot, time.Now()})
	if h.present--; h.present == 0 {
		for i := range h.recent {
			h.conclude(&h.recent[i])
		}
		delete(h.a.halls, h.name)
		h.a.keepAhead(h.name, h.last)
	}
	if key := (memberKey{h.name.Gateway, m.user, m.jid}); h.a.members[key] == m {
		delete(h.a.members, key)
	}
}

// Record stores a line and returns its key. False: it could not be kept (see
// Archive.Apply); it is then not in the archive.
func (m *Member) Record(in *Heard) (Key, bool) {
	h := m.h
	now := time.Now()
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
	l.Key = Key{At: m.placeOf(in, now), Tie: tie()}
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
		h.remember(m, hash, l, now)
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
	if in.At.IsZero() {
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

// Lines returns a part of what a user has seen of a room, in rising order, and
// whether there is more in the direction asked for. It waits for what is on its
// way to the database. It blocks on it, under ctx.
func (a *Archive) Lines(ctx context.Context, q *Query) (lines []Line, more bool, err error) {
	if err := a.Flush(ctx); err != nil {
		return nil, false, err
	}
	if lines, more, err = a.backend.ArchiveLines(ctx, q); err != nil {
		return nil, false, err
	}
	return a.seen(q.Gateway, q.User, q.JID, lines), more, nil
}

// seen leaves out lines of which it is not settled that the user gets them.
func (a *Archive) seen(gateway, user, jid string, lines []Line) []Line {
	a.mu.Lock()
	m := a.members[memberKey{gateway, user, jid}]
	a.mu.Unlock()
	if m == nil {
		return lines
	}
	return slices.DeleteFunc(lines, func(l Line) bool { return m.h.hides(m, l.Key) })
}

// Count counts what Lines would return without a limit.
func (a *Archive) Count(ctx context.Context, q *Query) (int, error) {
	if err := a.Flush(ctx); err != nil {
		return 0, err
	}
	return a.backend.ArchiveCount(ctx, q)
}

// ByKey returns those of the lines that the user sees.
func (a *Archive) ByKey(ctx context.Context, gateway, user, jid string, keys []Key) ([]Line, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	lines, err := a.backend.ArchiveByKey(ctx, gateway, user, jid, keys)
	return a.seen(gateway, user, jid, lines), err
}

// ByNetID is ByKey for lines the network refers to by what it calls them.
func (a *Archive) ByNetID(ctx context.Context, gateway, user, jid string, netIDs []string) ([]Line, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	lines, err := a.backend.ArchiveByNetID(ctx, gateway, user, jid, netIDs)
	return a.seen(gateway, user, jid, lines), err
}

// PrivateByID finds one-to-one lines with a peer by message id or by what the
// network calls them, the latest first.
func (a *Archive) PrivateByID(ctx context.Context, gateway, user, peer string, ids []string) ([]Private, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	return a.backend.PrivateByID(ctx, gateway, user, peer, ids)
}

// State returns what a driver keeps of an account under names that begin with
// prefix (SaveState).
func (a *Archive) State(ctx context.Context, gateway, user, network, prefix string) (map[string][]byte, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	return a.backend.AccountState(ctx, gateway, user, network, prefix)
}

// Recent finds the latest of the user's own lines in a room by its message id.
func (a *Archive) Recent(ctx context.Context, gateway, user, jid, id string) (Line, bool, error) {
	if err := a.Flush(ctx); err != nil {
		return Line{}, false, err
	}
	return a.backend.ArchiveRecent(ctx, gateway, user, jid, id)
}

// Has reports whether a line that a network plays back is one the user has seen
// already. taken are the keys that earlier lines of the same playback were found
// to be; it is added to.
func (a *Archive) Has(ctx context.Context, gateway, user, jid string, in *Heard, taken map[Key]bool) (bool, error) {
	if in.At.IsZero() {
		return false, nil
	}
	lines, _, err := a.Lines(ctx, &Query{
		Gateway: gateway, User: user, JID: jid, Limit: sameLimit,
		From: in.At.Add(-sameBefore).UnixMicro(), To: in.At.Add(sameAfter).UnixMicro(),
	})
	if err != nil {
		return false, err
	}
	for i := range lines {
		l := &lines[i]
		if taken[l.Key] {
			continue
		}
		if in.NetID != "" && l.NetID != "" {
			if in.NetID != l.NetID {
				continue
			}
		} else if l.Nick != in.Nick || l.Body != in.Body {
			continue
		}
		taken[l.Key] = true
		return true, nil
	}
	return false, nil
}

// How far the times of a line may lie apart when it is heard and when it is played
// back: live lines may carry our clock, and arrive late.
const (
	sameBefore = 5 * time.Second
	sameAfter  = 30 * time.Second
	sameLimit  = 2000
)

// Pending returns a user's one-to-one lines that have not reached anybody,
// oldest first, at most limit.
func (a *Archive) Pending(ctx context.Context, gateway, user string, limit int) ([]Private, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	return a.backend.PendingPrivate(ctx, gateway, user, limit)
}

// Begin ends what an earlier process left open at a gateway: nobody is in any room
// when a process begins. Call it before anybody enters. It returns who has
// one-to-one lines pending.
func (a *Archive) Begin(ctx context.Context, gateway string) ([]string, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	if err := a.backend.CloseVisits(ctx, gateway, time.Now()); err != nil {
		return nil, err
	}
	return a.backend.PendingUsers(ctx, gateway)
}
