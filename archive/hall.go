package archive

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Bounds of what is remembered of the last lines of a shared room.
const (
	settleTime = 10 * time.Second // then who has not claimed a line did not get it
	recallMost = 1024             // lines that wait for that
	// ClockDoubt: a network's clock is believed when it is not ahead of ours by more.
	ClockDoubt = 10 * time.Second
)

var hashSeed = maphash.MakeSeed()

func tie() uint32 { return rand.Uint32() }

// hall is what is known of a room while users of the gateway are in it and record
// it. Where the archive has an owner there is one member and nothing is shared.
type hall struct {
	a    *Archive
	name Room

	mu      sync.Mutex
	members []*Member // by slot; nil: free
	users   []string  // who has a slot, or had it last: lines may still wait for them
	freed   []freedSlot
	present int
	last    int64 // key of the last line, in microseconds
	left    int64 // when the last one left
	recent  []heard
}

// freedSlot is a slot nobody has. Lines may still wait for who had it, so it is
// not given away at once.
type freedSlot struct {
	slot int
	at   time.Time
}

// takeSlot returns a slot for a new member.
func (h *hall) takeSlot(now time.Time) int {
	if len(h.freed) > 0 && now.Sub(h.freed[0].at) > 2*settleTime {
		slot := h.freed[0].slot
		h.freed = slices.Delete(h.freed, 0, 1)
		return slot
	}
	h.members, h.users = append(h.members, nil), append(h.users, "")
	return len(h.members) - 1
}

// heard is a line that others may claim.
type heard struct {
	hash   uint64
	key    Key
	came   time.Time
	line   *Line // nil once settled
	named  bool  // AddLine.Named
	except string
	expect bits // members who were there
	claims bits // those who got it
	// told: how many ops there were when the database was told who does not get it;
	// once it has so many it is done. 0: there is nobody.
	told uint64
}

// bits is a set of slots.
type bits []uint64

func (b bits) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

func (b *bits) add(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// meets tells whether both have a slot in common.
func (b bits) meets(o bits) bool {
	for w := range min(len(b), len(o)) {
		if b[w]&o[w] != 0 {
			return true
		}
	}
	return false
}

// without returns the slots of b that are not in o.
func (b bits) without(o bits) []int {
	var out []int
	for w, word := range b {
		if w < len(o) {
			word &^= o[w]
		}
		for i := 0; word != 0; i, word = i+1, word>>1 {
			if word&1 != 0 {
				out = append(out, w*64+i)
			}
		}
	}
	return out
}

// nextAt is the time of a line that is heard now: the network's, but never before
// the last one, so that the archive's order is that in which lines were shown.
func (h *hall) nextAt(at, now time.Time) int64 {
	if at.IsZero() || at.After(now.Add(ClockDoubt)) {
		at = now
	}
	us := at.UnixMicro()
	if us <= h.last {
		us = h.last + 1
	}
	h.last = us
	return us
}

// hash is what two users' copies of a line have in common.
func (in *Heard) hash() uint64 {
	var b maphash.Hash
	b.SetSeed(hashSeed)
	if in.NetID != "" {
		_, _ = b.WriteString(in.NetID)
		return b.Sum64()
	}
	_, _ = b.WriteString(in.Nick)
	_ = b.WriteByte(0)
	_, _ = b.WriteString(in.Body)
	if in.Body == "" {
		_, _ = b.Write(in.Extra) // all it says
	}
	return b.Sum64()
}

// claim finds the line that m's copy is of: the first such one it has not claimed.
// One from before m came, one of which it is settled that m did not get it, and one
// that would stand before what m has been shown already, are not: then m's copy is
// m's alone.
func (h *hall) claim(m *Member, hash uint64) (Key, bool) {
	for i := range h.recent {
		e := &h.recent[i]
		if e.hash != hash || e.line == nil || e.key.At < m.since || e.key.At <= m.last || e.except == m.user || e.claims.has(m.slot) {
			continue
		}
		e.claims.add(m.slot)
		if len(e.expect.without(e.claims)) == 0 {
			e.line = nil // everybody has it
		}
		return e.key, true
	}
	return Key{}, false
}

// remember keeps a line for others to claim.
func (h *hall) remember(m *Member, hash uint64, op *AddLine, now time.Time) {
	l := &op.Line
	e := heard{hash: hash, key: l.Key, came: now, line: l, named: op.Named, except: l.Except}
	e.claims.add(m.slot)
	for _, o := range h.members {
		if o != nil && o.user != l.Except {
			e.expect.add(o.slot)
		}
	}
	if len(h.recent) >= recallMost/8 {
		h.forget()
	}
	if n := len(h.recent) - recallMost + 1; n > 0 {
		for i := range n {
			h.conclude(&h.recent[i])
		}
		h.recent = slices.Delete(h.recent, 0, n)
	}
	h.recent = append(h.recent, e)
	h.a.w.watch(h)
}

// forget drops lines nobody will claim any more, once the database knows who does not
// get them.
func (h *hall) forget() {
	done := h.a.w.done()
	h.recent = slices.DeleteFunc(h.recent, func(e heard) bool { return e.line == nil && e.told <= done })
}

// conclude settles who gets a line: those who claimed it.
func (h *hall) conclude(e *heard) {
	l := e.line
	if l == nil {
		return
	}
	e.line = nil
	missing := e.expect.without(e.claims)
	switch {
	case len(missing) == 0:
		return
	case len(missing) == 1 && e.except == "":
		e.except = h.users[missing[0]]
		h.a.Apply(&Restrict{Room: h.name, Key: e.key, Except: e.except})
		e.told = h.a.w.taken()
		return
	}
	first := true
	for _, slot := range e.claims.without(nil) {
		user := h.users[slot] // who may have left since
		if first {
			h.a.Apply(&Restrict{Room: h.name, Key: e.key, Only: user})
			first = false
			continue
		}
		// The key differs in the tie alone: it stands where the line was shown.
		own := *l
		own.Only, own.Except, own.Tie = user, "", l.Tie+uint32(slot)+1
		h.a.put(&AddLine{Room: h.name, Line: own, Named: e.named}, true)
	}
	e.told = h.a.w.taken()
}

// knows tells whether a user is here, or has been while lines may still wait for them.
func (h *hall) knows(user string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.users, user)
}

// advance lets what comes now stand behind a time, whatever the network's clock says.
func (h *hall) advance(to int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = max(h.last, to)
}

// settle concludes lines that are old enough, all of them where now is zero, and
// tells whether any are left.
func (h *hall) settle(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := false
	for i := range h.recent {
		e := &h.recent[i]
		if e.line == nil {
			continue
		}
		if now.IsZero() || now.Sub(e.came) >= settleTime || len(e.expect.without(e.claims)) == 0 {
			h.conclude(e)
			continue
		}
		left = true
	}
	h.forget()
	return left
}
