package registration

import (
	"context"
	"slices"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
)

// attempt is a registration, a change or a new login under way, by command. Known is
// what is stored, or was answered already.
type attempt struct {
	network    bridges.NetworkID
	stored     *Account // nil: not registered
	everything bool     // the rarely needed settings too
	again      bool     // a new login of an account that stays as it is
	known      *Account
	login      *login // nil, or over: the next answer begins one
}

// submit gives the network the first answers of a login: over what is stored now, not
// when the form was shown, as a login may have been stored since.
func (s *Service) submit(ctx context.Context, call *component.Call, t attempt, fields []bridges.Field) (*component.Step, error) {
	if t.known == t.stored {
		stored, err := s.account(ctx, call.From, t.network)
		if err != nil {
			return nil, err
		}
		t.stored, t.known = stored, stored
	}
	a := merge(fields, t.known, call.Values)
	a.Network = t.network
	return s.try(ctx, call, t, &a)
}

// try is submit with all that the account has now.
func (s *Service) try(ctx context.Context, call *component.Call, t attempt, a *Account) (*component.Step, error) {
	if t.login == nil || t.login.over() {
		var err error
		if t.login, err = s.begin(ctx, call.From, t.network, t.stored, t.again); err != nil {
			return nil, err
		}
	}
	step, err := t.login.answer(ctx, a)
	if err == nil {
		return s.next(ctx, call, t, step)
	}
	t.known = a // what was answered is offered again: only what was wrong need be typed
	unchecked, can := t.login.driver.(bridges.Unchecked)
	switch {
	case unreachable(err) && t.again:
		t.login.end(err)
		return component.Done(s.words(err) + " Nothing was changed. Please try again later."), nil
	case unreachable(err) && can:
		saved := brought(t.network, unchecked.Unchecked(a.all()), t.login.secret)
		t.login.end(errCancelled)
		return s.askUnchecked(t, saved, s.words(err)), nil
	case unreachable(err) || isRefusal(err):
		return s.askSettings(t, s.words(err)), nil
	}
	return nil, s.cfg.StanzaError(err)
}

// next shows where a login stands.
func (s *Service) next(ctx context.Context, call *component.Call, t attempt, step bridges.LoginStep) (*component.Step, error) {
	switch {
	case step.Done:
		s.welcome(ctx, call.From)
		return component.Done(s.doneText(t.network, t.stored == nil, t.again)), nil
	case len(step.Fields) > 0:
		return s.askMore(t.login, step, ""), nil
	}
	hint := ""
	if !call.Chat {
		hint = waitForm
	}
	return s.showWait(t.login, step, hint), nil
}

// doneText says that an account is stored.
func (s *Service) doneText(network bridges.NetworkID, first, again bool) string {
	switch {
	case first:
		return "You are registered with " + s.networkName(network) + "."
	case again:
		return "You are logged in to " + s.networkName(network) + " again."
	}
	return "The account with " + s.networkName(network) + " was changed."
}

// askMore asks for what a login needs beside the first answers.
func (s *Service) askMore(l *login, step bridges.LoginStep, problem string) *component.Step {
	form := component.NewForm("Logging in to "+s.networkName(l.id), nil, s.shownFields(l, step)...)
	if step.Text != "" {
		form.Instructions = []string{step.Text}
	}
	form.Fields = append(form.Fields, formFields(step.Fields, nil, false)...)
	question := &component.Step{
		Form: form, Note: problem, Last: true,
		Dropped: func() { l.end(errCancelled) },
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			a := merge(step.Fields, nil, call.Values)
			got, err := l.answer(ctx, &a)
			if err == nil {
				return s.next(ctx, call, attempt{network: l.id, stored: l.stored, again: l.again, login: l}, got)
			}
			if unreachable(err) || isRefusal(err) {
				return s.askMore(l, step, s.words(err)), nil
			}
			return nil, s.cfg.StanzaError(err)
		},
	}
	if problem != "" {
		question.NoteType = component.NoteError
	}
	return question
}

// shownFields show where the user has to go, and with which code.
func (s *Service) shownFields(l *login, step bridges.LoginStep) []component.FormField {
	var fields []component.FormField
	var picture *component.Media
	if step.URL != "" {
		picture = s.qr(step.URL)
		fields = append(fields, component.FormField{
			Var: "url", Type: component.FieldFixed, Label: "Address", Values: []string{step.URL}, Media: picture,
		})
	}
	if step.Code != "" {
		fields = append(fields, component.FormField{Var: "code", Type: component.FieldFixed, Label: "Code", Values: []string{step.Code}})
	}
	s.logins.show(l, picture)
	return fields
}

