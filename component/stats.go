package component

import "sync/atomic"

// StreamStats counts what happened on a stream since the program's start.
type StreamStats struct {
	Connects, Failures    uint64 // logins that worked, attempts that did not
	StanzasIn, StanzasOut uint64
	BytesIn, BytesOut     uint64
	Writes                uint64 // write calls; StanzasOut/Writes is what coalescing saves
	Skipped               uint64 // stanzas over a limit or with forbidden content
	Unknown               uint64 // well-formed elements that are no usable stanza
	Refused               uint64 // outgoing stanzas the guard refused
	Dropped               uint64 // replies of TrySend for which there was no room
	Strays                uint64 // IQ answers nobody asked for, spoofed ones included
	Timeouts              uint64 // requests that got no answer in time
	QueuedBytes           int    // waiting to be written now
	PendingRequests       int    // waiting for an answer now
}

// counters is the live form of StreamStats.
type counters struct {
	connects, failures    atomic.Uint64
	stanzasIn, stanzasOut atomic.Uint64
	bytesIn, bytesOut     atomic.Uint64
	writes                atomic.Uint64
	skipped, unknown      atomic.Uint64
	refused, dropped      atomic.Uint64
	strays, timeouts      atomic.Uint64
}

// Stats returns the counters. Anybody may call it at any time.
func (s *Stream) Stats() StreamStats {
	c := &s.stats
	return StreamStats{
		Connects: c.connects.Load(), Failures: c.failures.Load(),
		StanzasIn: c.stanzasIn.Load(), StanzasOut: c.stanzasOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Writes:  c.writes.Load(),
		Skipped: c.skipped.Load(), Unknown: c.unknown.Load(),
		Refused: c.refused.Load(), Dropped: c.dropped.Load(),
		Strays: c.strays.Load(), Timeouts: c.timeouts.Load(),
		QueuedBytes: s.writer.queued(), PendingRequests: s.tracker.len(),
	}
}
