package session

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

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
		r.admit(seat)
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
		return r.l.net.Join(ref, r.name, bridges.JoinOptions{Password: r.password, Create: r.isAskedFor()})
	})
}

// isAskedFor tells whether a client waits for the room: who comes back by itself, or was
// brought back, does not want one made.
func (r *room) isAskedFor() bool {
	return slices.ContainsFunc(r.seats, func(st *seat) bool { return st.stanza != nil && !st.restored })
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
		if !r.movedMeanwhile(ev.Err) {
			r.failJoin(ev.Err)
		}
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
	r.notJoined(err, len(r.seats) > 0)
	if r.entered() { // it was in before: the room is lost
		r.close(leave{reason: StanzaError(err).Text, codes: codesLost})
		return
	}
	e := StanzaError(r.mayKnock(err))
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
	if len(r.seats) == 0 && !r.stays() {
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
	sameSubject := r.subjectIs(ev.Subject)
	r.noteInfo(ev.Info)
	r.l.downAt = time.Time{}
	if wasIn {
		r.showDifference(ev)
		if !sameSubject {
			r.showSubject(true)
		}
	}
	r.nick, r.self, r.created = ev.Self.Nick, ev.Self, ev.Created
	r.startRecording()
	if !wasIn || !sameSubject {
		r.recordMissedSubject(ev.Subject)
	}
	r.noteEntered()
	r.catchingUp = r.rec != nil && len(ev.History) > 0
	for _, m := range ev.History {
		if !r.l.out.echo(m, true) {
			r.onMessage(m)
		}
	}
	r.admitAll()
	r.l.out.entered(r.jid.Local)
	if len(r.seats) == 0 && !r.stays() && r.part == nil {
		r.leaveNetwork("")
	}
}

// admitAll shows the room to the clients that wait for it.
func (r *room) admitAll() {
	for _, st := range slices.Clone(r.seats) {
		if !st.in && !st.unsure {
			r.admit(st)
		}
	}
}

// redirect answers a join under another spelling of a room the user is in.
func redirect(to component.JID) *component.StanzaError {
	e := component.NewStanzaError("modify", "redirect", "You are in this room already, under the address "+to.String()+".")
	e.Alternate = addressURI(to) + "?join"
	return e
}

// autojoin joins a room of the account ("name" or "name key") without a client.
func (s *Session) autojoin(l *link, entry string) {
	name, key, _ := strings.Cut(entry, " ")
	jid := s.m.roomJID(l.id, name)
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
