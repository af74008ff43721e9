package registration

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// handleIQ serves in-band registration (XEP-0077).
func (s *Service) handleIQ(services component.Services, kind component.AddressKind) {
	services.Disco.AddFeature(kind, xep.NSRegister)
	for typ, handle := range map[string]func(context.Context, *component.Stanza) (*component.Out, error){
		"get": s.queryForm,
		"set": s.register,
	} {
		services.Router.Handle(kind, component.KindIQ, typ, xep.NSRegister, "query", func(req *component.Stanza) {
			s.queueIQ(req, handle)
		})
	}
}

// queueIQ has a worker answer a request. A handler returns the answer, an error,
// or neither when it has answered itself.
func (s *Service) queueIQ(req *component.Stanza, handle func(context.Context, *component.Stanza) (*component.Out, error)) {
	taken := s.cfg.Workers.Go(req.From, "", func(ctx context.Context) {
		o, err := handle(ctx, req)
		if err != nil {
			s.logInternal(req, err)
			o = component.ErrorReply(req, s.cfg.StanzaError(err))
		}
		s.send(ctx, o)
	})
	if !taken {
		s.cfg.Reply(component.ErrorReply(req, tooBusy()))
	}
}

// logInternal logs what is not the user's fault.
func (s *Service) logInternal(req *component.Stanza, err error) {
	var told *component.StanzaError
	var known *bridges.Error
	if errors.As(err, &told) || (errors.As(err, &known) && known.Kind != bridges.Internal) {
		return
	}
	s.log.Error("registration failed", "user", req.From.Bare().String(), "err", err)
}

func (s *Service) forbidden() error {
	return component.NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "You may not use this gateway.")
}

// subject is what a request is about: the fields to fill in and what is stored.
type subject struct {
	network  bridges.NetworkID // empty: a field tells it
	fields   []bridges.Field
	stored   *Account  // nil: not registered with network, or several accounts
	accounts []Account // all of the user's
	// unchecked: what the network cannot be asked about can be saved all the same.
	unchecked bool
}

func (s *Service) subject(ctx context.Context, req *component.Stanza) (*subject, error) {
	network, err := s.target(req.To)
	if err != nil {
		return nil, err
	}
	accounts, err := s.cfg.Accounts.Accounts(ctx, req.From.Bare())
	if err != nil {
		return nil, err
	}
	t := &subject{network: network, fields: s.driver.Fields(network), accounts: accounts}
	t.stored = t.account(network)
	if network == "" && len(accounts) == 1 {
		t.stored = &accounts[0]
	}
	_, t.unchecked = s.newLogin(req.From, network, t.stored).(bridges.Unchecked)
	return t, nil
}

// account is the user's account with a network, or nil.
func (t *subject) account(network bridges.NetworkID) *Account {
	if i := slices.IndexFunc(t.accounts, func(a Account) bool { return a.Network == network }); i >= 0 {
		return &t.accounts[i]
	}
	return nil
}

// registered reports whether the user is registered with what was asked.
func (t *subject) registered() bool {
	return t.stored != nil || (t.network == "" && len(t.accounts) > 0)
}

// form is the data form with all fields.
func (s *Service) form(t *subject) *component.Form {
	questions := formFields(t.fields, t.stored, t.stored != nil)
	if t.network == "" {
		for i := range questions {
			if questions[i].Var == fieldNetwork {
				questions[i].Required = true
				if t.stored != nil {
					questions[i].Values = []string{string(t.stored.Network)}
				}
			}
		}
	}
	form := component.NewForm("Register with "+s.cfg.Name, []string{s.instructions(t)},
		append([]component.FormField{component.TypeField(formType)}, questions...)...)
	if t.unchecked {
		form.Fields = append(form.Fields, component.FormField{
			Var: fieldUnchecked, Type: component.FieldBoolean, Label: "Save even if the network cannot be reached to check it",
			Values: []string{"false"},
		})
	}
	return form
}

