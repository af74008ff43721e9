package session

import (
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// heardPrivate takes a one-to-one line of a network that refers to lines, or with files:
// what it is about is looked up, one that is repeated is dropped, files are copied.
func (s *Session) heardPrivate(c *contact, ev *bridges.Message) {
	tell, files := s.tellPrivate, ev
	if ev.Self {
		if tell = s.tellOwn; !s.showsOwn() {
			files = &bridges.Message{} // nobody reads them
		}
	}
	if c.hearing.full() {
		tell(c, ev, nil, nil)
		return
	}
	l := c.l
	l.comparing++
	c.hearing.do(func(done func()) {
		s.known(c, ev, func(known bool) {
			if known {
				done()
				l.compared()
				return
			}
			s.refersTo(c, ev, func(replaces, answers string) {
				s.copyFiles(l, files, func(put []copied) {
					tell(c, ev, put, func(k *keptMessage, part *piece) {
						s.adornPrivate(k, c, part, replaces, answers)
						replaces, answers = "", "" // the first part has them
					})
					done()
					l.compared()
				})
			})
		})
	})
}

// known tells whether a line that the network may be repeating is one that is stored.
func (s *Session) known(c *contact, ev *bridges.Message, then func(bool)) {
	if !ev.Replay || ev.ID == "" {
		then(false)
		return
	}
	s.privateShownID(c, ev.ID, func(id string, _ bool) { then(id != "") })
}

// refersTo finds the message ids of the lines that a line replaces and answers.
func (s *Session) refersTo(c *contact, ev *bridges.Message, then func(replaces, answers string)) {
	answered := bridges.MessageID("")
	if ev.ReplyTo != nil {
		answered = ev.ReplyTo.ID
	}
	s.shownAs(c, replaced(ev), func(replaces string) {
		s.shownAs(c, answered, func(answers string) { then(replaces, answers) })
	})
}

func (s *Session) shownAs(c *contact, id bridges.MessageID, then func(string)) {
	if id == "" {
		then("")
		return
	}
	s.privateShownID(c, id, func(id string, _ bool) { then(id) })
}

// adornPrivate gives a line what a message says beside its text.
func (s *Session) adornPrivate(k *keptMessage, c *contact, ev *piece, replaces, answers string) {
	k.net = ev.ID
	quote := 0
	if ev.ReplyTo != nil {
		k.body, quote = quoted(ev.ReplyTo, nil, k.body)
	}
	k.extra = component.Fragment(func(o *component.Out) {
		if replaces != "" {
			xep.AppendReplace(o, replaces)
		}
		if answers != "" {
			xep.Reply{ID: answers, To: s.whoSaid(c, ev.ReplyTo)}.AppendTo(o)
		}
		appendParts(o, ev, quote)
	})
	s.noteName(privateName{peer: s.peer(c), id: k.id, net: ev.ID, own: k.own})
}

// whoSaid is the address of who said what is answered: the user, or the person.
func (s *Session) whoSaid(c *contact, re *bridges.Reply) component.JID {
	if re.From.ID == c.l.net.Self().ID {
		return s.user
	}
	return s.m.personJID(c.l.id, &bridges.Member{Nick: c.nick, Address: c.address})
}

// onPrivateReacted shows a person's reactions to a line, or the user's own.
func (s *Session) onPrivateReacted(l *link, ev *bridges.Reacted) {
	s.privateAbout(l, &ev.From, ev.Self, ev.Place.User, ev.ID, ev.At, func(o *component.Out, id string) {
		xep.Reactions{ID: id, Emoji: ev.Keys}.AppendTo(o)
		xep.Store.AppendTo(o)
	})
}

// onPrivateRetracted shows that a person took a line back, or the user.
func (s *Session) onPrivateRetracted(l *link, ev *bridges.Retracted) {
	for n := range 2 { // also what was said about a file, where it was one
		s.privateAbout(l, &ev.By, ev.Self, ev.Place.User, partOf(ev.ID, n+1), ev.At, func(o *component.Out, id string) {
			o.Elem("", "body", "/me takes back a message")
			xep.AppendRetract(o, id)
			xep.Fallback{For: xep.NSRetract, WholeBody: true, WholeSubject: true}.AppendTo(o)
			xep.Store.AppendTo(o)
		})
	}
}

// privateAbout delivers something about an earlier one-to-one line: of somebody's, or
// of the user's own (self), done with another client of the network's.
func (s *Session) privateAbout(l *link, from *bridges.Member, self bool, user bridges.UserID, line bridges.MessageID, at time.Time, write func(*component.Out, string)) {
	var c *contact
	if self {
		if p, known := s.m.stream.Privileges(s.user.Domain); known && !p.Messages {
			return
		}
		c = s.chatWith(l, &bridges.Member{ID: user, Nick: string(user), Address: string(user)})
		from = &bridges.Member{Nick: c.nick, Address: c.address}
	} else {
		c = s.contact(l, user, from.Nick)
		c.nick, c.address = from.Nick, from.Address
	}
	if c.hearing.full() {
		return
	}
	l.comparing++
	c.hearing.do(func(done func()) {
		s.privateShownID(c, line, func(id string, _ bool) {
			if id != "" {
				k := keptMessage{from: s.m.personJID(l.id, from), nick: from.Nick, id: s.m.ids.next(), at: timeOr(at, time.Now())}
				if self {
					k.own, k.id = true, ownPrefix+k.id
				} else if r := s.rooms[c.via]; r != nil && len(r.seats) > 0 {
					k.via = c.via
				}
				k.extra = component.Fragment(func(o *component.Out) { write(o, id) })
				s.showPrivate(k, false)
			}
			done()
			l.compared()
		})
	})
}
