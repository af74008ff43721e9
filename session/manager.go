package session

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
)

// Stream is what a session needs of the XMPP stream; *component.Stream is one.
type Stream interface {
	Send(ctx context.Context, o *component.Out) error
	TrySend(o *component.Out) bool
	Request(o *component.Out, timeout time.Duration, done func(*component.Stanza, error))
	NewID() string
	Up() bool
	// Confirmed is a moment before which everything that was sent has been read by
	// the server.
	Confirmed() time.Time
	// Privileges is what the server lets the gateway do for the users of a domain, and
	// whether that is known already.
	Privileges(domain string) (p component.Privileges, known bool)
}

// Config is what a gateway gives its manager.
type Config struct {
	Domain component.JID
	Name   string // of the gateway, for people
	Driver bridges.Driver
	Stream Stream
	Store  Store

	// Archive records what is said in rooms; nil: nothing does.
	Archive *archive.Archive

	// Files hands files over; nil: only their names are told.
	Files Files
	// Pictures makes pictures of people safe to show; nil: none are shown.
	Pictures Pictures

	// OccupantKey makes occupant-ids; it never changes for a gateway.
	OccupantKey []byte
	// Policy is read at every use, so that a reload takes effect at once.
	Policy func() *Policy

	Workers int // queries under way at once, default 32

	Log *slog.Logger
}

// Manager holds the sessions of one gateway and is the door stanzas take to
// them. Its methods are safe for concurrent use.
type Manager struct {
	domain      component.JID
	name        string
	driver      bridges.Driver
	info        bridges.Info
	stream      Stream
	store       Store
	archive     *archive.Archive
	files       Files
	clean       Pictures // nil: no pictures are shown
	pictures    *pictures
	occupants   *occupantIDs
	policy      func() *Policy
	workers     chan struct{}
	log         *slog.Logger
	stats       stats
	ids         idSource
	joins       domainRates
	connections domainRates
	caps        atomic.Pointer[component.Caps]

	pending  []string // users with one-to-one lines of the last process
	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	drains   chan *Session // to who waits for an inbox to drain
	idle     atomic.Int32  // how many do
	stopping atomic.Bool
	broke    atomic.Int64 // what was confirmed when the stream broke last

	mu       sync.Mutex
	sessions map[component.JID]*Session
}

// NewManager makes the manager of one gateway. It does nothing until stanzas
// come, or Restore is called.
func NewManager(c Config) *Manager {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Workers <= 0 {
		c.Workers = 32
	}
	m := &Manager{
		domain:    c.Domain,
		name:      c.Name,
		driver:    c.Driver,
		info:      c.Driver.Info(),
		stream:    c.Stream,
		store:     c.Store,
		archive:   c.Archive,
		files:     c.Files,
		clean:     c.Pictures,
		pictures:  newPictures(),
		occupants: newOccupantIDs(c.OccupantKey),
		policy:    c.Policy,
		workers:   make(chan struct{}, c.Workers),
		log:       c.Log,
		sessions:  make(map[component.JID]*Session),
		drains:    make(chan *Session),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// SetCaps sets the capabilities in the gateway's own presence (XEP-0115).
func (m *Manager) SetCaps(c component.Caps) { m.caps.Store(&c) }

// get returns the session of a user, making one where there is none; nil once
// the manager is stopping. A new session begins with what is stored of the user,
// whoever is first to give it something to do.
func (m *Manager) get(user component.JID) *Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping.Load() {
		return nil
	}
	s := m.sessions[user]
	if s == nil {
		s = newSession(m, user.Clone())
		m.sessions[s.user] = s
		m.stats.sessions.Add(1)
	}
	return s
}

// post has a user's session run f, making a session where there is none. False
// means that the manager is stopping.
func (m *Manager) post(user component.JID, f func(*Session)) bool {
	for {
		s := m.get(user)
		if s == nil {
			return false
		}
		if s.tryPost(func() { f(s) }) {
			return true
		}
	}
}

// spawn runs f in a goroutine that Stop waits for; not once it does.
func (m *Manager) spawn(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping.Load() {
		return
	}
	m.tasks.Add(1)
	go func() {
		defer m.tasks.Done()
		f()
	}()
}

// peek returns the session of a user, or nil.
func (m *Manager) peek(user component.JID) *Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[user]
}

// all returns the present sessions.
func (m *Manager) all() []*Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*Session, 0, len(m.sessions))
	for _, s := range m.sessions {
		out = append(out, s)
	}
	return out
}

// forget removes an idle session whose inbox is empty, and tells whether it did.
func (m *Manager) forget(s *Session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[s.user] != s || !s.closeInbox(true) {
		return false
	}
	delete(m.sessions, s.user)
	m.stats.sessions.Add(-1)
	return true
}

// Classify tells what kind of address a JID of the gateway is, for the router.
// The error has words for the user.
func (m *Manager) Classify(to component.JID) (component.AddressKind, error) {
	if to.Local == "" {
		return component.AddressHost, nil
	}
	a, err := m.driver.Parse(component.UnescapeLocal(to.Local))
	if err != nil {
		return 0, StanzaError(err)
	}
	switch a.Kind {
	case bridges.AddressNetwork:
		return component.AddressNetwork, nil
	case bridges.AddressPerson:
		return component.AddressPerson, nil
	}
	if to.Resource != "" {
		return component.AddressOccupant, nil
	}
	return component.AddressRoom, nil
}

