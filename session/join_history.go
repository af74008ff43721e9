package session

import (
	"context"
	"slices"
	"time"

	"transportd/archive"
	"transportd/component/xep"
)

// Bounds of what a joining client is sent.
const (
	historyLimit = 1000 // lines, however many it asks for
	missedLimit  = 2000 // lines a client that was cut off is sent afterwards
	// A client that the last process left behind has been shown what that one had;
	// of what may have been on its way it is sent the end again.
	restoredSpan = 15 * time.Minute
	restoredEnd  = 10 * time.Second
)

// wanted is how much history a client asked for at most, and since when; usual is
// what who asks for nothing gets.
func wanted(h xep.History, usual int) (limit int, since time.Time) {
	limit, since = usual, h.Since
	if h.Seconds != nil {
		if t := time.Now().Add(-time.Duration(*h.Seconds) * time.Second); t.After(since) {
			since = t
		}
	}
	if !since.IsZero() {
		limit = historyLimit
	}
	if h.MaxStanzas != nil {
		limit = min(*h.MaxStanzas, historyLimit)
	}
	if h.MaxChars != nil && *h.MaxChars == 0 {
		limit = 0
	}
	return limit, since
}

// admit shows a client the room, once its history has been read.
func (r *room) admit(st *seat) {
	if st.reading || r.catchingUp {
		return
	}
	usual := historyLines
	if r.gap {
		usual = keptLines
	}
	limit, since := wanted(st.history, usual)
	if r.rec == nil || limit == 0 || st.stanza == nil && !st.restored {
		r.welcome(st, r.lines)
		r.deliverKept()
		return
	}
	q := r.question()
	q.Last, q.Limit = true, limit
	if !since.IsZero() {
		q.From = since.UnixMicro()
	}
	upTo := r.seq
	st.reading = true
	r.reading++
	r.read(q, func(lines []line, _ bool, err error) {
		r.reading--
		if r.rooms[r.jid.Local] != r || r.seat(st.jid.Resource) != st {
			return
		}
		st.reading = false
		if st.in || r.state != roomIn {
			return
		}
		if err != nil {
			lines = r.lines
		} else {
			lines = r.joined(lines, upTo)
		}
		if st.restored && len(lines) > 0 {
			lines = lastMoments(lines)
		}
		r.welcome(st, lines)
		r.deliverKept()
	})
}

// joined adds to lines of the archive what has been said since it was asked and is not
// among them: in its place, as some of it may be recorded and some not.
func (r *room) joined(lines []line, upTo uint64) []line {
	var newest archive.Key
	var since []line
	for _, l := range r.lines {
		if !l.key.IsZero() {
			if l.key.Compare(newest) < 0 {
				continue // an old one, played back: the archive has it where it belongs
			}
			newest = l.key
		}
		if l.seq > upTo {
			since = append(since, l)
		}
	}
	pos := len(lines)
	for _, l := range slices.Backward(since) {
		switch i := slices.IndexFunc(lines, func(a line) bool { return a.key == l.key }); {
		case i >= 0 && !l.key.IsZero():
			pos = i
		case l.key.IsZero() || len(lines) == 0 || l.key.Compare(lines[0].key) > 0:
			lines = slices.Insert(lines, pos, l)
		}
	}
	return lines
}

// lastMoments are the lines that may have been on their way when a process died.
func lastMoments(lines []line) []line {
	last := lines[len(lines)-1].at
	if time.Since(last) > restoredSpan {
		return nil
	}
	from := slices.IndexFunc(lines, func(l line) bool { return !l.at.Before(last.Add(-restoredEnd)) })
	return lines[from:]
}

// question asks for the user's view of the room.
func (r *room) question() *archive.Query {
	return &archive.Query{Gateway: r.m.domain.Domain, User: r.user.String(), JID: r.jid.String()}
}

// said are lines of a room without the changes of its subject: that is shown as it
// is now.
func (m *Manager) said(ctx context.Context, q archive.Query) (lines []line, more bool, err error) {
	limit := q.Limit
	for {
		found, goesOn, err := m.archive.Lines(ctx, &q)
		if err != nil {
			return nil, false, err
		}
		page := make([]line, 0, len(found))
		for i := range found {
			if !isSubject(&found[i]) {
				page = append(page, stored(&found[i]))
			}
		}
		if q.Last {
			lines = append(page, lines...)
		} else {
			lines = append(lines, page...)
		}
		if len(lines) == limit || !goesOn || len(found) == 0 {
			return lines, goesOn, nil
		}
		if q.Limit = limit - len(lines); q.Last {
			q.Before = found[0].Key
		} else {
			q.After = found[len(found)-1].Key
		}
	}
}

// read asks the archive outside the session, and calls then inside, at once where
// nobody is free to ask.
func (r *room) read(q *archive.Query, then func(lines []line, more bool, err error)) {
	ok := r.work(func() func() {
		ctx, cancel := r.m.queryContext()
		defer cancel()
		lines, more, err := r.m.said(ctx, *q)
		return func() {
			if err != nil {
				r.log.Warn("the room's archive cannot be read", "error", err)
			}
			then(lines, more, err)
		}
	})
	if !ok {
		then(nil, false, errBusy)
	}
}

// lost tells whether a client that was cut off has missed lines that only the
// archive still has.
func (r *room) lost(st *seat) bool {
	return r.rec != nil && st.in && !st.caught && len(r.lines) > 0 && r.lines[0].seq > st.seen+1 && !st.seenKey.IsZero()
}

// readLost reads those lines; then the client is brought to the present.
func (r *room) readLost(st *seat) {
	if st.reading {
		return
	}
	q := r.question()
	q.After, q.Limit = st.seenKey, missedLimit
	st.reading = true
	r.reading++
	r.read(q, func(lines []line, more bool, err error) {
		r.reading--
		if r.rooms[r.jid.Local] != r || r.seat(st.jid.Resource) != st || !st.reading {
			return
		}
		st.reading = false
		if !r.up {
			return // it is read anew when the stream is back: more will be missing then
		}
		st.caught, st.missed = true, lines
		if more || err != nil {
			st.rest = true
		}
		if r.state == roomIn && st.unsure && r.up {
			r.resync(st)
		}
	})
}
