package session

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Times of a link.
const (
	retryMin  = 2 * time.Second
	retryMax  = 5 * time.Minute
	healthy   = 2 * time.Minute  // a connection this old resets the backoff
	roomGrace = 2 * time.Minute  // rooms stay up while the link retries
	linger    = 30 * time.Second // a link nobody needs stays this long
	chatting  = 15 * time.Minute // and this long after a private line
	quitTime  = 3 * time.Second  // for a polite end

	maxWaiting = 16 // private lines and raw lines that wait for a connection
)

// link is one user's connection to one network: it runs the driver's Network,
// retries, and decides when to stop. Its fields belong to the session; Emit
// and Go are called by the driver.
type link struct {
	s    *Session
	id   bridges.NetworkID
	jid  component.JID // the network's address
	net  bridges.Network
	log  *slog.Logger
	kind bridges.StateKind
	text string // what the user is told of it

	registered bool     // opened for an account, kept while the user is logged in
	autojoin   []string // rooms of the account, "name" or "name key"
	nick       string   // asked for by the join that opened it

	cancel   context.CancelFunc // of the current run; nil: none
	running  chan struct{}      // closed when the run has ended
	attempt  int
	upSince  time.Time
	downAt   time.Time // since when rooms wait for the link
	retry    *time.Timer
	check    *time.Timer // asks whether the link is still needed
	lastLine time.Time   // last private or raw line
	waiting  []func(*bridges.Error)
	lastErr  *bridges.Error
	told     string // last state announced
	console  bool   // the user has written to the network's address
	dead     bool
	away     bool
	awayText string

	rooms map[bridges.RoomID]*room // entered, by the network's name for them

	helpers sync.WaitGroup
	runCtx  context.Context
}

// link returns the link to a network, opening it where there is none.
func (s *Session) link(id bridges.NetworkID) (*link, error) {
	for _, l := range s.links {
		if l.id == id {
			return l, nil
		}
	}
	acc, registered := s.account(id)
	l := &link{s: s, id: id, jid: s.m.networkJID(id), log: tag(s.log, "network", string(id)), registered: registered}
	acc.Log = l.log
	if registered {
		l.autojoin = lines(acc.Settings[settingChannels])
	}
	net, err := s.m.driver.Open(acc, l)
	if err != nil {
		return nil, err
	}
	l.net = net
	s.links = append(s.links, l)
	s.m.stats.links.Add(1)
	return l, nil
}

// existing returns the link to a network, or nil.
func (s *Session) existing(id bridges.NetworkID) *link {
	for _, l := range s.links {
		if l.id == id {
			return l
		}
	}
	return nil
}

// online tells whether actions are possible.
func (l *link) online() bool { return l.kind == bridges.Online }

// start runs a connection where none is running. Attended: somebody waits for
// it and can choose another nick.
func (l *link) start(attended bool) {
	if l.cancel != nil || l.dead {
		return
	}
	if l.retry != nil {
		l.retry.Stop()
		l.retry = nil
	}
	ctx, cancel := context.WithCancel(l.s.m.ctx)
	running := make(chan struct{})
	l.cancel, l.runCtx, l.running = cancel, ctx, running
	l.kind, l.text = bridges.Connecting, "connecting"
	l.announce()
	st := bridges.Start{Attended: attended, Nick: l.nick}
	l.s.m.tasks.Add(1)
	go func() {
		defer l.s.m.tasks.Done()
		err := l.run(ctx, st)
		cancel()
		l.helpers.Wait()
		close(running)
		l.s.post(func() { l.ended(err) })
	}()
}

// run is one connection's life, its goroutine the network's reader.
func (l *link) run(ctx context.Context, st bridges.Start) (err *bridges.Error) {
	defer func() {
		if p := recover(); p != nil {
			l.s.m.stats.panics.Add(1)
			l.log.Error("driver panicked", "panic", p, "stack", string(debug.Stack()))
			err = &bridges.Error{Kind: bridges.Internal, Text: "internal error"}
		}
	}()
	if e := l.net.Run(ctx, st); e != nil {
		return bridges.AsError(e)
	}
	return nil
}

// Emit implements bridges.Sink.
func (l *link) Emit(ctx context.Context, ev bridges.Event) error { return l.s.emit(ctx, l, ev) }

