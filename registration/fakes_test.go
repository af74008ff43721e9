package registration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// fakeDriver is a kind of network with the networks "one" and "two". Its
// accounts are right when the password is "right".
type fakeDriver struct {
	fixed  bridges.NetworkID
	down   bool          // the network cannot be asked
	delay  time.Duration // of its answer
	broken error         // what Check returns whatever it is asked
	script *script       // logins in steps; nil: they are trials
	logout func(ctx context.Context, a bridges.Account) error

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

func (d *fakeDriver) NewLogin(a bridges.Account) bridges.Login {
	if d.script != nil {
		return &scripted{script: d.script, account: a}
	}
	return &bridges.CheckLogin{Account: a, Fields: d.Fields(a.Network), Check: d.check}
}

func (d *fakeDriver) Logout(ctx context.Context, a bridges.Account) error {
	if d.logout != nil {
		return d.logout(ctx, a)
	}
	return nil
}

func (d *fakeDriver) check(ctx context.Context, a bridges.Account) error {
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
	mu         sync.Mutex
	accounts   map[component.JID][]Account
	subs       map[component.JID][]Subscription
	in         map[component.JID]bool
	resting    []string // "user network"
	fail       error
	failDelete error
	failPut    error
	gatePut    chan struct{}
	gate       chan struct{} // Accounts waits for it; nil: it does not
}

func newMemory() *memory {
	return &memory{
		accounts: make(map[component.JID][]Account),
		subs:     make(map[component.JID][]Subscription),
		in:       make(map[component.JID]bool),
	}
}

func (m *memory) Accounts(_ context.Context, user component.JID) ([]Account, error) {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.accounts[user]), m.fail
}

func (m *memory) Put(_ context.Context, user component.JID, a Account) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gatePut != nil {
		m.mu.Unlock()
		<-m.gatePut
		m.mu.Lock()
	}
	if m.failPut != nil {
		return m.failPut
	}
	others := slices.DeleteFunc(m.accounts[user], func(b Account) bool { return a.Network == b.Network })
	m.accounts[user] = append(others, a)
	slices.SortFunc(m.accounts[user], func(a, b Account) int { return strings.Compare(string(a.Network), string(b.Network)) })
	return nil
}

func (m *memory) Delete(_ context.Context, user component.JID, network bridges.NetworkID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failDelete != nil {
		return m.failDelete
	}
	m.accounts[user] = slices.DeleteFunc(m.accounts[user], func(a Account) bool { return a.Network == network })
	return nil
}

func (m *memory) DeleteUser(_ context.Context, user component.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failDelete != nil {
		return m.failDelete
	}
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

func (m *memory) SetResting(_ context.Context, user component.JID, network bridges.NetworkID, resting bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry := user.String() + " " + string(network)
	m.resting = slices.DeleteFunc(m.resting, func(e string) bool {
		return e == entry || network == "" && strings.HasPrefix(e, entry)
	})
	if resting {
		m.resting = append(m.resting, entry)
	}
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
	users[299].User = component.JID{Local: "juliet", Domain: "example.org"}
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
