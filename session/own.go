package session

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Own lines are what the user says to people with other clients of the network's. The
// user's server shows them to the user's clients as theirs where it sends them in the
// user's name (XEP-0356): their clients get copies (XEP-0280), its archive keeps them.

// ownPrefix begins the ids of messages that the server sends in the user's name. They
// come back to the gateway, which is whom they are to.
const ownPrefix = "own-"

// ownWait is until it is looked again whether the server has said what the gateway may
// do.
const ownWait = 4 * time.Second

// silence is how long a user of whom no client is known has said nothing, for nobody to
// be there.
const silence = 10 * time.Second

// isOwn tells whether a stanza is a message that was sent in the user's name by the
// gateway's wish: clients send from full addresses.
func isOwn(st *component.Stanza) bool {
	return st.Kind == component.KindMessage && st.Type == "chat" && st.From.Resource == "" && strings.HasPrefix(st.ID, ownPrefix)
}

// ownCame takes such a message, which therefore the server has sent.
func (s *Session) ownCame(st *component.Stanza) {
	i := slices.IndexFunc(s.way, func(w onWay) bool { return w.k.own && w.k.id == st.ID && w.k.from.Bare() == st.To.Bare() })
	if i < 0 {
		return
	}
	if !s.way[i].safe {
		s.settled(&s.way[i].k, false)
	}
	s.way = slices.Delete(s.way, i, i+1)
}

// onOwn is a line that the user said with another client of the network's.
func (s *Session) onOwn(l *link, ev *bridges.Message) {
	c := s.contact(l, ev.Place.User, s.calledBy(ev))
	c.asked = true
	caps := l.net.Capabilities(bridges.Place{User: ev.Place.User})
	if refersToLines(&caps) || len(ev.Files) > 0 || c.hearing.busy {
		s.heardPrivate(c, ev)
		return
	}
	s.tellOwn(c, ev, nil, nil)
}

// calledBy is the name of the person whom the user said something to.
func (s *Session) calledBy(ev *bridges.Message) string {
	if ev.With != "" {
		return ev.With
	}
	return string(ev.Place.User)
}

// tellOwn stores such a line, whose files lie at put, and shows it to the user where that
// is possible; adorn gives it what it says beside its text.
func (s *Session) tellOwn(c *contact, ev *bridges.Message, put []copied, adorn func(*keptMessage, *piece)) {
	parts := []piece{{Message: ev}}
	if len(ev.Files) > 0 {
		parts = s.split(c.l, ev, put)
	}
	for i := range parts {
		part, now := &parts[i], time.Now()
		k := keptMessage{
			own: true, from: s.m.personJID(c.l.id, &bridges.Member{Nick: c.nick, Address: c.address}), nick: c.nick,
			body: bodyOf(part.Message), id: ownPrefix + s.m.lineID(string(part.ID), now), at: timeOr(part.At, now),
		}
		if adorn != nil {
			adorn(&k, part)
		}
		s.recordPrivate(&k, ev.Replay)
		s.offer(k, ev.Replay)
	}
}

// showsOwn tells whether own lines reach the user in some form, or may once the server
// has said what the gateway may do.
func (s *Session) showsOwn() bool {
	p, known := s.m.stream.Privileges(s.user.Domain)
	return p.Messages || !known || !s.up || s.notesOwn()
}

// notesOwn tells whether the user wants to be told of own lines in other words where
// they cannot be shown as the user's.
func (s *Session) notesOwn() bool { return s.defaults.NoteOwn != nil && *s.defaults.NoteOwn }

// nobody tells whether none of the user's clients is there, for certain.
func (s *Session) nobody() bool {
	if !s.subscribed(s.m.domain) || time.Since(s.heard) < silence {
		return false
	}
	for _, c := range s.clients {
		if c.offline.IsZero() {
			return false
		}
	}
	for _, r := range s.rooms {
		if len(r.seats) > 0 {
			return false
		}
	}
	return true
}

// ownMessage is an own line as a stanza. It is nil where there is none now: then the line
// is kept, waits for a client to come, or is done with.
func (s *Session) ownMessage(k *keptMessage, delayed bool) *component.Out {
	p, known := s.m.stream.Privileges(s.user.Domain)
	switch {
	case !p.Messages && !known:
		s.keep(*k)
		s.after(ownWait, s.deliverKept)
	case p.Messages && s.nobody(): // an archive would have it, others would not
		s.cameLate(*k)
	case p.Messages:
		o := component.NewMessage(s.m.domain, component.JID{Domain: s.user.Domain}, "", s.m.ids.next())
		p.AppendPrivileged(o, s.user, k.from, "chat", k.id, func(o *component.Out) { s.fillPrivate(o, k, delayed) })
		return o
	case s.notesOwn() && k.body != "":
		noted := *k
		noted.body, noted.extra = "You, elsewhere: "+k.body, nil
		o := component.NewMessage(k.from, s.user, "chat", k.id)
		s.fillPrivate(o, &noted, delayed)
		return o
	default:
		s.settled(k, false)
	}
	return nil
}
