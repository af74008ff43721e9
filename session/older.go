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

// older is what is known of the lines of a room from before its archive begins.
type older struct {
	from bridges.MessageID // before which there is more; empty: before the archive's first line
	none bool              // the network has nothing older
	busy bool              // it is being asked
	then []func(ok bool)   // questions that wait for the answer
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
	if r == nil || r.rec == nil || r.state != roomIn || r.older.none {
		return false
	}
	_, ok := r.l.net.(bridges.Historian)
	return ok
}

// fetchOlder brings a page of what the network has from before the archive's first
// line into the archive, and calls then. What is asked for meanwhile waits for the
// same page.
func (r *room) fetchOlder(first *archive.Line, then func(ok bool)) {
	r.older.then = append(r.older.then, then)
	if r.older.busy {
		return
	}
	before := r.older.from
	if before == "" && first != nil {
		before = wholeOf(bridges.MessageID(first.NetID))
	}
	if before == "" && first != nil { // nothing to ask from
		r.older.none = true
		r.olderCame(nil, false)
		return
	}
	r.older.busy = true
	historian, place := r.l.net.(bridges.Historian), bridges.Place{Room: r.id}
	user, jid := r.user.String(), r.jid.String()
	if !r.work(func() func() {
		ctx, cancel := r.m.queryContext()
		defer cancel()
		lines, more, err := historian.History(ctx, place, before, olderPage)
		var next bridges.MessageID
		if len(lines) > 0 {
			next = lines[0].ID
		}
		if err == nil {
			lines, err = r.m.unknown(ctx, user, jid, lines)
		}
		return func() {
			r.older.busy = false
			if err != nil {
				r.log.Info("what was said earlier cannot be had from the network", "error", err)
				r.olderCame(nil, true)
				return
			}
			if next == "" || next == before {
				more = false
			}
			r.older.from, r.older.none = next, !more
			r.olderCame(lines, false)
		}
	}) {
		r.older.busy = false
		r.olderCame(nil, true)
	}
}

// unknown are those of some lines that a user's archive of a room does not have.
func (m *Manager) unknown(ctx context.Context, user, jid string, lines []*bridges.Message) ([]*bridges.Message, error) {
	ids := make([]string, 0, len(lines))
	for _, l := range lines {
		if l.ID != "" {
			ids = append(ids, string(l.ID))
		}
	}
	if len(ids) == 0 {
		return lines, nil
	}
	known, err := m.archive.ByNetID(ctx, m.domain.Domain, user, jid, ids)
	if err != nil {
		return nil, err
	}
	have := make(map[bridges.MessageID]bool, len(known))
	for i := range known {
		have[bridges.MessageID(known[i].NetID)] = true
	}
	var out []*bridges.Message
	for _, l := range lines {
		if !have[l.ID] {
			out = append(out, l)
		}
	}
	return out, nil
}

// olderCame stores lines where they belong and goes on with the questions that wait.
func (r *room) olderCame(lines []*bridges.Message, failed bool) {
	waiting := r.older.then
	r.older.then = nil
	if r.rec != nil && r.rooms[r.jid.Local] == r {
		for _, ev := range lines {
			r.recordOlder(ev)
		}
	}
	for _, then := range waiting {
		then(!failed)
	}
}

// recordOlder stores a line from before the archive begins. It is shown to nobody:
// clients ask for it.
func (r *room) recordOlder(ev *bridges.Message) {
	switch {
	case ev.At.IsZero():
		return
	case ev.Kind == bridges.NewSubject:
		r.recordOldSubject(ev)
		return
	}
	for _, part := range r.split(r.l, ev, nil) {
		l := line{id: fitID(string(part.ID)), from: part.From.Nick, body: bodyOf(part.Message), at: part.At, self: part.Self, occ: part.From.Identity}
		in := archive.Heard{NetID: string(part.ID), Named: part.ID != "", InPlace: true}
		if part.ReplyTo != nil || part.HTML != "" || part.Thread != "" || part.file != nil {
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
	if !r.wantsOlder(a, page) {
		s.sendPage(st, a, page)
		return
	}
	a.older++
	r.fetchOlder(page.firstLine, func(ok bool) {
		if !ok {
			a.older = olderPages // answered with what is there; the next question tries again
		}
		s.askArchive(st, r, addr, a)
	})
}
