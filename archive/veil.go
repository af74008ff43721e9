package archive

import "slices"

// veil is what a user does not see of a room although the database may show it: lines
// of which it is not settled that the user gets them, or of which the database has not
// been told yet that the user does not. It is made before the database is brought up to
// date, and looks again after each read, so that a line that comes in between is not
// shown either.
type veil struct {
	a      *Archive
	key    memberKey
	halls  []*hall // where the user is, or has been since
	hidden map[Key]bool
	torn   bool // a hidden line was settled meanwhile: what was read may miss it
}

func (a *Archive) veil(key memberKey) *veil {
	v := &veil{a: a, key: key}
	v.look()
	return v
}

// look adds what is hidden now.
func (v *veil) look() {
	v.a.mu.Lock()
	m := v.a.members[v.key]
	v.a.mu.Unlock()
	if m != nil && !slices.Contains(v.halls, m.h) {
		v.halls = append(v.halls, m.h)
	}
	if len(v.halls) == 0 {
		return
	}
	hidden := map[Key]bool{} // false: the user has it by now
	for _, h := range v.halls {
		h.hides(v.key.user, hidden)
	}
	for k := range v.hidden {
		if _, known := hidden[k]; !known {
			v.torn, hidden[k] = true, true
		}
	}
	v.hidden = hidden
}

// lift leaves out the lines that are hidden.
func (v *veil) lift(lines []Line) []Line {
	return slices.DeleteFunc(lines, func(l Line) bool { return v.hidden[l.Key] })
}

// since is the time of the first line that is hidden; false: there is none.
func (v *veil) since() (at int64, ok bool) {
	for k, hidden := range v.hidden {
		if hidden && (!ok || k.At < at) {
			at, ok = k.At, true
		}
	}
	return at, ok
}

// hides tells of the lines that are being settled whether a user does not have them.
func (h *hall) hides(user string, lines map[Key]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.recent) == 0 {
		return
	}
	var slots bits // the user's, now and before they left and came back
	for slot, u := range h.users {
		if u == user {
			slots.add(slot)
		}
	}
	for i := range h.recent {
		if e := &h.recent[i]; e.line != nil || e.told > 0 {
			lines[e.key] = !e.claims.meets(slots)
		}
	}
}
