package session

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"transportd/archive"
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
	before   <-chan struct{}    // the same of the link in whose place this one came
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
	// toldRefused: the user knows that the network does not take the login.
	toldRefused bool
	awayText    string

	offers int // of rooms the network has had the user in

	rooms map[bridges.RoomID]*room // entered, by the network's name for them
	signs map[bridges.Place]*signs

	invited  map[string]string // names of rooms that the user was invited to, by local part
	crowded  bool              // it has more contacts than are kept
	fresh    bool              // contacts that it told of are shown in a moment
	peopleUp bool              // contacts are shown as reachable
	hide     *time.Timer       // until they are not

	out outbox

	comparing int                 // playbacks that are being compared with the archive
	commits   []map[string][]byte // wait for that, or for the archive to have room
	full      bool                // it has had none
	again     *time.Timer         // tries it again

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
	if !s.m.admitted(s.user) {
		return nil, notAdmitted()
	}
	acc, registered := s.account(id)
	l := &link{s: s, id: id, jid: s.m.networkJID(id), log: tag(s.log, "network", string(id)), registered: registered}
	acc.Log = l.log
	l.out.l = l
	if registered {
		l.autojoin = lines(acc.Settings[settingChannels])
	}
	for _, old := range s.ending {
		if old.id == id {
			l.before = old.running
		}
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
	before, unread := l.before, l.registered && !l.out.read
	l.before = nil
	l.s.m.tasks.Add(1)
	go func() {
		defer l.s.m.tasks.Done()
		if before != nil { // it still holds the nick: wait for its end, not for ever
			select {
			case <-before:
			case <-time.After(quitTime):
			case <-ctx.Done():
			}
		}
		err := l.run(ctx, st, unread)
		cancel()
		l.helpers.Wait()
		close(running)
		l.s.post(func() { l.ended(err) })
	}()
}

// run is one connection's life, its goroutine the network's reader. Unread: what the
// last process left in the outbox is read first.
func (l *link) run(ctx context.Context, st bridges.Start, unread bool) (err *bridges.Error) {
	defer func() {
		if p := recover(); p != nil {
			l.s.m.stats.panics.Add(1)
			l.log.Error("driver panicked", "panic", p, "stack", string(debug.Stack()))
			err = &bridges.Error{Kind: bridges.Internal, Text: "internal error"}
		}
	}()
	if unread {
		if err := l.readOutbox(ctx); err != nil {
			return err
		}
	}
	if e := l.net.Run(ctx, st); e != nil {
		return bridges.AsError(e)
	}
	return nil
}

// Emit implements bridges.Sink.
func (l *link) Emit(ctx context.Context, ev bridges.Event) error {
	if a := l.s.m.archive; a != nil {
		a.Relax(ctx)
	}
	return l.s.emit(ctx, input{l: l, ev: ev})
}

// Commit implements bridges.Sink.
func (l *link) Commit(ctx context.Context, changes map[string][]byte) error {
	if archive.Size(changes) > min(bridges.MaxCommit, archive.MaxState) {
		return bridges.NewError(bridges.TooLarge, "")
	}
	return l.s.emit(ctx, input{l: l, commit: changes})
}

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
	} else {
		l.peopleDown()
	}
	l.announce()
}

// wentOnline joins what is wanted and sends what waited.
func (l *link) wentOnline() {
	l.upSince, l.lastErr, l.nick, l.toldRefused = time.Now(), nil, "", false
	l.log.Info("online", "nick", l.net.Self().Nick)
	if p, ok := l.net.(bridges.Presencer); ok && l.away {
		l.quietly("away", p.SetAway(true, l.awayText))
	}
	l.s.awayness() // of which a new link has not heard
	l.peopleBack()
	for _, entry := range l.autojoin {
		l.s.autojoin(l, entry)
	}
	l.s.joinKept(l)
	for _, r := range l.s.roomsOf(l) {
		if len(r.seats) == 0 && !r.stays() && r.part == nil {
			r.gone() // the account no longer has it
			continue
		}
		r.join()
	}
	l.out.online()
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
