package session

import (
	"cmp"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Session is the state of one user of one gateway. All fields but box belong
// to whoever drains the inbox.
type Session struct {
	m    *Manager
	user component.JID // bare
	log  *slog.Logger
	box  inbox

	links              []*link // few: one per network
	ending             []*link // dead, but their networks have not been left yet
	rooms              map[string]*room
	contacts           map[string]*contact
	clients            []*client
	actions            []action // in the order of their Refs
	lastRef            bridges.Ref
	joins, connections limiter

	up   bool // the XMPP stream, as far as this session has been told
	kept []keptMessage
	private
	people
	faces       faces
	keptCut     int
	owed        []func() *component.Out // errors and goodbyes that wait for the stream
	accounts    []StoredAccount
	choices     map[string]*choice // by the room's local part
	defaults    Defaults
	heard       time.Time // of a client of the user's, while lines waited for one
	writes      []write
	registered  bool                // has at least one account
	unread      bool                // what is stored could not be read yet
	loggedOut   bool                // by the user's own wish
	resting     []bridges.NetworkID // logged out of these alone
	toldGateway string              // what the gateway's presence said last
	watched     []string            // addresses of the gateway whose presence the user gets
	leaving     bool                // shutting down or being removed
	crashes     int
	crashed     time.Time // the last time
	queries     int       // under way on workers
	bookmarks
	toLook    []*room // whose pictures are to be looked at
	lookingAt bool    // at one
	names     []privateName
}

// client is a resource of the user that has shown itself to the gateway.
type client struct {
	resource     string
	show, status string
	offline      time.Time // when it went away; zero: it is there
	unsure       bool      // not seen since the stream came back
}

// action is what waits for an outcome from a network.
type action struct {
	ref bridges.Ref
	l   *link
	fn  outcome
}

// outcome takes the event that answers an action.
type outcome interface {
	outcome(s *Session, ev bridges.Event)
}

// outcomeFunc is an outcome without state worth a type.
type outcomeFunc func(ev bridges.Event)

func (f outcomeFunc) outcome(_ *Session, ev bridges.Event) { f(ev) }

func newSession(m *Manager, user component.JID) *Session {
	s := &Session{
		m:    m,
		user: user,
		log:  tag(m.log, "user", user.String()),
		up:   m.stream.Up(),
	}
	s.box.queue = []input{{fn: s.load}} // before whatever comes
	return s
}

// handle is the only way anything happens to a session.
func (s *Session) handle(in input) {
	defer func() {
		if p := recover(); p != nil {
			s.m.stats.panics.Add(1)
			s.log.Error("session panicked and is restarted", "panic", p, "stack", string(debug.Stack()))
			s.crash()
		}
	}()
	switch {
	case in.st != nil:
		s.onStanza(in.st)
	case in.ev != nil:
		s.onEvent(in.l, in.ev)
	case in.fn != nil:
		in.fn()
	case in.commit != nil:
		in.l.commit(in.commit)
	}
}

// crash puts the session back to a known state after a panic: rooms are left,
// links closed, registered accounts opened again. Other users notice nothing.
func (s *Session) crash() {
	rooms, links := s.rooms, s.links
	s.rooms, s.links, s.contacts, s.toAsk, s.roster, s.faces, s.bookmarks = nil, nil, nil, nil, roster{}, faces{}, bookmarks{}
	s.m.stats.rooms.Add(-int64(len(rooms)))
	for _, l := range links {
		s.guarded(func() { l.abandon("The gateway had a problem; please try again.") })
	}
	s.actions = nil
	for _, r := range rooms {
		s.guarded(r.stopRecording)
		s.guarded(func() {
			r.showLeave(leave{reason: "The gateway had a problem with this room; please join again.", codes: codesLost})
		})
		s.guarded(r.removeSeats)
	}
	if s.loading { // what asked for it may be gone
		s.loading = false
		s.leave()
		s.after(pendingAgain, s.readOn)
	}
	if time.Since(s.crashed) > crashSpan {
		s.crashes = 0
	}
	s.crashed = time.Now()
	if s.crashes++; s.crashes <= maxCrashes && !s.leaving {
		s.guarded(func() { s.openAccounts(false); s.openKept("") })
	}
}

// A session that panics more often than this in this time does not open its
// accounts again by itself.
const (
	maxCrashes = 5
	crashSpan  = time.Hour
)

// guarded runs f where a second panic must not matter.
func (s *Session) guarded(f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while cleaning up", "panic", p)
		}
	}()
	f()
}

// expect registers what happens when an action on l has its outcome.
func (s *Session) expect(l *link, o outcome) bridges.Ref {
	s.lastRef++
	s.actions = append(s.actions, action{ref: s.lastRef, l: l, fn: o})
	return s.lastRef
}

