package session

import (
	"context"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Sizes of a page of an archive, in lines.
const (
	pageUsual = 50
	pageMost  = 250
)

// archiveIQ answers requests to a room's archive (XEP-0313), and tells whether it
// was one. The archive is the user's own view of the room, so it answers whether
// the user is in or not.
func (s *Session) archiveIQ(st *component.Stanza, r *room, addr bridges.Address) bool {
	if s.m.archive == nil || st.To.Resource != "" {
		return false
	}
	switch keyOf(st) {
	case iqKey{"set", xep.NSMAM, "query"}:
		s.archiveQuery(st, r, addr)
	case iqKey{"get", xep.NSMAM, "query"}:
		o := component.Result(st)
		xep.AppendMAMForm(o)
		s.send(o)
	case iqKey{"get", xep.NSMAM, "metadata"}:
		s.archiveEnds(st)
	default:
		return false
	}
	return true
}

// asked is a query of a client's, understood.
type asked struct {
	xep.MAMQuery
	q     archive.Query
	net   bridges.NetworkID
	keys  []archive.Key // these lines only
	none  bool          // nothing can fit
	limit int
	older int // how often the network was asked for what was said earlier
	gaps  int // and for what was left out
}

func (s *Session) archiveQuery(st *component.Stanza, r *room, addr bridges.Address) {
	a, err := s.understand(st, r, addr)
	if err != nil {
		s.archiveRefused(st, err)
		return
	}
	if a.none {
		var page archivePage
		page.complete, page.counted = true, a.limit == 0
		s.sendPage(st, a, &page)
		return
	}
	s.askArchive(st, r, addr, a)
}

// askArchive asks the archive, outside the session, and answers.
func (s *Session) askArchive(st *component.Stanza, r *room, addr bridges.Address, a *asked) {
	var page archivePage
	reaches, gaps := r.reachesBack(), r.hasHistorian()
	if !s.work(func() func() {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		var err error
		switch {
		case a.keys != nil:
			page, err = s.pageOfKeys(ctx, a)
		case a.limit == 0:
			page.count, err = s.m.archive.Count(ctx, &a.q)
			page.counted = true
			page.complete = page.count == 0
		default:
			var more bool
			page.lines, more, err = s.m.archive.Lines(ctx, &a.q)
			page.complete = !more
			if err == nil && reaches {
				page.firstLine, err = s.m.first(ctx, &a.q)
			}
			if err == nil && gaps {
				page.gap, err = s.m.gapIn(ctx, &a.q, page.lines)
			}
		}
		return func() {
			if err != nil {
				s.archiveRefused(st, err)
				return
			}
			s.answerPage(st, r, addr, a, &page)
		}
	}) {
		s.refuse(st, StanzaError(errBusy))
	}
}

// archiveRefused answers where the archive could not be read.
func (s *Session) archiveRefused(st *component.Stanza, err error) {
	if e, ok := err.(*component.StanzaError); ok {
		s.refuse(st, e)
		return
	}
	s.log.Warn("an archive cannot be read", "room", st.To.String(), "error", err)
	s.refuse(st, component.NewStanzaError("wait", "internal-server-error", "The archive cannot be read at the moment; try again later."))
}

// understand turns what a client asks for into a question to the archive.
func (s *Session) understand(st *component.Stanza, r *room, addr bridges.Address) (*asked, error) {
	mq, err := xep.ParseMAMQuery(st.Payload())
	if err != nil {
		return nil, err
	}
	a := &asked{MAMQuery: mq, net: addr.Network, limit: pageUsual}
	if r != nil {
		a.net = r.l.id
	}
	if mq.Page.Max >= 0 {
		a.limit = min(mq.Page.Max, pageMost)
	}
	a.q = archive.Query{Gateway: s.m.domain.Domain, User: s.user.String(), JID: st.To.Bare().String(), Limit: a.limit,
		Last: mq.Page.BeforeLast || mq.Page.Before != ""}
	if !mq.Start.IsZero() {
		a.q.From = mq.Start.UnixMicro()
	}
	if !mq.End.IsZero() {
		if a.q.To = lastMicro(mq.End); a.q.To <= 0 {
			a.none = true // before all that is said
		}
	}
	after := func(k archive.Key) { a.q.After = later(a.q.After, k) }
	before := func(k archive.Key) {
		a.q.Before = earlier(a.q.Before, k)
		a.none = a.none || k.IsZero()
	}
	for _, bound := range []struct {
		id   string
		page bool // of a page: it does not change what there is to be counted
		set  func(archive.Key)
	}{
		{mq.AfterID, false, after}, {mq.Page.After, true, after},
		{mq.BeforeID, false, before}, {mq.Page.Before, true, before},
	} {
		if bound.id == "" {
			continue
		}
		key, ok := archive.ParseKey(bound.id)
		if !ok {
			return nil, component.NewStanzaError("cancel", "item-not-found", "This archive has never had a line with that id.")
		}
		if !bound.page || a.limit > 0 {
			bound.set(key)
		}
	}
	for _, id := range mq.IDs {
		key, ok := archive.ParseKey(id)
		if !ok {
			return nil, component.NewStanzaError("cancel", "item-not-found", "This archive has no line with the id “"+id+"”.")
		}
		a.keys = append(a.keys, key)
	}
	if !mq.With.IsZero() && !a.none {
		a.none = !s.narrow(a, r, st.To.Bare())
	}
	return a, nil
}

// lastMicro is the last microsecond of a time as exact as it was written: clients
// that know milliseconds mean the whole of one.
func lastMicro(t time.Time) int64 {
	us := t.UnixMicro()
	if us%1000 == 0 && us%1_000_000 != 0 {
		us += 999
	}
	return us
}

func later(a, b archive.Key) archive.Key {
	if a.Compare(b) >= 0 {
		return a
	}
	return b
}

func earlier(a, b archive.Key) archive.Key {
	if a.IsZero() || b.Compare(a) < 0 {
		return b
	}
	return a
}

// narrow limits a question to what one person said: an occupant, a person of the
// network, or the user. False: nobody here has that address.
func (s *Session) narrow(a *asked, r *room, room component.JID) bool {
	q, with := &a.q, a.With
	switch {
	case with.Bare() == room:
		q.Nick = with.Resource // with the room's own address: everything
		if r != nil && with.Resource != "" {
			q.Nick = r.nickOf(with.Resource)
		}
		return true
	case with.Bare() == s.user:
		q.Self = true
		return true
	case with.Domain != s.m.domain.Domain || with.Local == "":
		return false
	}
	person, err := s.m.driver.Parse(component.UnescapeLocal(with.Local))
	if err != nil || person.Kind != bridges.AddressPerson {
		return false
	}
	switch {
	case person.Network != a.net:
		return false
	case s.m.driver.Info().Addresses:
		q.Occupant = person.Name
		return true
	}
	if q.Nick = person.Name; r == nil {
		return true
	}
	if m, ok := r.l.net.Member(r.id, r.l.net.UserID(person.Name)); ok {
		q.Nick = m.Nick
	}
	return true
}

// archivePage is what a question came to.
type archivePage struct {
	firstLine *archive.Line // of all the user sees of the room, where that was asked
	gap       *gap          // where lines are missing that the network may have
	lines     []archive.Line
	complete  bool
	count     int
	counted   bool
}

// pageOfKeys finds the lines that were asked for by id: all of them, or an error
// (XEP-0313 section 4.1.3).
func (s *Session) pageOfKeys(ctx context.Context, a *asked) (archivePage, error) {
	lines, err := s.m.archive.ByKey(ctx, a.q.Gateway, a.q.User, a.q.JID, a.keys)
	if err != nil {
		return archivePage{}, err
	}
	found := make(map[archive.Key]bool, len(lines))
	for i := range lines {
		found[lines[i].Key] = true
	}
	for _, k := range a.keys {
		if !found[k] {
			return archivePage{}, component.NewStanzaError("cancel", "item-not-found", "This archive has no line with the id “"+k.String()+"”.")
		}
	}
	return archivePage{lines: lines, complete: true}, nil
}

// sendPage sends the lines of a page, then its end.
func (s *Session) sendPage(st *component.Stanza, a *asked, page *archivePage) {
	n := len(page.lines)
	for i := range page.lines {
		l := &page.lines[i]
		if a.Flip {
			l = &page.lines[n-1-i]
		}
		if !s.send(s.archivedLine(st, a, l)) {
			return // the client asks again: nothing of the answer has its end
		}
	}
	fin := xep.Fin{Complete: page.complete, Count: -1}
	if page.counted {
		fin.Count = page.count
	}
	if n > 0 {
		// Also of a flipped page: only the order of sending differs.
		fin.First, fin.Last = page.lines[0].String(), page.lines[n-1].String()
	}
	o := component.Result(st)
	fin.AppendTo(o)
	s.send(o)
}

// archivedLine is a line as part of an answer.
func (s *Session) archivedLine(st *component.Stanza, q *asked, a *archive.Line) *component.Out {
	room := st.To.Bare()
	o := component.NewMessage(room, st.From, "", "")
	xep.StartResult(o, q.QueryID, a.String(), a.Time())
	from := room
	if a.Nick != "" {
		res, _ := component.SafeResource(a.Nick)
		from = room.WithResource(res)
	}
	id := a.ID
	if id == "" {
		id = a.String()
	}
	o.Attr("from", from.String()).Attr("type", "groupchat").Attr("id", id)
	if a.Body != "" {
		o.Elem("", "body", a.Body)
	}
	o.AppendChildren(a.Extra)
	xep.AppendStanzaID(o, a.String(), room)
	if r := s.rooms[room.Local]; r != nil {
		r.occupantID(o, a.Occupant)
	}
	if jid := s.speaker(q.net, a); jid != "" {
		xep.MUCUser{Items: []xep.Item{{JID: jid}}}.AppendTo(o)
	}
	return o.End().End().End()
}

// speaker is the address of whom a line is of, where rooms are not anonymous
// (XEP-0313, rules for rooms); otherwise empty.
func (s *Session) speaker(id bridges.NetworkID, a *archive.Line) string {
	switch {
	case !s.m.driver.Info().Addresses:
		return ""
	case a.Self:
		return s.user.String()
	case a.Occupant == "":
		return "" // the room itself
	}
	return s.m.personJID(id, &bridges.Member{Address: a.Occupant}).String()
}

// archiveEnds answers where the archive begins and ends.
func (s *Session) archiveEnds(st *component.Stanza) {
	q := archive.Query{Gateway: s.m.domain.Domain, User: s.user.String(), JID: st.To.Bare().String(), Limit: 1}
	if !s.work(func() func() {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		var ends [2]xep.ArchiveEnd
		var err error
		for i := range ends {
			var lines []archive.Line
			q.Last = i == 1
			if lines, _, err = s.m.archive.Lines(ctx, &q); err != nil || len(lines) == 0 {
				break
			}
			ends[i] = xep.ArchiveEnd{ID: lines[0].String(), At: lines[0].Time()}
		}
		return func() {
			if err != nil {
				s.archiveRefused(st, err)
				return
			}
			o := component.Result(st)
			xep.AppendMAMMetadata(o, ends[0], ends[1])
			s.send(o)
		}
	}) {
		s.refuse(st, StanzaError(errBusy))
	}
}
