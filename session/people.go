package session

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Bounds and times of people outside rooms.
const (
	maxPeople     = 5000 // of one user, in contact lists of networks or subscribed to
	maxPersonName = 256  // bytes of what somebody is called
	maxPersonText = 2000 // bytes of what somebody says of themselves
	// maxPersonAvatar is how long the network's name for a picture is, in bytes.
	maxPersonAvatar = 1000
	askAtOnce       = 20          // contacts the user is asked about in one go
	askEvery        = time.Second // between two goes
	// A network tells of a contact first, and whether the contact is there a moment
	// later: so long it is waited for.
	presenceWait = 3 * time.Second
	// peopleGrace is how long contacts are shown as they were when the link is down.
	peopleGrace = 30 * time.Second
)

// person is somebody outside rooms who is in the contact list of the network, or of
// the user. There may be thousands: what is known of one is kept small.
type person struct {
	local string // of the address
	l     *link  // that tells of the person; nil: none does
	nick  string
	text  string // of the presence, or of who asks
	since int64  // of the absence, in seconds since 1970; 0: not known

	avatar string // as bridges.Member.Avatar
	pep    string // the hash of the picture as the user was told last, by an event
	wanted bool   // the picture is being fetched

	standing                          // what is stored
	contact, asks                bool // as the network said last (bridges.Contact)
	known, online, away, busy    bool // the same (bridges.Present)
	told, shown, queued, unsaved bool // presence was sent; and was an available one; in toAsk; in unsaved

	waits *befriending
}

// standing is how a person and the user stand with each other.
type standing struct {
	sends    bool // the user gets the person's presence
	receives bool // the person gets the user's
	asked    bool // the person has asked for that
}

// befriending is a question to the network that waits for the person to become a
// contact.
type befriending struct {
	ref  bridges.Ref
	then []func(*bridges.Error)
}

// people is what a session knows of people outside rooms.
type people struct {
	persons  map[string]*person // by the local part of the address
	toAsk    []*person
	askedNow int // in this go
	unsaved  []*person
	saving   bool // a write is under way, or waits for its turn
	waiting  bool // for what the server lets the gateway do
	roster
}

// setPeople takes over what is stored; what has changed since and waits to be stored
// stays.
func (s *Session) setPeople(subs []Subscription) {
	for _, sub := range subs {
		jid, err := component.ParseJID(sub.Address)
		if err != nil || jid.Local == "" {
			continue
		}
		if p := s.person(jid.Local); p != nil && !p.unsaved {
			p.standing = standing{sends: sub.Sends, receives: sub.Receives, asked: sub.Asked}
		}
	}
}

// person returns the person at a local part, noting one who is not known; nil: there
// are too many.
func (s *Session) person(local string) *person {
	p := s.persons[local]
	if p == nil {
		if len(s.persons) >= maxPeople {
			return nil
		}
		p = &person{local: strings.Clone(local)}
		if s.persons == nil {
			s.persons = make(map[string]*person)
		}
		s.persons[p.local] = p
	}
	return p
}

// forgetPerson forgets a person there is nothing to know of any more.
func (s *Session) forgetPerson(p *person) {
	if p.standing == (standing{}) && !p.contact && p.waits == nil && s.persons[p.local] == p {
		delete(s.persons, p.local)
	}
}

// peopleOf are the people a link tells of, in order.
func (s *Session) peopleOf(l *link) []*person {
	var out []*person
	for _, p := range s.persons {
		if p.l == l {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *person) int { return strings.Compare(a.local, b.local) })
	return out
}

func (s *Session) jidOf(p *person) component.JID {
	return component.JID{Local: p.local, Domain: s.m.domain.Domain}
}

// onContact is a person who came into, changed in or left the network's list of
// contacts.
func (s *Session) onContact(l *link, ev *bridges.Contact) {
	local := s.m.personJID(l.id, &ev.Member).Local
	if ev.Gone {
		if p := s.persons[local]; p != nil {
			s.contactGone(p)
		}
		return
	}
	p := s.person(local)
	if p == nil {
		if !l.crowded {
			l.crowded = true
			l.log.Warn("the user has more contacts than are kept; the rest is left out")
		}
		return
	}
	was := *p
	p.l, p.contact, p.asks = l, true, ev.Asks
	p.nick = cut(ev.Member.Nick, maxPersonName)
	if p.avatar = ev.Member.Avatar; len(p.avatar) > maxPersonAvatar {
		p.avatar = ""
	}
	switch {
	case ev.Asks:
		p.text = cut(ev.Text, maxPersonText)
	case was.asks:
		p.text = ""
	}
	fresh := was.l != l || !was.contact
	if fresh {
		p.told = false
		l.freshPeople()
	}
	if !ev.Asks {
		s.befriended(p, nil)
	}
	if may, _ := s.managesRoster(); may && was.asks && !p.asks && p.receives && !p.queued { // with a name
		p.queued = true
		s.toAsk = append(s.toAsk, p)
		s.askSome()
	}
	s.introduce(p)
	if p.asks && p.receives && p.waits == nil { // the user has agreed before
		s.accept(p)
	}
	if !fresh && (was.nick != p.nick || was.asks != p.asks || was.avatar != p.avatar) {
		s.showPerson(p)
	}
	if was.nick != p.nick && was.nick != "" && p.sends && len(s.renames) < maxPeople {
		s.renames = append(s.renames, rename{p, was.nick})
		s.askSome()
	}
}

