package clients

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"transportd/archive"
	"transportd/internal/testenv"
	"transportd/store"
)

// patience bounds one wait, and long that for a hundred thousand lines. They are no
// measure of speed: the machine may be busy with all of this at once.
const (
	patience = time.Minute
	long     = 4 * time.Minute
)

const (
	domain  = "irc.localhost"
	network = "ng"
)

// Rooms, named after the one test that says something there, and their users, who
// heard all of its past. Nobody but the joiner and the stranger enters the hall.
var rooms = map[string][]string{"hall": {reader, joiner}, "web": {surfer}, "desk": {desk}}

const (
	reader   = "reader"
	joiner   = "joiner"
	stranger = "stranger" // heard nothing
	surfer   = "surfer"
	desk     = "desk"
)

// site is an XMPP server with a transportd that has the rooms' past.
type site struct {
	name    string
	past    past
	server  *testenv.XMPPServer
	gateway *testenv.Gateway
}

// world is what the tests share.
type world struct {
	env     *testenv.Env
	ircd    *testenv.IRCServer
	clients *testenv.XMPPClients
	sites   []*site
}

// shared is made by TestMain.
var shared *world

func TestMain(m *testing.M) {
	flag.Parse()
	// Clients wait more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	env, err := testenv.New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = &world{env: env}
	code := 1
	if err := shared.start(); err != nil {
		fmt.Fprintln(os.Stderr, "the servers for the tests did not start:", err)
	} else {
		code = m.Run()
	}
	for _, s := range shared.sites {
		if s == nil || s.gateway == nil {
			continue // it did not start
		}
		if fault := s.gateway.Fault(); fault != "" {
			fmt.Fprintf(os.Stderr, "transportd reported a fault:\n%s\n", fault)
			code = 1
		}
	}
	if err := env.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (w *world) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var prosody, ejabberd *testenv.XMPPServer
	o := testenv.XMPPOptions{Components: []string{domain}, Users: []string{reader, surfer, desk, joiner, stranger}}
	err := testenv.Together(
		func() (err error) { prosody, err = w.env.StartProsody(ctx, o); return },
		func() (err error) { ejabberd, err = w.env.StartEjabberd(ctx, o); return },
		func() (err error) { w.ircd, err = w.env.StartNgIRCd(ctx); return },
		func() (err error) { w.clients, err = w.env.StartXMPPClients(); return },
		func() error { return w.env.Build(ctx) },
	)
	if err != nil {
		return err
	}
	starts := make([]func() error, 2)
	w.sites = make([]*site, 2)
	for i, x := range []*testenv.XMPPServer{prosody, ejabberd} {
		starts[i] = func() (err error) {
			w.sites[i], err = w.site(ctx, x)
			return err
		}
	}
	return testenv.Together(starts...)
}

// site starts a transportd that has the past, beside an XMPP server.
func (w *world) site(ctx context.Context, x *testenv.XMPPServer) (*site, error) {
	s := &site{name: x.Name, server: x, past: past{now: time.Now().UTC().Truncate(time.Microsecond)}}
	var err error
	s.gateway, err = w.env.StartTransportd(ctx, testenv.GatewayOptions{
		Domain: domain, XMPP: x,
		Networks: []testenv.Network{{Name: network, Server: w.ircd}},
		Prepare:  func(database, key string) error { return s.prepare(ctx, database, key) },
	})
	return s, err
}

// channel is the IRC channel of a room: each site has its own.
func (s *site) channel(room string) string { return "#" + room + s.name[:1] }

func (s *site) room(room string) string { return s.channel(room) + "%" + network + "@" + domain }

// nick is what a user is called in rooms: each site has its own.
func (s *site) nick(user string) string { return user + s.name[:1] }

// prepare fills a transportd's database. Browsers and Gajim are on Prosody only.
func (s *site) prepare(ctx context.Context, database, key string) error {
	db, err := store.Open(ctx, store.Options{Path: database, KeyFile: key})
	if err != nil {
		return err
	}
	for name, users := range rooms {
		if name != "hall" && s.name != "prosody" {
			continue
		}
		a := archive.Room{Gateway: domain, Network: network, Room: s.channel(name)}
		var jids []string
		for _, u := range users {
			jids = append(jids, u+"@"+testenv.Domain)
		}
		err = errors.Join(err, s.past.fill(ctx, db, a, s.room(name), jids...))
	}
	return errors.Join(err, db.Close())
}

// wait is the context of one wait.
func wait(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %v", d))
	t.Cleanup(cancel)
	return ctx
}

// on runs a test on every server, or on the one that serves browsers.
func on(t *testing.T, which string, test func(t *testing.T, s *site)) {
	t.Parallel()
	for _, s := range shared.sites {
		if which != "" && s.name != which {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			before := len(s.gateway.Log())
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("transportd's log meanwhile:\n%s", testenv.Tail(s.gateway.Log()[before:], 40))
				}
			})
			test(t, s)
		})
	}
}

// value is v, or the end of the test.
func value[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
