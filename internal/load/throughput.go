package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// load is one way of sending.
type load struct {
	toXMPP bool // bob speaks on IRC, to each user's connection; else each user speaks on XMPP
	window int  // messages in flight, all flows together
	stored bool // a round ends when all lines are in the database
}

// round is what one measured round gave.
type round struct {
	Messages int           `json:"messages"` // lines to the gateway's IRC side, or stanzas to its XMPP side
	Stanzas  int           `json:"stanzas"`  // messages it sent to the XMPP server
	Took     time.Duration `json:"took_ns"`
	Stored   time.Duration `json:"stored_after_ns,omitempty"` // until all lines were in the database, too
	CPU      time.Duration `json:"cpu_ns"`
	OwnCPU   time.Duration `json:"load_program_cpu_ns"`
}

func (r round) cpuPerMessage() float64 { return perUnit(r.CPU, r.Messages) }
func (r round) cpuPerStanza() float64  { return perUnit(r.CPU, r.Stanzas) }
func (r round) rate() float64          { return float64(r.Messages) / r.Took.Seconds() }

// perUnit is microseconds of d for each of n.
func perUnit(d time.Duration, n int) float64 {
	if n == 0 {
		return 0
	}
	return d.Seconds() * 1e6 / float64(n)
}

// run sends for the given time, waits until everything has arrived, and accounts for it.
func (r *rig) run(ctx context.Context, l load, d time.Duration) (round, error) {
	cpu0, err := r.p.cpu()
	if err != nil {
		return round{}, err
	}
	own0, stanzas0, sent0, start := ownCPU(), r.stanzas.Load(), r.sent(l), time.Now()
	stop := start.Add(d)
	err = r.await(ctx, func() bool { return !time.Now().Before(stop) }, func() error { return r.pump(l, stop) })
	if err == nil {
		err = r.await(ctx, r.complete, nil)
	}
	took := time.Since(start)
	var stored time.Duration
	if err == nil && l.stored {
		err = r.flushed(ctx)
		stored = time.Since(start)
	}
	cpu1, err2 := r.p.cpu()
	if err == nil {
		err = err2
	}
	if err := r.closeAccounts(ctx, err); err != nil {
		return round{}, err
	}
	return round{Messages: r.sent(l) - sent0, Stanzas: int(r.stanzas.Load() - stanzas0), Took: took, Stored: stored,
		CPU: cpu1 - cpu0, OwnCPU: ownCPU() - own0}, nil
}

// account waits until everything has arrived and closes the accounts.
func (r *rig) account(ctx context.Context) error {
	return r.closeAccounts(ctx, r.await(ctx, r.complete, nil))
}

// closeAccounts ends a round that has gone well or ended with err. After a stall, what is missing is lost.
func (r *rig) closeAccounts(ctx context.Context, err error) error {
	if err == nil {
		err = r.fence(ctx) // what comes twice has come by then
	}
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	if err2 := r.settle(); err2 != nil {
		return err2
	}
	return err
}

// sent is how many messages have been given to the gateway in that direction: lines to one connection each, or stanzas.
func (r *rig) sent(l load) int {
	var n uint64
	for _, u := range r.users[1:] {
		if l.toXMPP {
			n += u.sentBob
		} else {
			n += u.sentSelf
		}
	}
	return int(n)
}

// pump sends what the windows have room for. A flow is topped up when half of its window is free, so that what goes out is
// neither single messages nor everything at once.
func (r *rig) pump(l load, stop time.Time) error {
	window := l.flowWindow(len(r.users) - 1)
	for again := true; again && time.Now().Before(stop) && r.led.err() == nil; {
		again = false
		if !l.toXMPP && r.shared && !r.roomFree(l) {
			return nil
		}
		most := r.mostAhead(l)
		for _, u := range r.users[1:] {
			free := window - u.inFlight(l)
			if free < (window+1)/2 || u.sentBob >= most {
				continue
			}
			again = true
			if err := r.send(u, l, free, 0); err != nil {
				return err
			}
		}
		if err := r.x.out.flush(); err != nil {
			return err
		}
	}
	return nil
}

