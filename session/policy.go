package session

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"transportd/bridges"
	"transportd/component"
)

// Policy is who may use the gateway, and how much. It is read at every use and
// not changed; another takes its place, see Manager.PolicyChanged.
type Policy struct {
	// Allowed tells whether a JID may use the gateway at all; nil: nobody.
	Allowed func(component.JID) bool
	// OpenJoin: rooms can be joined without a registration.
	OpenJoin bool
	// Record and Persistent are what users get who chose nothing: the lines of their
	// rooms are recorded, and the rooms kept without a client.
	Record, Persistent bool
	// MaxRooms bounds the rooms of one user, 0: 500.
	MaxRooms int
	// Joins and Connections limit how fast one user joins rooms and opens
	// connections to networks; DomainJoins and DomainConnections the same for all
	// users of one XMPP domain.
	Joins, DomainJoins, Connections, DomainConnections Rate
}

// Rate is how often something may happen: Burst times at once, then once Every.
// Zero: not limited.
type Rate struct {
	Every time.Duration
	Burst int
}

// admitted tells whether somebody may use the gateway.
func (m *Manager) admitted(user component.JID) bool {
	allowed := m.policy().Allowed
	return allowed != nil && allowed(user)
}

func notAdmitted() *component.StanzaError {
	return component.NewStanzaError("auth", "forbidden", "You are not allowed to use this gateway.")
}

// PolicyChanged ends the sessions of users who may no longer use the gateway, and
// records what is now to be recorded by default.
func (m *Manager) PolicyChanged() {
	for _, s := range m.all() {
		if m.admitted(s.user) {
			s.post(s.recordsChanged)
			continue
		}
		m.log.Info("user is no longer allowed", "user", s.user.String())
		s.post(func() {
			s.disconnect("", "You are no longer allowed to use this gateway.")
			s.accounts, s.registered, s.clients, s.kept, s.late, s.choices = nil, false, nil, nil, nil, nil
			s.behind, s.lateMore = false, false
		})
	}
}

// mayJoin charges a join, and a connection where there is none to the network
// yet, to the user and to the user's domain.
func (s *Session) mayJoin(network bridges.NetworkID) *component.StanzaError {
	p := s.m.policy()
	if !p.OpenJoin && !s.registered {
		return component.NewStanzaError("auth", "registration-required", "Register with the gateway first.")
	}
	if !s.joins.allow(p.Joins) || !s.m.joins.allow(s.user.Domain, p.DomainJoins) {
		return tooFast("Too many joins in a short time; please wait a moment.")
	}
	if s.existing(network) == nil && (!s.connections.allow(p.Connections) || !s.m.connections.allow(s.user.Domain, p.DomainConnections)) {
		return tooFast("Too many connections in a short time; please wait a moment.")
	}
	return nil
}

func tooFast(text string) *component.StanzaError {
	return component.NewStanzaError("wait", "resource-constraint", text)
}

// limiter applies a rate that may change while it is in use. The zero value
// takes no memory worth the name until it is first needed.
type limiter struct{ l *rate.Limiter }

func (r *limiter) allow(want Rate) bool {
	if want.Every <= 0 {
		return true
	}
	if r.l == nil || r.l.Limit() != rate.Every(want.Every) || r.l.Burst() != want.Burst {
		r.l = rate.NewLimiter(rate.Every(want.Every), want.Burst)
	}
	return r.l.Allow()
}

// roomLimit tells whether the user may be in one more room.
func (s *Session) roomLimit() *component.StanzaError {
	if len(s.rooms) < s.maxRooms() {
		return nil
	}
	return StanzaError(bridges.NewError(bridges.TooManyRooms, "You are in as many rooms as this gateway allows."))
}

func (s *Session) maxRooms() int {
	if limit := s.m.policy().MaxRooms; limit > 0 {
		return limit
	}
	return 500
}

// maxDomains bounds the XMPP domains whose rate is remembered; beyond it all are
// forgotten, which errs on the side of letting people in.
const maxDomains = 4096

// domainRates limits something by XMPP domain. It is safe for concurrent use.
type domainRates struct {
	mu sync.Mutex
	by map[string]*limiter
}

func (d *domainRates) allow(domain string, want Rate) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.by[domain]
	if l == nil {
		if d.by == nil || len(d.by) >= maxDomains {
			d.by = make(map[string]*limiter)
		}
		l = new(limiter)
		d.by[domain] = l
	}
	return l.allow(want)
}
