package test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"transportd/internal/testenv"
)

// patience bounds one wait. It is no measure of speed: the machine may be busy
// with every other scenario at once.
const patience = time.Minute

// domain is the gateway's, and closed that of a second one in the same process,
// which nobody here may use. The others are for scenarios that need a transportd
// of their own.
const (
	domain  = "irc.localhost"
	closed  = "closed.localhost"
	cutOff  = "cutoff.localhost"
	silent  = "silent.localhost"
	ending  = "ending.localhost"
	restart = "restart.localhost"
	staying = "staying.localhost"
)

// world is what the scenarios share.
type world struct {
	env     *testenv.Env
	clients *testenv.XMPPClients
	sites   []*site
}

// site is one pair of servers and the transportd between them.
type site struct {
	name    string
	domain  string
	network string // as it stands in addresses
	server  *testenv.XMPPServer
	ircd    *testenv.IRCServer
	gateway *testenv.Gateway
	clients *testenv.XMPPClients
}

// shared is made by TestMain, before any scenario.
var shared *world

func TestMain(m *testing.M) {
	// Scenarios wait far more than they compute: many at once, also on few cores.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	code := 1
	w, err := newWorld()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the servers for the scenarios did not start:", err)
	} else {
		shared = w
		code = m.Run()
	}
	if w != nil && w.env != nil {
		for _, g := range w.gateways() {
			if fault := g.Fault(); fault != "" {
				fmt.Fprintf(os.Stderr, "transportd reported a fault:\n%s\n", fault)
				code = 1
			}
		}
		if err := w.env.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// newWorld starts everything, the servers at the same time.
func newWorld() (*world, error) {
	env, err := testenv.New()
	if err != nil {
		return nil, err
	}
	w := &world{env: env}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var prosody, ejabberd *testenv.XMPPServer
	var inspircd, ngircd *testenv.IRCServer
	options := testenv.XMPPOptions{Components: []string{domain, closed, cutOff, silent, "insp." + ending, "ng." + ending, restart, staying}}
	err = testenv.Together(
		func() (err error) { prosody, err = env.StartProsody(ctx, options); return },
		func() (err error) { ejabberd, err = env.StartEjabberd(ctx, options); return },
		func() (err error) { inspircd, err = env.StartInspIRCd(ctx); return },
		func() (err error) { ngircd, err = env.StartNgIRCd(ctx); return },
		func() (err error) { w.clients, err = env.StartXMPPClients(); return },
		func() (err error) { return env.Build(ctx) },
	)
	if err != nil {
		return w, err
	}
	networks := []testenv.Network{{Name: "insp", Server: inspircd, TLS: true}, {Name: "inspplain", Server: inspircd, Host: "localhost", Throttled: true}, {Name: "ng", Server: ngircd, TLS: true}}
	for _, x := range []*testenv.XMPPServer{prosody, ejabberd} {
		g, err := env.StartTransportd(ctx, testenv.GatewayOptions{Domain: domain, Closed: closed, XMPP: x, Networks: networks})
		if err != nil {
			return w, err
		}
		for _, n := range networks {
			w.sites = append(w.sites, &site{
				name: x.Name + "+" + n.Name, domain: domain, network: n.Name,
				server: x, ircd: n.Server, gateway: g, clients: w.clients,
			})
		}
	}
	return w, nil
}

func (w *world) gateways() []*testenv.Gateway {
	var list []*testenv.Gateway
	for _, s := range w.sites {
		if len(list) == 0 || list[len(list)-1] != s.gateway {
			list = append(list, s.gateway)
		}
	}
	return list
}

// everywhere runs a scenario on every pair of servers at once.
func everywhere(t *testing.T, scenario func(t *testing.T, s *site)) {
	sites(t, func(s *site) bool { return s.network != "inspplain" }, scenario)
}

// withServices runs it where the network has accounts.
func withServices(t *testing.T, scenario func(t *testing.T, s *site)) {
	sites(t, func(s *site) bool { return s.network == "insp" }, scenario)
}

// throttled runs it with the flood control transportd ships with, and without TLS.
func throttled(t *testing.T, scenario func(t *testing.T, s *site)) {
	sites(t, func(s *site) bool { return s.network == "inspplain" }, scenario)
}

// withXMPP runs it once for each XMPP server: the network plays no part in it.
func withXMPP(t *testing.T, scenario func(t *testing.T, s *site)) {
	sites(t, func(s *site) bool { return s.network == "ng" }, scenario)
}

func sites(t *testing.T, which func(*site) bool, scenario func(t *testing.T, s *site)) {
	t.Parallel()
	for _, s := range shared.sites {
		if !which(s) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			before := len(s.gateway.Log())
			t.Cleanup(func() {
				if t.Failed() {
					log := s.gateway.Log()
					t.Logf("transportd's log meanwhile, other scenarios' lines among it:\n%s", testenv.Tail(log[before:], 60))
				}
			})
			scenario(t, s)
		})
	}
}

// serial makes the names of scenarios' users and channels their own.
var serial atomic.Int64

func unique(name string) string { return fmt.Sprintf("%s%d", name, serial.Add(1)) }

// wait is the context of one wait.
func wait(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("not within %v", patience))
	t.Cleanup(cancel)
	return ctx
}

// room is the address of a channel.
func (s *site) room(channel string) string {
	return strings.ToLower(channel) + "%" + s.network + "@" + s.domain
}

// person is the address of a nick for one-to-one chats.
func (s *site) person(nick string) string {
	return strings.ToLower(nick) + "%" + s.network + "@" + s.domain
}

// console is the address of the network itself.
func (s *site) console() string { return s.network + "@" + s.domain }