// maxLead is by how many lines one connection may be ahead of another in a shared room, whose lines they all hear.
const maxLead = 512

// mostAhead is the number of lines from IRC beyond which a connection waits for the others.
func (r *rig) mostAhead(l load) uint64 {
	if !l.toXMPP || !r.shared {
		return math.MaxUint64
	}
	least := r.users[1].sentBob
	for _, u := range r.users[2:] {
		least = min(least, u.sentBob)
	}
	return least + maxLead
}

// minWindow is the least a single flow may have in flight.
const minWindow = 4

// flowWindow is the part of the window that one of so many flows gets.
func (l load) flowWindow(users int) int { return max(minWindow, l.window/users) }

// inFlight is how many of a flow's messages have not come out where the user's own messages do.
func (u *user) inFlight(l load) int {
	if l.toXMPP {
		return int(u.sentBob - u.heardBob.Load())
	}
	return int(u.sentSelf - min(u.heardSelf.Load(), u.said.Load()))
}

// roomFree says whether at least half of the window is free in a shared room, where each stanza comes out once for every user.
func (r *rig) roomFree(l load) bool {
	users := len(r.users) - 1
	inFlight := r.sent(l)*users - int(r.usersHeard.Load())
	return inFlight <= max(l.window, users*minWindow)*users/2
}

// send gives the gateway n messages of one flow, without a flush on the XMPP side. stamp is put into them.
func (r *rig) send(u *user, l load, n int, stamp int64) error {
	if l.toXMPP {
		c := u.irc.Load()
		c.out.fill(func(b []byte) []byte {
			for range n {
				b = c.appendTags(b, nil)
				b = append(b, ":bob!bob@bob.load.test PRIVMSG "...)
				b = append(append(b, u.chann...), " :"...)
				b = append(appendBody(b, 0, u.sentBob, stamp), '\r', '\n')
				u.sentBob++
			}
			return b
		})
		return c.out.flush()
	}
	r.x.out.fill(func(b []byte) []byte {
		for range n {
			b = append(append(b, "<message from='"...), u.full...)
			b = append(append(b, "' to='"...), u.room...)
			b = append(b, "' type='groupchat' id='"...)
			id := len(b)
			b = append(b, "u00000-0000000000"...)
			digits(b[id+1:id+6], uint64(u.number))
			digits(b[id+7:], u.sentSelf)
			b = append(b, "'><body>"...)
			b = append(appendBody(b, u.number, u.sentSelf, stamp), "</body></message>"...)
			u.sentSelf++
		}
		return b
	})
	return nil
}

// complete says whether everything sent has come out everywhere, or a fault makes waiting pointless.
func (r *rig) complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missing(func(string, uint64) {}) == 0
}

// missing counts what has not arrived and names each place; r.mu is held.
func (r *rig) missing(tell func(where string, n uint64)) uint64 {
	var total uint64
	note := func(n uint64, format string, args ...any) {
		if n > 0 {
			total += n
			tell(fmt.Sprintf(format, args...), n)
		}
	}
	for _, u := range r.users[1:] {
		note(u.fromBob.lost(u.sentBob), "to user %d from IRC", u.number)
		note(u.fromSelf.lost(u.sentSelf), "to user %d, own reflection", u.number)
		u.ircMu.Lock()
		lines := u.lines.lost(u.sentSelf)
		u.ircMu.Unlock()
		note(lines, "to IRC from user %d", u.number)
		for i := range u.fromOthers {
			if i > 0 && i != u.number {
				note(u.fromOthers[i].lost(r.users[i].sentSelf), "to user %d from user %d", u.number, i)
			}
		}
	}
	return total
}

// settle closes the accounts of a round: what is missing now is lost.
func (r *rig) settle() error {
	r.mu.Lock()
	r.missing(func(where string, n uint64) { r.led.report(faultLost, n, "%d %s", n, where) })
	for _, u := range r.users[1:] {
		if u.fromBob.next > u.sentBob || u.fromSelf.next > u.sentSelf {
			r.led.report(faultUnasked, 1, "user %d heard more than was said", u.number)
		}
	}
	r.mu.Unlock()
	return r.led.err()
}
