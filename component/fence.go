package component

import (
	"context"
	"sync"
	"time"
)

// fenceEvery is how often it is asked how far the server has read, while there is
// something to ask about.
const fenceEvery = 3 * time.Second

// fence finds out what the server has read. XEP-0114 has no acknowledgements, but
// a stream is read in its order: when a ping to ourselves comes around, all that
// was queued before it has been read. One ping is on its way at a time, and none
// while nothing was sent since the last.
type fence struct {
	mu        sync.Mutex
	id        string    // of the ping on its way; empty: none
	at        time.Time // when it was queued
	asked     uint64    // stanzas sent when it was queued
	confirmed time.Time
}

// Confirmed is a moment before which everything that was sent has been read by
// the server. It stays what it was while the stream is down; the zero time means
// that nothing is certain.
func (s *Stream) Confirmed() time.Time {
	s.fence.mu.Lock()
	defer s.fence.mu.Unlock()
	return s.fence.confirmed
}

// begin is called for each connection, before anything is sent over it.
func (f *fence) begin(s *Stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.asked = "", s.stats.stanzasOut.Load()
}

// run asks while the connection lives.
func (f *fence) run(ctx context.Context, s *Stream) {
	tick := time.NewTicker(fenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.ask(s, false)
		case <-ctx.Done():
			return
		}
	}
}

// ask sends a ping where there is something to find out, or anyhow, and none is on
// its way.
func (f *fence) ask(s *Stream, anyhow bool) {
	f.mu.Lock()
	sent := s.stats.stanzasOut.Load()
	if f.id != "" || sent <= f.asked && !anyhow {
		f.mu.Unlock()
		return
	}
	id := s.NewID()
	f.id, f.at = id, time.Now()
	f.mu.Unlock()
	ok := s.TrySend(ping(s.domain, id))
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ok {
		f.id = ""
		return
	}
	f.asked = sent + 1 // the ping is one too
}

// passed tells whether an IQ from ourselves is the ping that is on its way, or its
// answer, and notes what that means.
func (f *fence) passed(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.id == "" || id != f.id {
		return false
	}
	f.id = ""
	f.confirmed = f.at
	return true
}
