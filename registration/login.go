package registration

import (
	"context"
	"errors"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
)

// Bounds of logins under way.
const (
	maxLogins     = 1024 // of a gateway; then new ones are refused
	maxUserLogins = 4    // of a user; then the one that began first gives way
	saveTime      = 15 * time.Second
	discardTime   = 10 * time.Second // to undo at the network what cannot be stored
)

// Why a login ended, for those who still wait for it.
var (
	errDone       = errors.New("the login is done")
	errSuperseded = component.NewStanzaError(stanza.ErrorTypeCancel, "conflict", "You began another login, which took the place of this one.")
	errCancelled  = component.NewStanzaError(stanza.ErrorTypeCancel, "not-acceptable", "The login was given up. Please begin again.")
	errRemoved    = component.NewStanzaError(stanza.ErrorTypeCancel, "not-acceptable", "The login was given up, because the account was removed.")
	errTooLong    = component.NewStanzaError(stanza.ErrorTypeWait, "remote-server-timeout", "The login took too long and was given up. Please begin again.")
	errCrowded    = component.NewStanzaError(stanza.ErrorTypeCancel, "conflict", "You began too many logins at a time, so this one was given up.")
	errFault      = errors.New("the driver panicked")
	errStopping   = component.NewStanzaError(stanza.ErrorTypeWait, "service-unavailable", "The gateway is being stopped, so the login was given up. Please begin again when it is back.")
)

// login is a login under way: a bridges.Login, and one who uses it at a time. It
// ends when it is done, when it is given up, and when it took too long.
type login struct {
	s      *Service
	user   component.JID // bare
	id     bridges.NetworkID
	stored *Account // when it began; nil: the user was not registered
	again  bool     // the account is connected afterwards, whatever it was before

	ctx    context.Context // done when it ends, the cause says why
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when nothing of it runs any more

	use     chan struct{} // full while the driver works on it, and while it is saved
	driver  bridges.Login
	done    bool            // the driver has said so
	counted bool            // the next answer was counted as an attempt already
	secret  map[string]bool // names of what is never stored open
	begun   time.Time

	waiting bool             // in the background; guarded by logins.mu
	picture *component.Media // shown with the present step; guarded by logins.mu
}

type loginKey struct {
	user    component.JID
	network bridges.NetworkID
}

// logins are those under way: one of each account, the newest.
type logins struct {
	base    context.Context
	stop    context.CancelCauseFunc
	tasks   sync.WaitGroup // what ends logins, and what waits in the background
	mu      sync.Mutex
	stopped bool
	all     map[loginKey]*login
}

func newLogins() *logins {
	l := &logins{all: make(map[loginKey]*login)}
	l.base, l.stop = context.WithCancelCause(context.Background())
	return l
}

// begin begins a login, in the place of one of the same account that is under way,
// and counts it as an attempt. stored is nil in a new account.
func (s *Service) begin(ctx context.Context, user component.JID, network bridges.NetworkID, stored *Account, again bool) (*login, error) {
	if err := s.limit.attempt(user); err != nil {
		return nil, err
	}
	l := &login{
		s: s, user: user.Bare(), id: network, stored: stored, again: again,
		use: make(chan struct{}, 1), ended: make(chan struct{}), driver: s.newLogin(user, network, stored), counted: true, secret: make(map[string]bool), begun: time.Now(),
	}
	if stored != nil {
		l.conceal(stored)
	}
	key := loginKey{l.user, network}
	for {
		before, err := s.logins.add(key, l, s.cfg.LoginTime)
		if err != nil {
			return nil, err
		}
		if before == nil {
			return l, nil
		}
		if before.id == network {
			before.end(errSuperseded)
		} else {
			before.end(errCrowded)
		}
		if err := s.awaitEnd(ctx, before); err != nil {
			return nil, err
		}
	}
}

// awaitEnd waits until nothing of a login runs any more.
func (s *Service) awaitEnd(ctx context.Context, l *login) error {
	limit := time.NewTimer(s.cfg.CheckTime)
	defer limit.Stop()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
	case <-limit.C:
	}
	return component.NewStanzaError(stanza.ErrorTypeWait, "resource-constraint", "Your last login is still being worked on. Please try again in a while.")
}

