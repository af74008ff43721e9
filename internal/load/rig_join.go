package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// joinWindow is how many users are on their way in at the same time.
const joinWindow = 50

// joinAll lets all users join their rooms and returns when the last has its self-presence and, in a
// shared room, everybody's.
func (r *rig) joinAll(ctx context.Context) (time.Duration, error) {
	if err := r.sub.prepare(ctx, r); err != nil {
		return 0, err
	}
	start := time.Now()
	users := r.users[1:]
	err := r.await(ctx, func() bool {
		in := 0
		for in < len(users) && users[in].joined.Load() {
			in++
		}
		users = users[in:]
		return len(users) == 0
	}, func() error { return r.sendJoins() })
	if err == nil {
		err = r.await(ctx, r.allPresent, nil)
	}
	if errors.Is(err, errStalled) {
		r.reportAbsent()
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("joining: %w", err), r.led.err())
	}
	return time.Since(start), nil
}

// allPresent says whether everybody in a shared room has been shown to everybody.
func (r *rig) allPresent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.users[1:] {
		for n, shown := range u.present {
			if n > 0 && !shown {
				return false
			}
		}
	}
	return true
}

// reportAbsent counts the presences that never came.
func (r *rig) reportAbsent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.users[1:] {
		if !u.joined.Load() {
			r.led.report(faultLost, 1, "the self-presence of user %d", u.number)
		}
		for n, shown := range u.present {
			if n > 0 && !shown && n != u.number {
				r.led.report(faultLost, 1, "the presence of user %d to user %d", n, u.number)
			}
		}
	}
}

// sendJoins sends the presences the window has room for.
func (r *rig) sendJoins() error {
	waiting := 0
	for _, u := range r.users[1:] {
		if u.joined.Load() {
			continue
		}
		if waiting++; waiting > joinWindow {
			break
		}
		if !u.asked {
			u.asked = true
			r.x.out.add(r.joinStanza(u))
		}
	}
	return r.x.out.flush()
}

func (r *rig) joinStanza(u *user) []byte {
	history := "" // what the gateway sends of itself
	if r.old != nil {
		history = "<history maxstanzas='0'/>" // old lines are asked for page by page
	}
	return fmt.Appendf(nil, "<presence from='%s' to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'>%s</x></presence>", u.full, u.room, u.name, history)
}

var errStalled = errors.New("no progress")

// await calls step and looks at done each time something arrives, until done, a fault that leaves no hope, or no progress:
// PINGs and the gateway's notices are none.
func (r *rig) await(ctx context.Context, done func() bool, step func() error) error {
	t := time.NewTimer(r.stall)
	defer t.Stop()
	last := r.progress.Load()
	for {
		if step != nil {
			if err := step(); err != nil {
				return err
			}
		}
		if done() {
			return nil
		}
		select {
		case <-r.wake:
			if now := r.progress.Load(); now != last {
				last = now
				t.Reset(r.stall)
			}
		case <-t.C:
			return errStalled
		case <-r.down:
			return fmt.Errorf("%w%s", r.led.err(), r.p.tail())
		case <-r.p.exited:
			return errors.New("the gateway ended" + r.p.tail())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fence returns when the gateway has worked off what it had been given: each IRC connection has answered a PING, and after
// that the component an IQ.
func (r *rig) fence(ctx context.Context) error {
	for _, u := range r.users[1:] {
		c := u.irc.Load()
		if c == nil {
			return errors.New(u.name + " has no IRC connection")
		}
		if err := c.fence(ctx); err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
	}
	_, err := r.x.request(ctx, r.users[1].full, gatewayDomain, "get", "<ping xmlns='urn:xmpp:ping'/>")
	return err
}

// fence pings the client and waits for its PONG.
func (c *ircConn) fence(ctx context.Context) error {
	const token = "fence"
	select {
	case <-c.pongs:
	default:
	}
	if err := c.out.write([]byte("PING :" + token + "\r\n")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		select {
		case got := <-c.pongs:
			if strings.HasSuffix(got, token) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("no answer to an IRC PING: %w", ctx.Err())
		}
	}
}
