// Demo shows transportd at work: it starts Prosody, InspIRCd with services and
// transportd in a throw-away folder on loopback, and lets a user of each side talk
// to the other. On a terminal it then stays up, so that one can log in by hand,
// until Ctrl-C; without one it ends, with code 0 only if nothing went missing.
//
//	demo -transportd bin/transportd
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"transportd/internal/testenv"
)

const (
	domain  = "irc.localhost" // the gateway's
	network = "demo"
	channel = "#garden"
)

func main() {
	binary := flag.String("transportd", "bin/transportd", "the transportd to `run`")
	stay := flag.Bool("stay", isTerminal(os.Stdin) && isTerminal(os.Stdout), "stay up after the conversation")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	out := newScreen(os.Stdout, isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "")
	if err := demo(ctx, out, options{binary: *binary, stay: *stay, script: script, patience: 20 * time.Second}); err != nil {
		out.fail(err)
		stop()
		os.Exit(1)
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// options say what is played, and with which transportd.
type options struct {
	binary   string
	stay     bool // after the conversation, until ctx is done
	script   []step
	patience time.Duration // for one thing to arrive
}

// demo runs all of it. Whatever happens, nothing stays behind.
func demo(ctx context.Context, out *screen, o options) (err error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	env, err := testenv.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	s, err := start(ctx, out, env, binary)
	if err == nil {
		err = s.converse(ctx, o.script, o.patience)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil || !o.stay {
		return err
	}
	s.invite()
	s.keepCompany(ctx)
	out.line("\nLeaving. Nothing stays behind.")
	return nil
}

// stage is what the demonstration plays on.
type stage struct {
	out     *screen
	xmpp    *testenv.XMPPServer
	irc     *testenv.IRCServer
	gateway *testenv.Gateway
	clients *testenv.XMPPClients
}

// start brings up the servers, side by side, and transportd between them.
func start(ctx context.Context, out *screen, env *testenv.Env, binary string) (*stage, error) {
	out.title("Starting, on loopback, in " + env.Dir())
	s := &stage{out: out}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, f := range []func() error{
		func() error {
			return out.timed("Prosody, the XMPP server", func() (err error) {
				s.xmpp, err = env.StartProsody(ctx, testenv.XMPPOptions{Components: []string{domain}, Users: []string{"alice", "you"}})
				return err
			})
		},
		func() error {
			return out.timed("InspIRCd, the IRC server, with NickServ", func() (err error) {
				s.irc, err = env.StartInspIRCd(ctx)
				return err
			})
		},
		func() (err error) {
			s.clients, err = env.StartXMPPClients()
			return err
		},
	} {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, out.timed("transportd, the gateway "+domain, func() (err error) {
		s.gateway, err = env.StartTransportd(ctx, testenv.GatewayOptions{
			Domain: domain, XMPP: s.xmpp, Binary: binary,
			Networks: []testenv.Network{{Name: network, Server: s.irc, TLS: true}},
		})
		return err
	})
}

// invite says how to log in by hand.
func (s *stage) invite() {
	s.out.title("Your turn")
	s.out.table([][2]string{
		{"JID", "you@" + testenv.Domain},
		{"password", "you"},
		{"server", fmt.Sprintf("%s, port %d (STARTTLS with a certificate of its own: accept it, or turn TLS off)", testenv.Host, s.xmpp.C2S)},
		{"join the room", room},
		{"talk to bob", "bob%" + network + "@" + domain},
		{"register", "write “help” to " + domain},
		{"from IRC", fmt.Sprintf("%s, port %d, or %d with TLS", s.irc.Host, s.irc.Plain, s.irc.TLS)},
	})
	s.out.line("\nbob waits in " + channel + ". Ctrl-C ends everything.")
}

// keepCompany has bob answer whoever speaks, until ctx is done.
func (s *stage) keepCompany(ctx context.Context) {
	bob, err := testenv.DialIRC(ctx, s.irc.Address(), "bob")
	if err != nil || bob.Join(ctx, channel) != nil {
		<-ctx.Done()
		return
	}
	defer bob.Close()
	for {
		line, err := bob.Expect(ctx, `^:[^!]+!\S+ (JOIN|PRIVMSG) `)
		if err != nil {
			<-ctx.Done()
			return
		}
		if to, text, ok := answer(line); ok {
			bob.Sendf("PRIVMSG %s :%s", to, text)
		}
	}
}
