package session

import (
	"bytes"
	"slices"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Bounds of an outbox.
const (
	maxOutbound      = 1000    // stanzas of one link; of one place maxSent
	maxOutboundBytes = 4 << 20 // of their text
	// outboundTime is how long a stanza is tried to be sent. Homeservers remember
	// transaction ids for at least that long.
	outboundTime = 30 * time.Minute
	// outboundAgain is until what may not have arrived is tried again, and until it is
	// looked what is too old.
	outboundAgain = 5 * time.Second
	// outboundRest is until what a killed process may have been sending is sent again: the
	// network may be at work on it, and two requests at once may become two lines.
	outboundRest = 2 * time.Second
)

// outbox is what the user says on a network that takes a line once (Caps.Once): stored
// from when it is accepted until the network has taken it or refused it, one at a time at
// each place. What may not have arrived when a connection or the process ended is asked for
// again under the same token; what is too old for that is an error that says so.
type outbox struct {
	l      *link
	read   bool // what the last process left is here
	places map[outplace]*outqueue
	tokens map[string]*outbound
	bytes  int
	names  uint32 // the last of the process
	timer  *time.Timer
}

// outplace is where something is said: in the room with a local part, or with a person.
type outplace struct {
	room string
	user bridges.UserID
}

// outqueue is what waits to be said at one place, the oldest first.
type outqueue struct {
	box     *outbox
	place   outplace
	waiting []*outbound
	busy    bool // the network has been asked for the first
	resting bool
}

// outbound is a stanza of the user's.
type outbound struct {
	q             *outqueue
	name          string // what it is stored under; empty: it is not
	token         string
	st            *component.Stanza
	nick, address string // of a person
	at            time.Time
	former        bool // an earlier process accepted it, and may have shown it
	unsure        bool // the network may have it
	doubt         bool // an earlier process may have been sending it when it ended
	done          bool
}

// say accepts something the user says in a room.
func (o *outbox) say(st *component.Stanza, r *room) {
	o.accept(outplace{room: r.jid.Local}, &outbound{st: st})
}

// tell accepts something the user says to a person.
func (o *outbox) tell(st *component.Stanza, c *contact) {
	o.accept(outplace{user: c.id}, &outbound{st: st, nick: c.nick, address: c.address})
}

func (o *outbox) accept(at outplace, b *outbound) {
	q := o.at(at)
	if s := o.l.s; len(q.waiting) >= maxSent || len(o.tokens) >= maxOutbound || o.bytes >= maxOutboundBytes {
		s.m.stats.busy.Add(1)
		s.refuse(b.st, StanzaError(bridges.NewError(bridges.RateLimited, "")))
		return
	}
	if slices.ContainsFunc(q.waiting, func(w *outbound) bool { return w.repeatedBy(b.st) }) {
		return // a client that has not seen it shown says it again
	}
	b.token, b.at = newToken(), time.Now()
	if sayable(b.st) {
		o.store(at, b)
	}
	o.add(q, b)
	q.next()
}

// repeatedBy tells whether a stanza is the same once more.
func (b *outbound) repeatedBy(st *component.Stanza) bool {
	if st.ID == "" || b.st.ID != st.ID || b.st.From != st.From || b.st.Type != st.Type {
		return false
	}
	all := func(*component.Element) bool { return true }
	return bytes.Equal(component.MarshalChildren(b.st.Element, all), component.MarshalChildren(st.Element, all))
}

// at is the queue of a place.
func (o *outbox) at(p outplace) *outqueue {
	q := o.places[p]
	if q == nil {
		q = &outqueue{box: o, place: p}
		if o.places == nil {
			o.places, o.tokens = make(map[outplace]*outqueue), make(map[string]*outbound)
		}
		o.places[p] = q
	}
	return q
}

func (o *outbox) add(q *outqueue, b *outbound) {
	b.q = q
	q.waiting = append(q.waiting, b)
	o.tokens[b.token] = b
	o.bytes += size(b.st)
}

func size(st *component.Stanza) int {
	body, _ := st.Body()
	return len(body) + 512
}

// remove takes a stanza out, and out of the store.
func (o *outbox) remove(b *outbound) {
	q := b.q
	if q.busy && len(q.waiting) > 0 && q.waiting[0] == b {
		q.busy = false
	}
	b.done = true
	q.waiting = slices.DeleteFunc(q.waiting, func(w *outbound) bool { return w == b })
	delete(o.tokens, b.token)
	o.bytes -= size(b.st)
	o.erase(b)
	if len(q.waiting) > 0 {
		return
	}
	delete(o.places, q.place)
	if r := o.l.s.rooms[q.place.room]; r != nil && r.l == o.l && len(r.seats) == 0 && r.part == nil && r.inside() {
		r.afterSeat("", true) // it was there for that; what was said is still being recorded
	}
}

// owes tells whether something waits to be said in a room.
func (o *outbox) owes(room string) bool { return o.places[outplace{room: room}] != nil }

// next says what waits at a place.
func (q *outqueue) next() {
	for !q.busy && len(q.waiting) > 0 && q.ask(q.waiting[0]) {
	}
}

// ask asks the network for a stanza. False means that it has to wait.
func (q *outqueue) ask(b *outbound) bool {
	l := q.box.l
	if time.Since(b.at) > outboundTime {
		b.refuse(bridges.NewError(bridges.Timeout, "The network could not be reached for too long."))
		return true
	}
	if l.dead || !l.online() {
		return false
	}
	p := q.spot(b)
	if p == nil {
		return false
	}
	if b.doubt {
		if !q.resting {
			q.resting = true
			l.s.after(outboundRest, func() {
				q.resting, b.doubt = false, false
				q.next()
			})
		}
		return false
	}
	q.busy = true
	p.utter(b.st, b.token, func(w wish) {
		switch {
		case b.done:
		case w.do == nil: // there is nothing to ask, and the sender has been told why
			q.box.remove(b)
			q.next()
		default:
			l.s.act(l, &outboundOutcome{b, w.instead}, w.do)
		}
	})
	return true
}

// spot is the place of a queue; nil: the user is not there.
func (q *outqueue) spot(b *outbound) *spot {
	l := q.box.l
	s := l.s
	if q.place.room != "" {
		r := s.rooms[q.place.room]
		if r == nil || r.l != l || r.state != roomIn {
			return nil
		}
		caps := l.net.Capabilities(bridges.Place{Room: r.id})
		return r.spot(&caps)
	}
	caps := l.net.Capabilities(bridges.Place{User: q.place.user})
	return b.contact().spot(s, &caps)
}

// contact is the person a stanza is said to.
func (b *outbound) contact() *contact {
	l := b.q.box.l
	c := l.s.contact(l, b.q.place.user, b.nick)
	if b.former && c.address == "" {
		c.address = b.address
	}
	c.asked = true
	return c
}

// outboundOutcome is a stanza that the network was asked for.
type outboundOutcome struct {
	b       *outbound
	instead ask
}

func (w *outboundOutcome) outcome(s *Session, ev bridges.Event) {
	b := w.b
	q := b.q
	if b.done { // its echo was first
		return
	}
	id, at, err := outcomeOf(ev)
	if err == nil {
		b.taken(id, at, false)
		q.next()
		return
	}
	passing := err.Uncertain || err.Kind == bridges.Offline
	if !passing && w.instead != nil {
		instead := w.instead
		w.instead = nil
		s.act(q.box.l, w, instead)
		return
	}
	b.unsure = b.unsure || err.Uncertain
	if passing && (s.leaving || !q.box.l.dead) && !err.Permanent {
		q.busy = false
		q.box.watch()
		return
	}
	b.refuse(err)
	q.next()
}

// refuse tells the sender that a stanza was not taken, or may not have been.
func (b *outbound) refuse(err *bridges.Error) {
	e := *err
	e.Uncertain = e.Uncertain || b.unsure
	b.q.box.l.s.refuse(b.st, lineError(&e))
	b.q.box.remove(b)
}

// echo takes a line of the network's that is one of those that wait, and tells whether
// it is.
func (o *outbox) echo(ev *bridges.Message, replay bool) bool {
	b := o.tokens[ev.Token]
	if ev.Token == "" || b == nil {
		return false
	}
	q := b.q
	if r := o.l.s.rooms[q.place.room]; q.place.room != "" && (r == nil || !r.inside()) {
		return true // it is told once more when the network is asked for it
	}
	b.taken(ev.ID, ev.At, replay)
	q.next()
	return true
}

// pending tells whether a token is of a stanza that waits.
func (o *outbox) pending(token string) bool { return token != "" && o.tokens[token] != nil }

// taken shows what the network has taken, once. Of what an earlier process accepted it
// is looked first whether that has shown it already; replay tells that it is played
// back, among others.
func (b *outbound) taken(id bridges.MessageID, at time.Time, replay bool) {
	o := b.q.box
	s := o.l.s
	s.m.stats.toNetwork.Add(1)
	defer o.remove(b)
	if b.q.place.room != "" {
		r := s.rooms[b.q.place.room]
		switch {
		case r == nil || r.l != o.l:
		case r.rec != nil && (b.former || replay):
			r.playBack(played{own: b.st, Message: &bridges.Message{
				Place: bridges.Place{Room: r.id}, From: r.self, Self: true, ID: id, At: timeOr(at, time.Now()), Replay: true,
			}})
		default:
			r.reflect(b.st, id, at, false)
		}
		return
	}
	c := b.contact()
	if !b.former || id == "" {
		s.tookPrivate(b.st, c, id, at)
		return
	}
	o.l.comparing++
	s.privateShownID(c, id, func(shown string, _ bool) {
		if shown == "" {
			s.tookPrivate(b.st, c, id, at)
		}
		o.l.compared()
	})
}

// online says what waits, now that the network can be reached. Rooms in which something
// is to be said are entered for that.
func (o *outbox) online() {
	for _, q := range o.inOrder() {
		if q.place.room != "" && len(q.waiting) > 0 {
			o.enter(q)
		}
		q.next()
	}
}

// inOrder are the queues, that with the oldest stanza first.
func (o *outbox) inOrder() []*outqueue {
	var out []*outqueue
	for _, q := range o.places {
		if len(q.waiting) > 0 {
			out = append(out, q)
		}
	}
	slices.SortFunc(out, func(a, b *outqueue) int { return a.waiting[0].at.Compare(b.waiting[0].at) })
	return out
}

// enter joins a room in which something is to be said.
func (o *outbox) enter(q *outqueue) {
	s := o.l.s
	r := s.rooms[q.place.room]
	if r == nil {
		jid := q.waiting[0].st.To.Bare()
		addr, err := s.m.driver.Parse(component.UnescapeLocal(jid.Local))
		if err != nil || addr.Kind != bridges.AddressRoom || s.byID(o.l, o.l.net.RoomID(addr.Name)) != nil {
			o.lost(q.place.room)
			return
		}
		r = s.addRoom(o.l, jid, addr.Name)
	}
	r.join()
}

// entered says what waits in a room the user has just entered.
func (o *outbox) entered(room string) {
	if q := o.places[outplace{room: room}]; q != nil {
		q.next()
	}
}

// lost refuses what waits in a room that the user is in no longer.
func (o *outbox) lost(room string) {
	if q := o.places[outplace{room: room}]; q != nil && !o.l.dead {
		o.refuse(q, bridges.NewError(bridges.NotJoined, "You are not in this room any more."))
	}
}

// close refuses all that waits: the link is not coming back.
func (o *outbox) close(err *bridges.Error) {
	if o.l.s.leaving {
		return // the next process goes on with it
	}
	for _, q := range o.inOrder() {
		o.refuse(q, err)
	}
}

func (o *outbox) refuse(q *outqueue, err *bridges.Error) {
	if q.busy && len(q.waiting) > 0 {
		q.waiting[0].unsure = true
	}
	for _, b := range slices.Clone(q.waiting) {
		b.refuse(&bridges.Error{Kind: err.Kind, Text: err.Text})
	}
}

// watch looks at what waits from time to time, as long as something does.
func (o *outbox) watch() {
	if o.timer != nil || o.l.dead {
		return
	}
	o.timer = o.l.s.after(outboundAgain, func() {
		o.timer = nil
		for _, q := range o.inOrder() {
			q.next()
		}
		if len(o.tokens) > 0 {
			o.watch()
		}
	})
}
