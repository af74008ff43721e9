package session

import (
	"errors"
	"slices"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

const (
	verifyTime  = 30 * time.Second // a client has to answer after the stream came back
	verifyAgain = 5 * time.Second  // until it is asked again where there was no room to
)

// repeatSpan is repeated in any case: what the server has read it may not have
// handed on when it was killed.
const repeatSpan = 5 * time.Second

// streamDown is told when the XMPP stream is gone: from here on lines are kept.
// Before confirmed, in nanoseconds, the server had read everything.
func (s *Session) streamDown(confirmed int64) {
	if !s.up {
		return
	}
	s.up = false
	s.recallWay(time.Unix(0, confirmed))
	for _, r := range s.rooms {
		r.streamDown(min(confirmed, time.Now().Add(-repeatSpan).UnixNano()))
	}
}

// streamDown notes what each client has been shown for certain: before since.
func (r *room) streamDown(since int64) {
	if r.state == roomIn {
		r.remember()
	}
	r.gap = len(r.seats) > 0
	seen, key := r.lastRead(since)
	if r.cutUnread > 0 && r.cutCame > since {
		r.cut += r.cutUnread
		r.m.stats.cut.Add(int64(r.cutUnread))
	}
	r.cutUnread = 0
	for _, st := range r.seats {
		if !st.in || st.unsure {
			continue
		}
		st.unsure, st.seen, st.seenKey = true, seen, key
		st.caught, st.missed, st.rest = false, nil, false
		if st.caughtUp > since {
			st.seen = min(seen, st.before)
		}
	}
}

// lastRead is the last line that the server has read for certain, and its key in
// the archive. Where not even the oldest one remembered is, only the archive knows
// what came before.
func (r *room) lastRead(since int64) (seen uint64, key archive.Key) {
	for i := len(r.lines) - 1; i >= 0; i-- {
		if l := &r.lines[i]; l.came < since {
			if key = l.key; key.IsZero() {
				key = archive.KeyAt(time.Unix(0, since))
			}
			return l.seq, key
		}
	}
	return 0, archive.KeyAt(time.Unix(0, max(0, since)))
}

// streamUp is told when the stream is back: every client that was in a room is
// asked whether it is still there.
func (s *Session) streamUp() {
	if s.up {
		s.streamDown(s.m.broke.Load()) // a drop so short that nobody told us in between
	}
	s.up = true
	s.deliverOwed()
	for _, c := range s.clients {
		c.unsure = true
	}
	if len(s.clients) > 0 { // those that are there answer the probe below
		s.after(verifyTime, s.forgetUnsure)
	}
	for _, r := range s.rooms {
		for _, st := range r.seats {
			if st.unsure {
				r.verify(st)
			}
		}
	}
	s.deliverKept()
	for _, l := range s.links {
		l.told = ""
		l.announce()
	}
	s.showPeopleAgain()
	if s.subscribed(s.m.domain) {
		s.send(component.NewPresence(s.m.domain, s.user, "probe", ""))
	}
}

// verify pings a client as its server sees it (XEP-0199): an answer, even an
// error of the client's own, means it is there; the server's that it is not.
func (r *room) verify(st *seat) {
	o := component.NewIQ(r.jid, st.jid, "get", r.m.stream.NewID())
	o.Start(xep.NSPing, "ping").End()
	r.m.stream.Request(o, verifyTime, func(_ *component.Stanza, err error) {
		r.post(func() { r.verified(st, err) })
	})
}

// verified re-syncs a client that is there and removes one that is not.
func (r *room) verified(st *seat, err error) {
	if r.rooms[r.jid.Local] != r || r.seat(st.jid.Resource) != st || !st.unsure {
		return
	}
	switch {
	case errors.Is(err, component.ErrDown):
		return // asked again when the stream is back
	case errors.Is(err, component.ErrQueueFull):
		r.after(verifyAgain, func() {
			if r.rooms[r.jid.Local] == r && st.unsure {
				r.verify(st)
			}
		})
		return
	case err != nil && !answersItself(err):
		r.log.Info("client is gone", "resource", st.jid.Resource, "error", err)
		r.removeSeat(st)
		r.settleGap()
		r.afterSeat("", !st.restored)
		r.deliverKept()
		return
	}
	defer r.deliverKept()
	if r.state != roomIn {
		st.unsure = false
		if st.in {
			r.catchUp(st)
		} else {
			r.join()
		}
		return
	}
	r.resync(st)
}

// answersItself tells whether an error answer can only have come from the
// client: it has no idea of pings, but it is there.
func answersItself(err error) bool {
	var se *component.StanzaError
	return errors.As(err, &se) && (se.Condition == "feature-not-implemented" || se.Condition == "not-acceptable" || se.Condition == "bad-request" || se.Condition == "forbidden")
}

// resync brings a client that was in before a gap to the present.
func (r *room) resync(st *seat) {
	if r.lost(st) {
		r.readLost(st)
		return
	}
	st.unsure = false
	self, members, ok := r.l.net.Members(r.id)
	if !ok {
		return // the event that says so is on its way
	}
	if st.in {
		// All of them, not the difference: what was on its way when the stream broke
		// may or may not have arrived.
		for i := range members {
			r.send(r.presence(st.jid, &members[i], nil))
		}
	}
	for _, m := range r.missing(&self, members) {
		r.send(r.absence(st.jid, &m, leave{}))
	}
	if !st.in {
		r.admit(st)
		r.settleGap()
		return
	}
	r.showSelf(st, &self)
	r.self, r.nick = self, self.Nick
	r.catchUp(st)
	if st.stale {
		r.sendSubject(st, true)
	}
	r.settleGap()
}

// missing are the members that clients were shown before a gap and that are no
// longer there under the same nick.
func (r *room) missing(self *bridges.Member, members []bridges.Member) []bridges.Member {
	if len(r.shown) == 0 {
		return nil
	}
	now := make(map[string]bool, len(members)+1)
	now[self.Nick] = true
	for i := range members {
		now[members[i].Nick] = true
	}
	var out []bridges.Member
	for nick, m := range r.shown {
		if !now[nick] {
			out = append(out, m)
		}
	}
	return out
}

// settleGap forgets what was noted for a gap once every client is past it.
func (r *room) settleGap() {
	if r.anyUnsure() || r.state != roomIn {
		return
	}
	r.shown = nil
	if r.gap && len(r.seats) == 0 {
		return // whoever comes back finds what was kept
	}
	r.cut = 0
	if r.gap && r.justCaughtUp() { // and may lose it all again
		r.after(confirmEvery, r.settleGap)
		return
	}
	r.gap = false
	if len(r.lines) > historyLines {
		drop := len(r.lines) - historyLines
		n := copy(r.lines, r.lines[drop:])
		clear(r.lines[n:])
		r.lines = r.lines[:n]
	}
}

// justCaughtUp tells whether what a client was sent after a gap may still be lost
// with the stream.
func (r *room) justCaughtUp() bool {
	since := r.m.confirmed()
	return slices.ContainsFunc(r.seats, func(st *seat) bool { return st.caughtUp > since })
}

// restore puts clients that were in rooms when the last process died back into
// them: those that are still there. Each is asked first.
func (s *Session) restore(seats []Seat) {
	for _, stored := range seats {
		client, err1 := component.ParseJID(stored.Client)
		roomJID, err2 := component.ParseJID(stored.Room)
		if err1 != nil || err2 != nil || roomJID.Local == "" {
			s.m.store.RemoveSeat(stored.Client, stored.Room)
			continue
		}
		if r := s.rooms[roomJID.Local]; r != nil && r.seat(client.Resource) != nil {
			continue // it has joined again by itself
		}
		s.restoreSeat(client, roomJID, stored)
	}
	if s.subscribed(s.m.domain) {
		s.send(component.NewPresence(s.m.domain, s.user, "probe", ""))
	}
}

func (s *Session) restoreSeat(client, roomJID component.JID, stored Seat) {
	addr, err := s.m.driver.Parse(component.UnescapeLocal(roomJID.Local))
	if err != nil || addr.Kind != bridges.AddressRoom {
		s.m.store.RemoveSeat(stored.Client, stored.Room)
		return
	}
	l, err := s.link(addr.Network)
	if err != nil {
		s.m.store.RemoveSeat(stored.Client, stored.Room)
		return
	}
	if l.nick == "" {
		l.nick = stored.Nick
	}
	r := s.rooms[roomJID.Local]
	if r == nil {
		r = s.addRoom(l, roomJID, addr.Name)
	}
	if r.password == "" {
		r.password = stored.Password
	}
	st := &seat{jid: client, nick: stored.Nick, unsure: true, restored: true}
	r.seats = append(r.seats, st)
	r.verify(st)
}

// shutdown leaves everything politely because the process ends: rooms get 332,
// networks a QUIT, watchers unavailable presence.
func (s *Session) shutdown() {
	s.leaving = true
	for _, r := range s.rooms {
		r.stopRecording()
		r.showLeave(leave{reason: "The gateway is shutting down.", codes: codesShutdown})
		r.removeSeats()
	}
	for _, jid := range s.watched {
		if to, err := component.ParseJID(jid); err == nil {
			s.send(component.NewPresence(to, s.user, "unavailable", "").Elem("", "status", "The gateway is shutting down."))
		}
	}
	s.m.stats.rooms.Add(-int64(len(s.rooms)))
	s.rooms = nil
	for _, l := range s.links {
		l.abandon("The gateway is shutting down.")
	}
	s.links = nil
	s.closeInbox(false)
}
