package session

import (
	"context"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
)

// Bounds of what is fetched from a network for one question to an archive.
const (
	olderPage  = 100 // lines asked for at once
	olderPages = 3   // times a question may ask
)

// older is what is known of lines the network has and the archive has not: those from
// before it begins, or those that are missing at a place.
type older struct {
	from bridges.MessageID // before which there is more; empty: before the archive's first line
	none bool              // the network has nothing older
	busy bool              // it is being asked
	then []func(ok bool)   // questions that wait for the answer
	gap  archive.Key       // behind which the lines belong that are missing; zero: the archive begins behind them
}

// wantsOlder tells whether a question reaches back behind the beginning of the room's
// archive, where the network may have more.
func (r *room) wantsOlder(a *asked, page *archivePage) bool {
	if !r.reachesBack() || a.keys != nil || a.limit == 0 || a.older >= olderPages || !a.q.After.IsZero() {
		return false
	}
	if a.q.Last && !page.complete {
		return false // the page is full with what is there
	}
	return page.firstLine == nil || a.q.From == 0 || page.firstLine.At > a.q.From
}

// reachesBack tells whether the network may have lines from before the archive begins.
func (r *room) reachesBack() bool {
	return r.hasHistorian() && !r.older.none
}

// hasHistorian tells whether the network can be asked for lines of the room.
func (r *room) hasHistorian() bool {
	if r == nil || r.rec == nil || r.state != roomIn {
		return false
	}
	_, ok := r.l.net.(bridges.Historian)
	return ok
}

// fetchOlder brings a page of what the network has from before the archive's first
// line into the archive, and calls then.
func (r *room) fetchOlder(first *archive.Line, then func(ok bool)) {
	if o := &r.older; o.from == "" && first != nil && !o.busy {
		if o.from = wholeOf(bridges.MessageID(first.NetID)); o.from == "" { // nothing to ask from
			o.none = true
			then(true)
			return
		}
	}
	r.fetch(&r.older, then)
}

// fetch brings a page of lines into the archive, and calls then. What is asked for
// meanwhile waits for the same page.
func (r *room) fetch(o *older, then func(ok bool)) {
	o.then = append(o.then, then)
	if o.busy {
		return
	}
	o.busy = true
	historian, place := r.l.net.(bridges.Historian), bridges.Place{Room: r.id}
	user, jid, before, gap := r.user.String(), r.jid.String(), o.from, o.gap
	if !r.work(func() func() {
		ctx, cancel := r.m.queryContext()
		defer cancel()
		lines, more, err := historian.History(ctx, place, before, olderPage)
		var next bridges.MessageID
		if len(lines) > 0 {
			next = lines[0].ID
		}
		met := false
		if err == nil {
			lines, met, err = r.m.unknown(ctx, user, jid, lines, gap)
		}
		return func() {
			o.busy = false
			if err != nil {
				r.log.Info("what was said earlier cannot be had from the network", "error", err)
				r.olderCame(o, nil, true)
				return
			}
			if next == "" || next == before {
				more = false
			}
			o.from, o.none = next, !more || met
			r.olderCame(o, lines, false)
		}
	}) {
		o.busy = false
		r.olderCame(o, nil, true)
	}
}

// unknown are those of some lines, oldest first, that a user's archive of a room does not
// have. Where lines are missing behind gap, those from before it are not among them, and
// met tells that the lines reach back to what was there before.
func (m *Manager) unknown(ctx context.Context, user, jid string, lines []*bridges.Message, gap archive.Key) (out []*bridges.Message, met bool, err error) {
	ids := make([]string, 0, len(lines))
	for _, l := range lines {
		if l.ID != "" {
			ids = append(ids, string(l.ID))
		}
	}
	if len(ids) == 0 {
		return lines, false, nil
	}
	known, err := m.archive.ByNetID(ctx, m.domain.Domain, user, jid, ids)
	if err != nil {
		return nil, false, err
	}
	have := make(map[bridges.MessageID]archive.Key, len(known))
	for i := range known {
		have[bridges.MessageID(known[i].NetID)] = known[i].Key
	}
	for _, l := range lines {
		switch key, is := have[l.ID]; {
		case !is:
			out = append(out, l)
		case key.Compare(gap) < 0:
			out, met = nil, true
		}
	}
	return out, met, nil
}

// olderCame stores lines where they belong and goes on with the questions that wait.
func (r *room) olderCame(o *older, lines []*bridges.Message, failed bool) {
	waiting := o.then
	o.then = nil
	if r.rec != nil && r.rooms[r.jid.Local] == r {
		for _, ev := range lines {
			r.recordOlder(ev, o.gap)
		}
		if !o.gap.IsZero() && o.none {
			r.closeGap(o.gap)
		}
	}
	for _, then := range waiting {
		then(!failed)
	}
}

// recordOlder stores a line from before the archive begins, or one that is missing behind
// another: not before that one, whatever the network's clock said. It is shown to nobody:
// clients ask for it.
func (r *room) recordOlder(ev *bridges.Message, behind archive.Key) {
	switch {
	case ev.At.IsZero():
		return
	case ev.Kind == bridges.NewSubject:
		r.recordOldSubject(ev)
		return
	}
	for _, part := range r.split(r.l, ev, nil) {
		l := line{id: fitID(string(part.ID)), from: part.From.Nick, body: bodyOf(part.Message), at: part.At, self: part.Self, occ: part.From.Identity}
		if !behind.IsZero() && l.at.UnixMicro() <= behind.At {
			l.at = behind.Time().Add(time.Microsecond)
		}
		in := archive.Heard{NetID: string(part.ID), Named: part.ID != "", InPlace: true}
		if part.adorned() {
			r.adorn(&l, &part, nil, nil)
			in.Extra = l.extra
		}
		r.record(&l, in, time.Now())
	}
}

// first is the first line of what a user sees of a room.
func (m *Manager) first(ctx context.Context, q *archive.Query) (*archive.Line, error) {
	lines, _, err := m.archive.Lines(ctx, &archive.Query{Gateway: q.Gateway, User: q.User, JID: q.JID, Limit: 1})
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	return &lines[0], nil
}

// answerPage sends a page, once what the network has from before it is in the
// archive where that is wanted.
func (s *Session) answerPage(st *component.Stanza, r *room, addr bridges.Address, a *asked, page *archivePage) {
	again := func(ok bool) {
		if !ok {
			a.older, a.gaps = olderPages, leftOutPages // answered with what is there; the next question tries again
		}
		s.askArchive(st, r, addr, a)
	}
	switch {
	case r.wantsGap(a, page):
		a.gaps++
		r.fetchGap(page.gap, again)
	case r.wantsOlder(a, page):
		a.older++
		r.fetchOlder(page.firstLine, again)
	default:
		s.sendPage(st, a, page)
	}
}
