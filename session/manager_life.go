package session

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"transportd/component"
)

// StreamUp and StreamDown tell all sessions of the XMPP stream. Up is paced:
// each session verifies its clients.
func (m *Manager) StreamUp() {
	all := m.all()
	m.spawn(func() { m.paced(len(all), func(i int) { all[i].post(all[i].streamUp) }) })
}

// StreamDown tells all sessions that the XMPP stream is gone.
func (m *Manager) StreamDown() {
	// Now, before there is another stream that confirms what it was given.
	confirmed := m.confirmed()
	m.broke.Store(confirmed)
	for _, s := range m.all() {
		s.post(func() { s.streamDown(confirmed) })
	}
}

// pace is how many sessions a second are restored or re-synced.
const pace = 100

// paced calls f for 0 … n-1, spread over time, until the manager stops.
func (m *Manager) paced(n int, f func(i int)) {
	for i := range n {
		if i > 0 && i%(pace/10) == 0 {
			select {
			case <-time.After(time.Second / 10):
			case <-m.ctx.Done():
				return
			}
		}
		f(i)
	}
}

// Restore brings back what the last process left behind, paced: accounts that
// are logged in, rooms that are kept, and the clients that were in rooms when it died. Call it once
// the stream is up for the first time.
func (m *Manager) Restore(ctx context.Context) error {
	for _, s := range m.all() { // made over an earlier stream, and not told that there is another
		s.post(func() {
			if !s.up && m.stream.Up() {
				s.streamUp()
			}
		})
	}
	users, err := m.store.LoggedIn(ctx)
	if err != nil {
		return err
	}
	keepers, err := m.store.KeepsRooms(ctx)
	if err != nil {
		return err
	}
	seats, err := m.store.Seats(ctx)
	if err != nil {
		return err
	}
	left := make(map[component.JID][]Seat)
	for _, seat := range seats {
		jid, err := component.ParseJID(seat.Client)
		if err != nil {
			m.store.RemoveSeat(seat.Client, seat.Room)
			continue
		}
		left[jid.Bare()] = append(left[jid.Bare()], seat)
	}
	for _, u := range append(users, keepers...) {
		if jid, err := component.ParseJID(u); err == nil && left[jid.Bare()] == nil {
			left[jid.Bare()] = []Seat{}
		}
	}
	order := slices.SortedFunc(maps.Keys(left), func(a, b component.JID) int { return strings.Compare(a.String(), b.String()) })
	m.spawn(func() {
		m.paced(len(order), func(i int) {
			m.post(order[i], func(s *Session) { s.restore(left[order[i]]) })
		})
		m.restorePending()
	})
	return nil
}

// Stop leaves all rooms politely, tells the users, and ends everything. It
// returns when nothing of the manager runs any more, or ctx is done.
func (m *Manager) Stop(ctx context.Context) error {
	m.mu.Lock()
	m.stopping.Store(true) // from here on there are no new sessions
	m.mu.Unlock()
	var left sync.WaitGroup
	for _, s := range m.all() {
		left.Add(1)
		if !s.tryPost(func() { defer left.Done(); s.shutdown() }) {
			left.Done()
		}
	}
	polite := ctx
	if end, ok := ctx.Deadline(); ok { // what does not come through is cut off in time for the networks to be left
		var cancel context.CancelFunc
		polite, cancel = context.WithDeadline(ctx, end.Add(-quitTime))
		defer cancel()
	}
	waited := make(chan struct{})
	go func() { left.Wait(); close(waited) }()
	select {
	case <-waited:
	case <-polite.Done():
	}
	m.cancel()
	done := make(chan struct{})
	go func() { m.tasks.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("session: not everything ended in time")
	}
}
