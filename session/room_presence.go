package session

import (
	"strconv"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Status codes of XEP-0045 section 15.6 that rooms here use.
var (
	codesSelf     = []int{110}
	codesLost     = []int{110, 333}
	codesShutdown = []int{110, 332}
)

// roleNames and affiliationNames are XEP-0045's words.
var (
	roleNames        = [...]string{"none", "visitor", "participant", "moderator"}
	affiliationNames = [...]string{"none", "outcast", "none", "member", "admin", "owner"}
)

// leave is how a member is shown to go.
type leave struct {
	reason  string
	actor   string
	codes   []int
	nick    string       // 303: the new nick
	status  bool         // reason is the member's own, not the actor's
	destroy *xep.Destroy // the room has ended
}

// welcome shows a client the room, in the order of XEP-0045 section 7.2:
// occupants, itself, history, subject. From then on it is shown everything.
func (r *room) welcome(st *seat, lines []line) {
	self, members, ok := r.l.net.Members(r.id)
	if !ok {
		return
	}
	for i := range members {
		if !r.send(r.presence(st.jid, &members[i], nil)) {
			r.lostStream(st)
			return
		}
	}
	codes := make([]int, 0, 3)
	if self.Address != "" { // and so has everybody (XEP-0045 section 7.2.4)
		codes = append(codes, xep.StatusNonAnonymous)
	}
	codes = append(codes, 110)
	if r.created { // and may be configured (XEP-0045 section 10.1)
		codes = append(codes, xep.StatusRoomCreated)
	}
	if st.nick != self.Nick {
		codes = append(codes, 210)
	}
	if !r.send(r.presence(st.jid, &self, codes)) {
		r.lostStream(st)
		return
	}
	r.self, r.nick, r.created = self, self.Nick, false
	st.in, st.as = true, self.Nick
	if st.stanza != nil || st.restored {
		r.tellCut(st)
		r.sendHistory(st, lines)
		r.sendSubject(st, true)
	}
	st.stanza, st.restored, st.seen = nil, false, r.seq
	r.settleGap()
	r.saveSeat(st)
	if r.picture.told != "" {
		r.showPicture(st)
	} else {
		r.picture.ref = "" // it may be had now
	}
	r.wantPicture()
}

// lostStream notes that a client could not be shown the room: it is verified
// when the stream is back.
func (r *room) lostStream(st *seat) {
	st.unsure = true
	r.saveSeat(st)
	r.remember()
}

// occupant is the JID of somebody in the room.
func (r *room) occupant(nick string) component.JID {
	res, _ := component.SafeResource(nick)
	return r.jid.WithResource(res)
}

// whoIs finds the member that an occupant's resource means: the one of that nick,
// or where that is not possible the one whose nick had to be altered into it.
func (r *room) whoIs(resource string) (bridges.Member, bool) {
	if m, ok := r.l.net.Member(r.id, r.l.net.UserID(resource)); ok {
		return m, true
	}
	_, members, _ := r.l.net.Members(r.id)
	for i := range members {
		if altered, same := component.SafeResource(members[i].Nick); !same && altered == resource {
			return members[i], true
		}
	}
	return bridges.Member{}, false
}

// nickOf is the nick that an occupant's resource means, also of somebody who is
// not there.
func (r *room) nickOf(resource string) string {
	if m, ok := r.whoIs(resource); ok {
		return m.Nick
	}
	return resource
}

// presence is a member of the room as seen by one client.
func (r *room) presence(to component.JID, m *bridges.Member, codes []int) *component.Out {
	o := component.NewPresence(r.occupant(m.Nick), to, "", "")
	if m.Away {
		o.Elem("", "show", "away")
	}
	if m.Avatar != "" && r.l.hasPictures() {
		if p, _, _ := r.look(r.l, m.Avatar, nil); p.hash != "" {
			xep.AppendPhoto(o, p.hash, true)
		}
	}
	r.occupantID(o, m.Identity)
	o.Start(xep.NSMUCUser, "x")
	o.Start("", "item").Attr("affiliation", affiliationNames[m.Affiliation]).Attr("role", roleNames[m.Role])
	if jid := r.realJID(to, m, codes != nil); jid != "" {
		o.Attr("jid", jid)
	}
	o.End()
	statusCodes(o, codes)
	return o.End()
}

// realJID is a member's address where it is known: the person's on the
// network with user@host, the client's own for the user.
func (r *room) realJID(to component.JID, m *bridges.Member, self bool) string {
	if self {
		return to.String()
	}
	if m.Mask == "" && m.Address == "" {
		return ""
	}
	jid := r.m.personJID(r.l.id, m)
	if res, ok := component.SafeResource(m.Mask); ok && m.Mask != "" {
		jid.Resource = res
	}
	return jid.String()
}

func statusCodes(o *component.Out, codes []int) {
	for _, c := range codes {
		o.Start("", "status").Attr("code", strconv.Itoa(c)).End()
	}
}

// absence is a member of the room who goes, as seen by one client.
func (r *room) absence(to component.JID, m *bridges.Member, lv leave) *component.Out {
	o := component.NewPresence(r.occupant(m.Nick), to, "unavailable", "")
	if lv.status && lv.reason != "" {
		o.Elem("", "status", lv.reason)
	}
	r.occupantID(o, m.Identity)
	affiliation := m.Affiliation
	if has(lv.codes, 301) {
		affiliation = bridges.AffiliationOutcast
	}
	role := bridges.RoleNone
	if lv.nick != "" {
		role = m.Role
	}
	o.Start(xep.NSMUCUser, "x").Start("", "item").
		Attr("affiliation", affiliationNames[affiliation]).Attr("role", roleNames[role])
	if lv.nick != "" {
		nick, _ := component.SafeResource(lv.nick)
		o.Attr("nick", nick)
	}
	if jid := r.realJID(to, m, has(lv.codes, 110)); jid != "" {
		o.Attr("jid", jid)
	}
	if lv.actor != "" {
		actor, _ := component.SafeResource(lv.actor)
		o.Start("", "actor").Attr("nick", actor).End()
	}
	if !lv.status && lv.reason != "" && lv.destroy == nil {
		o.Elem("", "reason", lv.reason)
	}
	o.End()
	if lv.destroy != nil {
		lv.destroy.AppendTo(o)
	}
	statusCodes(o, lv.codes)
	return o.End()
}

func has(codes []int, code int) bool {
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// sendAbsence shows a client that a member is gone. Where that cannot be sent it
// is noted that the client still sees the member.
func (r *room) sendAbsence(st *seat, m *bridges.Member, lv leave) {
	if !r.send(r.absence(st.jid, m, lv)) {
		r.remember()
		r.shown[m.Nick] = *m
	}
}

// selfGone is the user's own leave for one client.
func (r *room) selfGone(st *seat, lv leave) *component.Out {
	me := r.self
	if me.Nick == "" {
		me.Nick, me.Affiliation = st.nick, bridges.AffiliationNone
	}
	return r.absence(st.jid, &me, lv)
}

// showLeave shows every client that the user is out.
func (r *room) showLeave(lv leave) {
	lv.status = lv.actor == "" && len(lv.codes) <= 2
	for _, st := range r.seats {
		r.showOut(st, lv)
	}
}

// showOut shows a client that the user is out, or that it will not get in.
func (r *room) showOut(st *seat, lv leave) {
	if st.stanza != nil {
		e := component.NewStanzaError("wait", "recipient-unavailable", lv.reason)
		e.By = r.jid
		r.refuse(st.stanza, e)
		return
	}
	if !r.send(r.selfGone(st, lv)) {
		r.owe(func() *component.Out { return r.selfGone(st, lv) })
	}
}

// each calls f for every client that is shown what happens now. Clients of
// which nobody knows whether they are still there get the rest later.
func (r *room) each(f func(st *seat)) {
	for _, st := range r.seats {
		if st.in && !st.unsure {
			f(st)
		}
	}
}

// showDifference brings clients that were in before a gap to what the room is
// now (DESIGN: the room stays up while the link retries).
func (r *room) showDifference(ev *bridges.Entered) {
	for i := range ev.Members {
		m := &ev.Members[i]
		if old, ok := r.shown[m.Nick]; !ok || r.anew || !sameLook(old, *m) {
			r.each(func(st *seat) { r.send(r.presence(st.jid, m, nil)) })
		}
	}
	for _, m := range r.missing(&ev.Self, ev.Members) {
		r.each(func(st *seat) { r.send(r.absence(st.jid, &m, leave{})) })
	}
	r.anew = false
	r.each(func(st *seat) { r.showSelf(st, &ev.Self) })
	r.settleGap()
}

// showSelf shows a client that was in before a gap who it is now.
func (r *room) showSelf(st *seat, self *bridges.Member) {
	codes := []int{110}
	if st.as != "" && st.as != self.Nick {
		old := *self
		old.Nick = st.as
		r.send(r.absence(st.jid, &old, leave{codes: []int{303, 110}, nick: self.Nick}))
		codes = append(codes, 210)
	}
	r.send(r.presence(st.jid, self, codes))
	st.as = self.Nick
}

func (r *room) anyUnsure() bool {
	for _, st := range r.seats {
		if st.unsure {
			return true
		}
	}
	return false
}

// sameLook tells whether two states of a member look alike to a client.
func sameLook(a, b bridges.Member) bool {
	return a.Nick == b.Nick && a.Role == b.Role && a.Affiliation == b.Affiliation && a.Away == b.Away && a.Mask == b.Mask
}

// Membership events, as the network reports them.

func (r *room) onJoined(ev *bridges.Joined) {
	r.each(func(st *seat) { r.send(r.presence(st.jid, &ev.Member, nil)) })
}

func (r *room) onLeft(ev *bridges.Left) {
	lv := leave{reason: ev.Reason, actor: ev.Actor}
	switch ev.Kind {
	case bridges.Kicked:
		lv.codes = []int{307}
	case bridges.Banned:
		lv.codes = []int{301}
	default:
		lv.status = true
	}
	if !ev.Self {
		r.each(func(st *seat) { r.sendAbsence(st, &ev.Member, lv) })
		return
	}
	if r.state == roomLeaving {
		r.left()
		return
	}
	r.self = ev.Member
	if r.quitting == 0 || ev.Ref != r.quitting {
		r.lostKept(whyOut(ev), len(r.seats) > 0)
	}
	lv.codes = append(lv.codes, 110)
	for _, st := range r.seats {
		r.showOut(st, lv)
	}
	r.gone()
}

func (r *room) onRenamed(ev *bridges.Renamed) {
	old := ev.Member
	old.Nick, old.ID = ev.OldNick, ev.OldID
	gone, here := leave{codes: []int{303}, nick: ev.Member.Nick}, []int(nil)
	if ev.Self {
		gone.codes, here = []int{303, 110}, codesSelf
		r.self, r.nick = ev.Member, ev.Member.Nick
		if r.rec != nil {
			r.rec.Renamed(r.nick)
		}
	}
	r.each(func(st *seat) {
		r.sendAbsence(st, &old, gone)
		r.send(r.presence(st.jid, &ev.Member, here))
		if ev.Self {
			st.as = ev.Member.Nick
		}
	})
}

func (r *room) onUpdated(ev *bridges.Updated) {
	var codes []int
	if ev.Self {
		codes = codesSelf
		r.self = ev.Member
	}
	r.each(func(st *seat) { r.send(r.presence(st.jid, &ev.Member, codes)) })
}