// show notes the picture that is shown with the present step.
func (ls *logins) show(l *login, picture *component.Media) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l.picture = picture
}

// picture returns the picture of that name that one of a user's logins shows, or nil.
func (s *Service) picture(user component.JID, cid string) *component.Bits {
	var found *component.Media
	s.logins.of(user, func(l *login) bool {
		fits := l.picture != nil && l.picture.CID() == cid
		if fits {
			found = l.picture
		}
		return fits
	})
	if found == nil {
		return nil
	}
	return &found.Bits
}

// Words around a login that waits.
const (
	waitChat = "You are told here when it is done. Send “cancel” to give it up."
	waitForm = "You are told by a message when it is done; this form need not stay open. To give it up, use the command “Give up the login that waits”."
)

// showWait shows what the user has to do elsewhere. The login waits for it in the
// background, as soon as the user has been told. The hint is what the user may do
// meanwhile; an empty one is for the chat.
func (s *Service) showWait(l *login, step bridges.LoginStep, hint string) *component.Step {
	if hint == "" {
		hint = waitChat
	}
	return &component.Step{
		Note:    joinSentences(step.Text, hint),
		Form:    &component.Form{Type: component.FormResult, Title: "Logging in to " + s.networkName(l.id), Fields: s.shownFields(l, step)},
		Sent:    func() { s.wait(l) },
		Dropped: func() { l.end(errCancelled) },
	}
}

// askUnchecked offers to save what the network could not be asked about.
func (s *Service) askUnchecked(t attempt, a Account, problem string) *component.Step {
	return &component.Step{
		Form: component.NewForm("Save all the same?", []string{
			problem,
			"So nobody knows whether the account is right. It can be saved all the same; the gateway will then try to log in with it.",
		}, component.FormField{
			Var: fieldUnchecked, Type: component.FieldBoolean, Label: "Save it unchecked", Required: true,
		}),
		Last: true,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			if !call.Values.Bool(fieldUnchecked) {
				return component.Done("Nothing was saved."), nil
			}
			if err := s.save(ctx, call.From, &a, false); err != nil {
				return nil, err
			}
			s.welcome(ctx, call.From)
			return component.Done(s.doneText(t.network, t.stored == nil, false)), nil
		},
	}
}

// addLogins adds what begins a login again and gives one up.
func (s *Service) addLogins(c *component.Commands) {
	c.OnCancel(s.cancelWaiting)
	c.Add(
		component.Command{
			Node: "relogin", Verb: "relogin", Name: "Log in again, from the beginning",
			Help:    "asks a network to take the login of your account anew, where it refused the one that is stored. All that is set is kept.",
			Args:    []string{fieldNetwork},
			Targets: both, Allowed: s.cfg.Allowed,
			Run: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				return s.pickOne(ctx, call, "Log in again", s.relogin)
			},
		},
		component.Command{
			Node: "cancel-login", Name: "Give up the login that waits",
			Targets: both, Allowed: func(user component.JID) bool { return len(s.logins.of(user, isWaiting)) > 0 },
			Run: func(_ context.Context, call *component.Call) (*component.Step, error) {
				if text := s.cancelWaiting(call.From); text != "" {
					return component.Done(text), nil
				}
				return component.Done("No login waits for you."), nil
			},
		},
	)
}

func isWaiting(l *login) bool { return l.waiting }

// cancelWaiting gives up the logins of a user that wait in the background, and says
// so; empty when there is none.
func (s *Service) cancelWaiting(user component.JID) string {
	var names []string
	for _, l := range s.logins.of(user, isWaiting) {
		l.end(errCancelled)
		names = append(names, s.networkName(l.id))
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "The login to " + joinNames(names) + " is given up."
}

// relogin begins a login with all that is stored; only what is missing is asked for.
func (s *Service) relogin(ctx context.Context, call *component.Call, network bridges.NetworkID) (*component.Step, error) {
	stored, err := s.account(ctx, call.From, network)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, component.NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "You are not registered with "+s.networkName(network)+".")
	}
	return s.try(ctx, call, attempt{network: network, stored: stored, again: true, known: stored}, stored)
}
