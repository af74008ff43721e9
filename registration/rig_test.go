package registration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
)

const (
	gatewayJID = "net.example.org"
	juliet     = "juliet@example.org/balcony"
)

// fakeDriver is a kind of network with the networks "one" and "two". Its
// accounts are right when the password is "right".
type fakeDriver struct {
	fixed  bridges.NetworkID
	down   bool          // the network cannot be asked
	delay  time.Duration // of its answer
	broken error         // what Check returns whatever it is asked

	mu      sync.Mutex
	checked []bridges.Account
}

func (d *fakeDriver) Info() bridges.Info {
	return bridges.Info{Type: "fake", Name: "Fake", RoomType: "text", FixedNetwork: d.fixed}
}

func (d *fakeDriver) Networks() []bridges.NetworkInfo {
	return []bridges.NetworkInfo{{ID: "one", Name: "First Net"}, {ID: "two"}}
}

func (d *fakeDriver) Parse(local string) (bridges.Address, error) {
	name, network, isPerson := strings.Cut(local, "%")
	if !isPerson {
		name, network = "", local
	}
	if network != "one" && network != "two" {
		return bridges.Address{}, bridges.NewError(bridges.NotFound, "There is no network of that name.")
	}
	kind := bridges.AddressNetwork
	if isPerson {
		kind = bridges.AddressPerson
	}
	return bridges.Address{Kind: kind, Network: bridges.NetworkID(network), Name: name}, nil
}

func (d *fakeDriver) Format(a bridges.Address) string { return string(a.Network) }

func (d *fakeDriver) ParsePrompt(string) (bridges.Address, error) {
	return bridges.Address{}, bridges.NewError(bridges.Unsupported, "")
}

func (d *fakeDriver) Fields(network bridges.NetworkID) []bridges.Field {
	fields := []bridges.Field{
		{Name: "nick", Label: "Nick", Required: true, Legacy: "nick"},
		{Name: "password", Label: "Password", Kind: bridges.FieldSecret, Legacy: "password"},
		{Name: "tls", Label: "TLS", Kind: bridges.FieldBool, Default: "true", Advanced: true},
		{Name: "rooms", Label: "Rooms", Kind: bridges.FieldLines, Advanced: true},
		{Name: "key", Label: "Key", Kind: bridges.FieldSecret, Advanced: true},
	}
	if network == "" {
		fields = append([]bridges.Field{{Name: "network", Label: "Network", Required: true}}, fields...)
	}
	return fields
}

func (d *fakeDriver) Check(ctx context.Context, a bridges.Account) error {
	d.mu.Lock()
	d.checked = append(d.checked, a)
	d.mu.Unlock()
	if d.delay > 0 {
		select {
		case <-time.After(d.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch {
	case d.broken != nil:
		return d.broken
	case d.down:
		return bridges.NewError(bridges.Offline, "The server refuses connections.")
	case a.Settings["nick"] == "root":
		return bridges.NewError(bridges.Conflict, "The nick root is held.")
	case a.Settings["password"] != "right":
		return bridges.NewError(bridges.BadCredentials, "SASL authentication failed.")
	}
	return nil
}

func (d *fakeDriver) Open(bridges.Account, bridges.Sink) (bridges.Network, error) {
	return nil, bridges.NewError(bridges.Unsupported, "")
}

// memory is Accounts in memory.
type memory struct {
	mu       sync.Mutex
	accounts map[component.JID][]Account
	subs     map[component.JID][]Subscription
	in       map[component.JID]bool
	fail     error
}

func newMemory() *memory {
	return &memory{
		accounts: make(map[component.JID][]Account),
		subs:     make(map[component.JID][]Subscription),
		in:       make(map[component.JID]bool),
	}
}

func (m *memory) Accounts(_ context.Context, user component.JID) ([]Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.accounts[user]), m.fail
}

func (m *memory) Put(_ context.Context, user component.JID, a Account) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	others := slices.DeleteFunc(m.accounts[user], func(b Account) bool { return a.Network == b.Network })
	m.accounts[user] = append(others, a)
	slices.SortFunc(m.accounts[user], func(a, b Account) int { return strings.Compare(string(a.Network), string(b.Network)) })
	return nil
}

func (m *memory) Delete(_ context.Context, user component.JID, network bridges.NetworkID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[user] = slices.DeleteFunc(m.accounts[user], func(a Account) bool { return a.Network == network })
	return nil
}

func (m *memory) DeleteUser(_ context.Context, user component.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, user)
	delete(m.subs, user)
	delete(m.in, user)
	return nil
}

func (m *memory) Subscriptions(_ context.Context, user component.JID) ([]Subscription, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.subs[user]), nil
}

