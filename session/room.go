package session

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

type roomState uint8

// A room is being joined until the network lets the user in; it is down while
// its link is, and leaving until the network has confirmed that.
const (
	roomJoining roomState = iota
	roomIn
	roomDown
	roomLeaving
)

// room is one room as one user sees it. The member list is the network's; the
// room keeps who of the user's clients are in, and what they have been shown.
type room struct {
	*Session
	l     *link
	jid   component.JID // bare: how the user entered it
	name  string        // as asked for
	id    bridges.RoomID
	state roomState
	log   *slog.Logger

	seats    []*seat
	password string
	auto     bool // joined for the account, stays without clients
	joining  bool // a join is under way
	nick     string
	subject  *bridges.Subject

	lines  []line
	seq    uint64                    // of the last line
	gap    bool                      // lines are kept for clients that lost them, until one of them is back
	cut    int                       // lines given up while nobody could be shown them
	shown  map[string]bridges.Member // what clients were shown before a gap, by nick; nil: no gap
	self   bridges.Member            // as last shown
	sent   int                       // lines without an outcome
	reacts map[string][]string       // the user's reactions, by message id
	part   *time.Timer
	rejoin bool // wanted again while leaving
}

// seat is one of the user's clients in a room.
type seat struct {
	jid      component.JID // full
	nick     string        // asked for
	in       bool          // has been shown the room
	as       string        // the nick it was shown as its own
	stale    bool          // the subject has changed and it was not shown
	unsure   bool          // not verified since the stream came back
	seen     uint64        // last line it was shown, while unsure
	before   uint64        // the same, before it was last caught up with
	caughtUp int64         // when that was, in nanoseconds
	history  xep.History
	stanza   *component.Stanza // the join, until answered
	restored bool              // left behind by the last process
	told     bool              // show and status were sent to the room
	show     string
	status   string
}

// entered tells whether the room was ever entered by this process.
func (r *room) entered() bool { return r.id != "" }

// inside tells whether the network has the user in the room.
func (r *room) inside() bool { return r.state == roomIn }

// roomsOf returns the rooms of a link.
func (s *Session) roomsOf(l *link) []*room {
	var out []*room
	for _, r := range s.rooms {
		if r.l == l {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *room) int { return strings.Compare(a.jid.Local, b.jid.Local) })
	return out
}

// byID returns the room a network means, where it has been entered.
func (s *Session) byID(l *link, id bridges.RoomID) *room { return l.rooms[id] }

// named gives a room the network's name for it.
func (r *room) named(id bridges.RoomID) {
	r.unnamed()
	if r.l.rooms == nil {
		r.l.rooms = make(map[bridges.RoomID]*room)
	}
	r.id = id
	r.l.rooms[id] = r
}

// unnamed takes that back.
func (r *room) unnamed() {
	if r.id != "" && r.l.rooms[r.id] == r {
		delete(r.l.rooms, r.id)
	}
	r.id = ""
}

// addRoom makes a room that is to be joined.
func (s *Session) addRoom(l *link, jid component.JID, name string) *room {
	r := &room{Session: s, l: l, jid: jid.Bare().Clone(), name: strings.Clone(name)}
	r.log = tag(s.log, "room", r.jid.String())
	if s.rooms == nil {
		s.rooms = make(map[string]*room)
	}
	s.rooms[r.jid.Local] = r
	s.m.stats.rooms.Add(1)
	return r
}

// gone forgets a room.
func (r *room) gone() {
	if r.rooms[r.jid.Local] != r {
		return
	}
	if r.l.rooms[r.id] == r {
		delete(r.l.rooms, r.id)
	}
	if r.part != nil {
		r.part.Stop()
	}
	r.removeSeats()
	delete(r.rooms, r.jid.Local)
	r.m.stats.rooms.Add(-1)
	if !r.l.dead {
		r.l.reconsider()
	}
	r.deliverKept()
}

// seat returns the seat of a client.
func (r *room) seat(resource string) *seat {
	for _, st := range r.seats {
		if st.jid.Resource == resource {
			return st
		}
	}
	return nil
}

// removeSeat takes a client out.
func (r *room) removeSeat(st *seat) {
	if i := slices.Index(r.seats, st); i >= 0 {
		r.seats = slices.Delete(r.seats, i, i+1)
		r.m.store.RemoveSeat(st.jid.String(), r.jid.String())
	}
}

