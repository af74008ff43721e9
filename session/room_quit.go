package session

import (
	"context"

	"transportd/bridges"
	"transportd/component"
)

// addQuit adds the command that leaves a room for good: at the room itself, and at the
// gateway and networks with the room's name.
func (m *Manager) addQuit(c *component.Commands) {
	const name = "Leave this room for good"
	c.Add(component.Command{
		Node: "quit", Name: name, Targets: []component.AddressKind{component.AddressRoom},
		Allowed: m.admitted, Run: m.told(m.askQuit),
	}, component.Command{
		Node: "quit", Verb: "quit", Name: "Leave a room for good",
		Help: "leaves a room with all your clients, and has the network keep you in it no longer either.",
		Args: []string{fieldRoom}, Targets: []component.AddressKind{component.AddressHost, component.AddressNetwork},
		Allowed: m.admitted, Run: m.told(m.onRoom(name, m.runQuit)),
	})
}

// askQuit asks whether the user means it.
func (m *Manager) askQuit(_ context.Context, call *component.Call) (*component.Step, error) {
	jid := call.To.Bare()
	addr, err := m.roomAt(jid)
	if err != nil {
		return nil, err
	}
	return &component.Step{
		Form: component.NewForm("Leave this room for good", []string{
			"You leave " + jid.String() + " with all your clients, and the network keeps you in it no longer. To come back you may need an invitation.",
		}),
		Last: true,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			return m.runQuit(ctx, call, jid, addr)
		},
	}, nil
}

func (m *Manager) runQuit(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error) {
	if err := m.quitRoom(ctx, call.From.Bare(), jid, addr); err != nil {
		return nil, err
	}
	return component.Done("You have left " + jid.String() + " for good."), nil
}

// quitRoom leaves a room for good. Where the network keeps users in rooms by itself
// it is told to end that; elsewhere to leave is all there is to it.
func (m *Manager) quitRoom(ctx context.Context, user, jid component.JID, addr bridges.Address) error {
	return m.ask(ctx, user, func(s *Session, done func(*component.StanzaError)) {
		jid := s.resolve(jid, addr)
		l, r := s.existing(addr.Network), s.rooms[jid.Local]
		if r != nil && r.listed() {
			done(component.NewStanzaError("modify", "not-acceptable", listedText))
			return
		}
		var id bridges.RoomID
		switch {
		case l == nil || !l.online():
			done(StanzaError(bridges.NewError(bridges.Offline, "")))
			return
		case r != nil && r.entered():
			id = r.id
		default:
			id = l.net.RoomID(addr.Name)
		}
		who, ok := l.net.(bridges.Quitter)
		if !ok || !l.net.Capabilities(bridges.Place{Room: id}).Resident {
			if r == nil && !s.keeps(jid.Local) {
				done(StanzaError(bridges.NewError(bridges.NotJoined, "")))
				return
			}
			s.unkeep(jid, func(e *component.StanzaError) {
				if r := s.rooms[jid.Local]; e == nil && r != nil {
					r.dismiss()
				}
				done(e)
			})
			return
		}
		s.act(l, outcomeFunc(func(ev bridges.Event) {
			if failed, ok := ev.(*bridges.Failed); ok {
				done(StanzaError(failed.Err))
				return
			}
			if r := s.rooms[jid.Local]; r != nil && r.l == l {
				r.dismiss()
			}
			s.unkeep(jid, done)
		}), func(ref bridges.Ref) error {
			if r != nil {
				r.quitting = ref
			}
			return who.Quit(ref, id, "")
		})
	})
}

// unkeep makes a room one that the user does not stay in.
func (s *Session) unkeep(jid component.JID, done func(*component.StanzaError)) {
	no := false
	switch c := s.choices[jid.Local]; {
	case c == nil || !c.Persistent:
		done(nil)
	case c.Record == nil:
		s.forgetRoom(jid, done)
	default:
		s.changeRoom(jid, c.addr, roomChange{persistent: &no}, done)
	}
}

// maxInvitations bounds the invitations of one link that can still be declined.
const maxInvitations = 64

// noteInvited remembers by which name the network invited the user to a room.
func (l *link) noteInvited(local, name string) {
	if len(l.invited) >= maxInvitations {
		for old := range l.invited {
			delete(l.invited, old)
			break
		}
	}
	if l.invited == nil {
		l.invited = make(map[string]string)
	}
	l.invited[local] = name
}

// decline turns an invitation down that the user got from a room (XEP-0045 section
// 7.8.3). Who is in the room by now has accepted it.
func (s *Session) decline(st *component.Stanza, r *room, addr bridges.Address, reason string) {
	l := s.existing(addr.Network)
	if r != nil || l == nil || !l.online() {
		return
	}
	who, ok := l.net.(bridges.Decliner)
	if !ok {
		return
	}
	name := addr.Name
	if known, ok := l.invited[st.To.Local]; ok {
		name = known
		delete(l.invited, st.To.Local)
	}
	s.act(l, outcomeFunc(func(ev bridges.Event) {
		if failed, ok := ev.(*bridges.Failed); ok {
			s.refuse(st, StanzaError(failed.Err))
		}
	}), func(ref bridges.Ref) error { return who.Decline(ref, name, reason) })
}