// act runs an action of a network with a fresh Ref, and the outcome at once
// where the network does not take it.
func (s *Session) act(l *link, o outcome, do func(bridges.Ref) error) {
	ref := s.expect(l, o)
	if err := do(ref); err != nil {
		s.forgetAction(ref)
		o.outcome(s, &bridges.Failed{Ref: ref, Err: bridges.AsError(err)})
	}
}

// forgetAction takes an action off the list: mostly the first, because outcomes come
// in the order of what was asked for.
func (s *Session) forgetAction(ref bridges.Ref) (action, bool) {
	i, found := slices.BinarySearchFunc(s.actions, ref, func(a action, ref bridges.Ref) int { return cmp.Compare(a.ref, ref) })
	if !found {
		return action{}, false
	}
	a := s.actions[i]
	if s.actions = slices.Delete(s.actions, i, i+1); len(s.actions) == 0 && cap(s.actions) > keptActions {
		s.actions = nil
	}
	return a, true
}

// keptActions is for how many actions an idle session keeps room.
const keptActions = 16

// settle gives an event that answers an action to whoever waits for it.
func (s *Session) settle(ref bridges.Ref, ev bridges.Event) bool {
	a, ok := s.forgetAction(ref)
	if !ok {
		return false
	}
	a.fn.outcome(s, ev)
	return true
}

// failActions fails what still waits on a link that ended.
func (s *Session) failActions(l *link, err *bridges.Error) {
	var refs []bridges.Ref
	for _, a := range s.actions {
		if a.l == l {
			refs = append(refs, a.ref)
		}
	}
	for _, ref := range refs {
		s.settle(ref, &bridges.Failed{Ref: ref, Err: err})
	}
}

// send gives a stanza to the stream. False means there is no stream: what must
// not be lost is kept by the caller.
func (s *Session) send(o *component.Out) bool {
	err := s.m.stream.Send(s.m.ctx, o)
	if err == nil {
		return true
	}
	if isDown(err) {
		s.streamDown(s.m.confirmed())
		return false
	}
	if s.m.ctx.Err() != nil {
		return true // the end of everything
	}
	s.m.stats.refused.Add(1)
	s.log.Warn("stanza not sent", "error", err)
	return true
}

// refuse answers a stanza with an error.
func (s *Session) refuse(st *component.Stanza, e *component.StanzaError) {
	o := component.ErrorReply(st, e)
	if o == nil {
		return
	}
	s.m.stats.errors.Add(e.Condition, 1)
	if !s.send(o) && st.Kind != component.KindIQ { // a request times out by itself
		s.owe(func() *component.Out { return component.ErrorReply(st, e) })
	}
}

// maxOwed bounds what waits for the stream beside lines.
const maxOwed = 500

// owe notes a stanza that could not be sent and must not be lost: that a line was
// refused or taken, that the user is out of a room.
func (s *Session) owe(again func() *component.Out) {
	if len(s.owed) >= maxOwed {
		s.m.stats.cut.Add(1)
		return
	}
	s.owed = append(s.owed, again)
}

// deliverOwed sends what could not be sent before.
func (s *Session) deliverOwed() {
	owed := s.owed
	s.owed = nil
	for i, again := range owed {
		if !s.send(again()) {
			s.owed = append(s.owed, owed[i:]...)
			return
		}
	}
}

// after runs fn in the session after a while; stop it where it is no longer
// needed. Timers only post: they never touch state.
func (s *Session) after(d time.Duration, fn func()) *time.Timer {
	return time.AfterFunc(d, func() { s.post(fn) })
}

// maxQueries is how many of the workers one user can hold.
const maxQueries = 8

// work runs a query that blocks, outside the session; then, inside, what it
// returned. False means there is no free worker.
func (s *Session) work(query func() (then func())) bool {
	if s.queries >= maxQueries {
		return false
	}
	s.queries++
	if s.m.work(func() {
		then := s.crash // where query panics
		defer func() {
			if p := recover(); p != nil {
				s.m.stats.panics.Add(1)
				s.log.Error("a query of the session panicked, which is restarted", "panic", p, "stack", string(debug.Stack()))
			}
			s.post(func() { s.queries--; then() })
		}()
		then = query()
	}) {
		return true
	}
	s.queries--
	return false
}

// idle tells whether nothing is left that needs this session.
func (s *Session) idle() bool {
	return len(s.rooms) == 0 && len(s.links) == 0 && len(s.ending) == 0 && len(s.clients) == 0 && len(s.kept) == 0 && len(s.way) == 0 && len(s.late) == 0 && len(s.owed) == 0 && !s.registered && s.queries == 0 && !s.keepsAny() && !s.unread && !s.loading && !s.behind && !s.saving
}
