package ircconn

import (
	"context"
	"sync"
	"time"
)

// Limiter paces connections to the same host, so that a gateway whose users
// all reconnect at once is not banned for it. One Limiter serves all
// connections of a network or of the whole process.
type Limiter struct {
	every      time.Duration
	concurrent int

	mu    sync.Mutex
	hosts map[string]*hostPace
}

// hostPace exists while somebody waits, connects, or has connected within the interval.
type hostPace struct {
	users int           // waiting or connecting
	slots chan struct{} // nil: any number at once
	next  time.Time     // when the next attempt may start
}

// NewLimiter allows one attempt every interval to a host, and at most
// concurrent unfinished ones. Zero or less turns either limit off.
func NewLimiter(every time.Duration, concurrent int) *Limiter {
	return &Limiter{every: every, concurrent: concurrent, hosts: make(map[string]*hostPace)}
}

// Wait blocks until a connection to host may start or ctx ends; first come, first
// served. done must be called when the attempt has ended, well or not.
func (l *Limiter) Wait(ctx context.Context, host string) (done func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	h := l.enter(host)
	if h.slots != nil {
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			l.leave(host, h)
			return nil, ctx.Err()
		}
	}
	done = sync.OnceFunc(func() {
		if h.slots != nil {
			<-h.slots
		}
		l.leave(host, h)
	})
	if err := sleep(ctx, l.turn(h)); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// enter finds or makes the record of a host, and forgets idle ones.
func (l *Limiter) enter(host string) *hostPace {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	h := l.hosts[host]
	if h == nil {
		for name, other := range l.hosts {
			if other.users == 0 && !now.Before(other.next) {
				delete(l.hosts, name)
			}
		}
		h = new(hostPace)
		if l.concurrent > 0 {
			h.slots = make(chan struct{}, l.concurrent)
		}
		l.hosts[host] = h
	}
	h.users++
	return h
}

// turn reserves the next moment an attempt may start.
func (l *Limiter) turn(h *hostPace) time.Duration {
	if l.every <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	at := now
	if h.next.After(now) {
		at = h.next
	}
	h.next = at.Add(l.every)
	return at.Sub(now)
}

func (l *Limiter) leave(host string, h *hostPace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.users--
	if h.users == 0 && !time.Now().Before(h.next) && l.hosts[host] == h {
		delete(l.hosts, host)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
