package registration

import (
	"context"
	"slices"

	"transportd/bridges"
	"transportd/component"
)

// both are the addresses accounts are dealt with at.
var both = []component.AddressKind{component.AddressHost, component.AddressNetwork}

// addCommands adds what changes an account.
func (s *Service) addCommands(c *component.Commands) {
	c.Add(
		component.Command{
			Node: "jabber:iq:register", Verb: "register", Name: "Register or change an account",
			Help:    "registers you with a network, so that the gateway logs you in by itself. Once you are registered it changes the account.",
			Args:    []string{fieldNetwork},
			Targets: both, Allowed: s.cfg.Allowed,
			Run: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				return s.beginRegister(ctx, call, false)
			},
		},
		component.Command{
			Verb: "configure", Name: "Register, with all there is to set",
			Help:    "is like “register”, and asks about the rarely needed settings too.",
			Args:    []string{fieldNetwork},
			Targets: both, Allowed: s.cfg.Allowed,
			Run: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				return s.beginRegister(ctx, call, true)
			},
		},
		component.Command{
			Node: "unregister", Verb: "unregister", Name: "Remove an account",
			Help:    "logs you out, leaves all rooms and forgets the account with its password.",
			Args:    []string{fieldNetwork},
			Targets: both,
			Run:     s.beginUnregister,
		},
	)
}

// beginRegister asks for the network, where the address does not tell it.
func (s *Service) beginRegister(ctx context.Context, call *component.Call, everything bool) (*component.Step, error) {
	network, err := s.target(call.To)
	if err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	if network != "" {
		return s.askAccount(ctx, call, network, everything)
	}
	return s.askNetwork("", everything), nil
}

// askNetwork asks which network it shall be.
func (s *Service) askNetwork(problem string, everything bool) *component.Step {
	var question []component.FormField
	for _, f := range s.driver.Fields("") {
		if f.Name == fieldNetwork {
			question = formFields([]bridges.Field{f}, nil, false)
			question[0].Required = true
		}
	}
	step := &component.Step{
		Form: component.NewForm("Register with "+s.cfg.Name, nil, question...),
		Note: problem,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			network, err := s.network(call.Values.Get(fieldNetwork))
			if err != nil {
				return s.askNetwork(s.words(err), everything), nil
			}
			return s.askAccount(ctx, call, network, everything)
		},
	}
	if problem != "" {
		step.NoteType = component.NoteError
	}
	return step
}

// askAccount asks for the account with a network.
func (s *Service) askAccount(ctx context.Context, call *component.Call, network bridges.NetworkID, everything bool) (*component.Step, error) {
	stored, err := s.account(ctx, call.From, network)
	if err != nil {
		return nil, err
	}
	return s.askSettings(attempt{network: network, stored: stored, everything: everything, known: stored}, ""), nil
}

// askSettings asks for the fields of a network, with what went wrong before.
func (s *Service) askSettings(t attempt, problem string) *component.Step {
	fields := s.driver.Fields(t.network)
	if len(fields) == 0 && problem != "" {
		return component.Done(problem)
	}
	questions := formFields(fields, t.known, t.stored != nil)
	t.narrow(fields, questions)
	name := s.networkName(t.network)
	var intro []string
	switch {
	case problem != "": // said the first time
	case t.stored == nil:
		intro = []string{"You are not registered with " + name + " yet."}
	default:
		intro = []string{"You are registered with " + name + "; here you can change the account."}
	}
	step := &component.Step{
		Form: component.NewForm("Account with "+name, intro, questions...),
		Note: problem,
		Last: true,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			return s.submit(ctx, call, t, fields)
		},
	}
	if problem != "" {
		step.NoteType = component.NoteError
	}
	if t.login != nil {
		step.Dropped = func() { t.login.end(errCancelled) }
	}
	return step
}

