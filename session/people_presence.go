package session

import (
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// personPresence takes presence that is addressed to a person outside rooms.
func (s *Session) personPresence(st *component.Stanza, addr bridges.Address) {
	switch st.Type {
	case "subscribe":
		s.onSubscribe(st, addr)
	case "subscribed":
		s.onSubscribed(st)
	case "unsubscribe":
		s.onUnsubscribe(st)
	case "unsubscribed":
		s.onUnsubscribed(st)
	case "probe":
		s.onProbe(st, addr)
	}
}

// onSubscribe is the user's wish to have a person as a contact (XEP-0100 section
// 4.6). Who is one already, or is on a network that keeps no contacts, agrees;
// else the network is asked.
func (s *Session) onSubscribe(st *component.Stanza, addr bridges.Address) {
	l := s.existing(addr.Network)
	if l == nil {
		if _, has := s.account(addr.Network); has || !s.registered {
			s.deny(st.To.Local, "There is no connection to the network.")
			return
		}
	}
	p := s.person(st.To.Local)
	if p == nil {
		s.deny(st.To.Local, "You have as many contacts as this gateway keeps.")
		return
	}
	if l == nil || p.contact && !p.asks {
		s.agree(p.local)
		return
	}
	who, ok := l.net.(bridges.Befriender)
	if !ok {
		s.agree(p.local)
		return
	}
	answer := func(err *bridges.Error) {
		if err != nil {
			s.deny(p.local, StanzaError(err).Text)
			s.forgetPerson(p)
			return
		}
		s.agree(p.local)
	}
	l.whenOnline(func(err *bridges.Error) {
		if err != nil {
			answer(err)
			return
		}
		s.befriend(p, l, who, answer)
	})
}

// agree lets the user have a person's presence from now on.
func (s *Session) agree(local string) {
	p := s.person(local) // one who was forgotten while the network was asked is noted again
	if p == nil {
		return
	}
	if !p.sends {
		p.sends = true
		s.savePerson(p)
	}
	subscribed := func() *component.Out { return component.NewPresence(s.jidOf(p), s.user, "subscribed", "") }
	if !s.send(subscribed()) {
		s.owe(subscribed)
	}
	if p.contact || p.known {
		s.showPerson(p)
	}
	if p.contact {
		s.introduce(p)
	}
}

// deny says that the user does not get a person's presence, and why.
func (s *Session) deny(local, why string) {
	refusal := func() *component.Out {
		o := component.NewPresence(component.JID{Local: local, Domain: s.m.domain.Domain}, s.user, "unsubscribed", "")
		if why != "" {
			o.Elem("", "status", why)
		}
		return o
	}
	if !s.send(refusal()) {
		s.owe(refusal)
	}
}

// onSubscribed is the user's consent to what a person asked.
func (s *Session) onSubscribed(st *component.Stanza) {
	p := s.persons[st.To.Local]
	if p == nil {
		return
	}
	if !p.receives {
		p.receives = true
		s.savePerson(p)
	}
	if p.asks {
		s.accept(p)
	}
}

// accept has the network let somebody speak with the user who asks for it.
func (s *Session) accept(p *person) {
	l := p.l
	if l == nil {
		return
	}
	who, ok := l.net.(bridges.Befriender)
	if !ok {
		return
	}
	answer := func(err *bridges.Error) {
		if err != nil {
			l.tell("You cannot speak with " + p.called() + ": " + StanzaError(err).Text)
		}
	}
	l.whenOnline(func(err *bridges.Error) {
		switch {
		case err != nil:
			answer(err)
		case p.asks: // still
			s.befriend(p, l, who, answer)
		}
	})
}

// called is what a person is called in sentences.
func (p *person) called() string {
	if p.nick != "" {
		return p.nick
	}
	return component.UnescapeLocal(p.local)
}

// onUnsubscribe ends that the user gets a person's presence.
func (s *Session) onUnsubscribe(st *component.Stanza) {
	if p := s.persons[st.To.Local]; p != nil && p.sends {
		p.sends, p.shown = false, false
		s.savePerson(p)
		s.forgetPerson(p)
	}
	for _, typ := range []string{"unsubscribed", "unavailable"} {
		s.send(component.NewPresence(st.To.Bare(), s.user, typ, ""))
	}
}

// onUnsubscribed is the user's refusal of what a person asked, or the end of an
// earlier consent. Who waits for an answer gets this one, and may ask again.
func (s *Session) onUnsubscribed(st *component.Stanza) {
	p := s.persons[st.To.Local]
	if p == nil {
		return
	}
	was := p.standing
	p.receives = false
	if p.asks && p.l != nil {
		p.asked = false
		if who, ok := p.l.net.(bridges.Befriender); ok {
			p.l.quietly("decline", who.Unfriend(0, p.l.net.UserID(s.nameOf(p))))
		}
	}
	if p.standing != was {
		s.savePerson(p)
		s.forgetPerson(p)
	}
}

// onProbe answers what a person's presence is. The user's server asks for those the
// user is subscribed to, so one who asks about somebody is.
func (s *Session) onProbe(st *component.Stanza, addr bridges.Address) {
	p := s.persons[st.To.Local]
	if p == nil || !p.sends {
		if s.existing(addr.Network) != nil || s.registered {
			p = s.person(st.To.Local)
		}
		if p == nil {
			s.send(component.NewPresence(st.To.Bare(), st.From, "unavailable", ""))
			return
		}
		p.sends = true
		s.savePerson(p)
	}
	s.send(s.presenceOf(p, st.From))
	if p.reachable() {
		s.tellAvatar(p, st.From)
	}
}

// onPresent is whether a person is there, as the network tells it. It is kept of
// those who are on a list of contacts, the network's or the user's.
func (s *Session) onPresent(l *link, ev *bridges.Present) {
	p := s.persons[s.m.personJID(l.id, &ev.Member).Local]
	if p == nil {
		return
	}
	was := *p
	p.l, p.known, p.online, p.away, p.busy = l, true, ev.Online, ev.Member.Away, ev.Busy
	if !p.asks {
		p.text = cut(ev.Text, maxPersonText)
	}
	p.since = 0
	if !ev.Since.IsZero() {
		p.since = ev.Since.Unix()
	}
	if ev.Member.Nick != "" {
		p.nick = cut(ev.Member.Nick, maxPersonName)
	}
	if *p != was || !p.told {
		s.showPerson(p)
	}
}

// reachable tells whether a person is shown as available: a contact of whom the
// network tells nothing is, while there is a connection to it.
func (p *person) reachable() bool {
	if p.l == nil || !p.l.peopleUp || p.asks {
		return false
	}
	if p.known {
		return p.online
	}
	return p.contact
}

// presenceOf is a person's presence for the user, or for one client.
func (s *Session) presenceOf(p *person, to component.JID) *component.Out {
	if !p.reachable() {
		o := component.NewPresence(s.jidOf(p), to, "unavailable", "")
		if p.known && p.text != "" {
			o.Elem("", "status", p.text)
		}
		return o
	}
	o := component.NewPresence(s.jidOf(p), to, "", "")
	switch {
	case p.busy:
		o.Elem("", "show", "dnd")
	case p.away:
		o.Elem("", "show", "away")
	}
	if p.text != "" {
		o.Elem("", "status", p.text)
	}
	if p.since != 0 {
		xep.AppendIdle(o, time.Unix(p.since, 0))
	}
	if p.nick != "" {
		xep.AppendNick(o, p.nick)
	}
	s.appendPhoto(o, p)
	place := bridges.Place{User: p.l.net.UserID(s.nameOf(p))}
	s.personInfo(false, "", p.l.net.Capabilities(place)).Caps().AppendTo(o)
	return o
}

// showPerson sends a person's presence to the user, where the user gets it.
func (s *Session) showPerson(p *person) {
	if !p.sends || !s.up {
		return
	}
	if s.send(s.presenceOf(p, s.user)) {
		if p.told, p.shown = true, p.reachable(); p.shown {
			s.tellAvatar(p, s.user)
		}
	}
}

// freshPeople shows the contacts that a link has told of a moment ago.
func (l *link) freshPeople() {
	if l.fresh {
		return
	}
	l.fresh = true
	l.s.after(presenceWait, func() {
		l.fresh = false
		for _, p := range l.s.peopleOf(l) {
			if !p.told {
				l.s.showPerson(p)
			}
		}
	})
}

// showPeople shows a link's contacts as reachable, or as not.
func (l *link) showPeople(up bool) {
	if l.peopleUp == up {
		return
	}
	l.peopleUp = up
	for _, p := range l.s.peopleOf(l) {
		if p.shown != p.reachable() {
			l.s.showPerson(p)
		}
	}
}

// peopleBack does so when the link is online.
func (l *link) peopleBack() {
	if l.hide != nil {
		l.hide.Stop()
		l.hide = nil
	}
	l.showPeople(true)
	l.s.nextPicture()
}

// peopleDown shows them as not reachable when the link has been down for a while.
func (l *link) peopleDown() {
	if !l.peopleUp || l.hide != nil {
		return
	}
	l.hide = l.s.after(peopleGrace, func() {
		l.hide = nil
		if !l.online() {
			l.showPeople(false)
		}
	})
}

// leavePeople is the end of a link: nobody tells of its contacts any more.
func (l *link) leavePeople() {
	l.showPeople(false)
	for _, p := range l.s.peopleOf(l) {
		p.l, p.contact, p.asks, p.known, p.told, p.queued, p.wanted = nil, false, false, false, false, false, false
		l.s.forgetPerson(p)
	}
}

// showPeopleAgain repeats what may have been lost with the stream.
func (s *Session) showPeopleAgain() {
	s.refused, s.noMarks = false, false
	s.markNext()
	for _, l := range s.links {
		for _, p := range s.peopleOf(l) {
			p.pep = ""
			s.showPerson(p)
		}
	}
	s.askSome()
}
