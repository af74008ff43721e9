package session

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"transportd/archive"
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
	anew     bool // all occupants are to be shown: it is another room of the network now
	created  bool // by the join: the first client to see it is told
	auto     bool // joined for the account, stays without clients
	joining  bool // a join is under way
	nick     string
	subject  *bridges.Subject
	told     lineIDs // of the message that told the subject; zero: it was told on entering

	lines      []line
	array      []line                    // what lines is a part of, from its start
	seq        uint64                    // of the last line
	gap        bool                      // lines are kept for clients that lost them, until one of them is back
	cut        int                       // lines given up while nobody could be shown them
	cutUnread  int                       // lines given up that the server may not have read
	cutCame    int64                     // when the last of them came
	reading    int                       // clients that wait for the archive
	shown      map[string]bridges.Member // what clients were shown before a gap, by nick; nil: no gap
	self       bridges.Member            // as last shown
	faced      map[bridges.UserID]string // whose picture was shown, and which
	sent       int                       // lines without an outcome
	saying     chain                     // what the user says, where it refers to lines
	older      older                     // what was said before the archive begins
	gaps       map[archive.Key]*older    // what is missing at places where lines are left out
	hearing    chain                     // what refers to earlier lines
	reacts     map[string][]string       // the user's reactions, by message id
	rec        *archive.Member           // records the lines; nil: they are not recorded
	played     *playback                 // old lines from the network; nil: none
	catchingUp bool                      // what the network kept is being compared with the archive
	unrecorded bool                      // the archive could not take the last line, and the user was told
	info       *bridges.RoomInfo         // nil: nothing is known
	count      *headcount
	picture    roomPicture
	looking    bool        // its picture is being looked at, or will be
	quitting   bridges.Ref // leaves for good, by the user's wish
	part       *time.Timer
	rejoin     bool // wanted again while leaving
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
	seenKey  archive.Key   // the same in the archive
	before   uint64        // the same, before it was last caught up with
	caughtUp int64         // when that was, in nanoseconds
	history  xep.History
	stanza   *component.Stanza // the join, until answered
	restored bool              // left behind by the last process
	reading  bool              // waits for the archive
	caught   bool              // what only the archive had has been read: missed
	missed   []line            // lines to be caught up with, from the archive
	rest     bool              // there are more than that
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
	delete(l.invited, r.jid.Local) // accepted
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
	r.stopRecording()
	if r.part != nil {
		r.part.Stop()
	}
	r.removeSeats()
	delete(r.rooms, r.jid.Local)
	r.m.stats.rooms.Add(-1)
	if r.l.online() {
		r.l.out.lost(r.jid.Local)
	}
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
		r.l.stopsWriting(bridges.Place{Room: r.id}, st.jid.Resource)
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

// linkDown is called when the link ended while the room was wanted.
func (r *room) linkDown() {
	switch r.state {
	case roomIn:
		r.remember()
		r.stopRecording()
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
