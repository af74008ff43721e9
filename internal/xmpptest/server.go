package xmpptest

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"
)

const (
	nsComponent    = "jabber:component:accept"
	nsStreams      = "http://etherx.jabber.org/streams"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
)

// Server waits for connections of one component.
type Server struct {
	Domain, Secret string
	// Patience is how long a method waits for the component before it fails the
	// test: 10 s.
	Patience time.Duration

	t     testing.TB
	addr  string
	tls   *tls.Config
	conns chan net.Conn
	done  chan struct{}

	mu       sync.Mutex
	listener net.Listener
	open     []*Conn
	work     sync.WaitGroup
}

// NewServer listens on a free port of the loopback interface. It is closed, and
// its goroutines have ended, when the test is over.
func NewServer(t testing.TB, domain, secret string) *Server {
	t.Helper()
	s := NewPipeServer(t, domain, secret)
	s.addr = "127.0.0.1:0"
	s.Start()
	return s
}

// NewTLSServer is like NewServer; connections begin with TLS.
func NewTLSServer(t testing.TB, domain, secret string, cfg *tls.Config) *Server {
	t.Helper()
	s := NewPipeServer(t, domain, secret)
	s.addr, s.tls = "127.0.0.1:0", cfg
	s.Start()
	return s
}

// NewPipeServer returns a server that is reached only through [Server.Dial]. It
// touches no network, for tests with a clock of their own (testing/synctest).
func NewPipeServer(t testing.TB, domain, secret string) *Server {
	s := &Server{
		Domain: domain, Secret: secret, Patience: 10 * time.Second,
		t: t, conns: make(chan net.Conn, 64), done: make(chan struct{}),
	}
	t.Cleanup(s.shutdown)
	return s
}

// Dial connects to the server through a pipe in memory. It fits the component's
// Dial setting.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case s.conns <- ours:
		return theirs, nil
	case <-s.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Addr returns the address to connect to, "127.0.0.1:port". It stays the same
// over Stop and Start.
func (s *Server) Addr() string { return s.addr }

// Start listens again after Stop, on the same port.
func (s *Server) Start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatalf("xmpptest: %v", err)
	}
	s.addr = l.Addr().String()
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case s.conns <- c:
			case <-s.done:
				c.Close()
				return
			}
		}
	})
}

// Stop refuses new connections and breaks those there are, as a killed server
// does. Start makes it available again.
func (s *Server) Stop() {
	s.mu.Lock()
	l, open := s.listener, s.open
	s.listener, s.open = nil, nil
	s.mu.Unlock()
	if l != nil {
		l.Close()
	}
	for _, c := range open {
		c.Break()
	}
	for {
		select {
		case c := <-s.conns:
			c.Close()
		default:
			return
		}
	}
}

func (s *Server) shutdown() {
	close(s.done)
	s.Stop()
	s.work.Wait()
}

// Accept waits for the component, completes the handshake with it and returns
// the connection.
func (s *Server) Accept() *Conn {
	s.t.Helper()
	c := s.AcceptRaw()
	c.Login()
	return c
}

// AcceptRaw waits for a connection and does nothing with it.
func (s *Server) AcceptRaw() *Conn {
	s.t.Helper()
	select {
	case raw := <-s.conns:
		return s.newConn(raw)
	case <-time.After(s.Patience):
		s.t.Fatalf("xmpptest: the component did not connect within %v", s.Patience)
		return nil
	}
}

// NoConnection reports whether the component stays away for d.
func (s *Server) NoConnection(d time.Duration) bool {
	select {
	case raw := <-s.conns:
		raw.Close()
		return false
	case <-time.After(d):
		return true
	}
}
