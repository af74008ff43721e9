package session

import (
	"context"
	"slices"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
)

// Times of one-to-one lines on their way to the user.
const (
	// confirmEvery is how often it is looked whether the user's server has them.
	confirmEvery = 5 * time.Second
	// bounceTime is how long the user's server may take to send one back.
	bounceTime = 2 * time.Minute
	// lateEvery spaces attempts to deliver what had come back.
	lateEvery = 10 * time.Second
)

// onWay is a one-to-one line that was written to the stream.
type onWay struct {
	k    keptMessage
	sent time.Time
	safe bool // the server has read it
}

// private is what a session knows of one-to-one lines that have not reached the
// user for certain.
type private struct {
	way      []onWay // in the order they were sent; at most maxKept
	watching bool
	late     []keptMessage // came back: the user had no client; at most maxKept
	lateCut  int
	lateTry  time.Time
	loading  bool // what the last process left is still to be read
}

// recordPrivate stores a one-to-one line from the network until it has reached the
// user, and for export.
func (s *Session) recordPrivate(k *keptMessage) {
	if s.m.archive == nil || !s.recordsPrivate() || k.body == "" {
		return
	}
	key := s.m.archive.NewKey(k.at)
	if !s.m.archive.Apply(&archive.AddPrivate{Gateway: s.m.domain.Domain, User: s.user.String(), Private: archive.Private{
		Key: key, Peer: k.from.String(), Nick: k.nick, Via: k.via, ID: k.id, Body: k.body, NetID: string(k.net), Pending: true,
	}}) {
		s.m.stats.unrecorded.Add(1)
		return
	}
	k.key = key
}

// recordSent stores a one-to-one line of the user's that the network has taken.
func (s *Session) recordSent(st *component.Stanza, c *contact, id bridges.MessageID, at time.Time) {
	body, _ := st.Body()
	peer := s.peer(c)
	s.noteName(privateName{peer: peer, id: st.ID, net: id, own: true})
	if s.m.archive == nil || !s.recordsPrivate() || body == "" {
		return
	}
	if !s.m.archive.Apply(&archive.AddPrivate{Gateway: s.m.domain.Domain, User: s.user.String(), Private: archive.Private{
		Key: s.m.archive.NewKey(at), Peer: peer, Nick: c.nick, Via: c.via, ID: st.ID, Body: body, NetID: string(id), Out: true,
	}}) {
		s.m.stats.unrecorded.Add(1)
	}
}

// settled notes whether a line has reached the user's server for good.
func (s *Session) settled(k *keptMessage, again bool) {
	if s.m.archive != nil && !k.key.IsZero() {
		s.m.archive.Apply(&archive.SettlePrivate{Gateway: s.m.domain.Domain, User: s.user.String(), Key: k.key, Again: again})
	}
}

// wrote notes that a line was written to the stream.
func (s *Session) wrote(k keptMessage) {
	if len(s.way) >= maxKept {
		s.settled(&s.way[0].k, false)
		s.way = slices.Delete(s.way, 0, 1)
	}
	s.way = append(s.way, onWay{k: k, sent: time.Now()})
	s.watchWay()
}

func (s *Session) watchWay() {
	if s.watching || len(s.way) == 0 {
		return
	}
	s.watching = true
	s.after(confirmEvery, func() {
		s.watching = false
		s.confirmWay(s.m.stream.Confirmed())
		s.watchWay()
	})
}

// confirmWay settles what the user's server has read, and forgets what cannot come
// back any more.
func (s *Session) confirmWay(confirmed time.Time) {
	now := time.Now()
	s.way = slices.DeleteFunc(s.way, func(w onWay) bool { return w.safe && now.Sub(w.sent) > bounceTime })
	for i := range s.way {
		if w := &s.way[i]; !w.safe && w.sent.Before(confirmed) {
			w.safe = true
			s.settled(&w.k, false)
		}
	}
	if len(s.way) == 0 {
		s.way = nil
	}
}

// recallWay takes back what was written to a stream that broke and may not have
// been read: it is written to the next one, with the same ids.
func (s *Session) recallWay(confirmed time.Time) {
	s.confirmWay(confirmed)
	var again []keptMessage
	s.way = slices.DeleteFunc(s.way, func(w onWay) bool {
		if !w.safe {
			again = append(again, w.k)
		}
		return !w.safe
	})
	for _, k := range append(again, s.takeKept()...) {
		s.keep(k)
	}
}

