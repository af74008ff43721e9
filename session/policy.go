package session

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"transportd/bridges"
	"transportd/component"
)

// Policy is who may use the gateway, and how much. It is read at every use.
type Policy struct {
	// Allowed tells whether a JID may use the gateway at all; nil: nobody.
	Allowed func(component.JID) bool
	// OpenJoin: rooms can be joined without a registration.
	OpenJoin bool
	// MaxRooms bounds the rooms of one user, 0: 500.
	MaxRooms int
	// JoinEvery and JoinBurst limit how fast one user joins rooms and opens
	// connections; DomainJoinEvery and DomainJoinBurst the same for all users of
	// one XMPP domain. Zero: not limited.
	JoinEvery, DomainJoinEvery time.Duration
	JoinBurst, DomainJoinBurst int
}

// admit tells whether the sender of a stanza may use the gateway.
func (m *Manager) admit(st *component.Stanza) *component.StanzaError {
	allowed := m.policy().Allowed
	if allowed != nil && allowed(st.From.Bare()) {
		return nil
	}
	return component.NewStanzaError("auth", "forbidden", "You are not allowed to use this gateway.")
}

// mayJoin charges a join or a connection to the user and the user's domain.
func (s *Session) mayJoin() *component.StanzaError {
	p := s.m.policy()
	if !p.OpenJoin && !s.registered {
		return component.NewStanzaError("auth", "registration-required", "Register with the gateway first.")
	}
	if p.JoinEvery > 0 {
		if s.joins == nil || s.joins.Limit() != rate.Every(p.JoinEvery) || s.joins.Burst() != p.JoinBurst {
			s.joins = rate.NewLimiter(rate.Every(p.JoinEvery), p.JoinBurst)
		}
		if !s.joins.Allow() {
			return tooFast()
		}
	}
	if !s.m.domains.allow(s.user.Domain, p.DomainJoinEvery, p.DomainJoinBurst) {
		return tooFast()
	}
	return nil
}

// roomLimit tells whether the user may be in one more room.
func (s *Session) roomLimit() *component.StanzaError {
	limit := s.m.policy().MaxRooms
	if limit <= 0 {
		limit = 500
	}
	if len(s.rooms) < limit {
		return nil
	}
	return StanzaError(bridges.NewError(bridges.TooManyRooms, "You are in as many rooms as this gateway allows."))
}

func tooFast() *component.StanzaError {
	return component.NewStanzaError("wait", "resource-constraint", "Too many joins in a short time; please wait a moment.")
}

// maxDomains bounds the XMPP domains whose rate is remembered; beyond it all are
// forgotten, which errs on the side of letting people in.
const maxDomains = 4096

// domainRates limits joins by XMPP domain.
type domainRates struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

func (d *domainRates) allow(domain string, every time.Duration, burst int) bool {
	if every <= 0 {
		return true
	}
	domain = strings.ToLower(domain)
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.by[domain]
	if l == nil || l.Limit() != rate.Every(every) || l.Burst() != burst {
		if d.by == nil || len(d.by) >= maxDomains {
			d.by = make(map[string]*rate.Limiter)
		}
		l = rate.NewLimiter(rate.Every(every), burst)
		d.by[domain] = l
	}
	return l.Allow()
}
