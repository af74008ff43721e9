package irc

import (
	"context"
	"sync"
	"sync/atomic"

	"transportd/bridges"
)

// NewLogin begins to try an account against its network.
func (d *Driver) NewLogin(a bridges.Account) bridges.Login {
	return &bridges.CheckLogin{Account: a, Fields: d.Fields(a.Network), Check: d.check}
}

// Logout has nothing to do: an account of ours has made nothing at its network.
func (d *Driver) Logout(context.Context, bridges.Account) error { return nil }

// check returns nil when the network accepts an account.
func (d *Driver) check(ctx context.Context, a bridges.Account) error {
	r, err := d.route(a.Network)
	if err != nil {
		return err
	}
	set, err := readSettings(a, r.link)
	if err != nil {
		return err
	}
	set.commands = nil
	trial, end := context.WithCancel(ctx)
	defer end()
	sink := &checkSink{ctx: trial, end: end}
	defer sink.wg.Wait()
	defer end()
	n := newNetwork(a, r, set, sink, &d.sts)
	n.checking = true
	err = n.Run(trial, bridges.Start{Attended: true, Nick: a.Nick})
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !sink.online.Load() && err == nil:
		return &bridges.Error{Kind: bridges.Timeout, Text: "The network did not answer in time.", Err: ctx.Err()}
	case !sink.online.Load():
		return err
	case n.recovery.denied != "":
		return bridges.NewError(bridges.BadCredentials, n.recovery.denied)
	case set.password != "" && n.login == "":
		return bridges.NewError(bridges.Timeout, "The network's services did not answer to the password.")
	}
	return nil
}

// checkSink ends a trial as soon as it is online.
type checkSink struct {
	ctx    context.Context
	end    context.CancelFunc
	online atomic.Bool
	wg     sync.WaitGroup
}

// Commit implements bridges.Sink: the driver keeps nothing.
func (s *checkSink) Commit(context.Context, map[string][]byte) error { return nil }

func (s *checkSink) Emit(_ context.Context, ev bridges.Event) error {
	if st, ok := ev.(*bridges.State); ok && st.Kind == bridges.Online {
		s.online.Store(true)
		s.end()
	}
	return nil
}

func (s *checkSink) Go(f func(context.Context)) {
	s.wg.Go(func() { f(s.ctx) })
}