func (m *memory) PutSubscription(_ context.Context, user component.JID, s Subscription) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs[user] = slices.DeleteFunc(m.subs[user], func(o Subscription) bool { return o.Address == s.Address })
	if s.Sends || s.Receives {
		m.subs[user] = append(m.subs[user], s)
	}
	return nil
}

func (m *memory) SetLoggedIn(_ context.Context, user component.JID, in bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in[user] = in
	return nil
}

// calls are the sessions: they only note what they are asked.
type calls struct {
	mu    sync.Mutex
	calls []string
}

func (c *calls) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
}

// since returns what was asked since the last time.
func (c *calls) since() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.calls, "; ")
	c.calls = nil
	return text
}

func (c *calls) Login(_ context.Context, user component.JID, n bridges.NetworkID) error {
	c.note("login %s %q", user, n)
	return nil
}

func (c *calls) Logout(_ context.Context, user component.JID, n bridges.NetworkID, reason string) error {
	c.note("logout %s %q: %s", user, n, reason)
	return nil
}

func (c *calls) Reload(_ context.Context, user component.JID, n bridges.NetworkID) error {
	c.note("reload %s %q", user, n)
	return nil
}

func (c *calls) Remove(_ context.Context, user component.JID, n bridges.NetworkID, _ string) error {
	c.note("remove %s %q", user, n)
	return nil
}

func (c *calls) State(_ component.JID, n bridges.NetworkID) (string, bool) {
	return "connected to " + string(n), true
}
func (c *calls) Subscribed(user, address component.JID, on bool) {
	c.note("subscribed %s %s %v", user, address, on)
}
func (c *calls) Probed(user, address component.JID) { c.note("probed %s %s", user, address) }

func (c *calls) Users(context.Context) ([]UserState, error) {
	users := make([]UserState, 300)
	for i := range users {
		users[i].User = component.JID{Local: fmt.Sprintf("user%03d", i), Domain: "example.org"}
		users[i].Clients, users[i].Rooms = 1, 2
		users[i].Links = []LinkState{{Network: "one", Online: true}, {Network: "two", Text: "no route"}}
	}
	return users, nil
}

func (c *calls) Disconnect(_ context.Context, user component.JID, reason string) error {
	c.note("disconnect %s: %s", user, reason)
	return nil
}

func (c *calls) Announce(_ context.Context, text string) (int, error) {
	c.note("announce %q", text)
	return 7, nil
}

// rig is a gateway's registration without a stream.
type rig struct {
	t        *testing.T
	driver   *fakeDriver
	accounts *memory
	sessions *calls
	services component.Services
	barred   bool // nobody may use the gateway

	mu  sync.Mutex
	out []*component.Stanza
}

