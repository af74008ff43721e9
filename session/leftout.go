package session

import (
	"context"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// What users read where lines are left out.
const (
	leftOutText     = "More was said at this place than the gateway fetches by itself. It can be read in the room's archive: page back to it."
	leftOutLost     = "More was said at this place than the gateway fetches by itself. It can be read in another client."
	leftOutNetID    = "left out" // of the archive's line that says so: no network's name for a line has a space
	leftOutPages    = 20         // that one question has fetched, where it reads onwards
	leftOutSearched = 10         // lines behind a place that are looked at for one the network knows
)

// leftOut says that lines are left out before a line, and notes in the archive where they
// belong: behind the last line that came before.
func (r *room) leftOut(ev *bridges.Message) {
	if ev.Missing.IsZero() {
		return
	}
	now := time.Now()
	// What was said in that millisecond has been shown.
	l := line{at: ev.Missing.Add(time.Millisecond - time.Microsecond), came: notGiven, body: leftOutLost}
	if _, ok := r.l.net.(bridges.Historian); ok && r.rec != nil {
		l.body = leftOutText
	}
	r.record(&l, archive.Heard{NetID: leftOutNetID, InPlace: ev.Replay && !ev.At.IsZero()}, now)
	r.remembered(&l)
	for _, st := range r.seats {
		if st.in && !st.unsure {
			r.show(st, r.message(st.jid, &l, ev.Replay))
		}
	}
	r.given(l.seq, now)
}

// tellLeftOut says the same in a one-to-one chat.
func (s *Session) tellLeftOut(c *contact, ev *bridges.Message) {
	if !ev.Missing.IsZero() {
		s.tellPart(c, &piece{Message: &bridges.Message{Place: ev.Place, From: ev.From, Kind: bridges.Notice, Body: leftOutLost, At: ev.At, Replay: ev.Replay}}, nil)
	}
}

// gap is a place in an archive where lines are left out.
type gap struct {
	at     archive.Key       // of the line that says so: what is missing belongs behind it
	before bridges.MessageID // the line behind what is missing; empty: there is none
}

// openGap tells whether lines are still missing behind a line.
func openGap(l *archive.Line) bool {
	return l.NetID == leftOutNetID && l.Nick == "" && l.Retracted == 0
}

// gapIn finds a place where lines are left out that belong into a page, or just before
// it: of several the one where reading begins, so that what is fetched pushes the others
// out of the page.
func (m *Manager) gapIn(ctx context.Context, q *archive.Query, lines []archive.Line) (*gap, error) {
	if q.Nick != "" || q.Occupant != "" || q.Self { // who asks for one person's lines gets those there are
		return nil, nil
	}
	all := archive.Query{Gateway: q.Gateway, User: q.User, JID: q.JID}
	if q.From > 0 || !q.After.IsZero() {
		ask := all
		ask.Limit, ask.Last = 1, true
		if ask.To = q.From - 1; q.After.At >= q.From {
			ask.To, ask.Before = 0, archive.Key{At: q.After.At, Tie: q.After.Tie + 1}
		}
		first, _, err := m.archive.Lines(ctx, &ask)
		if err != nil {
			return nil, err
		}
		lines = append(first, lines...)
	}
	found := -1
	for i := range lines {
		if openGap(&lines[i]) && (found < 0 || q.Last) {
			found = i
		}
	}
	if found < 0 {
		return nil, nil
	}
	g := &gap{at: lines[found].Key}
	if g.before = knownToNetwork(lines[found+1:]); g.before != "" {
		return g, nil
	}
	all.After, all.Limit = g.at, leftOutSearched
	behind, _, err := m.archive.Lines(ctx, &all)
	g.before = knownToNetwork(behind)
	return g, err
}

// knownToNetwork is the first of some lines that the network has a name for.
func knownToNetwork(lines []archive.Line) bridges.MessageID {
	for i := range lines {
		if id := lines[i].NetID; id != "" && id != leftOutNetID {
			return wholeOf(bridges.MessageID(id))
		}
	}
	return ""
}

// wantsGap tells whether lines that are left out are to be fetched for a question.
func (r *room) wantsGap(a *asked, page *archivePage) bool {
	if page.gap == nil || !r.hasHistorian() || a.gaps >= leftOutPages {
		return false
	}
	g := r.gaps[page.gap.at]
	return g == nil || !g.none
}

// fetchGap brings a page of what is missing into the archive, and calls then.
func (r *room) fetchGap(g *gap, then func(ok bool)) {
	o := r.gaps[g.at]
	if o == nil {
		if r.gaps == nil {
			r.gaps = map[archive.Key]*older{}
		}
		o = &older{gap: g.at}
		r.gaps[g.at] = o
	}
	if o.from == "" {
		o.from = g.before
	}
	r.fetch(o, then)
}

// closeGap notes that nothing is missing any more.
func (r *room) closeGap(at archive.Key) {
	now := time.Now()
	tombstone := component.Fragment(func(o *component.Out) { xep.AppendRetracted(o, at.String(), now) })
	if r.rec.Retract(at, tombstone, now) {
		delete(r.gaps, at)
	}
}
