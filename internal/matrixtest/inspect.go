package matrixtest

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Room returns a room by its id or alias, nil: there is none.
func (s *Server) Room(name string) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room(name)
}

// Rooms are all rooms in the order they were made.
func (s *Server) Rooms() []*Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// remember records a request.
func (s *Server) remember(r Request, route string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[route]++
	if !s.cfg.NoRecord {
		s.record = append(s.record, r)
	}
	s.notify()
}

// Requests are those answered so far, in the order of their answers.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.record)
}

// Counts is how often each endpoint was asked, by method and pattern: "GET
// /_matrix/client/v3/sync".
func (s *Server) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// WaitRequest waits for a request that ok accepts, among those answered already
// too.
func (s *Server) WaitRequest(tb testing.TB, ok func(Request) bool) Request {
	tb.Helper()
	var found Request
	next := 0
	s.Wait(tb, "no such request", func() bool {
		all := s.Requests()
		for ; next < len(all); next++ {
			if ok(all[next]) {
				found = all[next]
				return true
			}
		}
		return false
	})
	return found
}

// Events is the whole timeline.
func (r *Room) Events() []*Event {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.timeline)
}

// Event returns an event as it now is, nil: there is none.
func (r *Room) Event(id string) *Event {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.events[id]
}

// State returns a piece of the state, nil: there is none.
func (r *Room) State(typ, key string) *Event {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.current(typ, key)
}

// Membership is a user's: join, invite, leave, ban or knock.
func (r *Room) Membership(u *User) string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.membership(u.ID)
}

// Power is a user's power level.
func (r *Room) Power(u *User) int {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.power.of(u.ID)
}

// Typists are the ids of who types, sorted.
func (r *Room) Typists() []string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.typists()
}

// Receipt is the event a user has read up to, by a kind of receipt ("m.read",
// "m.read.private"), outside of threads.
func (r *Room) Receipt(u *User, kind string) string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	rc, _ := r.receipts.get(receiptKey{u.ID, kind, ""})
	return rc.event
}

// WaitEvent waits for an event that ok accepts, among those that are there too.
func (r *Room) WaitEvent(tb testing.TB, ok func(*Event) bool) *Event {
	tb.Helper()
	var found *Event
	next := 0
	r.s.Wait(tb, "no such event in "+r.ID, func() bool {
		all := r.Events()
		for ; next < len(all); next++ {
			if ok(all[next]) {
				found = all[next]
				return true
			}
		}
		return false
	})
	return found
}

// WaitMember waits until a user's membership is what is wanted.
func (r *Room) WaitMember(tb testing.TB, u *User, membership string) {
	tb.Helper()
	r.s.Wait(tb, u.ID+" has not come to "+membership, func() bool { return r.Membership(u) == membership })
}

// Name is the user's display name.
func (u *User) Name() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.name
}

// Avatar is the mxc URI of the user's picture.
func (u *User) Avatar() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.avatar
}

// Presence is what others are told: online, unavailable, busy, or offline.
func (u *User) Presence() (state, text string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	state = u.presence.state
	orDefault(&state, "offline")
	return state, u.presence.text
}

// Data returns account data, of the account where r is nil; nil: there is none.
func (u *User) Data(r *Room, typ string) json.RawMessage {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	data := &u.data
	if r != nil {
		data = u.dataOf(r)
	}
	content, _ := data.get(typ)
	return content
}

// Sent are the user's events in all rooms, room by room.
func (u *User) Sent() []*Event {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	var list []*Event
	for _, r := range u.s.order {
		for _, e := range r.timeline {
			if e.Sender == u.ID {
				list = append(list, e)
			}
		}
	}
	return list
}

// Rooms are the rooms the user is in, or otherwise has that membership of.
func (u *User) Rooms(membership string) []*Room {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	var list []*Room
	for r := range u.rooms.since(-1) {
		if r.membership(u.ID) == membership {
			list = append(list, r)
		}
	}
	return list
}

// ForgetTransactions makes the server one that does not know any more which
// transactions there were, as one that keeps them in memory and was restarted. What
// events carry stays.
func (s *Server) ForgetTransactions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		for _, d := range u.devices {
			clear(d.txns)
		}
	}
}
