package session

import (
	"context"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// onMoved is a room that has ended and goes on in another: the user's clients are told
// (XEP-0045 section 10.9), and what the user chose for the room goes with it. Where the
// other has the same address they stay, and see what is different.
func (s *Session) onMoved(l *link, ev *bridges.Moved) {
	to := s.m.roomJID(l.id, ev.Name)
	r := s.byID(l, ev.Room)
	var from component.JID
	switch {
	case r != nil && r.jid == to:
		r.goesOn()
		return
	case r != nil:
		from = r.jid
		r.movedTo(to, ev.Reason)
	default:
		c := s.choiceOf(l, ev.Room)
		if c == nil || !c.Persistent || c.jid == to { // nobody asks for the room here
			return
		}
		from = c.jid
	}
	s.moveChoice(from, to, bridges.Address{Kind: bridges.AddressRoom, Network: l.id, Name: ev.Name})
	s.mark(&bookmark{room: to, from: from, otherwise: func() {
		s.sendInvite(to, component.JID{}, joined(ev.Reason, "The room "+from.String()+" goes on here."), "")
	}})
}

// choiceOf is what the user chose for a room of the network.
func (s *Session) choiceOf(l *link, id bridges.RoomID) *choice {
	for _, c := range s.inOrder() {
		if c.addr.Network == l.id && l.net.RoomID(c.addr.Name) == id {
			return c
		}
	}
	return nil
}

// goesOn enters the room that has taken the place of one under the same address.
func (r *room) goesOn() {
	r.remember()
	r.stopRecording()
	old := r.id
	delete(r.l.rooms, old)                             // what is still said of it concerns nobody
	r.state, r.joining, r.anew = roomDown, false, true // occupants have other ids there (XEP-0421)
	r.l.quietly("leave", r.l.net.Leave(0, old, ""))
	r.join()
}

// movedTo shows every client that the room has ended, and where it goes on.
func (r *room) movedTo(to component.JID, reason string) {
	e := gone(to, reason)
	e.By = r.jid
	lv := leave{codes: codesSelf, reason: reason, destroy: &xep.Destroy{Alternate: to, Reason: reason}}
	for _, st := range r.seats {
		if st.stanza != nil {
			r.refuse(st.stanza, e)
			continue
		}
		r.showOut(st, lv)
	}
	if r.entered() && r.l.online() {
		r.l.quietly("leave", r.l.net.Leave(0, r.id, ""))
	}
	r.gone()
}

// gone answers a join of a room that goes on elsewhere (XEP-0045 section 10.9).
func gone(to component.JID, reason string) *component.StanzaError {
	e := redirect(to)
	e.Type, e.Condition = "cancel", "gone"
	e.Text = joined(reason, "This room goes on under the address "+to.String()+".")
	return e
}

// movedMeanwhile takes a join that found that the room goes on elsewhere; false: it is
// not known where.
func (r *room) movedMeanwhile(err *bridges.Error) bool {
	if err.Kind != bridges.RoomMoved || err.Instead == "" {
		return false
	}
	to := r.m.roomJID(r.l.id, err.Instead)
	if to == r.jid {
		return false
	}
	from, l := r.jid, r.l
	r.movedTo(to, err.Text)
	r.moveChoice(from, to, bridges.Address{Kind: bridges.AddressRoom, Network: l.id, Name: err.Instead})
	return true
}

// moveChoice makes what the user chose for one room what they chose for another.
func (s *Session) moveChoice(from, to component.JID, addr bridges.Address) {
	c := s.choices[from.Local]
	if c == nil {
		return
	}
	ch := roomChange{setRecord: c.Record != nil, record: c.Record}
	if c.Persistent {
		yes := true
		ch.persistent = &yes
	}
	var set RoomSetting
	to = to.Clone()
	s.write(write{
		begin: func() func(context.Context) error {
			set = s.changed(to, ch)
			set.Nick, set.Password = c.Nick, c.Password
			return func(ctx context.Context) error { return s.m.store.SaveRoom(ctx, s.user.String(), set) }
		},
		done: func(err error) {
			if err != nil {
				s.log.Error("what is set for a room that has moved cannot be stored", "room", to.String(), "error", err)
				return
			}
			s.choiceChanged(s.choose(to, addr, set))
			s.forgetRoom(from, func(*component.StanzaError) {})
		},
	})
}
