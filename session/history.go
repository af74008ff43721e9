package session

import (
	"math"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// How many lines of a room are remembered: as history for who joins, and, while
// clients cannot be reached, for them.
const (
	historyLines = 50
	keptLines    = 500
)

// line is something said in a room.
type line struct {
	seq  uint64
	id   string            // message id
	sid  string            // stanza-id
	net  bridges.MessageID // what the network calls it, where it refers to lines by that
	from string            // occupant's nick; empty: the room itself
	body string
	at   time.Time
	came int64  // when the stream had taken it, in nanoseconds of our clock
	occ  string // identity of the sender, for the occupant-id
	self bool

	key       archive.Key // in the archive; zero: not there
	extra     []byte      // further children as XML
	retracted int64       // when it was taken back, in microseconds
}

// remembered appends a line to what the room remembers and numbers it.
func (r *room) remembered(l *line) {
	r.seq++
	l.seq = r.seq
	limit := historyLines
	if r.gap || r.reading > 0 || len(r.lines) >= limit && r.unread(&r.lines[0]) {
		limit = keptLines
	}
	if len(r.lines) >= limit {
		drop := len(r.lines) - limit + 1
		r.noteDropped(drop)
		clear(r.lines[:drop])
		r.lines = r.lines[drop:]
	}
	r.makeRoom()
	r.lines = append(r.lines, *l)
}

// makeRoom lets one line more be appended. Lines wander through an array of twice
// their number and are moved to its start when they are at its end, so that each is
// moved about once, whatever their number.
func (r *room) makeRoom() {
	n := len(r.lines)
	if n < cap(r.lines) {
		return
	}
	if size := cap(r.array); size < 2*n || size > 8*(n+1) { // too small, or for a crowd that has gone
		r.array = make([]line, 0, 2*n+1)
	}
	from := r.lines
	r.lines = r.array[:n]
	copy(r.lines, from)
	clear(r.array[n:cap(r.array)])
}

// notGiven is when a line came that is being given to the stream, which may take
// its time.
const notGiven = math.MaxInt64

// given notes when the stream had taken the last line, which came at a moment before: a
// ping that went past it while it waited confirms nothing.
func (r *room) given(seq uint64, before time.Time) {
	if n := len(r.lines); n > 0 && r.lines[n-1].seq == seq {
		r.lines[n-1].came = before.UnixNano() + int64(time.Since(before)) // half as dear as time.Now
	}
}

// unread tells whether the server may not have read a line yet, so that it must be
// repeated if the stream breaks now.
func (r *room) unread(l *line) bool { return len(r.seats) > 0 && l.came > r.m.confirmed() }

// noteDropped counts lines that are given up. In a recorded room none are: the
// archive has them.
func (r *room) noteDropped(n int) {
	last := &r.lines[n-1]
	switch {
	case r.rec != nil:
	case r.gap:
		r.cut += n
		r.m.stats.cut.Add(int64(n))
	case r.unread(last):
		r.cutUnread += n
		r.cutCame = last.came
	default:
		r.cutUnread = 0
	}
}

// sendHistory sends a joining client those of lines that it asked for (XEP-0045
// section 7.2.14).
func (r *room) sendHistory(st *seat, lines []line) {
	h := st.history
	limit, since := wanted(h, len(lines))
	if limit == 0 {
		return
	}
	lines = lines[max(0, len(lines)-limit):]
	out := make([]*component.Out, 0, len(lines))
	chars := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].at.Before(since) {
			break
		}
		if lines[i].retracted != 0 {
			continue
		}
		o := r.message(st.jid, &lines[i], true)
		chars += o.Len()
		if h.MaxChars != nil && chars > *h.MaxChars {
			o.Release()
			break
		}
		out = append(out, o)
	}
	for i := len(out) - 1; i >= 0; i-- {
		r.send(out[i])
	}
}

// tellCut says how many lines of a gap are missing.
func (r *room) tellCut(st *seat) {
	if r.cut > 0 {
		r.send(component.NewMessage(r.jid, st.jid, "groupchat", r.m.ids.next()).
			Elem("", "body", cutText(r.cut)))
	}
}

// catchUp sends a client that is still there what it may have missed.
func (r *room) catchUp(st *seat) {
	r.tellCut(st)
	st.before, st.caughtUp = st.seen, notGiven
	var last archive.Key
	for i := range st.missed {
		l := &st.missed[i]
		if last = l.key; l.retracted == 0 && !r.send(r.message(st.jid, l, true)) {
			return
		}
	}
	if st.rest {
		r.send(component.NewMessage(r.jid, st.jid, "groupchat", r.m.ids.next()).
			Elem("", "body", "More was said while the connection was down; it is in the room's archive."))
	}
	for i := range r.lines {
		l := &r.lines[i]
		if l.seq <= st.before || !l.key.IsZero() && l.key.Compare(last) <= 0 {
			continue
		}
		if !r.send(r.message(st.jid, l, true)) {
			return // once more when the stream is back
		}
	}
	st.seen, st.missed, st.rest = r.seq, nil, false
	st.caughtUp = time.Now().UnixNano()
}

// message is a line as one client gets it.
func (r *room) message(to component.JID, l *line, delayed bool) *component.Out {
	from := r.jid
	if l.from != "" {
		from = r.occupant(l.from)
	}
	o := component.NewMessage(from, to, "groupchat", l.id)
	if l.body != "" {
		o.Elem("", "body", l.body)
	}
	o.AppendChildren(l.extra)
	xep.AppendStanzaID(o, l.sid, r.jid)
	r.occupantID(o, l.occ)
	if delayed {
		xep.AppendDelay(o, r.jid, l.at)
	}
	return o
}