// newLogin asks the driver for a login.
func (s *Service) newLogin(user component.JID, network bridges.NetworkID, stored *Account) bridges.Login {
	return s.driver.NewLogin(s.forDriver(user, network, stored))
}

// forDriver is an account as drivers get it.
func (s *Service) forDriver(user component.JID, network bridges.NetworkID, stored *Account) bridges.Account {
	a := bridges.Account{
		Owner: user.Bare().String(), Network: network, Nick: component.UnescapeLocal(user.Local),
		Log: s.log.With("user", user.Bare().String(), "network", string(network)),
	}
	if stored != nil {
		a.Settings = stored.all()
		if s.cfg.State != nil {
			a.State = s.cfg.State(user.Bare(), network)
		}
	}
	return a
}

// add puts a login among those under way, or returns the one that has to end first.
func (ls *logins) add(key loginKey, l *login, limit time.Duration) (before *login, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.stopped {
		return nil, errStopping
	}
	if before = ls.all[key]; before != nil {
		return before, nil
	}
	if len(ls.all) >= maxLogins {
		return nil, component.NewStanzaError(stanza.ErrorTypeWait, "resource-constraint", "Too many logins are under way at present. Please try again in a while.")
	}
	own := 0
	for _, other := range ls.all {
		if other.user != key.user {
			continue
		}
		own++
		if before == nil || other.begun.Before(before.begun) {
			before = other
		}
	}
	if own >= maxUserLogins {
		return before, nil
	}
	ls.all[key] = l
	ctx, cancel := context.WithCancelCause(ls.base)
	timed, stopTimer := context.WithTimeoutCause(ctx, limit, errTooLong)
	l.ctx, l.cancel = timed, cancel
	ls.tasks.Add(1)
	context.AfterFunc(timed, func() {
		defer ls.tasks.Done()
		defer stopTimer()
		l.close(key)
	})
	return nil, nil
}

// end ends a login; a second cause changes nothing. It does not wait.
func (l *login) end(cause error) { l.cancel(cause) }

// over reports whether a login has ended.
func (l *login) over() bool { return l.ctx.Err() != nil }

// close forgets a login that has ended, and lets go of what the driver has begun.
func (l *login) close(key loginKey) {
	l.use <- struct{}{} // what runs ends first: its context is done
	if !l.done {
		l.s.guard("cancel", l.driver.Cancel)
	}
	<-l.use
	ls := l.s.logins
	ls.mu.Lock()
	if ls.all[key] == l {
		delete(ls.all, key)
	}
	ls.mu.Unlock()
	close(l.ended)
}

// guard runs what a driver does outside of the workers; a panic in it costs this
// call alone. It reports whether there was none.
func (s *Service) guard(what string, f func()) (fine bool) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanic(what, r)
			fine = false
		}
	}()
	f()
	return true
}

