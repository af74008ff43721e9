// Package irctest is a scriptable IRC server for tests. It is real enough to
// run a client or a gateway against (registration with CAP 302 and SASL,
// channels with modes, the IRCv3 extensions of a modern server), and every
// answer can be replaced, delayed or left out.
//
//	srv := irctest.Start(t, irctest.Config{})
//	bob := srv.Puppet("bob")             // a user without a socket
//	bob.Do("JOIN #room")
//	…connect the program under test to srv.Addr()…
//	alice := srv.WaitClient(t, "alice")  // its connection, once registered
//	alice.Expect(t, `^JOIN #room$`)      // what it has sent
//	bob.Do("PRIVMSG #room :hello")
//	bob.ExpectSeen(t, `PRIVMSG #room :hi`) // what the server has sent to bob
//	srv.Hook("JOIN", func(c *irctest.Client, m irctest.Msg) bool {
//		c.Numeric("474", m.Param(0), "Cannot join channel (+b)")
//		return true // handled: the built-in answer is skipped
//	})
package irctest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Config describes a server. The zero value is a modern server on 127.0.0.1
// with the capabilities of DefaultCaps and the tokens of DefaultISupport.
type Config struct {
	Name    string // default "irc.test"
	Network string // default "TestNet"
	Listen  string // default "127.0.0.1"
	TLS     bool   // listen with TLS too, on another port

	// Caps are "name" or "name=value"; nil means DefaultCaps. sasl is added
	// with the mechanisms of SASL when Accounts or Certs are set.
	Caps  []string
	NoCap bool // a server that does not know CAP
	// SASL are the mechanisms; default PLAIN, EXTERNAL, SCRAM-SHA-256.
	SASL []string
	// ISupport are tokens that replace or join DefaultISupport; "-NAME" removes one.
	ISupport []string

	Password string            // of the server
	Accounts map[string]string // account to password, for SASL and NickServ
	Certs    map[string]string // SHA-256 of a client certificate in hexadecimal, to account
	MOTD     []string

	// HideHost is what others see instead of 127.0.0.1; default "user.test".
	HideHost string
	// FloodLines ends a client with "Excess Flood" that sends more lines in a
	// second; 0: never.
	FloodLines int
	// NoRecord keeps no record of lines: for load. Expect does not work then.
	NoRecord bool
}

// DefaultCaps is what a modern server offers.
var DefaultCaps = []string{
	"account-notify", "account-tag", "away-notify", "batch", "cap-notify", "chghost", "echo-message",
	"extended-join", "invite-notify", "labeled-response", "message-tags", "multi-prefix", "server-time",
	"setname", "standard-replies", "userhost-in-names",
}

// DefaultISupport is what a modern server announces.
var DefaultISupport = []string{
	"AWAYLEN=200", "BOT=B", "CASEMAPPING=ascii", "CHANLIMIT=#:50", "CHANMODES=beI,k,l,imnpst", "CHANNELLEN=64", "CHANTYPES=#",
	"KICKLEN=300", "LINELEN=512", "MAXLIST=beI:100", "MODES=4", "NICKLEN=30", "PREFIX=(qaohv)~&@%+",
	"STATUSMSG=~&@%+", "TARGMAX=PRIVMSG:4,NOTICE:4,JOIN:,KICK:1", "TOPICLEN=300", "WHOX",
}

// Server is a running server.
type Server struct {
	cfg  Config
	cert tls.Certificate
	pool *x509.CertPool

	mu        sync.Mutex
	listeners []net.Listener
	addr      string
	tlsAddr   string
	caps      []string
	support   []string
	clients   map[*Client]bool
	nicks     map[string]*Client // by folded nick, registered or not
	channels  map[string]*channel
	hooks     map[string]func(*Client, Msg) bool
	counters  Counters
	ids       uint64
	changed   chan struct{} // closed and replaced when a client registers or leaves
	wg        sync.WaitGroup
}

// Counters is what a server has seen since it was started.
type Counters struct {
	Accepted   int // connections
	Registered int
	Closed     int
	LinesIn    int
	LinesOut   int
	Commands   map[string]int
}

