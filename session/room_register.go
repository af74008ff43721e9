package session

import (
	"context"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// formRoomRegister is the FORM_TYPE of a room's registration form (XEP-0045 section
// 7.10), fieldReason our own field of it: what is said with the wish to be let in.
const (
	formRoomRegister = "http://jabber.org/protocol/muc#register"
	fieldReason      = "x-reason"
)

// mayKnock adds to a refusal that one may ask to be let in, where the network knows that.
func (r *room) mayKnock(err *bridges.Error) *bridges.Error {
	if _, ok := r.l.net.(bridges.Knocker); !ok || err.Kind != bridges.MembersOnly {
		return err
	}
	with := *err
	with.Text = joined(StanzaError(err).Text, "You can ask to be let in where the room takes that: register with it, or write “knock ROOM” to the gateway.")
	return &with
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	if last := a[len(a)-1]; last != '.' && last != '!' && last != '?' {
		a += "."
	}
	return a + " " + b
}

// roomRegister answers registration with a room (XEP-0045 section 7.10): to register is
// to ask to be let in, and who is in is registered.
func (s *Session) roomRegister(st *component.Stanza, r *room, addr bridges.Address) {
	q, err := xep.ParseRegister(st.Element)
	if err != nil {
		s.refuse(st, StanzaError(err))
		return
	}
	if r != nil && r.entered() {
		if st.Type == "set" {
			s.refuse(st, component.NewStanzaError("cancel", "not-allowed", "You are in this room; to leave it for good use its command “quit”."))
			return
		}
		o := component.Result(st)
		xep.Register{Registered: true, Fields: []xep.RegisterField{{Name: "username", Value: r.nick}}}.AppendTo(o)
		s.send(o)
		return
	}
	if r != nil {
		addr = r.address()
	}
	l := s.existing(addr.Network)
	if l == nil || !l.online() {
		s.refuse(st, StanzaError(bridges.NewError(bridges.Offline, "")))
		return
	}
	if _, ok := l.net.(bridges.Knocker); !ok {
		s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
		return
	}
	switch {
	case st.Type == "get":
		o := component.Result(st)
		registerForm().AppendTo(o)
		s.send(o)
	case q.Remove:
		s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
	case q.Form != nil && q.Form.Type == component.FormCancel:
		s.send(component.Result(st))
	default:
		reason, _ := q.Value("text")
		if q.Form != nil {
			reason = q.Form.Value(fieldReason)
		}
		s.knock(l, addr.Name, reason, func(e *component.StanzaError) {
			if e != nil {
				s.refuse(st, e)
				return
			}
			s.send(component.Result(st))
		})
	}
}

const knockText = "Who is in the room decides whether you are let in; then an invitation comes."

func registerForm() xep.Register {
	return xep.Register{
		Instructions: "Say who you are, or why you want to be let in. " + knockText,
		Fields:       []xep.RegisterField{{Name: "text"}},
		Form: component.NewForm("Ask to be let in", []string{knockText},
			component.TypeField(formRoomRegister),
			component.FormField{Var: fieldReason, Type: component.FieldTextSingle, Label: "What you want to say with it"}),
	}
}

// maxReason bounds what is said with a wish to be let in, in bytes.
const maxReason = 500

// knock asks to be let into a room and calls done in the session.
func (s *Session) knock(l *link, room, reason string, done func(*component.StanzaError)) {
	if len(reason) > maxReason {
		done(StanzaError(bridges.NewError(bridges.TooLarge, "That is too long a reason.")))
		return
	}
	knocker, ok := l.net.(bridges.Knocker)
	if !ok {
		done(StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	s.act(l, outcomeFunc(func(ev bridges.Event) {
		if failed, ok := ev.(*bridges.Failed); ok {
			done(StanzaError(failed.Err))
			return
		}
		done(nil)
	}), func(ref bridges.Ref) error { return knocker.Knock(ref, room, reason) })
}

// addKnock adds the command that asks to be let into a room, at the gateway and at
// networks.
func (m *Manager) addKnock(c *component.Commands) {
	const name = "Ask to be let into a room"
	c.Add(component.Command{
		Node: "knock", Verb: "knock", Name: name,
		Help: "asks those in a room that takes nobody else to let you in, with a word about yourself.",
		Args: []string{fieldRoom, fieldReason}, Targets: []component.AddressKind{component.AddressHost, component.AddressNetwork},
		Allowed: m.admitted, Run: m.told(m.onRoom(name, m.runKnock, component.FormField{
			Var: fieldReason, Type: component.FieldTextSingle, Label: "What you want to say with it",
		})),
	})
}

func (m *Manager) runKnock(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error) {
	err := m.ask(ctx, call.From.Bare(), func(s *Session, done func(*component.StanzaError)) {
		l := s.existing(addr.Network)
		switch r := s.rooms[s.resolve(jid, addr).Local]; {
		case r != nil && r.entered():
			done(component.NewStanzaError("cancel", "not-allowed", "You are in this room."))
		case l == nil || !l.online():
			done(StanzaError(bridges.NewError(bridges.Offline, "")))
		default:
			s.knock(l, addr.Name, call.Values.Get(fieldReason), done)
		}
	})
	if err != nil {
		return nil, err
	}
	return component.Done("You have asked to be let into " + jid.String() + ". " + knockText), nil
}
