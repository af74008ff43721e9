package session

import (
	"context"
	"errors"
	"sync"

	"transportd/bridges"
	"transportd/component"
)

// Bounds of an inbox. Inputs of the session itself (timers, answers) are
// bounded by what asked for them and always taken.
const (
	maxStanzas = 256 // then the sender is told resource-constraint
	// When a client appears, its server sends presence and a question to each of the
	// user's contacts at once; what is over that is dropped.
	maxPassing = 2 * maxPeople
	maxEvents  = 512 // then the network's reader waits
	// A reader that works for the session hands the work to a goroutine after
	// this many inputs, so that a busy user's network is still read.
	inlineBudget = 256
	keptQueue    = 16 // inputs an idle inbox keeps room for
)

// errClosed is what Emit returns once the session or its link is gone.
var errClosed = errors.New("session: closed")

// input is one thing that happened. One of st, ev, fn and commit is set; l comes
// with ev and commit.
type input struct {
	st     *component.Stanza
	ev     bridges.Event
	l      *link
	fn     func()
	commit map[string][]byte
}

// inbox is the one door into a session.
type inbox struct {
	mu      sync.Mutex
	queue   []input
	stanzas int
	passing int // presence that comes in crowds
	events  int
	running bool
	closed  bool
	space   chan struct{} // non-nil while somebody waits for space
}

// deliver queues a stanza for the session; false means it is full or gone.
func (s *Session) deliver(st *component.Stanza) (taken, gone bool) {
	b := &s.box
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false, true
	}
	count, limit := &b.stanzas, maxStanzas
	if passing(st) {
		count, limit = &b.passing, maxPassing
	}
	if *count >= limit {
		b.mu.Unlock()
		return false, false
	}
	*count++
	b.queue = append(b.queue, input{st: st})
	s.wakeLocked()
	return true, false
}

// post queues work of the session's own. It never blocks, and is a no-op once
// the session is gone.
func (s *Session) post(fn func()) {
	b := &s.box
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.queue = append(b.queue, input{fn: fn})
	s.wakeLocked()
}

// wakeLocked starts a goroutine for the queue where none is at work, and
// unlocks.
func (s *Session) wakeLocked() {
	start := !s.box.running
	s.box.running = true
	s.box.mu.Unlock()
	if start {
		s.m.drain(s)
	}
}

// idleDrainers is how many goroutines wait for the next inbox to drain: a new one
// begins with a stack that must grow first, deep in the handling of its first input.
const idleDrainers = 4

// drain has an inbox drained by a goroutine that waits for one, or by a new one.
func (m *Manager) drain(s *Session) {
	select {
	case m.drains <- s:
	default:
		m.tasks.Add(1)
		go m.drainer(s)
	}
}

// drainer drains inboxes while there are some, and then waits for more, unless
// enough others do.
func (m *Manager) drainer(s *Session) {
	defer m.tasks.Done()
	for {
		s.drain(-1)
		s = nil // it may be gone long before the next one comes
		if m.idle.Add(1) > idleDrainers {
			m.idle.Add(-1)
			return
		}
		select {
		case s = <-m.drains:
			m.idle.Add(-1)
		case <-m.ctx.Done():
			m.idle.Add(-1)
			return
		}
	}
}

// emit hands over a network's event or commit and returns once it is queued, or
// handled when the session was idle. It blocks while the inbox is full.
func (s *Session) emit(ctx context.Context, in input) error {
	b := &s.box
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return errClosed
		}
		if !b.running {
			// The reader's own goroutine does the work: no hand-over, no
			// allocation, and the network is read no faster than it is shown.
			b.running = true
			b.mu.Unlock()
			s.handle(in)
			s.drain(inlineBudget)
			return nil
		}
		if b.events < maxEvents {
			b.events++
			b.queue = append(b.queue, in)
			b.mu.Unlock()
			return nil
		}
		if b.space == nil {
			b.space = make(chan struct{})
		}
		space := b.space
		b.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain handles what is queued until nothing is left. With a budget it leaves
// the rest to a goroutine of its own once that many inputs are done.
func (s *Session) drain(budget int) {
	b := &s.box
	var batch []input
	for {
		b.mu.Lock()
		if len(b.queue) == 0 && s.idle() && !b.closed {
			b.mu.Unlock()
			s.m.forget(s) // unless something has come in meanwhile
			b.mu.Lock()
		}
		if len(b.queue) == 0 {
			b.running = false
			if cap(b.queue) > keptQueue {
				b.queue = nil // an idle user holds no memory for a past burst
			}
			b.mu.Unlock()
			return
		}
		if budget == 0 {
			b.mu.Unlock()
			s.m.drain(s)
			return
		}
		queue := b.queue
		b.queue = batch[:0]
		b.stanzas, b.events, b.passing = 0, 0, 0
		if b.space != nil {
			close(b.space)
			b.space = nil
		}
		b.mu.Unlock()
		for i := range queue {
			s.handle(queue[i])
			queue[i] = input{}
		}
		if budget > 0 {
			budget = max(0, budget-len(queue))
		}
		batch = queue
		if cap(batch) > 2*maxEvents {
			batch = nil
		}
	}
}

// closeInbox refuses further input and lets waiting readers go. With ifEmpty
// it does so only when nothing is queued, and tells whether it did.
func (s *Session) closeInbox(ifEmpty bool) bool {
	b := &s.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if ifEmpty && len(b.queue) > 0 {
		return false
	}
	b.closed = true
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
	return true
}
