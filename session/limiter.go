package session

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"transportd/bridges"
)

// connectLimiter spaces the connections of one gateway to each network, so
// that a restart with a thousand users does not look like an attack.
type connectLimiter struct {
	every time.Duration
	burst int

	mu sync.Mutex
	by map[bridges.NetworkID]*rate.Limiter
}

// wait blocks until a connection to id may be made, or ctx is done.
func (c *connectLimiter) wait(ctx context.Context, id bridges.NetworkID) error {
	if c.every <= 0 {
		return ctx.Err()
	}
	c.mu.Lock()
	l := c.by[id]
	if l == nil {
		if c.by == nil {
			c.by = make(map[bridges.NetworkID]*rate.Limiter)
		}
		l = rate.NewLimiter(rate.Every(c.every), c.burst)
		c.by[id] = l
	}
	c.mu.Unlock()
	return l.Wait(ctx)
}