// removeSeats takes all clients out.
func (r *room) removeSeats() {
	for _, st := range r.seats {
		r.m.store.RemoveSeat(st.jid.String(), r.jid.String())
	}
	r.seats = nil
}

// onJoin is presence with the MUC element to room/nick (XEP-0045 section 7.2).
func (s *Session) onJoin(st *component.Stanza, r *room, addr bridges.Address, join xep.MUCJoin) {
	if st.To.Resource == "" {
		s.refuse(st, component.NewStanzaError("modify", "jid-malformed", "A nickname is missing: join with room/nickname."))
		return
	}
	if r == nil {
		if e := s.mayJoin(addr.Network); e != nil {
			s.refuse(st, e)
			return
		}
		l, err := s.link(addr.Network)
		if err != nil {
			s.refuse(st, StanzaError(err))
			return
		}
		if other := s.byID(l, l.net.RoomID(addr.Name)); other != nil {
			s.refuse(st, redirect(other.jid))
			l.reconsider()
			return
		}
		if e := s.roomLimit(); e != nil {
			s.refuse(st, e)
			l.reconsider()
			return
		}
		r = s.addRoom(l, st.To, addr.Name)
	}
	r.enter(st, join)
}

// enter gives a client a seat, joining the room where needed.
func (r *room) enter(st *component.Stanza, join xep.MUCJoin) {
	if r.part != nil {
		r.part.Stop()
		r.part = nil
	}
	seat := r.seat(st.From.Resource)
	if seat == nil {
		if len(r.seats) >= maxSeats {
			r.refuse(st, component.NewStanzaError("wait", "resource-constraint", "You have too many clients in this room."))
			return
		}
		seat = newSeat(st)
		r.seats = append(r.seats, seat)
	}
	seat.nick, seat.history, seat.stanza, seat.in, seat.unsure = strings.Clone(st.To.Resource), join.History, st, false, false
	if join.Password != "" {
		r.password = strings.Clone(join.Password)
	}
	switch r.state {
	case roomIn:
		r.welcome(seat)
		r.deliverKept()
	case roomLeaving:
		r.rejoin = true
	case roomDown, roomJoining:
		r.join()
	}
}

// maxSeats bounds the clients of one user in one room.
const maxSeats = 32

func newSeat(st *component.Stanza) *seat { return &seat{jid: st.From.Clone()} }

// join asks the network to let the user in, connecting first where needed.
func (r *room) join() {
	if r.joining || r.state == roomIn || r.state == roomLeaving {
		return
	}
	if !r.l.online() {
		attended := false
		for _, st := range r.seats {
			if st.stanza != nil || r.l.nick == "" {
				r.l.nick = st.nick // of whoever asked last
			}
			attended = attended || st.stanza != nil
		}
		if r.l.retry == nil || attended {
			r.l.start(attended)
		}
		return
	}
	r.joining = true
	r.act(r.l, joinOutcome{r}, func(ref bridges.Ref) error {
		return r.l.net.Join(ref, r.name, bridges.JoinOptions{Password: r.password})
	})
}

// joinOutcome is what a join comes to.
type joinOutcome struct{ r *room }

func (o joinOutcome) outcome(s *Session, ev bridges.Event) {
	r := o.r
	r.joining = false
	if s.rooms[r.jid.Local] != r {
		s.enteredLate(r, ev)
		return
	}
	switch ev := ev.(type) {
	case *bridges.Entered:
		r.onEntered(ev)
	case *bridges.Failed:
		if ev.Err.Kind == bridges.Offline && !r.l.dead {
			return // the link's end decides
		}
		r.failJoin(ev.Err)
	}
}

// enteredLate is a join that came through when nobody wanted it any more: who
// asked again in the meantime gets it, else the room is left.
func (s *Session) enteredLate(r *room, ev bridges.Event) {
	in, ok := ev.(*bridges.Entered)
	if !ok || r.l.dead {
		return
	}
	if again := s.rooms[r.jid.Local]; again != nil && again.l == r.l && again.state == roomJoining {
		again.onEntered(in)
		return
	}
	if s.byID(r.l, in.Room) == nil {
		r.l.quietly("leave", r.l.net.Leave(0, in.Room, ""))
	}
}

