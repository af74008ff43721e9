package registration

import (
	"context"
	"errors"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Times of telling a user how a login goes on.
const (
	tellTime  = 5 * time.Second  // one message
	tellAgain = 5 * time.Second  // between attempts, while there is no stream
	tellFor   = 10 * time.Minute // all attempts
)

// verbRegister is the command whose questions go on after a wait.
const verbRegister = "register"

// wait has a login wait in the background for what the user does elsewhere, until it
// ends, or there is a question. The user is told by messages.
func (s *Service) wait(l *login) {
	if !s.logins.waits(l, true) {
		return // stopped, or over: then whoever ended it has said why
	}
	go func() {
		defer s.logins.tasks.Done()
		l.use <- struct{}{}
		step, err := l.wait()
		<-l.use
		s.logins.waits(l, false)
		s.waited(l, step, err)
	}()
}

// waits notes whether a login waits in the background. It reports whether it may
// begin to, which counts as a task.
func (ls *logins) waits(l *login, on bool) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if on && (ls.stopped || l.waiting || l.over()) {
		return false
	}
	l.waiting = on
	if on {
		ls.tasks.Add(1)
	}
	return true
}

// wait blocks until the driver has something new, and saves what is done. Called with
// use held.
func (l *login) wait() (step bridges.LoginStep, err error) {
	if !l.s.guard("wait", func() { step, err = l.driver.Wait(l.ctx) }) {
		err = errFault
	}
	if err != nil {
		if l.over() {
			err = context.Cause(l.ctx)
		}
		l.end(err) // nothing was asked that could be answered again
		return step, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), saveTime)
	defer cancel()
	return l.took(ctx, step)
}

// waited tells the user what a wait has brought.
func (s *Service) waited(l *login, step bridges.LoginStep, err error) {
	ctx := context.Background()
	name := s.networkName(l.id)
	switch {
	case errors.Is(err, errSuperseded), errors.Is(err, errCancelled), errors.Is(err, errRemoved):
		return // by the user, who was told
	case err != nil:
		s.logFault(l, err)
		s.speak(ctx, l, component.Done("The login to "+name+" has failed: "+s.words(err)))
	case step.Done:
		s.speak(ctx, l, component.Done(s.doneText(l.id, l.stored == nil, l.again)))
		asked, cancel := context.WithTimeout(ctx, tellTime)
		defer cancel()
		s.welcome(asked, l.user)
	case len(step.Fields) > 0:
		s.speak(ctx, l, s.askMore(l, step, ""))
	default:
		s.speak(ctx, l, s.showWait(l, step, ""))
	}
}

// logFault logs the end of a login that is not the user's or the network's doing.
func (s *Service) logFault(l *login, err error) {
	if bridges.AsError(err).Kind == bridges.Internal && !errors.As(err, new(*component.StanzaError)) {
		s.log.Error("login failed", "user", l.user.String(), "network", string(l.id), "err", err)
	}
}

// speak tells the user a step by a message of the gateway's. While there is no stream
// it is tried again for a while, unless the gateway stops.
func (s *Service) speak(ctx context.Context, l *login, step *component.Step) {
	giveUp := time.Now().Add(tellFor)
	for {
		err := s.speakOnce(ctx, l.user, step)
		if err == nil || !errors.Is(err, component.ErrDown) || time.Now().After(giveUp) {
			s.spoke(l.user, step, err)
			return
		}
		select {
		case <-time.After(tellAgain):
		case <-s.logins.base.Done():
			s.spoke(l.user, step, err)
			return
		}
	}
}

func (s *Service) speakOnce(ctx context.Context, user component.JID, step *component.Step) error {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	return s.commands.Speak(ctx, s.address(""), user, verbRegister, step)
}

// speakTo tells the client that has just asked for something.
func (s *Service) speakTo(ctx context.Context, client component.JID, step *component.Step) {
	s.spoke(client, step, s.speakOnce(ctx, client, step))
}

// spoke gives up a login that would go on with what the user was not told.
func (s *Service) spoke(user component.JID, step *component.Step, err error) {
	if err == nil {
		return
	}
	s.log.Warn("a user was not told how a login goes on", "user", user.Bare().String(), "err", err)
	if step.Dropped != nil {
		step.Dropped()
	}
}