// giveUp ends the logins of a user with a network, or all, and waits until nothing
// of them can be stored any more. The error says that this took too long.
func (s *Service) giveUp(ctx context.Context, user component.JID, network bridges.NetworkID, cause error) error {
	for _, l := range s.logins.of(user, func(l *login) bool { return network == "" || l.id == network }) {
		l.end(cause)
		if err := s.awaitEnd(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// of returns a user's logins that fit, in the order they began.
func (ls *logins) of(user component.JID, fits func(*login) bool) []*login {
	user = user.Bare()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var own []*login
	for _, l := range ls.all {
		if l.user == user && fits(l) {
			own = append(own, l)
		}
	}
	slices.SortFunc(own, func(a, b *login) int { return a.begun.Compare(b.begun) })
	return own
}

// Stop gives up the logins under way, tells the users who wait for one, and returns
// when nothing of them runs any more, or ctx is done.
func (s *Service) Stop(ctx context.Context) error {
	s.logins.mu.Lock()
	s.logins.stopped = true
	s.logins.mu.Unlock()
	s.logins.stop(errStopping)
	ended := make(chan struct{})
	go func() { s.logins.tasks.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("registration: not every login ended in time")
	}
}

// answer gives the driver what the user answered. A step that is Done has been
// saved. After an error that is no refusal, and none of the network's being out of
// reach, the login is over.
func (l *login) answer(ctx context.Context, answers *Account) (bridges.LoginStep, error) {
	select {
	case l.use <- struct{}{}:
	case <-ctx.Done():
		return bridges.LoginStep{}, component.NewStanzaError(stanza.ErrorTypeWait, "resource-constraint", "Your last answer is still being worked on.")
	}
	defer func() { <-l.use }()
	fault := true
	defer func() {
		if fault {
			l.end(errFault)
		}
	}()
	l.conceal(answers)
	step, err := l.ask(ctx, answers)
	if err == nil {
		step, err = l.took(ctx, step)
	} else if !isRefusal(err) && !unreachable(err) {
		l.end(err)
	}
	fault = false
	return step, err
}

// took goes on with what the driver returned. Called with use held.
func (l *login) took(ctx context.Context, step bridges.LoginStep) (bridges.LoginStep, error) {
	var err error
	switch {
	case step.Done:
		if err = l.save(ctx, step); err == nil {
			l.end(errDone)
		}
	case len(step.Fields) == 0 && !step.Waits:
		err = errors.New("a login asks for nothing and is not done")
	}
	if err != nil {
		l.end(err)
	}
	l.counted = true
	return step, err
}

// conceal notes what is never stored open.
func (l *login) conceal(a *Account) {
	for name := range a.Secrets {
		l.secret[name] = true
	}
}

func (l *login) ask(ctx context.Context, answers *Account) (bridges.LoginStep, error) {
	if l.over() {
		return bridges.LoginStep{}, context.Cause(l.ctx)
	}
	if !l.counted {
		if err := l.s.limit.attempt(l.user); err != nil {
			return bridges.LoginStep{}, err
		}
	}
	l.counted = false
	ctx, cancel := context.WithTimeout(ctx, l.s.cfg.CheckTime)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	step, err := l.driver.Answer(ctx, answers.all())
	if err != nil && l.over() {
		return step, context.Cause(l.ctx)
	}
	var known *bridges.Error
	if err != nil && !errors.As(err, &known) && ctx.Err() != nil {
		err = bridges.NewError(bridges.Timeout, "The network did not answer in time.")
	}
	return step, err
}

// save stores what a login that is done has brought. Called with use held.
func (l *login) save(ctx context.Context, step bridges.LoginStep) error {
	l.done = true
	a := brought(l.id, step, l.secret)
	err := context.Cause(l.ctx) // given up while the network was at it
	if err == nil && !l.s.cfg.Allowed(l.user) {
		err = l.s.forbidden()
	}
	if err == nil {
		err = l.s.save(ctx, l.user, &a, l.again)
	}
	if err != nil && l.stored == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
		defer cancel()
		l.s.leave(ctx, l.user, &a)
	}
	return err
}

// brought is the account a login that is done has brought. What is secret is not
// stored open, whatever the driver says.
func brought(network bridges.NetworkID, step bridges.LoginStep, secret map[string]bool) Account {
	a := Account{Network: network, Settings: make(map[string]string), Secrets: make(map[string]string)}
	for name, value := range step.Settings {
		if secret[name] {
			a.Secrets[name] = value
		} else {
			a.Settings[name] = value
		}
	}
	maps.Copy(a.Secrets, step.Secrets)
	for name := range step.Secrets {
		delete(a.Settings, name)
	}
	return a
}

func (s *Service) logPanic(what string, r any) {
	s.log.Error("driver panicked", "call", what, "panic", r, "stack", string(debug.Stack()))
}

// leave tells a network that an account ends, as far as it wants to know. That it
// fails is logged.
func (s *Service) leave(ctx context.Context, user component.JID, a *Account) {
	s.guard("logout", func() {
		if err := s.driver.Logout(ctx, s.forDriver(user, a.Network, a)); err != nil {
			s.log.Warn("the network was not told that an account ends", "user", user.Bare().String(), "network", string(a.Network), "err", err)
		}
	})
}