func (s *Service) instructions(t *subject) string {
	var text string
	switch {
	case t.network != "" && t.stored != nil:
		text = "You are registered with " + s.networkName(t.network) + ". A blank password keeps the one that is stored."
	case t.network != "":
		text = "Register with " + s.networkName(t.network) + "."
	case len(t.accounts) > 0:
		var names []string
		for _, a := range t.accounts {
			names = append(names, s.networkName(a.Network))
		}
		text = "You are registered with " + strings.Join(names, ", ") + ". Name another network to register with that too."
		if t.stored != nil {
			text += " Here you can also change the account; a blank password keeps the one that is stored."
		}
	default:
		text = "Register with a network of " + s.cfg.Name + "."
	}
	if t.network == "" {
		text += " If you are shown no field for the network, register at the address of the network itself" + s.example() + "."
	}
	return text
}

// example is the address of a network, where the operator has listed one.
func (s *Service) example() string {
	networks := s.driver.Networks()
	if len(networks) == 0 {
		return ""
	}
	return ", such as " + s.address(networks[0].ID).String()
}

// queryForm answers with the fields, plain and as a data form.
func (s *Service) queryForm(ctx context.Context, req *component.Stanza) (*component.Out, error) {
	if !s.cfg.Allowed(req.From.Bare()) {
		return nil, s.forbidden()
	}
	t, err := s.subject(ctx, req)
	if err != nil {
		return nil, err
	}
	query := xep.Register{Instructions: s.instructions(t), Registered: t.registered(), Form: s.form(t)}
	for _, f := range t.fields {
		if f.Legacy == "" {
			continue
		}
		value, set := t.stored.value(f)
		switch {
		case f.Kind == bridges.FieldSecret:
			value = ""
		case f.Name == fieldNetwork && t.stored != nil:
			value = string(t.stored.Network)
		case !set:
			value = f.Default
		}
		query.Fields = append(query.Fields, xep.RegisterField{Name: f.Legacy, Value: value})
	}
	o := component.Result(req)
	query.AppendTo(o)
	return o, nil
}

// register registers, changes or removes.
func (s *Service) register(ctx context.Context, req *component.Stanza) (*component.Out, error) {
	query, err := xep.ParseRegister(req.Payload())
	if err != nil {
		return nil, err
	}
	if query.Remove {
		if len(query.Fields) > 0 || query.Form != nil { // XEP-0077 section 3.2
			return nil, component.NewStanzaError(stanza.ErrorTypeModify, "bad-request", "To remove an account, send nothing but that.")
		}
		return nil, s.removeByIQ(ctx, req)
	}
	if !s.cfg.Allowed(req.From.Bare()) {
		return nil, s.forbidden()
	}
	if query.Form != nil && query.Form.Type == component.FormCancel {
		return component.Result(req), nil
	}
	t, err := s.subject(ctx, req)
	if err != nil {
		return nil, err
	}
	return nil, s.registerByIQ(ctx, req, t, s.answers(t, &query))
}

// removeByIQ removes what the address stands for, and answers before it takes
// leave (XEP-0100 section 4.3). Who is not allowed any more may still remove. Of who
// is not registered yet a login under way is given up.
func (s *Service) removeByIQ(ctx context.Context, req *component.Stanza) error {
	t, err := s.subject(ctx, req)
	if err != nil {
		return err
	}
	if !t.registered() {
		if len(s.logins.of(req.From, func(l *login) bool { return t.network == "" || l.id == t.network })) > 0 {
			if err := s.giveUp(ctx, req.From, t.network, errRemoved); err != nil {
				return err
			}
			s.send(ctx, component.Result(req))
			return nil
		}
		return component.NewStanzaError(stanza.ErrorTypeAuth, "registration-required", "You are not registered.")
	}
	gone, err := s.remove(ctx, req.From, t.network)
	if err != nil {
		return err
	}
	if !slices.Contains(gone, req.To.Bare()) {
		gone = append(gone, req.To.Bare())
	}
	s.send(ctx, component.Result(req))
	s.depart(ctx, req.From, gone)
	return nil
}

// answers are what was filled in: the data form where there is one, else the
// plain fields.
func (s *Service) answers(t *subject, query *xep.Register) *component.Form {
	if query.Form != nil {
		return query.Form
	}
	plain := &component.Form{Type: component.FormSubmit}
	for _, f := range t.fields {
		if value, ok := query.Value(f.Legacy); ok && f.Legacy != "" {
			plain.Fields = append(plain.Fields, component.FormField{Var: f.Name, Values: []string{value}})
		}
	}
	return plain
}