func newRig(t *testing.T, cfg Config) *rig {
	r := &rig{t: t, driver: &fakeDriver{}, accounts: newMemory(), sessions: &calls{}}
	if d, ok := cfg.Driver.(*fakeDriver); ok {
		r.driver = d
	}
	domain := component.JID{Domain: gatewayJID}
	r.services = component.Services{Disco: component.NewDisco(), Reply: r.keep}
	r.services.Router = component.NewRouter(domain, func(to component.JID) (component.AddressKind, error) {
		if to.Local == "" {
			return component.AddressHost, nil
		}
		return component.AddressNetwork, nil
	}, r.keep)
	send := func(_ context.Context, o *component.Out) error { r.keep(o); return nil }
	workers := component.NewWorkers(4, 64, nil)
	commands := component.NewCommands(component.CommandsConfig{Reply: r.keep, Send: send, Workers: workers})

	cfg.Domain, cfg.Name, cfg.Driver, cfg.Accounts, cfg.Sessions, cfg.Admin = domain, "Fake gateway", r.driver, r.accounts, r.sessions, r.sessions
	cfg.Workers, cfg.Send, cfg.Reply, cfg.StanzaError = workers, send, r.keep, stanzaError
	cfg.Allowed = func(user component.JID) bool { return !r.barred && user.IsBare() && user.Domain == "example.org" }
	cfg.IsAdmin = func(user component.JID) bool { return user.String() == "admin@example.org" }
	s := New(cfg, commands)
	s.Handle(r.services)
	component.HandleCommands(r.services, commands, component.AddressHost, component.AddressNetwork)
	component.HandleChat(r.services, commands, component.AddressHost)
	component.HandleDisco(r.services, component.AddressHost)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = workers.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// stanzaError turns errors of drivers into stanza errors, as far as it matters.
func stanzaError(err error) *component.StanzaError {
	var se *component.StanzaError
	if errors.As(err, &se) {
		return se
	}
	switch e := bridges.AsError(err); e.Kind {
	case bridges.NotFound:
		return component.NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", e.Text)
	case bridges.Offline:
		return component.NewStanzaError(stanza.ErrorTypeWait, "recipient-unavailable", e.Text)
	case bridges.Timeout:
		return component.NewStanzaError(stanza.ErrorTypeWait, "remote-server-timeout", e.Text)
	case bridges.Internal:
		return component.NewStanzaError(stanza.ErrorTypeWait, "internal-server-error", "Something went wrong.")
	default:
		return component.NewStanzaError(stanza.ErrorTypeAuth, "not-authorized", e.Text)
	}
}

func (r *rig) keep(o *component.Out) bool {
	xml, err := component.Encode(o, gatewayJID)
	if err != nil {
		r.t.Error(err)
		return false
	}
	s, err := component.ParseStanza(xml)
	if err != nil {
		r.t.Errorf("%v in %s", err, xml)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, s)
	return true
}

// route gives XML to the gateway, waits until it has done all it does about it
// (but for what takes time) and returns what it sent.
func (r *rig) route(xml string) []*component.Stanza {
	r.t.Helper()
	s, err := component.ParseStanza(xml)
	if err != nil {
		r.t.Fatalf("%v in %s", err, xml)
	}
	r.services.Router.Route(s)
	return r.sent()
}

func (r *rig) sent() []*component.Stanza {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.out
	r.out = nil
	return all
}

// short describes stanzas: presences by type and address, answers by their
// error or the name of their payload, messages by their body.
func short(all []*component.Stanza) string {
	var parts []string
	for _, s := range all {
		var text string
		body, _ := s.Body()
		switch {
		case s.IsError():
			e := s.StanzaError()
			text = fmt.Sprintf("error %s %s: %s", e.Type, e.Condition, e.Text)
		case s.Kind == component.KindPresence:
			text = s.Type + " from " + s.From.String()
		case s.Kind == component.KindMessage:
			text = "message: " + body
		case s.Payload() == nil:
			text = "result"
		default:
			text = "result " + s.Payload().Name
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// iq sends a registration query.
func (r *rig) iq(typ, to, children string) []*component.Stanza {
	r.t.Helper()
	return r.route(`<iq type='` + typ + `' id='r1' from='` + juliet + `' to='` + to + `'><query xmlns='jabber:iq:register'>` + children + `</query></iq>`)
}

// say writes to the gateway in the chat and returns what it says.
func (r *rig) say(text string) string { return r.saying(juliet, text) }

func (r *rig) saying(from, text string) string {
	r.t.Helper()
	var said []string
	for _, s := range r.route(`<message type='chat' id='m1' from='` + from + `' to='` + gatewayJID + `'><body>` + text + `</body></message>`) {
		if body, ok := s.Body(); ok {
			said = append(said, body)
		}
	}
	return strings.Join(said, "\n---\n")
}

func (r *rig) presence(typ, to string) []*component.Stanza {
	r.t.Helper()
	return r.route(`<presence type='` + typ + `' from='juliet@example.org' to='` + to + `'/>`)
}

// stored shows what is stored of a user, passwords too.
func (r *rig) stored() string {
	r.accounts.mu.Lock()
	defer r.accounts.mu.Unlock()
	user := component.JID{Local: "juliet", Domain: "example.org"}
	var parts []string
	for _, a := range r.accounts.accounts[user] {
		all := maps.Clone(a.Settings)
		for name, secret := range a.Secrets {
			all[name] = "secret " + secret
		}
		parts = append(parts, fmt.Sprintf("%s %v", a.Network, all))
	}
	return strings.Join(parts, "; ")
}

// register puts an account in place.
func (r *rig) register(networks ...bridges.NetworkID) {
	user := component.JID{Local: "juliet", Domain: "example.org"}
	for _, n := range networks {
		_ = r.accounts.Put(context.Background(), user, Account{
			Network:  n,
			Settings: map[string]string{"nick": "julie", "tls": "true"},
			Secrets:  map[string]string{"password": "right"},
		})
	}
	r.accounts.in[user] = true
}

func (r *rig) loggedIn() bool {
	r.accounts.mu.Lock()
	defer r.accounts.mu.Unlock()
	return r.accounts.in[component.JID{Local: "juliet", Domain: "example.org"}]
}

// form is a form that answers fields, given as var, value pairs.
func form(pairs ...string) string {
	xml := `<x xmlns='jabber:x:data' type='submit'>`
	for i := 0; i < len(pairs); i += 2 {
		xml += `<field var='` + pairs[i] + `'><value>` + pairs[i+1] + `</value></field>`
	}
	return xml + `</x>`
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// scenario runs f with time that only passes when nothing else is to be done.
func scenario(t *testing.T, cfg Config, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, cfg)) })
}
