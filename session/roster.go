package session

import (
	"errors"
	"slices"
	"time"

	"transportd/component"
	"transportd/component/xep"
)

// rosterTime is how long the user's server has to answer about the contact list.
const rosterTime = 30 * time.Second

// roster is what a session knows of how contacts come into the user's contact list.
type roster struct {
	toAdd   []*person
	adding  *addition // under way
	renames []rename  // that wait for it
	refused bool      // the server does not do what it said, over the present stream
}

// addition puts contacts into the user's contact list, as the server lets the gateway do
// (XEP-0356 section 4): reads the list, changes what is to be changed, one entry after the
// other, and reads it again, because servers differ in what they let be changed.
type addition struct {
	persons []*person
	renames []rename
	before  map[string]xep.RosterItem // by local part; only the gateway's
}

// rename is a contact who is called otherwise now.
type rename struct {
	p   *person
	was string
}

// managesRoster tells whether the gateway may change the user's contact list. known is
// false while the server may still be about to say it.
func (s *Session) managesRoster() (may, known bool) {
	p, known := s.m.stream.Privileges(s.user.Domain)
	return p.RosterGet && p.RosterSet && !s.refused, known
}

// addSome puts those who wait to be asked about into the contact list, but for who wants
// to be agreed to by the user.
func (s *Session) addSome() {
	s.toAsk = slices.DeleteFunc(s.toAsk, func(p *person) bool {
		if !p.asks {
			s.toAdd = append(s.toAdd, p)
		}
		return !p.asks
	})
	if s.adding != nil || len(s.toAdd)+len(s.renames) == 0 {
		return
	}
	a := &addition{persons: s.toAdd, renames: s.renames}
	s.toAdd, s.renames, s.adding = nil, nil, a
	s.readRoster(a, func(items map[string]xep.RosterItem) {
		a.before = items
		s.addNext(a, a.changes())
	})
}

// changes are the entries that are to be written.
func (a *addition) changes() []xep.RosterItem {
	var out []xep.RosterItem
	for _, p := range a.persons {
		item, has := a.before[p.local]
		if !has || item.Name == "" {
			item.Name = p.nick
		}
		if item.Subscription != "both" {
			item.Subscription = "both"
			item.JID.Local = p.local
			out = append(out, item)
		}
	}
	for _, r := range a.renames {
		// A name that the user has given is theirs.
		if item, has := a.before[r.p.local]; has && (item.Name == r.was || item.Name == "") && item.Name != r.p.nick {
			item.Name = r.p.nick
			out = append(out, item)
		}
	}
	return out
}

// addNext writes entries one after the other.
func (s *Session) addNext(a *addition, changes []xep.RosterItem) {
	if len(changes) == 0 {
		s.readRoster(a, func(items map[string]xep.RosterItem) { s.added(a, items) })
		return
	}
	item := changes[0]
	item.JID.Domain = s.m.domain.Domain
	s.askRoster(a, "set", []xep.RosterItem{item}, func(*component.Stanza) { s.addNext(a, changes[1:]) })
}

// added notes who is a contact now. Who is none is asked about in the other way.
func (s *Session) added(a *addition, items map[string]xep.RosterItem) {
	s.adding = nil
	for _, p := range a.persons {
		p.queued = false
		switch {
		case s.persons[p.local] != p || !p.contact:
		case items[p.local].Subscription == "both":
			p.sends, p.receives, p.asked = true, true, true
			s.savePerson(p)
			s.showPerson(p)
		default:
			s.refused = true
			p.queued = true
			s.toAsk = append(s.toAsk, p)
		}
	}
	s.askSome()
}

// readRoster reads those entries of the user's contact list that are the gateway's.
func (s *Session) readRoster(a *addition, then func(map[string]xep.RosterItem)) {
	s.askRoster(a, "get", nil, func(st *component.Stanza) {
		items, _ := xep.ParseRoster(st.Element)
		ours := make(map[string]xep.RosterItem)
		for _, item := range items {
			if item.JID.Domain == s.m.domain.Domain && item.JID.Local != "" && item.JID.Resource == "" {
				ours[item.JID.Local] = item
			}
		}
		then(ours)
	})
}

// askRoster makes a request about the contact list. Where it fails, those it was for are
// asked about in the other way, or again over the next stream.
func (s *Session) askRoster(a *addition, typ string, items []xep.RosterItem, then func(*component.Stanza)) {
	o := component.NewIQ(s.m.domain, s.user, typ, s.m.stream.NewID())
	xep.AppendRoster(o, items...)
	s.m.stream.Request(o, rosterTime, func(st *component.Stanza, err error) {
		s.post(func() {
			switch {
			case s.adding != a: // the session has begun anew
			case err == nil:
				then(st)
			default:
				s.adding = nil
				s.toAsk, s.renames = slices.Concat(a.persons, s.toAdd, s.toAsk), append(a.renames, s.renames...)
				s.toAdd = nil
				s.rosterFailed(err)
			}
		})
	})
}

func (s *Session) rosterFailed(err error) {
	switch {
	case errors.Is(err, component.ErrDown): // the stream's return goes on with it
	case errors.Is(err, component.ErrQueueFull):
		s.after(verifyAgain, s.askSome)
	default:
		s.refused = true
		s.log.Warn("the user's contact list cannot be changed; contacts are asked about", "error", err)
		s.askSome()
	}
}
