package ircconn

import "time"

const (
	nudgeAfter = 3 * time.Second
	maxNudges  = 6 // doublings of the pause between them
	nudgeToken = "n"
)

// nudge sends something more where a fence stays without an answer for long.
// ngIRCd does not look at lines that have come through TLS while it throttled
// us, until more arrives. The pauses between nudges double.
func (c *Conn) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	o.nudge = nil
	if c.halted() || c.quitting || o.inFlight == 0 {
		return
	}
	now := time.Since(c.info.Since)
	wait := o.fencedAt + nudgeAfter<<o.nudged - now
	if wait <= 0 {
		o.urgent = append(o.urgent, "PING :"+nudgeToken+"\r\n"...)
		o.bucket.charge(now)
		o.nudged = min(o.nudged+1, maxNudges)
		wait = nudgeAfter << o.nudged
		c.kick()
	}
	o.nudge = time.AfterFunc(wait, c.nudge)
}
