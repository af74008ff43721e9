package session

import (
	"strings"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Bounds of one-to-one chats.
const (
	maxContacts = 256 // people whose last address is remembered
	maxKept     = 500 // private lines kept while there is no stream
)

// contact is a person the user speaks with privately.
type contact struct {
	l       *link
	id      bridges.UserID
	nick    string
	address string // what Address.Name of the person is; empty: nick
	via     string // the user last wrote to the occupant in the room with this local part; empty: to the person
	asked   bool   // the user wrote first, so notices belong to the chat
	saying  chain
	hearing chain
	lastUse time.Time
}

// contactKey names a person across networks.
func contactKey(l *link, id bridges.UserID) string { return string(l.id) + "\x00" + string(id) }

// contact returns what is known of a person, making room where needed.
func (s *Session) contact(l *link, id bridges.UserID, nick string) *contact {
	key := contactKey(l, id)
	c := s.contacts[key]
	if c == nil {
		if len(s.contacts) >= maxContacts {
			s.dropOldestContact()
		}
		c = &contact{id: id, nick: nick}
		if s.contacts == nil {
			s.contacts = make(map[string]*contact)
		}
		s.contacts[key] = c
	}
	c.l = l // the one there is now
	c.lastUse = time.Now()
	l.lastLine = c.lastUse
	return c
}

func (s *Session) dropOldestContact() {
	oldest := ""
	for key, c := range s.contacts {
		if oldest == "" || c.lastUse.Before(s.contacts[oldest].lastUse) {
			oldest = key
		}
	}
	delete(s.contacts, oldest)
}

// toPerson handles what is addressed to a person outside rooms.
func (s *Session) toPerson(st *component.Stanza, addr bridges.Address) {
	switch st.Kind {
	case component.KindMessage:
		s.personMessage(st, addr)
	case component.KindPresence:
		s.personPresence(st, addr)
	case component.KindIQ:
		s.personIQ(st, addr)
	}
}

func (s *Session) personMessage(st *component.Stanza, addr bridges.Address) {
	if st.Type == "error" {
		s.cameBack(st)
		return
	}
	if st.Type == "groupchat" {
		s.refuse(st, component.NewStanzaError("modify", "not-acceptable", "This is a person, not a room."))
		return
	}
	if s.inviteByDirect(st, addr) {
		return
	}
	if !sayable(st) {
		return
	}
	say := func(l *link) {
		id := l.net.UserID(addr.Name)
		c := s.contact(l, id, addr.Name)
		c.via, c.asked = "", true
		s.sayPrivate(st, c)
	}
	if l := s.existing(addr.Network); l != nil && l.keepsWaiting() {
		say(l)
		l.start(true)
		return
	}
	s.withLink(st, addr.Network, say)
}

// onPrivate is a private message to an occupant (XEP-0045 section 7.5).
func (r *room) onPrivate(st *component.Stanza) {
	if st.Type == "error" {
		return
	}
	if !sayable(st) {
		return
	}
	if r.state != roomIn {
		r.refuse(st, StanzaError(bridges.NewError(bridges.Offline, "")))
		return
	}
	member, ok := r.whoIs(st.To.Resource)
	if !ok {
		r.refuse(st, StanzaError(bridges.NewError(bridges.NotFound, "There is nobody of that name in the room.")))
		return
	}
	c := r.contact(r.l, member.ID, member.Nick)
	c.via, c.asked, c.address = r.jid.Local, true, member.Address
	r.sayPrivate(st, c)
}

// sayable tells whether a one-to-one stanza says anything to the person: more than
// that somebody writes, or has read.
func sayable(st *component.Stanza) bool {
	if _, ok := xep.ParseReactions(st.Element); ok {
		return true
	}
	body, _ := st.Body()
	if _, ok := placeOf(st); ok || st.Child(xep.NSFileSharing, "file-sharing") != nil {
		return true
	}
	return strings.TrimSpace(body) != "" || xep.ParseRetract(st.Element) != "" || st.Child(xep.NSOOB, "x") != nil
}

// privateWords is a one-to-one message as text, with words for what the network has
// no form for.
func (s *Session) privateWords(st *component.Stanza, n native) (bridges.Outgoing, bool) {
	var nowhere room // one-to-one lines are not remembered: nothing to quote from
	nowhere.Session = s
	if re, ok := xep.ParseReactions(st.Element); ok && len(re.Emoji) == 0 {
		return bridges.Outgoing{}, false
	}
	return nowhere.inWords(st, n)
}

// sayPrivate says something to a person, in as good a form as the network has.
func (s *Session) sayPrivate(st *component.Stanza, c *contact) {
	caps := c.l.net.Capabilities(bridges.Place{User: c.id})
	if caps.Once {
		c.l.out.tell(st, c)
		return
	}
	if !refersToLines(&caps) && !caps.HTML {
		if out, ok := s.privateWords(st, native{}); ok {
			s.sendPrivate(st, c, wish{do: func(ref bridges.Ref) error { return c.l.net.Send(ref, bridges.Place{User: c.id}, out) }})
		}
		return
	}
	if c.saying.full() {
		s.refuse(st, StanzaError(bridges.NewError(bridges.RateLimited, "")))
		return
	}
	spot := c.spot(s, &caps)
	c.saying.do(func(done func()) {
		spot.utter(st, newToken(), func(q wish) {
			if q.do != nil {
				s.sendPrivate(st, c, q)
			}
			done()
		})
	})
}

// withLink runs f once the network can be spoken to, connecting where needed;
// otherwise the stanza is refused.
func (s *Session) withLink(st *component.Stanza, id bridges.NetworkID, f func(*link)) {
	l := s.existing(id)
	if l == nil {
		if e := s.mayJoin(id); e != nil {
			s.refuse(st, e)
			return
		}
		var err error
		if l, err = s.link(id); err != nil {
			s.refuse(st, StanzaError(err))
			return
		}
	}
	l.whenOnline(func(err *bridges.Error) {
		if err != nil {
			s.refuse(st, StanzaError(err))
			return
		}
		f(l)
	})
}

// sendPrivate has something said to a person; a receipt (XEP-0184) follows when the
// network has taken it.
func (s *Session) sendPrivate(st *component.Stanza, c *contact, q wish) {
	s.act(c.l, outcomeFunc(func(ev bridges.Event) {
		id, at, err := outcomeOf(ev)
		if err != nil && !err.Uncertain && q.instead != nil {
			s.sendPrivate(st, c, wish{do: q.instead})
			return
		}
		if err != nil {
			s.refuse(st, lineError(err))
			return
		}
		s.m.stats.toNetwork.Add(1)
		s.tookPrivate(st, c, id, at)
	}), q.do)
}

// receipt tells a client that its line was taken.
func (s *Session) receipt(st *component.Stanza) {
	id := s.m.ids.next()
	receipt := func() *component.Out {
		o := component.NewMessage(st.To, st.From, st.Type, id)
		xep.AppendReceipt(o, st.ID)
		return o
	}
	if !s.send(receipt()) {
		s.owe(receipt)
	}
}

// keptMessage is a private line that waits for the stream.
type keptMessage struct {
	from component.JID
	nick string // of the sender
	body string
	id   string
	at   time.Time
	via  string // local part of the room it belongs to
	key  archive.Key
	own  bool // the user said it, to from

	net   bridges.MessageID // what the network calls it, where it refers to lines by that
	extra []byte            // further children of the message, as XML
}

// onRenamed is a person's new nick outside rooms, or the outcome of the user's own.
func (s *Session) onRenamed(l *link, ev *bridges.Renamed) {
	if ev.Ref != 0 {
		s.settle(ev.Ref, ev)
	}
	if ev.Self {
		return
	}
	old := contactKey(l, ev.OldID)
	if c := s.contacts[old]; c != nil {
		delete(s.contacts, old)
		c.id, c.nick = ev.Member.ID, ev.Member.Nick
		s.contacts[contactKey(l, c.id)] = c
	}
}
