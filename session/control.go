package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// askTime bounds a question to a session from outside.
const askTime = 3 * time.Second

// inside runs f in the user's session and waits for it, or for ctx.
func (m *Manager) inside(ctx context.Context, user component.JID, f func(*Session)) error {
	done := make(chan struct{})
	if !m.post(user.Bare(), func(s *Session) { defer close(done); f(s) }) {
		return errStopping
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryPost is post that tells whether the session is still there.
func (s *Session) tryPost(fn func()) bool {
	s.box.mu.Lock()
	if s.box.closed {
		s.box.mu.Unlock()
		return false
	}
	s.box.queue = append(s.box.queue, input{fn: fn})
	s.wakeLocked()
	return true
}

// Login connects the user's accounts, or the one of a network, and returns
// without waiting for the outcome.
func (m *Manager) Login(ctx context.Context, user component.JID, network bridges.NetworkID) error {
	return m.inside(ctx, user, func(s *Session) {
		s.reread(ctx)
		s.loggedOut = false
		if network == "" {
			s.resting = nil
		} else {
			s.resting = slices.DeleteFunc(s.resting, func(n bridges.NetworkID) bool { return n == network })
		}
		for _, acc := range s.accounts {
			if id := bridges.NetworkID(acc.Network); network == "" || id == network {
				s.openAccount(id)
			}
		}
		s.openKept(network)
		s.announceAll()
	})
}

// Logout disconnects the user's accounts, or the one of a network, until Login.
func (m *Manager) Logout(ctx context.Context, user component.JID, network bridges.NetworkID, reason string) error {
	return m.inside(ctx, user, func(s *Session) {
		if network == "" {
			s.loggedOut = true
		} else if !slices.Contains(s.resting, network) {
			s.resting = append(s.resting, network)
		}
		s.disconnect(network, reason)
		s.announceAll()
	})
}

// Reload makes a session use an account as it is stored now. Rooms stay, and
// are joined again over the new connection.
func (m *Manager) Reload(ctx context.Context, user component.JID, network bridges.NetworkID) error {
	return m.inside(ctx, user, func(s *Session) {
		s.reread(ctx)
		if s.loggedOut {
			return
		}
		if old := s.existing(network); old != nil {
			s.renew(old)
			return
		}
		s.openAccount(network)
	})
}

// Remove ends links and rooms of an account that is being deleted. It returns
// when the networks have been told, or ctx is done.
func (m *Manager) Remove(ctx context.Context, user component.JID, network bridges.NetworkID, reason string) error {
	var ending []<-chan struct{}
	err := m.inside(ctx, user, func(s *Session) {
		s.forgetKept(network)
		ending = s.disconnect(network, reason)
		s.accounts = slices.DeleteFunc(s.accounts, func(a StoredAccount) bool {
			return network == "" || a.Network == string(network)
		})
		s.registered = len(s.accounts) > 0
		s.resting = slices.DeleteFunc(s.resting, func(n bridges.NetworkID) bool { return network == "" || n == network })
	})
	if err != nil {
		return err
	}
	for _, done := range ending {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// State tells how the link to a network is, in words.
func (m *Manager) State(user component.JID, network bridges.NetworkID) (text string, online bool) {
	text = "Not connected."
	if m.peek(user.Bare()) == nil {
		return text, false
	}
	ctx, cancel := context.WithTimeout(m.ctx, askTime)
	defer cancel()
	type answer struct {
		text   string
		online bool
	}
	got := make(chan answer, 1)
	if err := m.inside(ctx, user, func(s *Session) {
		a := answer{text: text}
		if s.loggedOut || slices.Contains(s.resting, network) {
			a.text = "Logged out."
		}
		if l := s.existing(network); l != nil {
			a = answer{l.summary(), l.online()}
		}
		got <- a
	}); err != nil {
		return "Busy.", false
	}
	select {
	case a := <-got:
		return a.text, a.online
	default: // the session panicked over it
		return "Busy.", false
	}
}

// Subscribed tells that the user gets an address's presence from now on, or no
// longer. It does not block.
func (m *Manager) Subscribed(user, address component.JID, on bool) {
	m.post(user.Bare(), func(s *Session) {
		if p := s.persons[address.Local]; p != nil && !on {
			s.endPerson(p)
			return
		}
		at := slices.Index(s.watched, address.String())
		switch {
		case on:
			if at < 0 {
				s.watched = append(s.watched, address.String())
			}
			s.showAddress(address, s.user)
		case at >= 0:
			s.watched = slices.Delete(s.watched, at, at+1)
		}
	})
}

// Probed sends a user the present presence of an address. It does not block.
func (m *Manager) Probed(user, address component.JID) {
	m.post(user.Bare(), func(s *Session) { s.showAddress(address, user) })
}

// showAddress sends the presence of the gateway or of a network.
func (s *Session) showAddress(address, to component.JID) {
	if address.Local == "" {
		s.send(s.gatewayState(to))
		return
	}
	for _, l := range s.links {
		if l.jid == address {
			s.send(s.linkPresence(l, to))
			return
		}
	}
	s.send(component.NewPresence(address, to, "unavailable", ""))
}

// reread takes over what is stored now; on an error what was known stays.
func (s *Session) reread(ctx context.Context) {
	rec, err := s.m.store.Record(ctx, s.user.String())
	if err != nil {
		s.log.Error("stored data cannot be read", "error", err)
		return
	}
	watched := s.watched
	s.setRecord(rec)
	for _, w := range watched {
		if !slices.Contains(s.watched, w) {
			s.watched = append(s.watched, w)
		}
	}
}

// openAccount connects an account that is logged in.
func (s *Session) openAccount(id bridges.NetworkID) {
	if s.loggedOut || slices.Contains(s.resting, id) {
		return
	}
	if l := s.existing(id); l != nil {
		if !l.registered {
			s.renew(l)
			return
		}
		l.toldRefused = false
		l.start(true)
		return
	}
	l, err := s.link(id)
	if err != nil {
		s.log.Warn("account cannot be opened", "network", string(id), "error", err)
		return
	}
	l.start(true)
}

// disconnect ends the links to a network, or all, and shows their rooms as left.
func (s *Session) disconnect(network bridges.NetworkID, reason string) []<-chan struct{} {
	var ending []<-chan struct{}
	for _, l := range slices.Clone(s.links) {
		if network != "" && l.id != network {
			continue
		}
		for _, r := range s.roomsOf(l) {
			r.close(leave{reason: reason, codes: codesSelf})
		}
		if l.running != nil {
			ending = append(ending, l.running)
		}
		l.drop(reason)
	}
	return ending
}

// renew replaces a link by one with the account as it is now; its rooms go along.
func (s *Session) renew(old *link) {
	rooms, nick := s.roomsOf(old), old.net.Self().Nick
	for _, r := range rooms {
		r.linkDown()
		r.auto = false // the account may say so again
	}
	old.kill()
	s.links = slices.DeleteFunc(s.links, func(l *link) bool { return l == old })
	defer old.abandon("The connection is being made again.")
	l, err := s.link(old.id)
	if err != nil {
		s.log.Warn("account cannot be opened", "network", string(old.id), "error", err)
		for _, r := range rooms {
			r.close(leave{reason: StanzaError(err).Text, codes: codesLost})
		}
		return
	}
	for _, r := range rooms {
		if id := r.id; s.rooms[r.jid.Local] == r {
			r.unnamed()
			r.l = l
			if id != "" {
				r.named(id)
			}
		}
	}
	l.nick = nick
	l.downAt = time.Now()
	s.after(roomGrace, l.graceOver)
	l.start(true)
}

// UserState is one user of the gateway, for operators.
type UserState struct {
	User    component.JID
	Clients int
	Links   []LinkState
}

// LinkState is one link of a user.
type LinkState struct {
	Network    bridges.NetworkID
	Text       string
	Online     bool
	Registered bool
	Rooms      []component.JID
}

// Sessions lists the users that have a session now, by JID. It waits for each
// session, until ctx is done.
func (m *Manager) Sessions(ctx context.Context) ([]UserState, error) {
	var out []UserState
	for _, s := range m.all() {
		ask, cancel := context.WithTimeout(ctx, askTime)
		var u UserState
		err := m.inside(ask, s.user, func(s *Session) { u = s.describe() })
		cancel()
		if err == nil {
			out = append(out, u)
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	slices.SortFunc(out, func(a, b UserState) int { return strings.Compare(a.User.String(), b.User.String()) })
	return out, nil
}

func (s *Session) describe() UserState {
	u := UserState{User: s.user}
	clients := make(map[string]bool)
	for _, c := range s.clients {
		clients[c.resource] = true
	}
	for _, l := range s.links {
		state := LinkState{Network: l.id, Text: l.summary(), Online: l.online(), Registered: l.registered}
		for _, r := range s.roomsOf(l) {
			state.Rooms = append(state.Rooms, r.jid)
			for _, st := range r.seats {
				clients[st.jid.Resource] = true
			}
		}
		u.Links = append(u.Links, state)
	}
	u.Clients = len(clients)
	return u
}

// Announce sends a text to every user who has a session. It does not block.
func (m *Manager) Announce(text string) int {
	all := m.all()
	for _, s := range all {
		s.post(func() {
			s.send(component.NewMessage(m.domain, s.user, "headline", m.ids.next()).Elem("", "body", text))
		})
	}
	return len(all)
}