// contactGone takes a person off the user's contact list whom the network has no
// longer (XEP-0100 section 5.2).
func (s *Session) contactGone(p *person) {
	if !p.contact {
		return
	}
	had := p.standing
	p.contact, p.asks, p.known, p.standing = false, false, false, standing{}
	for _, end := range []struct {
		typ  string
		send bool
	}{{"unsubscribe", had.receives || had.asked}, {"unsubscribed", had.sends}, {"unavailable", had.sends}} {
		if end.send && !s.send(component.NewPresence(s.jidOf(p), s.user, end.typ, "")) {
			s.owe(func() *component.Out { return component.NewPresence(s.jidOf(p), s.user, end.typ, "") })
		}
	}
	p.shown = false
	if had != (standing{}) {
		s.savePerson(p)
	}
	s.forgetPerson(p)
}

// introduce brings a contact of the network into the user's contact list, once: where
// the server lets the gateway change it, by doing so, else the person asks for the
// user's presence (RFC 6121 section 3.1), with a name. Who wants to be spoken with asks
// in any case, and has something to say.
func (s *Session) introduce(p *person) {
	if p.asked || p.receives || p.queued {
		return
	}
	p.queued = true
	s.toAsk = append(s.toAsk, p)
	s.askSome()
}

// askSome has the next contacts ask for the user's presence: not all at once, as
// each is a question to the user.
func (s *Session) askSome() {
	if len(s.toAsk)+len(s.toAdd)+len(s.renames) == 0 || !s.up || s.waiting {
		return
	}
	may, known := s.managesRoster()
	switch {
	case !may && !known:
		s.waiting = true
		s.after(ownWait, func() { s.waiting = false; s.askSome() })
		return
	case may:
		s.addSome()
	default:
		s.toAsk, s.toAdd, s.renames = append(s.toAdd, s.toAsk...), nil, nil
	}
	for s.up && s.askedNow < askAtOnce && len(s.toAsk) > 0 {
		p := s.toAsk[0]
		if p.contact && !p.asked && !p.receives && s.persons[p.local] == p {
			o := component.NewPresence(s.jidOf(p), s.user, "subscribe", "")
			if p.asks && p.text != "" {
				o.Elem("", "status", p.text)
			}
			if p.nick != "" {
				xep.AppendNick(o, p.nick)
			}
			if !s.send(o) {
				return // the stream's return goes on with it
			}
			p.asked = true
			s.savePerson(p)
			if s.askedNow++; s.askedNow == 1 {
				s.after(askEvery, func() { s.askedNow = 0; s.askSome() })
			}
		}
		p.queued = false
		s.toAsk = s.toAsk[1:]
	}
	if len(s.toAsk) == 0 {
		s.toAsk = nil
	}
}

// savePerson has what stands between a person and the user stored.
func (s *Session) savePerson(p *person) {
	if !p.unsaved {
		p.unsaved = true
		s.people.unsaved = append(s.people.unsaved, p)
	}
	if !s.saving {
		s.savePeople()
	}
}

// savePeople stores all that has changed, in one write; while one is under way the
// next collects.
func (s *Session) savePeople() {
	s.saving = true
	var batch []*person
	s.write(write{
		begin: func() func(context.Context) error {
			batch = s.people.unsaved
			s.people.unsaved = nil
			subs := make([]Subscription, len(batch))
			for i, p := range batch {
				p.unsaved = false
				subs[i] = Subscription{Address: s.jidOf(p).String(), Sends: p.sends, Receives: p.receives, Asked: p.asked}
			}
			return func(ctx context.Context) error { return s.m.store.SaveSubscriptions(ctx, s.user.String(), subs) }
		},
		done: func(err error) {
			s.saving = false
			if err != nil {
				s.log.Warn("subscriptions are not stored; it is tried again", "error", err)
				for _, p := range batch {
					if !p.unsaved {
						p.unsaved = true
						s.people.unsaved = append(s.people.unsaved, p)
					}
				}
				s.saving = true
				s.after(readAgain, s.savePeople)
				return
			}
			if len(s.people.unsaved) > 0 {
				s.savePeople()
			}
		},
	})
}

// endPerson forgets what was between the user and a person whose account's network
// is being removed; it is not stored any more.
func (s *Session) endPerson(p *person) {
	p.standing, p.told, p.shown = standing{}, false, false
	if p.unsaved {
		p.unsaved = false
		s.people.unsaved = slices.DeleteFunc(s.people.unsaved, func(o *person) bool { return o == p })
	}
	s.forgetPerson(p)
}

// befriend asks the network to let the user and a person speak; then is called in
// the session.
func (s *Session) befriend(p *person, l *link, who bridges.Befriender, then func(*bridges.Error)) {
	if p.waits != nil {
		if len(p.waits.then) < maxWaiting {
			p.waits.then = append(p.waits.then, then)
		}
		return
	}
	ref := s.expect(l, outcomeFunc(func(ev bridges.Event) {
		failed, ok := ev.(*bridges.Failed)
		if !ok {
			s.befriended(p, nil)
			return
		}
		s.befriended(p, failed.Err)
	}))
	p.waits = &befriending{ref: ref, then: []func(*bridges.Error){then}}
	if err := who.Befriend(ref, l.net.UserID(s.nameOf(p))); err != nil {
		s.befriended(p, bridges.AsError(err))
	}
}

// befriended tells those who wait what became of it.
func (s *Session) befriended(p *person, err *bridges.Error) {
	w := p.waits
	if w == nil {
		return
	}
	p.waits = nil
	s.forgetAction(w.ref)
	for _, then := range w.then {
		then(err)
	}
}

// nameOf is what the network calls a person.
func (s *Session) nameOf(p *person) string {
	a, err := s.m.driver.Parse(component.UnescapeLocal(p.local))
	if err != nil {
		return p.local
	}
	return a.Name
}

// cut shortens a text to so many bytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	text = text[:limit]
	for len(text) > 0 {
		if r, n := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || n > 1 {
			break
		}
		text = text[:len(text)-1]
	}
	return text
}
