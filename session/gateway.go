package session

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
)

const settingChannels = "channels" // the field drivers use for rooms to rejoin

// maxClients bounds the clients of a user the gateway keeps track of.
const maxClients = 64

// load reads what is stored of the user. It is the first input of a session.
func (s *Session) load() {
	rec, err := s.m.store.Record(s.m.ctx, s.user.String())
	if err != nil {
		s.log.Error("stored data cannot be read", "error", err)
		s.unread = true
		s.after(readAgain, s.loadAgain)
		return
	}
	s.setRecord(rec)
	s.openAccounts(false)
	s.openKept("")
}

// readAgain is how long a store that could not be read is left alone.
const readAgain = 30 * time.Second

// loadAgain is load for a store that could not be read then: until it can, the
// session lasts, and nothing of what is stored is changed.
func (s *Session) loadAgain() {
	if !s.unread || s.leaving {
		return
	}
	ok := s.work(func() func() {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		rec, err := s.m.store.Record(ctx, s.user.String())
		return func() {
			if err != nil {
				s.after(readAgain, s.loadAgain)
				return
			}
			if s.unread {
				s.setRecord(rec)
				s.openAccounts(false)
				s.openKept("")
				s.announceAll()
			}
		}
	})
	if !ok {
		s.after(readAgain, s.loadAgain)
	}
}

// setRecord takes over what is stored of the user.
func (s *Session) setRecord(rec Record) {
	s.unread = false
	s.accounts, s.loggedOut = rec.Accounts, rec.LoggedOut
	s.resting = nil
	for _, network := range rec.Resting {
		s.resting = append(s.resting, bridges.NetworkID(network))
	}
	s.watched = rec.Subscribed
	s.setPeople(rec.People)
	s.registered = len(rec.Accounts) > 0
	s.setChoices(&rec)
}

// account returns what a driver needs to open a network for the user.
func (s *Session) account(id bridges.NetworkID) (bridges.Account, bool) {
	a := bridges.Account{Owner: s.user.String(), Network: id, Nick: component.UnescapeLocal(s.user.Local)}
	for _, acc := range s.accounts {
		if acc.Network == string(id) {
			a.Settings = acc.Settings
			a.State = s.m.Stored(s.user, id)
			return a, true
		}
	}
	return a, false
}

// openAccounts connects every account of the user that is logged in.
func (s *Session) openAccounts(attended bool) {
	if s.loggedOut {
		return
	}
	for _, acc := range s.accounts {
		if slices.Contains(s.resting, bridges.NetworkID(acc.Network)) {
			continue
		}
		l, err := s.link(bridges.NetworkID(acc.Network))
		if err != nil {
			s.log.Warn("account cannot be opened", "network", acc.Network, "error", err)
			continue
		}
		l.start(attended)
	}
}

// client returns a client the gateway has seen presence of.
func (s *Session) client(resource string) *client {
	for _, c := range s.clients {
		if c.resource == resource {
			return c
		}
	}
	return nil
}

// toGateway handles presence to the gateway's own address.
func (s *Session) toGateway(st *component.Stanza) {
	switch st.Kind {
	case component.KindPresence:
		s.gatewayPresence(st)
	case component.KindIQ:
		s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
	}
}

// gatewayPresence notes which of the user's clients are there (XEP-0100
// section 4.4 and 4.5). Links stay up while nobody is there: the gateway is
// the user's bouncer; logging out is a command.
func (s *Session) gatewayPresence(st *component.Stanza) {
	switch st.Type {
	case "":
		c := s.client(st.From.Resource)
		if c == nil {
			if len(s.clients) >= maxClients {
				s.clients = s.clients[1:]
			}
			c = &client{resource: strings.Clone(st.From.Resource)}
			s.clients = append(s.clients, c)
		}
		c.offline, c.unsure = time.Time{}, false
		c.show, c.status = presenceText(st)
		s.showState(st.From)
		s.awayness()
	case "unavailable":
		if c := s.client(st.From.Resource); c != nil {
			c.offline = time.Now()
			s.after(5*time.Second, func() { s.forgetClient(c) })
		}
	case "probe":
		s.showState(st.From)
	}
}

// forgetClient removes a client that stayed away.
func (s *Session) forgetClient(c *client) {
	if c.offline.IsZero() {
		return
	}
	s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
	s.awayness()
}

// forgetUnsure removes the clients that have not shown themselves since the stream
// came back.
func (s *Session) forgetUnsure() {
	s.clients = slices.DeleteFunc(s.clients, func(c *client) bool { return c.unsure })
	s.awayness()
}

// awayness tells the networks whether the user is away: when every client that
// is known says so.
func (s *Session) awayness() {
	away, text, any := true, "", false
	consider := func(show, status string) {
		any = true
		if show == "" || show == "chat" {
			away = false
		} else if text == "" {
			text = status
		}
	}
	for _, c := range s.clients {
		if c.offline.IsZero() {
			consider(c.show, c.status)
		}
	}
	for _, r := range s.rooms {
		for _, st := range r.seats {
			if st.told && s.client(st.jid.Resource) == nil {
				consider(st.show, st.status)
			}
		}
	}
	if !any {
		return
	}
	for _, l := range s.links {
		if l.away == away && (!away || l.awayText == text) {
			continue
		}
		l.away, l.awayText = away, text
		if p, ok := l.net.(bridges.Presencer); ok && l.online() {
			l.quietly("away", p.SetAway(away, text))
		}
	}
}

// toNetwork handles what is addressed to a network: its console and presence.
func (s *Session) toNetwork(st *component.Stanza, addr bridges.Address) {
	switch st.Kind {
	case component.KindPresence:
		s.networkPresence(st, addr)
	case component.KindMessage:
		s.console(st, addr)
	case component.KindIQ:
		s.networkIQ(st, addr)
	}
}

func (s *Session) networkPresence(st *component.Stanza, addr bridges.Address) {
	l := s.existing(addr.Network)
	switch st.Type {
	case "", "probe":
		if l != nil {
			s.send(s.linkPresence(l, st.From))
		} else if st.Type == "probe" {
			s.send(component.NewPresence(st.To.Bare(), st.From, "unavailable", ""))
		}
	case "subscribe":
		s.answerSubscribe(st, true)
	}
}

// presenceText is what a presence says of its sender, kept apart from the stanza.
func presenceText(st *component.Stanza) (show, status string) {
	return strings.Clone(st.Child("", "show").Text()), strings.Clone(st.Child("", "status").Text())
}