// failJoin tells every client that waits that it cannot get in.
func (r *room) failJoin(err *bridges.Error) {
	if r.entered() { // it was in before: the room is lost
		r.close(leave{reason: StanzaError(err).Text, codes: codesLost})
		return
	}
	e := StanzaError(err)
	e.By = r.jid
	seats := r.seats
	r.seats = nil
	for _, st := range seats {
		if st.stanza != nil {
			r.refuse(st.stanza, e)
			continue
		}
		r.showOut(st, leave{reason: e.Text, codes: codesLost})
		r.m.store.RemoveSeat(st.jid.String(), r.jid.String())
	}
	r.gone()
}

// failWaiting tells the clients that asked to get in that they cannot, and
// leaves alone those that were in before.
func (r *room) failWaiting(err *bridges.Error) {
	if r.entered() {
		return
	}
	e := StanzaError(err)
	e.By = r.jid
	for _, st := range slices.Clone(r.seats) {
		if st.stanza != nil {
			r.refuse(st.stanza, e)
			r.removeSeat(st)
		}
	}
	if len(r.seats) == 0 && !r.auto {
		r.gone()
	}
}

// onEntered is called when the network has let the user in, the first time or
// again.
func (r *room) onEntered(ev *bridges.Entered) {
	if other := r.byID(r.l, ev.Room); other != nil && other != r {
		for _, st := range r.seats {
			if st.stanza != nil {
				r.refuse(st.stanza, redirect(other.jid))
			}
		}
		r.gone()
		return
	}
	wasIn := r.entered() && r.shown != nil
	r.named(ev.Room)
	r.state = roomIn
	sameSubject := textOf(r.subject) == textOf(ev.Subject)
	r.subject = ev.Subject
	r.l.downAt = time.Time{}
	if wasIn {
		r.showDifference(ev)
		if !sameSubject {
			r.showSubject()
		}
	}
	r.nick, r.self = ev.Self.Nick, ev.Self
	for _, st := range slices.Clone(r.seats) {
		if !st.in && !st.unsure {
			r.welcome(st)
		}
	}
	if len(r.seats) == 0 && !r.auto {
		r.leaveNetwork("")
	}
}

func textOf(s *bridges.Subject) string {
	if s == nil {
		return ""
	}
	return s.Text
}

// redirect answers a join under another spelling of a room the user is in.
func redirect(to component.JID) *component.StanzaError {
	e := component.NewStanzaError("modify", "redirect", "You are in this room already, under the address "+to.String()+".")
	e.Alternate = "xmpp:" + url.PathEscape(to.Local) + "@" + to.Domain + "?join" // RFC 5122
	return e
}

// linkDown is called when the link ended while the room was wanted.
func (r *room) linkDown() {
	switch r.state {
	case roomIn:
		r.remember()
		r.state = roomDown
	case roomLeaving:
		if !r.comesBack() {
			r.gone()
		}
	}
	r.joining = false
}

// remember notes what clients have been shown before a gap.
func (r *room) remember() {
	if r.shown == nil {
		r.shown = make(map[string]bridges.Member)
	}
	self, members, ok := r.l.net.Members(r.id)
	if !ok {
		return
	}
	r.self = self
	for _, m := range members {
		r.shown[m.Nick] = m
	}
}

// saveSeat stores who is in, so that a restart after a crash finds the client.
func (r *room) saveSeat(st *seat) {
	r.m.store.SaveSeat(Seat{Client: st.jid.String(), Room: r.jid.String(), Nick: st.nick, Password: r.password})
}

// autojoin joins a room of the account ("name" or "name key") without a client.
func (s *Session) autojoin(l *link, entry string) {
	name, key, _ := strings.Cut(entry, " ")
	jid := s.m.jid(bridges.Address{Kind: bridges.AddressRoom, Network: l.id, Name: lowerASCII(name)})
	if other := s.byID(l, l.net.RoomID(name)); other != nil {
		other.auto = true
		return
	}
	r := s.rooms[jid.Local]
	if r == nil {
		r = s.addRoom(l, jid, name)
	}
	r.auto = true
	if r.password == "" {
		r.password = strings.TrimSpace(key)
	}
	r.join()
}
