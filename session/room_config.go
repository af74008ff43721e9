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

// roomConfig answers the configuration of a room (XEP-0045 section 10). The user's own
// view of it is a part of it, so everybody may, whether in it or not.
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
		s.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "A room of this network cannot be destroyed from here. To be rid of it, leave it for good; it ends when everybody has.")))
	case st.Type == "get":
		s.offerConfig(st, r)
	case q.Form == nil:
		s.refuse(st, component.NewStanzaError("modify", "bad-request", "The form is missing."))
	case q.Form.Type == component.FormCancel:
		s.send(component.Result(st))
	case q.Form.Type != component.FormSubmit:
		s.refuse(st, component.NewStanzaError("modify", "bad-request", "The form is one of type submit."))
	default:
		s.takeConfig(st, r, addr, q.Form)
	}
}

// offerConfig answers with the form: what is the user's own of the room and, from who
// is in it and may change it for everybody, that too.
func (s *Session) offerConfig(st *component.Stanza, r *room) {
	reply := func(f *component.Form) *component.Out {
		o := component.Result(st)
		xep.MUCOwner{Form: f}.AppendTo(o)
		return o
	}
	c, ok := r.configurer()
	if !ok {
		s.send(reply(s.roomForm(st.To, r, nil)))
		return
	}
	id := r.id
	s.query(st, func(q *query) {
		fields, err := c.RoomSettings(q.ctx, id)
		q.answer(nil, func() *component.Out {
			form := s.roomForm(st.To, r, fields)
			if err != nil { // the user's own settings need no network
				form.Instructions = append(form.Instructions, "The settings of the room itself cannot be shown. "+StanzaError(err).Text)
			}
			return reply(form)
		})
	})
}

// configurer is the network of a room the user is in, where rooms can be configured.
func (r *room) configurer() (bridges.RoomConfigurer, bool) {
	if r == nil || !r.inside() {
		return nil, false
	}
	c, ok := r.l.net.(bridges.RoomConfigurer)
	return c, ok
}

// roomForm asks for what a user may choose of a room, and with fields for what it is
// like for everybody.
func (s *Session) roomForm(jid component.JID, r *room, fields []bridges.Field) *component.Form {
	form := component.NewForm("Your settings of this room",
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
	if len(fields) == 0 {
		return form
	}
	form.Title = "Settings of this room"
	form.Instructions = []string{"Whether you stay in the room and keep what is said is your own matter; all else is for everybody in it."}
	for _, f := range fields {
		form.Fields = append(form.Fields, configField(f))
	}
	return form
}

// takeConfig takes the answer: what differs from what was shown is a choice. What is
// for everybody is changed first, since the network may refuse it.
func (s *Session) takeConfig(st *component.Stanza, r *room, addr bridges.Address, answer *component.Form) {
	c, ok := r.configurer()
	if !ok || !asksNetwork(answer) {
		s.configure(st, r, addr, answer)
		return
	}
	id := r.id
	s.query(st, func(q *query) {
		fields, err := c.RoomSettings(q.ctx, id)
		q.then = func() {
			if err != nil {
				s.refuse(st, StanzaError(err))
				return
			}
			s.configureRoom(st, r, addr, answer, fields)
		}
	})
}

// asksNetwork tells whether an answer has more than the user's own settings.
func asksNetwork(answer *component.Form) bool {
	for _, f := range answer.Fields {
		if f.Var != fieldPersistent && f.Var != fieldLogging && f.Var != "FORM_TYPE" {
			return true
		}
	}
	return false
}

// configureRoom changes what a room is like for everybody, then what is the user's own.
func (s *Session) configureRoom(st *component.Stanza, r *room, addr bridges.Address, answer *component.Form, fields []bridges.Field) {
	form := s.roomForm(st.To, r, fields)
	values, problems := form.Check(answer)
	if len(problems) > 0 {
		s.refuse(st, component.NewStanzaError("modify", "not-acceptable", problems[0]))
		return
	}
	c, ok := r.configurer()
	changes := configChanges(fields, values)
	switch {
	case len(changes) == 0:
		s.configure(st, r, addr, answer)
		return
	case !ok || s.rooms[r.jid.Local] != r:
		s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
		return
	}
	r.act(r.l, outcomeFunc(func(ev bridges.Event) {
		if failed, ok := ev.(*bridges.Failed); ok {
			s.refuse(st, StanzaError(failed.Err))
			return
		}
		s.configure(st, r, addr, answer)
	}), func(ref bridges.Ref) error { return c.ConfigureRoom(ref, r.id, changes) })
}

// configure takes what an answer says of the user's own settings.
func (s *Session) configure(st *component.Stanza, r *room, addr bridges.Address, answer *component.Form) {
	values, problems := s.roomForm(st.To, r, nil).Check(answer)
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