// registerByIQ checks and saves, and answers within the time clients wait.
func (s *Service) registerByIQ(ctx context.Context, req *component.Stanza, t *subject, answer *component.Form) error {
	if answer.Type != component.FormSubmit {
		return notAcceptable("The form is not an answer.")
	}
	if t.network == "" {
		if err := s.settle(t, answer.Value(fieldNetwork)); err != nil {
			return err
		}
	}
	values, problems := s.form(t).Check(answer)
	if len(problems) > 0 {
		return notAcceptable(strings.Join(problems, " "))
	}
	a := merge(t.fields, t.stored, values)
	a.Network = t.network
	l, err := s.begin(ctx, req.From, t.network, t.stored, false)
	if err != nil {
		return err
	}
	step, err := l.answer(ctx, &a)
	if err != nil {
		defer l.end(err)
		unchecked, can := l.driver.(bridges.Unchecked)
		if !unreachable(err) || !can || !values.Bool(fieldUnchecked) {
			return s.refusal(err, can)
		}
		a = brought(t.network, unchecked.Unchecked(a.all()), l.secret)
		if err := s.save(ctx, req.From, &a, false); err != nil {
			return err
		}
		step = bridges.LoginStep{Done: true}
	}
	s.send(ctx, component.Result(req))
	s.welcome(ctx, req.From)
	if !step.Done {
		s.goOn(ctx, req.From, l, step)
	}
	return nil
}

// goOn goes on in the chat with a login that one form was not enough for: there is no
// second one (XEP-0077). That the request was taken has been answered; whether the
// user is registered is told when it has come true, and by the next query.
func (s *Service) goOn(ctx context.Context, user component.JID, l *login, step bridges.LoginStep) {
	begun := "Your registration with " + s.networkName(l.id) + " has begun, but is not finished yet."
	if l.stored != nil {
		begun = "What you changed of your account with " + s.networkName(l.id) + " is not stored yet: the network wants more for that."
	}
	more := s.askMore
	if len(step.Fields) == 0 {
		more = s.showWait
	}
	said := more(l, step, "")
	said.Note = joinSentences(begun, said.Note)
	s.speakTo(ctx, user, said)
}

// settle takes the network that was filled in at the domain. A blank one stands
// for the only account. One of several accounts is changed elsewhere: the form
// of the domain did not show it, so its answers are not about it.
func (s *Service) settle(t *subject, name string) error {
	name = strings.TrimSpace(name)
	if name == "" && t.stored != nil {
		name = string(t.stored.Network)
	}
	if name == "" {
		return notAcceptable("The network is missing. Name it, or register at the address of the network itself" + s.example() + ".")
	}
	network, err := s.network(name)
	if err != nil {
		return notAcceptable(s.words(err))
	}
	known := t.account(network)
	if known != nil && known != t.stored {
		return notAcceptable("You are registered with " + s.networkName(network) + " already. To change that account, use " +
			s.address(network).String() + ", or write “register " + string(network) + "” to " + s.cfg.Domain.Domain + ".")
	}
	t.network, t.fields, t.stored = network, s.driver.Fields(network), known
	return nil
}

// refusal is what a failed check is answered with. What the user filled in and
// the network refused is not-acceptable (XEP-0100 section 4.1); an IQ has no
// further step, so it says how to save an account that cannot be checked.
func (s *Service) refusal(err error, unchecked bool) error {
	e := *s.cfg.StanzaError(err)
	switch {
	case unreachable(err) && !unchecked:
		e.Text = s.words(err) + " Nothing was saved. Please try again later."
	case unreachable(err):
		e.Text = s.words(err) + " Nothing was saved. To save it all the same, use the field for that in the form, " +
			"the command “Register” of " + s.cfg.Domain.Domain + ", or write “register” to it."
	case isRefusal(err):
		e.Type, e.Condition, e.Text = stanza.ErrorTypeModify, "not-acceptable", s.words(err)
	}
	return &e
}

// isRefusal reports whether a check failed for what the account holds.
func isRefusal(err error) bool {
	var e *bridges.Error
	return errors.As(err, &e) && e.Kind != bridges.Internal && !unreachable(err)
}

func notAcceptable(text string) error {
	return component.NewStanzaError(stanza.ErrorTypeModify, "not-acceptable", text)
}
