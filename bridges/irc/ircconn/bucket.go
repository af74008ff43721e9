package ircconn

import "time"

// bucket is a token bucket kept as one moment (GCRA): full is when it will be
// full again. Times are durations since the connection was made.
type bucket struct {
	every time.Duration // 0: no limit
	span  time.Duration // how far full may lie ahead: (burst-1) × every
	full  time.Duration
}

func newBucket(l FloodLimits) bucket {
	if l.Burst <= 0 || l.Every <= 0 {
		return bucket{}
	}
	return bucket{every: l.Every, span: time.Duration(l.Burst-1) * l.Every}
}

// wait is how long until there is a token.
func (b *bucket) wait(now time.Duration) time.Duration {
	return max(0, b.full-b.span-now)
}

// charge takes a token, on credit if need be.
func (b *bucket) charge(now time.Duration) {
	b.full = max(b.full, now) + b.every
}

// take takes a token if there is one.
func (b *bucket) take(now time.Duration) bool {
	if b.wait(now) > 0 {
		return false
	}
	b.charge(now)
	return true
}