// Start runs a server until the test ends.
func Start(tb testing.TB, cfg Config) *Server {
	tb.Helper()
	s, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// New runs a server until Stop.
func New(cfg Config) (*Server, error) {
	orDefault(&cfg.Name, "irc.test")
	orDefault(&cfg.Network, "TestNet")
	orDefault(&cfg.Listen, "127.0.0.1")
	orDefault(&cfg.HideHost, "user.test")
	if cfg.SASL == nil {
		cfg.SASL = []string{"PLAIN", "EXTERNAL", "SCRAM-SHA-256"}
	}
	s := &Server{
		cfg: cfg, clients: make(map[*Client]bool), nicks: make(map[string]*Client),
		channels: make(map[string]*channel), hooks: make(map[string]func(*Client, Msg) bool),
		changed: make(chan struct{}),
	}
	s.counters.Commands = make(map[string]int)
	s.caps = cfg.Caps
	if s.caps == nil {
		s.caps = DefaultCaps
	}
	s.caps = slices.Clone(s.caps)
	if len(cfg.Accounts)+len(cfg.Certs) > 0 && len(cfg.SASL) > 0 {
		s.caps = append(s.caps, "sasl="+strings.Join(cfg.SASL, ","))
	}
	s.support = mergeTokens(append(slices.Clone(DefaultISupport), "NETWORK="+cfg.Network), cfg.ISupport)
	if cfg.TLS {
		var err error
		if s.cert, s.pool, err = selfSigned(cfg.Listen); err != nil {
			return nil, err
		}
	}
	return s, s.listen()
}

func orDefault(s *string, v string) {
	if *s == "" {
		*s = v
	}
}

// mergeTokens applies changes to ISUPPORT tokens.
func mergeTokens(tokens, changes []string) []string {
	for _, ch := range changes {
		name, _, _ := strings.Cut(strings.TrimPrefix(ch, "-"), "=")
		i := slices.IndexFunc(tokens, func(t string) bool { n, _, _ := strings.Cut(t, "="); return n == name })
		switch {
		case strings.HasPrefix(ch, "-") && i >= 0:
			tokens = slices.Delete(tokens, i, i+1)
		case strings.HasPrefix(ch, "-"):
		case i >= 0:
			tokens[i] = ch
		default:
			tokens = append(tokens, ch)
		}
	}
	return tokens
}

// listen opens the ports: free ones the first time, the same ones after.
func (s *Server) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(&s.addr, nil); err != nil {
		return err
	}
	if !s.cfg.TLS {
		return nil
	}
	return s.open(&s.tlsAddr, &tls.Config{Certificates: []tls.Certificate{s.cert}, ClientAuth: tls.RequestClientCert})
}

func (s *Server) open(addr *string, config *tls.Config) error {
	at := *addr
	if at == "" {
		at = net.JoinHostPort(s.cfg.Listen, "0")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return fmt.Errorf("irctest: %w", err)
	}
	*addr = l.Addr().String()
	s.listeners = append(s.listeners, l)
	s.wg.Go(func() { s.accept(l, config) })
	return nil
}

func (s *Server) accept(l net.Listener, config *tls.Config) {
	for {
		sock, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // out of files for a moment
		}
		if config != nil {
			sock = tls.Server(sock, config)
		}
		c := newClient(s, sock)
		s.mu.Lock()
		if !slices.Contains(s.listeners, l) { // stopped meanwhile
			s.mu.Unlock()
			_ = sock.Close()
			return
		}
		s.counters.Accepted++
		s.clients[c] = true
		s.mu.Unlock()
		s.wg.Go(c.read)
		s.wg.Go(c.write)
	}
}

// Stop closes the ports and all connections at once and waits until that is done. Puppets and channels are gone.
func (s *Server) Stop() {
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.listeners = nil
	for c := range s.clients {
		c.hangUp()
	}
	s.clients = make(map[*Client]bool)
	s.nicks = make(map[string]*Client)
	s.channels = make(map[string]*channel)
	s.mu.Unlock()
	s.wg.Wait()
}

// Restart stops the server and listens on the same ports again.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop()
	s.Resume(tb)
}

// SetPassword changes the password of an account of Config.Accounts, for logins that
// come later.
func (s *Server) SetPassword(account, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	accounts := maps.Clone(s.cfg.Accounts)
	accounts[account] = password
	s.cfg.Accounts = accounts
}

// Resume listens on the same ports again after Stop.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	var err error
	for range 100 { // the kernel may need a moment to let the port go
		if err = s.listen(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	tb.Fatal(err)
}

// Addr is "address:port" without TLS.
func (s *Server) Addr() string { return s.addr }

// TLSAddr is "address:port" with TLS.
func (s *Server) TLSAddr() string { return s.tlsAddr }

// Host is the address the server listens on.
func (s *Server) Host() string { return s.cfg.Listen }

// Port is the port without TLS.
func (s *Server) Port() uint16 { return port(s.addr) }

// TLSPort is the port with TLS.
func (s *Server) TLSPort() uint16 { return port(s.tlsAddr) }

func port(addr string) uint16 {
	_, p, _ := net.SplitHostPort(addr)
	n, _ := strconv.ParseUint(p, 10, 16)
	return uint16(n)
}

// Name is the server's name as its lines carry it.
func (s *Server) Name() string { return s.cfg.Name }

// Certificate is what the server shows; it is its own authority and made out to
// the address listened on, "localhost" and "irc.test".
func (s *Server) Certificate() *x509.Certificate { return s.cert.Leaf }

// RootCAs trusts the server's certificate.
func (s *Server) RootCAs() *x509.CertPool { return s.pool }

// Counters is a snapshot.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters
	c.Commands = maps.Clone(c.Commands)
	return c
}

// Client returns the connection or puppet with a nick, nil when there is none.
func (s *Server) Client(nick string) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.nicks[s.fold(nick)]; c != nil && c.registered {
		return c
	}
	return nil
}

// WaitClient waits until a nick is registered.
func (s *Server) WaitClient(tb testing.TB, nick string) *Client {
	tb.Helper()
	var c *Client
	s.wait(tb, "no client "+nick, func() bool { c = s.nicks[s.fold(nick)]; return c != nil && c.registered })
	return c
}

// WaitGone waits until a nick is gone.
func (s *Server) WaitGone(tb testing.TB, nick string) {
	tb.Helper()
	s.wait(tb, nick+" is still there", func() bool { return s.nicks[s.fold(nick)] == nil })
}

// Patience is how long the waiting functions wait before they fail a test.
const Patience = 10 * time.Second

// wait waits for a condition on the server's state, which is locked meanwhile.
func (s *Server) wait(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("irctest: %s", what)
		}
	}
}

// notify wakes those who wait. s.mu is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
