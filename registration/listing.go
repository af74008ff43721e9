package registration

import (
	"context"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// addListing adds what shows accounts, and logs in and out.
func (s *Service) addListing(c *component.Commands) {
	c.Add(
		component.Command{
			Node: "accounts", Verb: "show", Name: "Show what is registered",
			Help:    "shows your accounts, how their links are, and what is set. Passwords are never shown.",
			Args:    []string{fieldNetwork},
			Targets: both, Run: s.show,
		},
		component.Command{
			Node: "login", Verb: "login", Name: "Log in",
			Help:    "connects you to a network you are registered with, or to all of them.",
			Args:    []string{fieldNetwork},
			Targets: both, Allowed: s.cfg.Allowed,
			Run: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				return s.pick(ctx, call, "Log in", s.runLogin)
			},
		},
		component.Command{
			Node: "logout", Verb: "logout", Name: "Log out",
			Help:    "leaves all rooms and disconnects you. The accounts are kept.",
			Args:    []string{fieldNetwork},
			Targets: both,
			Run: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				return s.pick(ctx, call, "Log out", s.runLogout)
			},
		},
	)
}

func (s *Service) runLogin(ctx context.Context, call *component.Call, network bridges.NetworkID) (*component.Step, error) {
	if err := s.limit.attempt(call.From); err != nil {
		return nil, err
	}
	if err := s.login(ctx, call.From, network); err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	if network == "" {
		return component.Done("Logging in to all your networks."), nil
	}
	return component.Done("Logging in to " + s.networkName(network) + "."), nil
}

func (s *Service) runLogout(ctx context.Context, call *component.Call, network bridges.NetworkID) (*component.Step, error) {
	accounts, err := s.cfg.Accounts.Accounts(ctx, call.From.Bare())
	if err != nil {
		return nil, err
	}
	if err := s.logout(ctx, call.From, network, len(accounts)); err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	if network == "" {
		return component.Done("You are logged out of all networks. Your accounts are kept."), nil
	}
	return component.Done("You are logged out of " + s.networkName(network) + ". Your account is kept."), nil
}

// show shows all accounts, or that with the network that was asked about.
func (s *Service) show(ctx context.Context, call *component.Call) (*component.Step, error) {
	accounts, err := s.cfg.Accounts.Accounts(ctx, call.From.Bare())
	if err != nil {
		return nil, err
	}
	network, err := s.target(call.To)
	if err == nil && network == "" && call.Typed[fieldNetwork] != "" {
		network, err = s.network(call.Typed[fieldNetwork])
	}
	if err != nil {
		return nil, s.cfg.StanzaError(err)
	}
	form := &component.Form{Type: component.FormResult, Title: "What is registered"}
	for i := range accounts {
		a := &accounts[i]
		if network == "" || a.Network == network {
			form.Fields = append(form.Fields, s.shown(call.From, a)...)
		}
	}
	switch {
	case len(form.Fields) > 0:
		return &component.Step{Form: form}, nil
	case network != "":
		return component.Done("You are not registered with " + s.networkName(network) + "."), nil
	}
	return component.Done("You are not registered with any network."), nil
}

// shown describes an account, with the presence of its secrets but not what they
// are.
func (s *Service) shown(user component.JID, a *Account) []component.FormField {
	id := string(a.Network)
	state, _ := s.cfg.Sessions.State(user.Bare(), a.Network)
	if state == "" {
		state = "not connected"
	}
	fields := []component.FormField{{
		Var: id, Type: component.FieldTextSingle, Label: s.networkName(a.Network), Values: []string{state},
	}}
	for _, f := range s.driver.Fields(a.Network) {
		value, set := a.value(f)
		if !set {
			continue
		}
		shown := component.FormField{Var: id + "#" + f.Name, Type: fieldTypes[f.Kind], Label: f.Label}
		switch f.Kind {
		case bridges.FieldSecret:
			shown.Type, shown.Values = component.FieldTextSingle, []string{"stored, not shown"}
		case bridges.FieldLines:
			shown.Values = strings.Split(value, "\n")
		case bridges.FieldChoice:
			shown.Type, shown.Values = component.FieldTextSingle, []string{value}
		default:
			shown.Values = []string{value}
		}
		fields = append(fields, shown)
	}
	return fields
}