// Deliver gives a stanza to the session of its sender. It never blocks; the
// read loop calls it. What cannot be taken is answered.
func (m *Manager) Deliver(st *component.Stanza) {
	user := st.From.Bare()
	for {
		if m.stopping.Load() {
			if !passing(st) {
				m.reject(st, errStopping)
			}
			return
		}
		s := m.peek(user)
		if s == nil {
			if s = m.newcomer(st, user); s == nil {
				return
			}
		}
		taken, gone := s.deliver(st)
		if taken {
			return
		}
		if !gone {
			m.stats.busy.Add(1)
			if passing(st) {
				return
			}
			m.reject(st, component.NewStanzaError("wait", "resource-constraint", "Too much at once; please wait a moment and try again."))
			return
		}
	}
}

// newcomer makes a session for the sender of a stanza; nil: there is no reason
// to, and the stanza was answered. Who is not allowed costs just that answer.
func (m *Manager) newcomer(st *component.Stanza, user component.JID) *Session {
	switch {
	case !m.admitted(user):
		m.reject(st, notAdmitted())
	case !opensSession(st):
		m.rejectStranger(st)
	default:
		s := m.get(user)
		if s == nil {
			m.reject(st, errStopping)
		}
		return s
	}
	return nil
}

// errStopping answers who comes while the gateway says goodbye.
var errStopping = component.NewStanzaError("wait", "service-unavailable", "The gateway is shutting down.")

// opensSession tells whether a stanza is a reason to have a session at all.
func opensSession(st *component.Stanza) bool {
	if st.IsError() {
		return false
	}
	return st.Kind != component.KindPresence || st.Type != "unavailable"
}

// passing tells whether a stanza is one that the user's server sends to every contact
// when a client comes or goes. There may be thousands at once, and an error would make
// each of them a contact that has failed.
func passing(st *component.Stanza) bool {
	return st.Kind == component.KindPresence && (st.Type == "" || st.Type == "unavailable" || st.Type == "probe") &&
		st.To.Local != "" && st.To.Resource == ""
}

// rejectStranger answers what only a session could have answered with sense.
func (m *Manager) rejectStranger(st *component.Stanza) {
	if st.Kind == component.KindIQ {
		m.reject(st, component.NewStanzaError("cancel", "service-unavailable", ""))
	}
}

// reject answers from the read loop, from the writer's reserved part.
func (m *Manager) reject(st *component.Stanza, e *component.StanzaError) {
	m.stats.errors.Add(e.Condition, 1)
	if st.Kind == component.KindPresence && (st.Type == "unavailable" || st.Type == "probe") {
		return // nobody waits for an answer to these
	}
	if o := component.ErrorReply(st, e); o != nil {
		m.stream.TrySend(o)
	}
}

// confirmed is the moment before which the server has read everything, in
// nanoseconds.
func (m *Manager) confirmed() int64 {
	if at := m.stream.Confirmed(); !at.IsZero() {
		return at.UnixNano()
	}
	return 0
}

// queryContext bounds a query that runs on a worker.
func (m *Manager) queryContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.ctx, queryTime)
}

// work runs f on a worker; false means all are taken.
func (m *Manager) work(f func()) bool {
	select {
	case m.workers <- struct{}{}:
	default:
		return false
	}
	m.tasks.Add(1)
	go func() {
		defer m.tasks.Done()
		defer func() { <-m.workers }()
		f()
	}()
	return true
}

// networkJID is the address of a network.
func (m *Manager) networkJID(id bridges.NetworkID) component.JID {
	return m.jid(bridges.Address{Kind: bridges.AddressNetwork, Network: id})
}

// jid is the JID of an address, escaped.
func (m *Manager) jid(a bridges.Address) component.JID {
	local := m.driver.Format(a)
	if local == "" {
		return m.domain
	}
	return component.JID{Local: component.EscapeLocal(local), Domain: m.domain.Domain}
}

// personJID is the address of a person.
func (m *Manager) personJID(id bridges.NetworkID, p *bridges.Member) component.JID {
	name := p.Address
	if name == "" {
		name = p.Nick
	}
	return m.jid(bridges.Address{Kind: bridges.AddressPerson, Network: id, Name: m.fold(name)})
}

// roomJID is the address of a room.
func (m *Manager) roomJID(id bridges.NetworkID, name string) component.JID {
	return m.jid(bridges.Address{Kind: bridges.AddressRoom, Network: id, Name: m.fold(name)})
}

// fold gives names that are the same one address, which is then also the same after
// a server has folded it.
func (m *Manager) fold(name string) string {
	if m.info.FoldsCase {
		return lowerASCII(name)
	}
	return name
}

// lowerASCII folds as every XMPP server folds ASCII.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return strings.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, s)
		}
	}
	return s
}
