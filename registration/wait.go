package registration

import (
	"context"
	"errors"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// tellTime bounds what telling a user of a login's end may take.
const tellTime = 5 * time.Second

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
	ctx, cancel := context.WithTimeout(context.Background(), tellTime)
	defer cancel()
	name := s.networkName(l.id)
	switch {
	case errors.Is(err, errSuperseded), errors.Is(err, errCancelled), errors.Is(err, errRemoved):
		return // by the user, who was told
	case err != nil:
		s.logFault(l, err)
		s.speak(ctx, l, component.Done("The login to "+name+" has failed: "+s.words(err)))
	case step.Done:
		s.speak(ctx, l, component.Done(s.doneText(l.id, l.stored == nil, l.again)))
		s.welcome(ctx, l.user)
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

// speak tells the user a step by a message of the gateway's.
func (s *Service) speak(ctx context.Context, l *login, step *component.Step) {
	s.speakTo(ctx, l.user, step)
}

// speakTo is speak for one client, or with a bare JID for all. Without a stream the
// message is lost, and a login that would go on with it is given up.
func (s *Service) speakTo(ctx context.Context, user component.JID, step *component.Step) {
	if err := s.commands.Speak(ctx, s.address(""), user, verbRegister, step); err != nil {
		s.log.Debug("the user was not told of a login", "user", user.String(), "err", err)
		if step.Dropped != nil {
			step.Dropped()
		}
	}
}
