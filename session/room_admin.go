package session

import (
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// onPresence is presence to a room one is in: another resource part is another
// nick (XEP-0045 section 7.6), the rest is whether the user is away.
func (r *room) onPresence(st *component.Stanza) {
	seat := r.seat(st.From.Resource)
	seat.told = true
	seat.show, seat.status = presenceText(st)
	r.awayness()
	switch {
	case st.To.Resource == "" || r.isOwnNick(st.To.Resource):
		return
	case r.state == roomDown:
		r.refuse(st, StanzaError(bridges.NewError(bridges.Offline, "The connection to the network is interrupted; try again in a moment.")))
		return
	case r.state != roomIn:
		return
	}
	renamer, ok := r.l.net.(bridges.Renamer)
	if !ok {
		r.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	r.act(r.l, outcomeFunc(func(ev bridges.Event) {
		switch ev := ev.(type) {
		case *bridges.Failed:
			r.refuse(st, StanzaError(ev.Err))
		case *bridges.Renamed: // what the user wants to be called from now on
			for _, in := range r.roomsOf(r.l) {
				for _, seat := range in.seats {
					seat.nick = ev.Member.Nick
					in.saveSeat(seat)
				}
			}
		}
	}), func(ref bridges.Ref) error { return renamer.Rename(ref, st.To.Resource) })
}

// isOwnNick tells whether a resource part is the user's own nick, also as it was
// asked for when another was given.
func (r *room) isOwnNick(nick string) bool {
	own, _ := component.SafeResource(r.nick)
	return nick == r.nick || nick == own
}

// onMode tells the room of a change that has no form in XMPP.
func (r *room) onMode(ev *bridges.ModeChanged) {
	text := "Mode " + ev.Text
	if ev.Actor != "" {
		text += " by " + ev.Actor
	}
	r.say(text)
}

// adminRequest is an IQ that waits for several outcomes.
type adminRequest struct {
	st      *component.Stanza
	waiting int
	err     *bridges.Error
}

// done takes one outcome and answers when it was the last.
func (q *adminRequest) done(s *Session, ev bridges.Event) {
	if failed, ok := ev.(*bridges.Failed); ok && q.err == nil {
		q.err = failed.Err
	}
	if q.waiting--; q.waiting > 0 {
		return
	}
	if q.err != nil {
		s.refuse(q.st, StanzaError(q.err))
		return
	}
	s.send(component.Result(q.st))
}

// affiliations and roles by their names.
var (
	affiliations = map[string]bridges.Affiliation{
		"outcast": bridges.AffiliationOutcast, "none": bridges.AffiliationNone, "member": bridges.AffiliationMember,
		"admin": bridges.AffiliationAdmin, "owner": bridges.AffiliationOwner,
	}
	roles = map[string]bridges.Role{
		"none": bridges.RoleNone, "visitor": bridges.RoleVisitor, "participant": bridges.RoleParticipant, "moderator": bridges.RoleModerator,
	}
)

// setAdmin changes roles and affiliations (XEP-0045 sections 8 to 10). The IQ is
// answered when the network shows the change, or refuses it.
func (r *room) setAdmin(st *component.Stanza) {
	items, err := xep.ParseMUCAdmin(st.Payload())
	if err != nil {
		r.refuse(st, StanzaError(err))
		return
	}
	setter, ok := r.l.net.(bridges.RoleSetter)
	if !ok || len(items) == 0 {
		r.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	changes := make([]func(bridges.Ref) error, 0, len(items))
	for _, item := range items {
		change, e := r.change(setter, item)
		if e != nil {
			r.refuse(st, e)
			return
		}
		changes = append(changes, change)
	}
	q := &adminRequest{st: st, waiting: len(changes)}
	for _, change := range changes {
		r.act(r.l, outcomeFunc(func(ev bridges.Event) { q.done(r.Session, ev) }), change)
	}
}

// change turns one item of an admin request into an action.
func (r *room) change(setter bridges.RoleSetter, item xep.AdminItem) (func(bridges.Ref) error, *component.StanzaError) {
	target, e := r.targetOf(item)
	if e != nil {
		return nil, e
	}
	if item.Role != "" {
		role, ok := roles[item.Role]
		if !ok {
			return nil, component.NewStanzaError("modify", "bad-request", "There is no such role.")
		}
		return func(ref bridges.Ref) error { return setter.SetRole(ref, r.id, target, role, item.Reason) }, nil
	}
	affiliation, ok := affiliations[item.Affiliation]
	if !ok {
		return nil, component.NewStanzaError("modify", "bad-request", "There is no such affiliation.")
	}
	return func(ref bridges.Ref) error { return setter.SetAffiliation(ref, r.id, target, affiliation, item.Reason) }, nil
}

// targetOf is whom an item means: a member by nick, or by the address of the person;
// somebody who is not in by address; or an entry of a list as List gave it.
func (r *room) targetOf(item xep.AdminItem) (string, *component.StanzaError) {
	unclear := component.NewStanzaError("modify", "bad-request", "It is not clear who is meant.")
	switch {
	case item.Nick != "":
		return r.nickOf(item.Nick), nil
	case item.JID == "":
		return "", unclear
	}
	jid, err := component.ParseJID(item.JID)
	if err != nil || jid.Domain != r.m.domain.Domain {
		return item.JID, nil
	}
	a, err := r.m.driver.Parse(component.UnescapeLocal(jid.Local))
	switch {
	case err != nil:
		return "", unclear
	case a.Network != r.l.id:
		return "", elsewhere()
	case item.Role == "" && strings.ContainsAny(jid.Resource, "!*@"):
		return jid.Resource, nil // a mask, as listed
	case a.Kind != bridges.AddressPerson:
		return "", unclear
	}
	if m, ok := r.l.net.Member(r.id, r.l.net.UserID(a.Name)); ok {
		return m.Nick, nil
	}
	return a.Name, nil
}

// getAdmin lists who has a role or an affiliation (XEP-0045 section 9.5 and
// others): outcasts as the network keeps them, the rest from who is there.
func (r *room) getAdmin(st *component.Stanza) {
	items, err := xep.ParseMUCAdmin(st.Payload())
	if err != nil || len(items) != 1 {
		r.refuse(st, component.NewStanzaError("modify", "bad-request", "One role or affiliation is needed."))
		return
	}
	want := items[0]
	lister, ok := r.l.net.(bridges.Lister)
	if want.Affiliation == "outcast" && ok {
		r.listOutcasts(st, lister)
		return
	}
	self, members, _ := r.l.net.Members(r.id)
	var out []xep.AdminItem
	for _, m := range append(members, self) {
		a, role := affiliationNames[m.Affiliation], roleNames[m.Role]
		if want.Affiliation == a || want.Affiliation == "" && want.Role == role {
			out = append(out, xep.AdminItem{Affiliation: a, Role: role, Nick: r.occupant(m.Nick).Resource, JID: r.m.personJID(r.l.id, &m).String()})
		}
	}
	slices.SortFunc(out, func(a, b xep.AdminItem) int { return strings.Compare(a.Nick, b.Nick) })
	o := component.Result(st)
	xep.AppendMUCAdmin(o, out)
	r.send(o)
}

func (r *room) listOutcasts(st *component.Stanza, lister bridges.Lister) {
	r.query(st, func(q *query) {
		entries, err := lister.List(q.ctx, r.id, bridges.AffiliationOutcast)
		q.answer(err, func() *component.Out {
			out := make([]xep.AdminItem, 0, len(entries))
			for _, e := range entries {
				jid := r.l.jid
				if e.Address != "" {
					jid = r.m.personJID(r.l.id, &bridges.Member{Address: e.Address})
				} else if res, ok := component.SafeResource(e.Mask); ok {
					jid.Resource = res
				}
				out = append(out, xep.AdminItem{Affiliation: "outcast", JID: jid.String(), Reason: e.Reason})
			}
			o := component.Result(st)
			xep.AppendMUCAdmin(o, out)
			return o
		})
	})
}

// outgoingInvite takes an invitation the user sends through a room (XEP-0045
// section 7.8.2); false: the message is none.
func (s *Session) outgoingInvite(st *component.Stanza, r *room, addr bridges.Address) bool {
	if st.Child(xep.NSMUCUser, "x") == nil { // of every message said
		return false
	}
	x, ok := xep.ParseMUCUser(st.Element)
	if !ok || len(x.Invites) == 0 && x.Decline == nil {
		return false
	}
	if len(x.Invites) == 0 {
		s.decline(st, r, addr, x.Decline.Reason)
		return true
	}
	if r == nil || !r.inside() || r.seat(st.From.Resource) == nil {
		s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
		return true
	}
	if len(x.Invites) > maxInvites {
		s.refuse(st, component.NewStanzaError("modify", "policy-violation", "These are too many invitations at once."))
		return true
	}
	for _, inv := range x.Invites {
		r.invite(st, inv.To, inv.Reason)
	}
	return true
}

// maxInvites bounds the invitations of one stanza: the gateway passes them on to
// anybody on XMPP, and is no mailing list.
const maxInvites = 10

// invite invites a person of the network, or passes the invitation on to
// somebody on XMPP.
func (r *room) invite(st *component.Stanza, to component.JID, reason string) {
	if to.Domain != r.m.domain.Domain {
		r.inviteXMPP(st, to, reason)
		return
	}
	nick := r.nickOf(to.Resource)
	if a, err := r.m.driver.Parse(component.UnescapeLocal(to.Local)); err == nil && a.Kind == bridges.AddressPerson {
		if a.Network != r.l.id {
			r.refuse(st, elsewhere())
			return
		}
		nick = a.Name
	}
	inviter, ok := r.l.net.(bridges.Inviter)
	if !ok || nick == "" {
		r.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	r.act(r.l, outcomeFunc(func(ev bridges.Event) {
		if failed, ok := ev.(*bridges.Failed); ok {
			r.refuse(st, StanzaError(failed.Err))
		}
	}), func(ref bridges.Ref) error { return inviter.Invite(ref, r.id, nick, reason) })
}

func elsewhere() *component.StanzaError {
	return component.NewStanzaError("cancel", "not-acceptable", "That person is on another network than the room.")
}

func (r *room) inviteXMPP(st *component.Stanza, to component.JID, reason string) {
	if to.IsZero() {
		r.refuse(st, component.NewStanzaError("modify", "bad-request", "Nobody is named in the invitation."))
		return
	}
	o := component.NewMessage(r.jid, to, "", r.m.ids.next())
	xep.MUCUser{Invites: []xep.Invite{{From: st.From.Bare(), Reason: reason}}}.AppendTo(o)
	xep.DirectInvite{Room: r.jid, Reason: reason}.AppendTo(o)
	r.send(o)
}

// inviteByDirect takes a direct invitation sent to a person (XEP-0249).
func (s *Session) inviteByDirect(st *component.Stanza, addr bridges.Address) bool {
	inv, ok := xep.ParseDirectInvite(st.Element)
	if !ok {
		return false
	}
	r := s.rooms[inv.Room.Local]
	if inv.Room.Domain != s.m.domain.Domain || r == nil || !r.inside() {
		s.refuse(st, component.NewStanzaError("cancel", "not-acceptable", "You can invite people of this network into its rooms that you are in."))
		return true
	}
	r.invite(st, st.To.Bare(), inv.Reason)
	return true
}

// onInvited shows an invitation from the network.
func (s *Session) onInvited(l *link, ev *bridges.Invited) {
	jid := s.m.roomJID(l.id, ev.Name)
	if r := s.byID(l, l.net.RoomID(ev.Name)); r != nil {
		jid = r.jid
	} else {
		l.noteInvited(jid.Local, ev.Name)
	}
	var from component.JID
	if ev.By.Nick != "" { // else a server
		from = s.m.personJID(l.id, &ev.By)
	}
	s.sendInvite(jid, from, ev.Reason, ev.By.Nick)
}

// sendInvite sends one message with both forms of invitation (XEP-0045 section
// 7.8, XEP-0249), to whatever client the user's server chooses.
func (s *Session) sendInvite(room, from component.JID, reason, nick string) {
	o := component.NewMessage(room, s.user, "", s.m.ids.next())
	if nick != "" {
		o.Elem("", "body", nick+" invites you to "+room.String()+".")
	}
	xep.MUCUser{Invites: []xep.Invite{{From: from, Reason: reason}}}.AppendTo(o)
	xep.DirectInvite{Room: room, Reason: reason}.AppendTo(o)
	s.send(o)
}
