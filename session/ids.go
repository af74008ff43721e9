package session

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// idSource makes ids for lines: 26 characters that sort by time, as ULIDs do.
// They are kept with the line, so that showing it again repeats the id.
type idSource struct {
	mu   sync.Mutex
	last uint64 // milliseconds of the last id
	low  [10]byte
}

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// next returns an id that was never used.
func (g *idSource) next() string { return g.at(time.Now()) }

// at is next for who knows what time it is.
func (g *idSource) at(now time.Time) string {
	ms := uint64(now.UnixMilli())
	g.mu.Lock()
	if ms > g.last {
		g.last = ms
		if _, err := rand.Read(g.low[:]); err != nil {
			panic(err) // documented never to fail
		}
	} else {
		ms = g.last
		for i := len(g.low) - 1; i >= 0; i-- {
			g.low[i]++
			if g.low[i] != 0 {
				break
			}
		}
	}
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], ms<<16)
	copy(raw[6:], g.low[:])
	g.mu.Unlock()

	// 128 bits as 26 digits of 5 bits, the first of 3.
	var out [26]byte
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	for i := 25; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

// lineID is the id of a line: what the network calls it where that is fit, so
// that it is the same after a restart.
func (m *Manager) lineID(network string, now time.Time) string {
	if id := fitID(network); id != "" {
		return id
	}
	return m.ids.at(now)
}

// fitID is what a network calls a line where that is fit for an attribute, else
// empty.
func fitID(network string) string {
	if len(network) > 128 {
		return ""
	}
	for i := 0; i < len(network); i++ {
		if c := network[i]; c <= ' ' || c > '~' {
			return ""
		}
	}
	return network
}