// Go implements bridges.Sink.
func (l *link) Go(f func(ctx context.Context)) {
	ctx := l.runCtx
	l.helpers.Add(1)
	go func() {
		defer l.helpers.Done()
		defer func() {
			if p := recover(); p != nil {
				l.s.m.stats.panics.Add(1)
				l.log.Error("driver goroutine panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		f(ctx)
	}()
}

// kill ends a link at once and for good; late events of it are dropped.
func (l *link) kill() {
	if l.dead {
		return
	}
	l.dead = true
	l.s.m.stats.links.Add(-1)
	if l.kind == bridges.Online {
		l.s.m.stats.online.Add(-1)
	}
	for _, t := range []*time.Timer{l.retry, l.check} {
		if t != nil {
			t.Stop()
		}
	}
	if l.cancel != nil {
		l.cancel()
	}
}

// state takes what the driver reports of the connection.
func (l *link) state(st *bridges.State) {
	l.text = st.Text
	if st.Kind == l.kind {
		l.announce()
		return
	}
	was := l.kind
	l.kind = st.Kind
	if was == bridges.Online {
		l.s.m.stats.online.Add(-1)
	}
	if l.kind == bridges.Online {
		l.s.m.stats.online.Add(1)
		l.wentOnline()
	}
	l.announce()
}

// wentOnline joins what is wanted and sends what waited.
func (l *link) wentOnline() {
	l.upSince, l.lastErr, l.nick = time.Now(), nil, ""
	l.log.Info("online", "nick", l.net.Self().Nick)
	if p, ok := l.net.(bridges.Presencer); ok && l.away {
		l.quietly("away", p.SetAway(true, l.awayText))
	}
	for _, r := range l.s.roomsOf(l) {
		r.join()
	}
	for _, entry := range l.autojoin {
		l.s.autojoin(l, entry)
	}
	waiting := l.waiting
	l.waiting = nil
	for _, send := range waiting {
		send(nil)
	}
	l.reconsider()
}

// quietly logs the error of an action nobody waits for.
func (l *link) quietly(what string, err error) {
	if err != nil {
		l.log.Debug("not done", "action", what, "error", err)
	}
}

// whenOnline runs fn once actions are possible, connecting where needed; fn
// gets an error when that fails, or when too much is waiting already.
func (l *link) whenOnline(fn func(*bridges.Error)) {
	if l.online() {
		fn(nil)
		return
	}
	if len(l.waiting) >= maxWaiting {
		fn(&bridges.Error{Kind: bridges.RateLimited, Text: "Too many lines are waiting for the connection."})
		return
	}
	l.waiting = append(l.waiting, fn)
	l.start(true)
}

// ended is called in the session when a run is over.
func (l *link) ended(err *bridges.Error) {
	if l.dead {
		return
	}
	wasOnline := l.kind == bridges.Online
	if wasOnline {
		l.s.m.stats.online.Add(-1)
	}
	l.cancel, l.running, l.kind = nil, nil, bridges.Disconnected
	if err == nil {
		err = bridges.NewError(bridges.Offline, "The connection was closed.")
	}
	l.lastErr, l.text = err, err.Text
	l.log.Info("link ended", "error", err, "permanent", err.Permanent)
	l.s.m.stats.linkErrors.Add(kindName(err.Kind), 1)
	for _, r := range l.s.roomsOf(l) {
		r.linkDown()
	}
	l.s.failActions(l, &bridges.Error{Kind: bridges.Offline, Uncertain: wasOnline, Text: "The connection to the network was lost; the line may or may not have arrived."})
	waiting := l.waiting
	l.waiting = nil
	for _, send := range waiting {
		send(err)
	}
	if l.dead { // a failed join may have been its last reason to live
		return
	}
	l.afterEnd(err, wasOnline)
}

// afterEnd decides whether to try again.
func (l *link) afterEnd(err *bridges.Error, wasOnline bool) {
	rooms := l.s.roomsOf(l)
	if !wasOnline || err.Permanent {
		// Somebody who waits to get in is told at once; whoever was in waits.
		for _, r := range rooms {
			r.failWaiting(err)
		}
		rooms = l.s.roomsOf(l)
	}
	if err.Permanent {
		for _, r := range rooms {
			r.close(leave{reason: "The connection to the network was lost: " + err.Text, codes: codesLost})
		}
		l.announce()
		if !l.registered {
			l.drop()
		}
		return
	}
	if !l.needed() {
		l.announce()
		l.drop()
		return
	}
	if l.downAt.IsZero() && len(rooms) > 0 {
		l.downAt = time.Now()
		l.s.after(roomGrace, l.graceOver)
	}
	if wasOnline && time.Since(l.upSince) >= healthy {
		l.attempt = 0
	}
	d := backoff(l.attempt)
	if err.RetryAfter > d {
		d = err.RetryAfter
	}
	l.attempt++
	l.text = err.Text + " Trying again soon."
	l.announce()
	l.retry = l.s.after(d, func() { l.retry = nil; l.start(false) })
}

// backoff is how long to wait before the nth retry, with jitter: a network
// that comes back is not met by everyone in the same second.
func backoff(n int) time.Duration {
	d := retryMax
	if n < 8 {
		d = min(retryMax, retryMin<<n)
	}
	return d/2 + rand.N(d)
}

// graceOver closes the rooms that did not come back in time.
func (l *link) graceOver() {
	if l.dead || l.downAt.IsZero() || time.Since(l.downAt) < roomGrace {
		return
	}
	l.downAt = time.Time{}
	text := "The connection to the network was lost"
	if l.lastErr != nil && l.lastErr.Text != "" {
		text += ": " + l.lastErr.Text
	}
	for _, r := range l.s.roomsOf(l) {
		if !r.inside() {
			r.close(leave{reason: text, codes: codesLost})
		}
	}
	l.reconsider()
}

// needed tells whether anything wants this link to be up.
func (l *link) needed() bool {
	if l.registered {
		return true
	}
	if len(l.s.roomsOf(l)) > 0 || len(l.waiting) > 0 {
		return true
	}
	return !l.lastLine.IsZero() && time.Since(l.lastLine) < chatting
}

// reconsider arranges for an unneeded link to be dropped after a while.
func (l *link) reconsider() {
	if l.dead || l.registered || l.check != nil || len(l.s.roomsOf(l)) > 0 {
		return
	}
	d := linger
	if !l.lastLine.IsZero() {
		d = max(linger, chatting-time.Since(l.lastLine)+time.Second)
	}
	l.check = l.s.after(d, func() {
		l.check = nil
		if l.dead {
			return
		}
		if l.needed() {
			l.reconsider()
			return
		}
		l.drop()
	})
}

// drop ends a link politely and forgets it.
func (l *link) drop() {
	if l.dead {
		return
	}
	l.kill()
	l.kind, l.text = bridges.Disconnected, "disconnected"
	l.announce()
	for i, other := range l.s.links {
		if other == l {
			l.s.links = append(l.s.links[:i], l.s.links[i+1:]...)
			break
		}
	}
	l.s.failActions(l, bridges.NewError(bridges.Offline, "The connection was closed."))
}
