package main

import (
	"context"
	"slices"
	"time"
)

// The four ways whose time is taken.
const (
	latToXMPP     = iota // a line on IRC until a user's stanza
	latToIRC             // a user's stanza until the line on IRC
	latReflection        // a user's stanza until its reflection
	latThrough           // a user's stanza until another user's, through IRC
	latKinds
)

var latNames = [latKinds]string{"IRC to XMPP", "XMPP to IRC", "reflection to the sender", "XMPP to XMPP through IRC"}

// epoch is what stamps count from.
var epoch = time.Now()

func stampNow() int64 { return int64(time.Since(epoch)) }

// latencies gathers times; a nil one ignores them. Guarded by rig.mu.
type latencies [latKinds][]time.Duration

func (l *latencies) add(kind int, stamp int64) {
	if l != nil {
		l[kind] = append(l[kind], time.Duration(stampNow()-stamp))
	}
}

// spread is the usual points of a distribution.
type spread struct {
	Name                    string `json:"name"`
	N                       int    `json:"n"`
	P50, P90, P99, Max, Min time.Duration
}

func spreadOf(name string, d []time.Duration) spread {
	s := spread{Name: name, N: len(d)}
	if len(d) == 0 {
		return s
	}
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[min(len(d)-1, int(q*float64(len(d))))] }
	s.P50, s.P90, s.P99, s.Max, s.Min = at(0.50), at(0.90), at(0.99), d[len(d)-1], d[0]
	return s
}

// latencyRate is how many messages a second each direction gets.
const latencyRate = 200

// measureLatency sends at a steady rate for d, first from IRC, then from XMPP, the users taking turns.
func (r *rig) measureLatency(ctx context.Context, d time.Duration) ([]spread, error) {
	r.mu.Lock()
	r.lat = new(latencies)
	r.mu.Unlock()
	for _, toXMPP := range []bool{true, false} {
		if err := r.steady(ctx, load{toXMPP: toXMPP}, d); err != nil {
			return nil, err
		}
	}
	return r.spreads(), nil
}

// spreads ends the taking of times and returns them.
func (r *rig) spreads() []spread {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []spread
	for i, name := range latNames {
		if len(r.lat[i]) > 0 {
			out = append(out, spreadOf(name, r.lat[i]))
		}
	}
	r.lat = nil
	return out
}

// beside relays at a steady rate, in both directions at once, for as long as work takes, and returns how long the messages took.
// work runs in a goroutine of its own; it must not send messages.
func (r *rig) beside(ctx context.Context, work func(context.Context) error) ([]spread, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.lat = new(latencies)
	r.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	err := r.bothWays(ctx, done)
	if err != nil {
		return nil, err
	}
	if err := r.account(ctx); err != nil {
		return nil, err
	}
	return r.spreads(), nil
}

// bothWays sends a message each way at each tick until work has reported its end.
func (r *rig) bothWays(ctx context.Context, done chan error) error {
	tick := time.NewTicker(time.Second / latencyRate)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case err := <-done:
			return err
		case <-r.down:
			return r.led.err()
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, l := range []load{{toXMPP: true}, {}} {
			if err := r.speak(l, i); err != nil {
				return err
			}
		}
	}
}

// steady sends one message at each tick, whatever has come back, and accounts for them at the end.
func (r *rig) steady(ctx context.Context, l load, d time.Duration) error {
	tick := time.NewTicker(time.Second / latencyRate)
	defer tick.Stop()
	for i := range int(d.Seconds() * latencyRate) {
		select {
		case <-tick.C:
		case <-r.down:
			return r.led.err()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.speak(l, i); err != nil {
			return err
		}
	}
	return r.account(ctx)
}

// speak sends one stamped message: from IRC to the whole room, from XMPP by the users in turn.
func (r *rig) speak(l load, turn int) error {
	speakers := r.users[1:]
	if !l.toXMPP {
		speakers = speakers[turn%len(speakers):][:1]
	}
	stamp := stampNow()
	for _, u := range speakers {
		if err := r.send(u, l, 1, stamp); err != nil {
			return err
		}
	}
	return r.x.out.flush()
}

// warm gives a gateway a short full load each way, so that nothing is measured cold.
func (r *rig) warm(ctx context.Context, d time.Duration) error {
	if _, err := r.joinAll(ctx); err != nil {
		return err
	}
	for _, l := range []load{{toXMPP: true, window: 64}, {window: 64}} {
		if _, err := r.run(ctx, l, d); err != nil {
			return err
		}
	}
	return nil
}
