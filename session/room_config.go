package session

import (
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Names of the fields of a room's configuration (XEP-0045 section 16.5.3).
const (
	fieldPersistent = "muc#roomconfig_persistentroom"
	fieldLogging    = "muc#roomconfig_enablelogging"
)

// roomConfig answers the configuration of a room (XEP-0045 section 10). What is
// configured is the user's own view of it, so everybody may, whether in it or not.
func (s *Session) roomConfig(st *component.Stanza, r *room, addr bridges.Address) {
	if st.To.Resource != "" {
		s.refuse(st, component.NewStanzaError("modify", "bad-request", "Settings belong to the room, not to an occupant."))
		return
	}
	q, err := xep.ParseMUCOwner(st.Element)
	switch {
	case err != nil:
		s.refuse(st, StanzaError(err))
	case q.Destroy != nil:
		s.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "A room of this network cannot be destroyed from here; use the network's own commands.")))
	case st.Type == "get":
		o := component.Result(st)
		xep.MUCOwner{Form: s.roomForm(st.To, r)}.AppendTo(o)
		s.send(o)
	case q.Form == nil:
		s.refuse(st, component.NewStanzaError("modify", "bad-request", "The form is missing."))
	case q.Form.Type == component.FormCancel:
		s.send(component.Result(st))
	case q.Form.Type != component.FormSubmit:
		s.refuse(st, component.NewStanzaError("modify", "bad-request", "The form is one of type submit."))
	default:
		s.configure(st, r, addr, q.Form)
	}
}

// roomForm asks for what a user may choose of a room.
func (s *Session) roomForm(jid component.JID, r *room) *component.Form {
	return component.NewForm("Your settings of this room",
		[]string{"These are your own: nobody else in the room notices."},
		component.TypeField(xep.FormRoomConfig),
		component.FormField{
			Var: fieldPersistent, Type: component.FieldBoolean, Values: []string{boolText(s.remains(jid.Local, r))},
			Label: "Stay in the room when you are not connected",
		},
		component.FormField{
			Var: fieldLogging, Type: component.FieldBoolean, Values: []string{boolText(s.records(jid.Local))},
			Label: "Keep what is said, so that you can read it later",
		})
}

// configure takes the answer: what differs from what was shown is a choice.
func (s *Session) configure(st *component.Stanza, r *room, addr bridges.Address, answer *component.Form) {
	values, problems := s.roomForm(st.To, r).Check(answer)
	if len(problems) > 0 {
		s.refuse(st, component.NewStanzaError("modify", "not-acceptable", problems[0]))
		return
	}
	var ch roomChange
	if v := values.Bool(fieldPersistent); values.Has(fieldPersistent) && v != s.remains(st.To.Local, r) {
		ch.persistent = &v
	}
	if v := values.Bool(fieldLogging); values.Has(fieldLogging) && v != s.records(st.To.Local) {
		ch.setRecord, ch.record = true, &v
	}
	if ch.persistent != nil && !*ch.persistent && r != nil && r.listed() {
		s.refuse(st, component.NewStanzaError("modify", "not-acceptable", listedText))
		return
	}
	if ch == (roomChange{}) {
		s.send(component.Result(st))
		return
	}
	if r != nil {
		addr = r.address()
	}
	s.changeRoom(st.To, addr, ch, func(e *component.StanzaError) {
		if e != nil {
			s.refuse(st, e)
			return
		}
		s.send(component.Result(st))
	})
}

// remains tells whether the user stays in a room without a client; r is nil where
// the user is not in it.
func (s *Session) remains(local string, r *room) bool {
	if r != nil {
		return r.stays()
	}
	return s.keeps(local)
}

// address is the room's address, as the driver takes addresses apart.
func (r *room) address() bridges.Address {
	return bridges.Address{Kind: bridges.AddressRoom, Network: r.l.id, Name: r.name}
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
