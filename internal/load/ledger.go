package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// fault is one way in which a gateway can fail a message.
type fault string

const (
	faultLost       fault = "lost"        // never arrived
	faultDoubled    fault = "doubled"     // arrived again
	faultReordered  fault = "reordered"   // arrived after a later one of the same sender
	faultAltered    fault = "altered"     // arrived with another text
	faultMisrouted  fault = "misrouted"   // arrived at the wrong place or in the wrong name
	faultRefused    fault = "refused"     // an error stanza instead of the message
	faultConnection fault = "connection"  // a stream or an IRC connection ended while it was needed
	faultUnrecorded fault = "unrecorded"  // not in the archive, or not once and in order, or there with the archive off
	faultUnasked    fault = "unannounced" // a sequence number that was never sent
)

// track follows one sender's messages as one receiver hears them.
type track struct {
	next    uint64 // the sequence number that comes next
	missing map[uint64]struct{}
}

// see takes note of an arrived message; new is false for a repeat. The returned fault is "" when all is well or when it is
// not yet known: a gap is lost or reordered, which the end of the round shows.
func (t *track) see(seq uint64) (fresh bool, f fault) {
	switch {
	case seq == t.next:
		t.next++
		return true, ""
	case seq > t.next:
		if t.missing == nil {
			t.missing = make(map[uint64]struct{})
		}
		for ; t.next < seq; t.next++ {
			t.missing[t.next] = struct{}{}
		}
		t.next++
		return true, ""
	}
	if _, ok := t.missing[seq]; ok {
		delete(t.missing, seq)
		return true, faultReordered
	}
	return false, faultDoubled
}

// lost is how many of the sent messages have not arrived.
func (t *track) lost(sent uint64) uint64 {
	n := uint64(len(t.missing))
	if sent > t.next {
		n += sent - t.next
	}
	return n
}

// ledger counts the faults of a run. Safe for concurrent use.
type ledger struct {
	mu       sync.Mutex
	counts   map[fault]uint64
	examples []string
}

const maxExamples = 8

func (l *ledger) report(f fault, n uint64, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[fault]uint64)
	}
	l.counts[f] += n
	if len(l.examples) < maxExamples {
		l.examples = append(l.examples, string(f)+": "+fmt.Sprintf(format, args...))
	}
}

// count is how often a fault was seen.
func (l *ledger) count(f fault) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[f]
}

var errFaults = errors.New("messages were not handled exactly once and in order")

// err is nil when no fault was seen, else an error that names them all and wraps errFaults.
func (l *ledger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.counts) == 0 {
		return nil
	}
	var parts []string
	for _, f := range slices.Sorted(maps.Keys(l.counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", l.counts[f], f))
	}
	return fmt.Errorf("%w: %s\n    %s", errFaults, strings.Join(parts, ", "), strings.Join(l.examples, "\n    "))
}
