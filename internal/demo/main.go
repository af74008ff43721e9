// Demo shows transportd at work: it starts Prosody, the servers of a network and
// transportd in a throw-away folder on loopback, and lets a user of each side talk
// to the other. On a terminal it then stays up, so that one can log in by hand,
// until Ctrl-C; without one it ends, with code 0 only if nothing went missing.
//
//	demo -transportd bin/transportd -network irc
//	demo -transportd bin/transportd -network matrix
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"transportd/internal/testenv"
)

func main() {
	binary := flag.String("transportd", "bin/transportd", "the transportd to `run`")
	network := flag.String("network", "irc", "what to show: irc or matrix")
	stay := flag.Bool("stay", isTerminal(os.Stdin) && isTerminal(os.Stdout), "stay up after the conversation")
	flag.Parse()
	there := map[string]otherSide{"irc": &ircNetwork{}, "matrix": &matrixNetwork{}}[*network]
	if there == nil {
		fmt.Fprintf(os.Stderr, "demo: there is no network %q: irc or matrix\n", *network)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	out := newScreen(os.Stdout, isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "")
	if err := demo(ctx, out, there, options{binary: *binary, stay: *stay, patience: 20 * time.Second}); err != nil {
		out.fail(err)
		stop()
		os.Exit(1)
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// options say how it is played, and with which transportd.
type options struct {
	binary   string
	stay     bool          // after the conversation, until ctx is done
	patience time.Duration // for one thing to arrive
}

// An otherSide is the other side of the gateway: its servers, and the people on it. Its
// methods are called in this order, one at a time.
type otherSide interface {
	name() string // as it stands in the lines
	domain() string
	servers(ctx context.Context, s *stage) []server
	gateway() testenv.GatewayOptions // what is particular to it
	// enter logs everybody in who is on it, and alice's other side is there; leave
	// ends that.
	enter(ctx context.Context, s *stage) error
	leave()
	title() string
	script() []step
	// invite says how to log in by hand, and to whom one then speaks: keepCompany
	// answers until ctx is done.
	invite() (table [][2]string, last string)
	keepCompany(ctx context.Context)
}

// server is one to start.
type server struct {
	name  string
	start func() error
}

// demo runs all of it. Whatever happens, nothing stays behind.
func demo(ctx context.Context, out *screen, n otherSide, o options) (err error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	env, err := testenv.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	s := &stage{out: out, env: env, network: n}
	if err = s.start(ctx, binary); err == nil {
		err = s.converse(ctx, o.patience)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil || !o.stay {
		return err
	}
	table, last := n.invite()
	out.title("Your turn")
	out.table(slices.Concat([][2]string{
		{"JID", "you@" + testenv.Domain},
		{"password", "you"},
		{"server", fmt.Sprintf("%s, port %d (STARTTLS with a certificate of its own: accept it, or turn TLS off)", testenv.Host, s.xmpp.C2S)},
	}, table))
	out.line("\n" + last + " Ctrl-C ends everything.")
	n.keepCompany(ctx)
	out.line("\nLeaving. Nothing stays behind.")
	return nil
}

// stage is what the demonstration plays on.
type stage struct {
	out     *screen
	env     *testenv.Env
	network otherSide
	xmpp    *testenv.XMPPServer
	gateway *testenv.Gateway
	clients *testenv.XMPPClients
	alice   *testenv.XMPPClient
}

// start brings up the servers, side by side, and transportd between them.
func (s *stage) start(ctx context.Context, binary string) error {
	s.out.title("Starting, on loopback, in " + s.env.Dir())
	domain := s.network.domain()
	starts := []func() error{
		func() error {
			return s.out.timed("Prosody, the XMPP server", func() (err error) {
				s.xmpp, err = s.env.StartProsody(ctx, testenv.XMPPOptions{Components: []string{domain}, Users: []string{"alice", "you"}})
				return err
			})
		},
		func() (err error) {
			s.clients, err = s.env.StartXMPPClients()
			return err
		},
	}
	for _, server := range s.network.servers(ctx, s) {
		starts = append(starts, func() error { return s.out.timed(server.name, server.start) })
	}
	if err := testenv.Together(starts...); err != nil {
		return err
	}
	return s.out.timed("transportd, the gateway "+domain, func() (err error) {
		o := s.network.gateway()
		o.Domain, o.XMPP, o.Binary = domain, s.xmpp, binary
		s.gateway, err = s.env.StartTransportd(ctx, o)
		return err
	})
}
