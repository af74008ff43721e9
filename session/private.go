package session

import (
	"context"
	"maps"
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
	way      []onWay // in the order they were sent; at most maxWay
	watching bool
	late     []keptMessage // came back: the user had no client; at most maxKept
	lateMore bool          // the archive has more of them
	lateCut  int
	lateTry  time.Time

	loading    bool // pending lines are being read from the archive
	unreadable bool // that did not succeed
	// behind: the archive has pending lines that are not here. Those that come meanwhile
	// stay there too, so that all are delivered in their order.
	behind bool
	left   int // how many were left there

	newest, playedBack int64 // times of the last lines' keys, see privateKey
}

// maxWay bounds the lines on their way with those that may still come back. Of those
// that have not been read for certain there are maxKept, others wait.
const maxWay = 4 * maxKept

// leave leaves a line that is pending to the archive, where it is read once those before
// it are through.
func (s *Session) leave() {
	s.behind = true
	s.left++
}

// wayFull tells whether as many lines are on their way as may be lost with the stream.
func (s *Session) wayFull() bool {
	if len(s.way) < maxKept {
		return false
	}
	s.confirmWay(s.m.stream.Confirmed())
	unsure := 0
	for i := range s.way {
		if !s.way[i].safe {
			unsure++
		}
	}
	return unsure >= maxKept
}

// privateKey is the key of a one-to-one line from a network. Those that come now stand
// in the order they come in; old ones, played back, where their time says, and those of
// one millisecond in their order.
func (s *Session) privateKey(at time.Time, old bool) archive.Key {
	if now := time.Now(); !old && at.After(now.Add(archive.ClockDoubt)) {
		at = now
	}
	k := s.m.archive.NewKey(at)
	last := &s.newest
	if old {
		last = &s.playedBack
	}
	if !old || *last < k.At+time.Millisecond.Microseconds() {
		k.At = max(k.At, *last+1)
	}
	*last = k.At
	return k
}

// recordPrivate stores a one-to-one line from the network until it has reached the
// user, and for export.
func (s *Session) recordPrivate(k *keptMessage, old bool) {
	if s.m.archive == nil || !s.recordsPrivate() || k.body == "" {
		return
	}
	key := s.privateKey(k.at, old)
	if !s.m.archive.Apply(&archive.AddPrivate{Gateway: s.m.domain.Domain, User: s.user.String(), Private: archive.Private{
		Key: key, Peer: k.from.String(), Nick: k.nick, Via: k.via, ID: k.id, Body: k.body, NetID: string(k.net), Extra: k.extra,
		Out: k.own, Pending: !k.own || s.showsOwn(),
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
	if len(s.way) >= maxWay {
		if w := &s.way[0]; !w.safe && !w.k.key.IsZero() {
			s.leave()
		}
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
		s.readOn()
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
	s.cameLate(k)
}

// cameLate holds a line until a client of the user's shows itself.
func (s *Session) cameLate(k keptMessage) {
	if len(s.late) >= maxKept {
		if !k.key.IsZero() {
			s.lateMore = true
			return
		}
		i := slices.IndexFunc(s.late, func(k keptMessage) bool { return k.key.IsZero() })
		if i >= 0 {
			s.lateCut++
			s.m.stats.cut.Add(1)
		} else {
			s.lateMore, i = true, len(s.late)-1
		}
		s.late = slices.Delete(s.late, i, i+1)
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
	if s.lateMore {
		s.leave()
	}
	s.lateCut, s.lateMore = 0, false
	for _, k := range append(late, s.takeKept()...) {
		s.keep(k)
	}
	s.deliverKept()
}

// pendingAgain is until it is looked once more for what the last process had not
// delivered, where the database or a worker could not be had.
const pendingAgain = 10 * time.Second

// readOn reads more of what is pending, once there is room for it.
func (s *Session) readOn() {
	if s.behind && !s.m.admitted(s.user) {
		s.behind = false
	}
	if s.behind && s.up && !s.loading && !s.leaving && len(s.kept) == 0 && !s.wayFull() {
		s.loadPending()
	}
}

// loadPending brings back what has not been delivered for certain: by the last process,
// or by this one, where there was too much of it for memory. It is read a part at a
// time, and delivered in its order.
func (s *Session) loadPending() {
	user := s.user.String()
	known, left := s.undelivered(), s.left
	limit := len(known) + maxKept
	s.loading = true
	if !s.work(func() func() {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		lines, err := s.m.archive.Pending(ctx, s.m.domain.Domain, user, limit)
		return func() {
			if err != nil {
				if !s.unreadable {
					s.log.Error("one-to-one lines that wait in the archive cannot be read; it is tried again", "error", err)
				}
				s.unreadable = true
				s.after(pendingAgain, s.loadPending)
				return
			}
			s.loading, s.unreadable = false, false
			s.behind = len(lines) == limit || s.left != left
			s.pending(lines, known)
		}
	}) {
		s.after(pendingAgain, s.loadPending)
	}
}

// pending delivers lines of the archive, but for those that are known: before they were
// read, or now.
func (s *Session) pending(lines []archive.Private, known map[archive.Key]bool) {
	maps.Copy(known, s.undelivered())
	var back []keptMessage
	for i := range lines {
		p := &lines[i]
		from, err := component.ParseJID(p.Peer)
		switch {
		case known[p.Key]: // also one that came after the restart
		case err != nil:
			s.settled(&keptMessage{key: p.Key}, false)
		default:
			back = append(back, keptMessage{from: from, nick: p.Nick, body: p.Body, id: p.ID, at: p.Time(), via: p.Via, key: p.Key, net: bridges.MessageID(p.NetID), extra: p.Extra, own: p.Out})
		}
	}
	for _, k := range append(back, s.takeKept()...) {
		s.keep(k)
	}
	s.deliverKept()
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
			m.post(jid.Bare(), func(s *Session) {
				s.leave()
				s.readOn()
			})
		}
	})
}
