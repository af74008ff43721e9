package bridges

import (
	"context"
	"maps"
)

// Login is one attempt to log an account in: a few steps, of which the first takes
// the answers to Driver.Fields. It is used by one goroutine at a time. What fails
// with an *Error of a refusing kind may be answered again; Offline, Timeout and
// TemporaryRefuse mean that the network could not be asked, and it may be answered
// again too.
type Login interface {
	// Answer takes the answers to what was asked last, and says what comes next. It
	// blocks under ctx. The first answers of an account that is stored are all that
	// is stored of it (Account.Settings) with what the user has changed; a secret that
	// equals the stored one was not given anew. A secret of Driver.Fields may be
	// missing there, also where it is Required: an account whose login still holds is
	// then kept, with everything of it among what is to be stored; for one that needs
	// to log in again the login asks for what it needs, or fails with BadCredentials.
	Answer(ctx context.Context, answers map[string]string) (LoginStep, error)
	// Wait blocks until the user has done elsewhere what a step with Waits asks for,
	// or ctx is done, and says what comes next.
	Wait(ctx context.Context) (LoginStep, error)
	// Cancel gives up. Nothing is left at the network of a login that was not Done.
	// Nothing else is called afterwards. It is called in place of a further answer,
	// not during one, and not after Done.
	Cancel()
}

// Unchecked is a Login whose account is what the user answered, so that it can be
// stored also when the network could not be asked about it.
type Unchecked interface {
	// Unchecked is the step that Answer would have led to. No I/O.
	Unchecked(answers map[string]string) LoginStep
}

// LoginStep is where a login stands: it is done, or has Fields to be answered, or
// Waits.
type LoginStep struct {
	// Done: the account may be stored, with Settings in place of what was answered.
	Done bool
	// Settings by Field.Name, and others the driver adds for itself; those in
	// Secrets are sealed, and neither is ever shown unless a Field asks for it.
	Settings, Secrets map[string]string

	Text   string  // what is to be done, in sentences
	Fields []Field // to be answered
	Waits  bool    // something is to be done elsewhere: with URL and Code
	URL    string
	Code   string
}

// CheckLogin is the login of a network whose accounts are what the user answered,
// once Check has accepted it.
type CheckLogin struct {
	Account Account
	Fields  []Field // of Account.Network: which of them are secret
	Check   func(ctx context.Context, a Account) error
}

// Answer implements Login.
func (l *CheckLogin) Answer(ctx context.Context, answers map[string]string) (LoginStep, error) {
	a := l.Account
	a.Settings = maps.Clone(answers)
	if err := l.Check(ctx, a); err != nil {
		return LoginStep{}, err
	}
	return l.Unchecked(answers), nil
}

// Unchecked implements Unchecked.
func (l *CheckLogin) Unchecked(answers map[string]string) LoginStep {
	step := LoginStep{Done: true, Settings: maps.Clone(answers), Secrets: map[string]string{}}
	for _, f := range l.Fields {
		if v, ok := step.Settings[f.Name]; ok && f.Kind == FieldSecret {
			delete(step.Settings, f.Name)
			step.Secrets[f.Name] = v
		}
	}
	return step
}

// Wait implements Login: there is nothing to wait for.
func (l *CheckLogin) Wait(context.Context) (LoginStep, error) {
	return LoginStep{}, NewError(Unsupported, "There is nothing to wait for.")
}

// Cancel implements Login.
func (l *CheckLogin) Cancel() {}