// takeKept empties what is kept.
func (s *Session) takeKept() []keptMessage {
	kept := s.kept
	s.kept = nil
	return kept
}

// unreachable are the conditions with which a server says that it has nowhere to
// put a line: no client is there, and nothing keeps it.
var unreachable = map[string]bool{
	"service-unavailable": true, "recipient-unavailable": true, "remote-server-timeout": true,
	"remote-server-not-found": true, "resource-constraint": true, "internal-server-error": true,
}

// cameBack takes a one-to-one line back that the user's server returned: it is
// delivered when a client of the user's shows itself.
func (s *Session) cameBack(st *component.Stanza) {
	e := st.StanzaError()
	if e == nil || !unreachable[e.Condition] {
		return
	}
	i := slices.IndexFunc(s.way, func(w onWay) bool { return w.k.id == st.ID && w.k.from.Bare() == st.To.Bare() })
	if i < 0 {
		return
	}
	k := s.way[i].k
	if s.way[i].safe {
		s.settled(&k, true)
	}
	s.way = slices.Delete(s.way, i, i+1)
	if len(s.late) >= maxKept {
		s.late = slices.Delete(s.late, 0, 1)
		s.lateCut++
		s.m.stats.cut.Add(1)
	}
	s.late = append(s.late, k)
}

// deliverLate sends what had come back, now that the user is there.
func (s *Session) deliverLate() {
	if !s.up || time.Since(s.lateTry) < lateEvery {
		return
	}
	s.lateTry = time.Now()
	late := s.late
	s.late = nil
	s.keptCut += s.lateCut
	s.lateCut = 0
	for _, k := range append(late, s.takeKept()...) {
		s.keep(k)
	}
	s.deliverKept()
}

// pendingAgain is until it is looked once more for what the last process had not
// delivered, where the database or a worker could not be had.
const pendingAgain = 10 * time.Second

// loadPending brings back what the last process had not delivered for certain.
func (s *Session) loadPending() {
	user := s.user.String()
	again := s.loading // it has been said already
	s.loading = true
	if !s.work(func() func() {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		lines, err := s.m.archive.Pending(ctx, s.m.domain.Domain, user, maxKept)
		return func() {
			if err != nil {
				if !again {
					s.log.Error("one-to-one lines that came before the restart cannot be read; it is tried again", "error", err)
				}
				s.after(pendingAgain, s.loadPending)
				return
			}
			s.loading = false
			known := s.undelivered()
			var back []keptMessage
			for i := range lines {
				p := &lines[i]
				if known[p.Key] {
					continue // it came after the restart
				}
				if from, err := component.ParseJID(p.Peer); err == nil {
					back = append(back, keptMessage{from: from, nick: p.Nick, body: p.Body, id: p.ID, at: p.Time(), via: p.Via, key: p.Key, net: bridges.MessageID(p.NetID)})
				}
			}
			for _, k := range append(back, s.takeKept()...) {
				s.keep(k)
			}
			s.deliverKept()
		}
	}) {
		s.after(pendingAgain, s.loadPending)
	}
}

// undelivered are the keys of lines that this session knows of and that the archive
// may still call pending.
func (s *Session) undelivered() map[archive.Key]bool {
	known := make(map[archive.Key]bool, len(s.way)+len(s.kept)+len(s.late))
	for i := range s.way {
		known[s.way[i].k.key] = true
	}
	for _, k := range slices.Concat(s.kept, s.late) {
		known[k.key] = true
	}
	return known
}

// Begin makes the archive ready for this gateway: no session may exist yet. It
// blocks on the database.
func (m *Manager) Begin(ctx context.Context) error {
	if m.archive == nil {
		return nil
	}
	users, err := m.archive.Begin(ctx, m.domain.Domain)
	m.pending = users
	return err
}

// restorePending has the sessions of users with undelivered lines look at them.
func (m *Manager) restorePending() {
	users := m.pending
	m.pending = nil
	m.paced(len(users), func(i int) {
		if jid, err := component.ParseJID(users[i]); err == nil {
			m.post(jid.Bare(), (*Session).loadPending)
		}
	})
}
