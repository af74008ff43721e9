package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// crowd counts the presences of a big channel's members. Its fields belong to the XMPP reader until done is closed.
type crowd struct {
	nicks   map[string]int
	total   int
	afterMe int // presences after self-presence, which must be the last (XEP-0045 section 7.2.2)
	self    bool
}

func (c *crowd) see(nick []byte, self bool) {
	c.nicks[string(nick)]++
	c.total++
	if c.self {
		c.afterMe++
	}
	c.self = c.self || self
}

// bigJoin is one join of a big channel.
type bigJoin struct {
	Members int           `json:"members"`
	Took    time.Duration `json:"took_ns"` // to self-presence
	CPU     time.Duration `json:"cpu_ns"`
}

// measureBigJoin joins the only user to its channel, which has so many members beside bob, and accounts for each presence.
func (r *rig) measureBigJoin(ctx context.Context, members int) (bigJoin, error) {
	if err := r.sub.prepare(ctx, r); err != nil {
		return bigJoin{}, err
	}
	r.mu.Lock()
	r.crowd = &crowd{nicks: make(map[string]int, members+2)}
	r.mu.Unlock()
	cpu0, err := r.p.cpu()
	if err != nil {
		return bigJoin{}, err
	}
	u, start := r.users[1], time.Now()
	if err := r.x.out.write(r.joinStanza(u)); err != nil {
		return bigJoin{}, err
	}
	if err := r.await(ctx, u.joined.Load, nil); err != nil {
		return bigJoin{}, err
	}
	took := time.Since(start)
	cpu1, err := r.p.cpu()
	if err != nil {
		return bigJoin{}, err
	}
	if err := r.fence(ctx); err != nil {
		return bigJoin{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crowd.account(&r.led, u.name, members)
	return bigJoin{Members: members, Took: took, CPU: cpu1 - cpu0}, r.led.err()
}

// account checks that each member was shown exactly once and the user last.
func (c *crowd) account(led *ledger, self string, members int) {
	want := map[string]bool{self: true, "bob": true}
	for i := range members {
		want[memberNick(i)] = true
	}
	for nick := range want {
		switch n := c.nicks[nick]; {
		case n == 0:
			led.report(faultLost, 1, "the presence of %s", nick)
		case n > 1:
			led.report(faultDoubled, uint64(n-1), "the presence of %s", nick)
		}
	}
	for nick := range c.nicks {
		if !want[nick] {
			led.report(faultMisrouted, 1, "a presence of %s, who is not in the channel", nick)
		}
	}
	if c.afterMe > 0 {
		led.report(faultReordered, uint64(c.afterMe), "presences after self-presence")
	}
}

func memberNick(i int) string { return fmt.Sprintf("m%05d", i) }

func bigChannel(members int) string { return "#big" + strconv.Itoa(members) }