// narrow decides what is asked for where fields are asked for one by one. After a new
// login was refused that is what is secret; never is it nothing.
func (t *attempt) narrow(fields []bridges.Field, questions []component.FormField) {
	plain := func(q component.FormField) bool { return !q.Advanced }
	if t.again && slices.ContainsFunc(questions, func(q component.FormField) bool { return plain(q) && q.Type == component.FieldTextPrivate }) {
		for i, f := range fields {
			questions[i].Advanced = questions[i].Advanced || f.Kind != bridges.FieldSecret
		}
		return
	}
	if t.everything || !slices.ContainsFunc(questions, plain) {
		for i := range questions {
			questions[i].Advanced = false
		}
	}
}

// everyAccount is the choice that stands for all of a user's accounts.
const everyAccount = "all"

// picked goes on with one of the user's accounts.
type picked func(ctx context.Context, call *component.Call, network bridges.NetworkID) (*component.Step, error)

// pick asks for one of the user's accounts, or all of them, where there is a
// choice, and goes on with it. The network is empty for all.
func (s *Service) pick(ctx context.Context, call *component.Call, title string, then picked) (*component.Step, error) {
	return s.pickFrom(ctx, call, title, then, component.FormField{
		Options: []component.Option{{Label: "all of them", Value: everyAccount}}, Values: []string{everyAccount},
	})
}

// pickOne is pick without the choice of all.
func (s *Service) pickOne(ctx context.Context, call *component.Call, title string, then picked) (*component.Step, error) {
	return s.pickFrom(ctx, call, title, then, component.FormField{})
}

func (s *Service) pickFrom(ctx context.Context, call *component.Call, title string, then picked, field component.FormField) (*component.Step, error) {
	accounts, err := s.cfg.Accounts.Accounts(ctx, call.From.Bare())
	if err != nil {
		return nil, err
	}
	network, err := s.target(call.To)
	if err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	if network != "" {
		if !slices.ContainsFunc(accounts, func(a Account) bool { return a.Network == network }) {
			return component.Done("You are not registered with " + s.networkName(network) + "."), nil
		}
		return then(ctx, call, network)
	}
	switch {
	case len(accounts) == 0:
		return component.Done("You are not registered with any network."), nil
	case len(accounts) == 1 && call.Typed[fieldNetwork] == "":
		return then(ctx, call, accounts[0].Network)
	}
	field.Var, field.Type, field.Label, field.Required = fieldNetwork, component.FieldListSingle, "Network", true
	for _, a := range accounts {
		field.Options = append(field.Options, component.Option{Label: s.networkName(a.Network), Value: string(a.Network)})
	}
	return &component.Step{
		Form: component.NewForm(title, nil, field),
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			picked := call.Values.Get(fieldNetwork)
			if picked == everyAccount {
				picked = ""
			}
			return then(ctx, call, bridges.NetworkID(picked))
		},
	}, nil
}

// beginUnregister asks what shall be removed, and whether it shall.
func (s *Service) beginUnregister(ctx context.Context, call *component.Call) (*component.Step, error) {
	accounts, err := s.cfg.Accounts.Accounts(ctx, call.From.Bare())
	if err != nil {
		return nil, err
	}
	if len(accounts) == 0 {
		if text := s.cancelWaiting(call.From); text != "" {
			return component.Done(text), nil
		}
	}
	return s.pick(ctx, call, "Remove an account",
		func(_ context.Context, _ *component.Call, network bridges.NetworkID) (*component.Step, error) {
			return s.confirmRemoval(network), nil
		})
}

func (s *Service) confirmRemoval(network bridges.NetworkID) *component.Step {
	what := "the account with " + s.networkName(network)
	if network == "" {
		what = "all accounts"
	}
	return &component.Step{
		Form: component.NewForm("Remove an account", []string{
			"This removes " + what + ": you leave its rooms, and its settings and password are forgotten.",
		}, component.FormField{Var: fieldConfirm, Type: component.FieldBoolean, Label: "Remove " + what, Required: true}),
		Last: true,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			if !call.Values.Bool(fieldConfirm) {
				return component.Done("Nothing was removed."), nil
			}
			gone, err := s.remove(ctx, call.From, network)
			if err != nil {
				return nil, err
			}
			s.depart(ctx, call.From, gone)
			return component.Done("You are not registered any more: " + what + " was removed."), nil
		},
	}
}
