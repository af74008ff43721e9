package session

import (
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// onStanza decides once what an incoming stanza is about; below, code is a
// method of the room, the contact or the link it concerns.
func (s *Session) onStanza(st *component.Stanza) {
	if s.leaving {
		if passing(st) {
			return
		}
		s.refuse(st, component.NewStanzaError("wait", "service-unavailable", "The gateway is shutting down."))
		return
	}
	if isOwn(st) {
		s.ownCame(st)
		return
	}
	if len(s.late) > 0 && st.From.Resource != "" && st.Type != "error" && st.Type != "unavailable" {
		s.heard = time.Now()
		s.deliverLate()
	}
	// A room that is there is the common case and needs no parsing.
	if r := s.rooms[st.To.Local]; r != nil && st.To.Local != "" {
		s.toRoom(st, r, bridges.Address{})
		return
	}
	if st.To.Local == "" && (s.m.info.FixedNetwork == "" || st.Kind == component.KindPresence) {
		s.toGateway(st)
		return
	}
	addr, err := s.m.driver.Parse(component.UnescapeLocal(st.To.Local))
	if err != nil {
		s.refuse(st, StanzaError(err))
		return
	}
	switch addr.Kind {
	case bridges.AddressRoom:
		s.toRoom(st, nil, addr)
	case bridges.AddressPerson:
		s.onPersonSigns(st, addr)
		s.toPerson(st, addr)
	default:
		s.toNetwork(st, addr)
	}
}

// toRoom handles what is addressed to a room or an occupant. r is nil where the
// user is not in it; addr is set then.
func (s *Session) toRoom(st *component.Stanza, r *room, addr bridges.Address) {
	switch st.Kind {
	case component.KindPresence:
		s.roomPresence(st, r, addr)
	case component.KindMessage:
		s.roomMessage(st, r, addr)
	case component.KindIQ:
		s.roomIQ(st, r, addr)
	}
}

func (s *Session) roomPresence(st *component.Stanza, r *room, addr bridges.Address) {
	switch st.Type {
	case "":
		if join, ok := xep.ParseMUCJoin(st.Element); ok {
			s.onJoin(st, r, addr, join)
			return
		}
		if r == nil || r.seat(st.From.Resource) == nil {
			s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
			return
		}
		r.onPresence(st)
	case "unavailable":
		if r == nil {
			return
		}
		if seat := r.seat(st.From.Resource); seat != nil {
			r.leaveSeat(seat, st.Child("", "status").Text())
		}
	case "error":
		s.bounced(st, r)
	case "subscribe":
		s.answerSubscribe(st, false)
	case "probe":
		if r != nil && r.inside() {
			if seat := r.seat(st.From.Resource); seat != nil {
				r.send(r.presence(seat.jid, &r.self, codesSelf))
			}
		}
	}
}

func (s *Session) roomMessage(st *component.Stanza, r *room, addr bridges.Address) {
	switch {
	case st.Type == "error":
		s.bounced(st, r)
	case s.outgoingInvite(st, r, addr):
	case st.Type == "groupchat":
		if st.To.Resource != "" {
			s.refuse(st, component.NewStanzaError("modify", "bad-request", "A message to one occupant is not a groupchat message."))
			return
		}
		if r == nil {
			s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
			return
		}
		r.onSigns(st)
		r.onGroupchat(st)
	case st.To.Resource != "":
		if r == nil || r.seat(st.From.Resource) == nil {
			s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
			return
		}
		r.onPrivateSigns(st)
		r.onPrivate(st)
	default:
		if _, ok := st.Body(); ok {
			s.refuse(st, component.NewStanzaError("modify", "not-acceptable", "Say it as a groupchat message, or to one occupant."))
		}
	}
}

// fatal are the conditions of an error stanza that mean its sender cannot be
// reached any more (XEP-0045 section 18.1.2 leaves the list to the service).
var fatal = map[string]bool{
	"gone": true, "internal-server-error": true, "item-not-found": true, "jid-malformed": true,
	"recipient-unavailable": true, "redirect": true, "remote-server-not-found": true,
	"remote-server-timeout": true, "service-unavailable": true,
}

// bounced takes a client out of a room when the room's stanzas come back.
func (s *Session) bounced(st *component.Stanza, r *room) {
	if r == nil || st.From.Resource == "" {
		return
	}
	e := st.StanzaError()
	if e == nil || !fatal[e.Condition] {
		return
	}
	if seat := r.seat(st.From.Resource); seat != nil && seat.stanza == nil {
		r.log.Info("client cannot be reached and is taken out", "resource", seat.jid.Resource, "condition", e.Condition)
		r.removeSeat(seat)
		r.afterSeat("", true)
	}
}

// onEvent takes what a network reports.
func (s *Session) onEvent(l *link, ev bridges.Event) {
	if l.dead {
		return
	}
	switch ev := ev.(type) {
	case *bridges.Message:
		if ev.Ref != 0 {
			s.settle(ev.Ref, ev)
			return
		}
		if l.out.echo(ev, false) {
			return
		}
		l.said(ev)
		if ev.Place.Room != "" {
			if r := s.byID(l, ev.Place.Room); r != nil {
				r.onMessage(ev)
			}
			return
		}
		s.onPrivateMessage(l, ev)
	case *bridges.Reacted:
		if ev.Ref != 0 && s.settle(ev.Ref, ev) || l.out.pending(ev.Token) {
			return
		}
		if ev.Place.Room == "" {
			s.onPrivateReacted(l, ev)
			return
		}
		s.inRoom(l, ev.Place.Room, func(r *room) { r.onReacted(ev) })
	case *bridges.Retracted:
		if ev.Ref != 0 && s.settle(ev.Ref, ev) || l.out.pending(ev.Token) {
			return
		}
		if ev.Place.Room == "" {
			s.onPrivateRetracted(l, ev)
			return
		}
		s.inRoom(l, ev.Place.Room, func(r *room) { r.onRetracted(ev) })
	case *bridges.State:
		l.state(ev)
	case *bridges.Failed:
		if !s.settle(ev.Ref, ev) && ev.Err != nil {
			l.log.Debug("failure nobody waits for", "error", ev.Err)
		}
	case *bridges.Done:
		s.settle(ev.Ref, ev)
	case *bridges.Entered:
		if ev.Ref != 0 && s.settle(ev.Ref, ev) {
			return
		}
		s.enteredUnasked(l, ev)
	case *bridges.Invited:
		s.onInvited(l, ev)
	case *bridges.ServerNotice:
		l.notice(ev)
	case *bridges.Present:
		s.onPresent(l, ev)
	case *bridges.Renamed:
		if ev.Room == "" {
			s.onRenamed(l, ev)
			return
		}
		s.inRoom(l, ev.Room, func(r *room) { r.onRenamed(ev) })
	default:
		s.onRoomEvent(l, ev)
	}
}

func (s *Session) onRoomEvent(l *link, ev bridges.Event) {
	switch ev := ev.(type) {
	case *bridges.Joined:
		s.inRoom(l, ev.Room, func(r *room) { r.onJoined(ev) })
	case *bridges.Left:
		l.stopped(ev)
		s.inRoom(l, ev.Room, func(r *room) { r.onLeft(ev) })
		s.settle(ev.Ref, ev)
	case *bridges.Updated:
		s.inRoom(l, ev.Room, func(r *room) { r.onUpdated(ev) })
	case *bridges.SubjectChanged:
		if ev.Ref == 0 || !s.settle(ev.Ref, ev) {
			s.inRoom(l, ev.Room, func(r *room) { r.onSubject(ev, "") })
		}
	case *bridges.ModeChanged:
		s.inRoom(l, ev.Room, func(r *room) { r.onMode(ev) })
	case *bridges.Moved:
		s.onMoved(l, ev)
	case *bridges.Belongs:
		s.onBelongs(l, ev)
	case *bridges.RoomInfo:
		s.inRoom(l, ev.Room, func(r *room) { r.onInfo(ev) })
	default:
		s.onPersonEvent(l, ev)
	}
}

// onPersonEvent takes what is not of rooms alone.
func (s *Session) onPersonEvent(l *link, ev bridges.Event) {
	switch ev := ev.(type) {
	case *bridges.Contact:
		s.onContact(l, ev)
	case *bridges.Typing:
		s.onTyping(l, ev)
	case *bridges.Read:
		s.onRead(l, ev)
	}
}

// inRoom runs f with a room of the link the user is in.
func (s *Session) inRoom(l *link, id bridges.RoomID, f func(*room)) {
	if r := s.byID(l, id); r != nil {
		f(r)
	}
}

// enteredUnasked is a room the network put the user into by itself: it stays,
// and the user is invited to look.
func (s *Session) enteredUnasked(l *link, ev *bridges.Entered) {
	r := s.byID(l, ev.Room)
	if r == nil {
		jid := s.m.roomJID(l.id, ev.Name)
		if r = s.rooms[jid.Local]; r == nil {
			if s.roomLimit() != nil {
				l.quietly("leave", l.net.Leave(0, ev.Room, ""))
				return
			}
			r = s.addRoom(l, jid, ev.Name)
			r.auto = true
			s.sendInvite(r.jid, component.JID{}, "The network has put you into this room.", "")
		}
	}
	r.onEntered(ev)
}
