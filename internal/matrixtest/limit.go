package matrixtest

import (
	"slices"
	"strings"
	"time"
)

// Limit is a rate limit as real servers have one: a token bucket for each user,
// and 429 with the time until there is a token again.
type Limit struct {
	s            *Server
	method, path string
	burst        int
	every        time.Duration
	buckets      map[string]*bucket // by user id
	refused      int
	early        int
}

type bucket struct {
	full  time.Time // when all tokens are back
	until time.Time // what a refusal has told to wait for
}

// Limit lets requests with a method ("": any) and a part of a path pass in bursts,
// one more after every so long.
func (s *Server) Limit(method, path string, burst int, every time.Duration) *Limit {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &Limit{s: s, method: method, path: path, burst: burst, every: every, buckets: map[string]*bucket{}}
	s.limits = append(s.limits, l)
	return l
}

// Refused is how many requests got a 429.
func (l *Limit) Refused() int {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.refused
}

// Early is how many requests came before the time that a refusal had told their
// user to wait for.
func (l *Limit) Early() int {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.early
}

// Remove lifts the limit.
func (l *Limit) Remove() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.limits = slices.DeleteFunc(l.s.limits, func(x *Limit) bool { return x == l })
}

// limited refuses what comes too fast.
func (s *Server) limited(r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.limits {
		if l.method != "" && l.method != r.Method || !strings.Contains(r.Path, l.path) {
			continue
		}
		if wait := l.take(r.User, time.Now()); wait > 0 {
			s.notify()
			return &Error{Status: 429, Code: "M_LIMIT_EXCEEDED", Text: "Too Many Requests", RetryAfter: wait}
		}
	}
	return nil
}

// take takes a token; without one it returns how long until there is one.
func (l *Limit) take(user string, now time.Time) time.Duration {
	b := l.buckets[user]
	if b == nil {
		b = &bucket{full: now}
		l.buckets[user] = b
	}
	if now.Before(b.until) {
		l.early++
	}
	if b.full.Before(now) {
		b.full = now
	}
	if wait := b.full.Add(l.every).Sub(now) - time.Duration(l.burst)*l.every; wait > 0 {
		l.refused++
		wait = wait.Truncate(time.Millisecond) + time.Millisecond // what can be told
		b.until = now.Add(wait)
		return wait
	}
	b.full = b.full.Add(l.every)
	return 0
}
