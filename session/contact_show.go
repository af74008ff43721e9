package session

import (
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// onPrivateMessage is a private line from the network.
func (s *Session) onPrivateMessage(l *link, ev *bridges.Message) {
	if ev.Self {
		s.onOwn(l, ev)
		return
	}
	body := bodyOf(ev)
	c := s.contacts[contactKey(l, ev.Place.User)]
	if ev.Kind == bridges.Notice && (c == nil || !c.asked) {
		l.notice(&bridges.ServerNotice{From: ev.From.Nick, Text: body})
		return
	}
	c = s.contact(l, ev.Place.User, ev.From.Nick)
	c.nick, c.address = ev.From.Nick, ev.From.Address
	caps := l.net.Capabilities(bridges.Place{User: ev.Place.User})
	if refersToLines(&caps) || len(ev.Files) > 0 || ev.Location != nil || c.hearing.busy {
		s.heardPrivate(c, ev)
		return
	}
	s.tellPrivate(c, ev, nil, nil)
}

// tellPrivate stores and delivers a private line, whose files lie at put; adorn gives it
// what it says beside its text.
func (s *Session) tellPrivate(c *contact, ev *bridges.Message, put []copied, adorn func(*keptMessage, *piece)) {
	s.tellLeftOut(c, ev)
	if len(ev.Files) == 0 {
		s.tellPart(c, &piece{Message: ev}, adorn)
		return
	}
	for _, part := range s.split(c.l, ev, put) {
		s.tellPart(c, &part, adorn)
	}
}

func (s *Session) tellPart(c *contact, ev *piece, adorn func(*keptMessage, *piece)) {
	l := c.l
	body := bodyOf(ev.Message)
	now := time.Now()
	s.m.stats.toUsers.Add(1)
	k := keptMessage{from: s.m.personJID(l.id, &ev.From), nick: ev.From.Nick, body: body, id: s.m.lineID(string(ev.ID), now), at: timeOr(ev.At, now)}
	if r := s.rooms[c.via]; r != nil && len(r.seats) > 0 {
		k.via = c.via
	}
	if adorn != nil {
		adorn(&k, ev)
	}
	if k.body != "" && l.net.Capabilities(bridges.Place{User: c.id}).Read {
		k.extra = append(k.extra, markable...)
	}
	s.recordPrivate(&k, ev.Replay)
	s.offer(k, ev.Replay)
}

// offer delivers a line that was stored, behind those before it.
func (s *Session) offer(k keptMessage, delayed bool) {
	if s.behind && !s.unreadable && !k.key.IsZero() {
		s.leave() // those before it are still to be read
		return
	}
	s.showPrivate(k, delayed)
}

// showPrivate delivers a private line: to the bare JID, where the user's server
// chooses clients and archives it; or, where the user speaks to an occupant, to
// each client in the room (XEP-0045 section 7.5).
func (s *Session) showPrivate(k keptMessage, delayed bool) {
	r := s.rooms[k.via]
	if !s.up || r != nil && r.anyUnsure() { // first it must be known which clients are there
		s.keep(k)
		return
	}
	if !k.key.IsZero() && s.wayFull() {
		s.leave()
		return
	}
	if k.own {
		if o := s.ownMessage(&k, delayed); o != nil {
			if !s.send(o) {
				s.keep(k)
				return
			}
			s.wrote(k)
		}
		return
	}
	from, to := k.from, []component.JID(nil)
	if r != nil {
		from = r.occupant(k.nick)
		r.each(func(st *seat) { to = append(to, st.jid) })
	}
	inRoom := len(to) > 0
	if !inRoom {
		from, to = k.from, []component.JID{s.user}
	}
	for _, jid := range to {
		o := component.NewMessage(from, jid, "chat", k.id)
		if inRoom {
			o.Start(xep.NSMUCUser, "x").End()
			xep.AppendPrivate(o)
		}
		s.fillPrivate(o, &k, delayed)
		if !s.send(o) {
			s.keep(k)
			return
		}
	}
	s.wrote(k)
}

// fillPrivate writes what a private line says.
func (s *Session) fillPrivate(o *component.Out, k *keptMessage, delayed bool) {
	if k.body != "" {
		o.Elem("", "body", k.body)
	}
	o.AppendChildren(k.extra)
	if delayed {
		xep.AppendDelay(o, s.m.domain, k.at)
	}
}
