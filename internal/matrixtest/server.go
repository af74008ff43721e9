// Package matrixtest is a small Matrix homeserver for tests and for load. It
// speaks the client-server API over HTTP on loopback, keeps everything in memory,
// checks power levels and membership as a real one does, and can be made to
// misbehave.
//
//	srv := matrixtest.New(t)
//	bob := srv.User("bob")                 // another person, without a client
//	room := bob.Create(matrixtest.RoomOptions{Name: "Room", Preset: "public_chat"})
//	…log the program under test in at srv.URL as srv.User("alice")…
//	room.WaitMember(t, srv.User("alice"), "join")
//	id := bob.Say(room, "hello")
//	room.WaitEvent(t, func(e *matrixtest.Event) bool { return e.Body() == "hi" })
//	srv.Inject(matrixtest.Fault{Path: "/send/", Times: 1, Cut: matrixtest.CutAfter})
package matrixtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Config describes a server. The zero value is one on 127.0.0.1 with plain
// HTTP/1.1 and logins by password.
type Config struct {
	Name        string // what user ids end in; default "hs.test"
	Found       bool   // it is named after its address and port instead, where it can be found by its name
	Listen      string // default "127.0.0.1"
	TLS         bool   // HTTPS with HTTP/2, and a certificate that RootCAs trusts
	RoomVersion string // of new rooms; default "11"
	MaxUpload   int64  // bytes; default 50 MiB

	NoPassword bool // no login by password
	NoPresence bool // nobody's presence is told
	NoRecord   bool // requests and transactions are not recorded: for load
	Unlisted   bool // /.well-known/matrix/client is not found

	OAuth bool // OAuth 2.0 with device codes
	// TokenLife is how long access tokens of an OAuth login, or of a login with
	// refresh_token set, are good; default 5 minutes.
	TokenLife time.Duration
	// Interval is how long clients are told to wait between two questions for a
	// token; default 1 s, the unit is whole seconds.
	Interval time.Duration

	// Now is the clock of events; default time.Now.
	Now func() time.Time
}

// Server is a running homeserver. Its methods are safe for concurrent use.
type Server struct {
	Name string
	URL  string // where the API is: "http://127.0.0.1:port"

	cfg  Config
	tb   testing.TB // nil: none
	cert tls.Certificate
	pool *x509.CertPool
	mux  *http.ServeMux

	// One lock for all state. It is never held while waiting or writing.
	mu          sync.Mutex
	pos         int64 // of the last change of anything
	serial      uint64
	users       map[string]*User // by full id
	tokens      map[string]*device
	refresh     map[string]*device
	rooms       map[string]*Room
	order       []*Room // as they were made
	aliases     map[string]*Room
	media       map[string]*Media
	faults      []*Injected
	limits      []*Limit
	grants      []*Grant
	fresh       []*Grant // nobody has waited for
	loginTokens map[string]*User
	clients     map[string]bool // ids of OAuth clients
	record      []Request
	counts      map[string]int // requests by route
	waiting     int            // polls that wait
	changed     chan struct{}  // closed at the next change; nil: nobody waits

	http   *http.Server
	addr   string
	ctx    context.Context // of the requests; done when the server stops
	cancel context.CancelFunc
	busy   sync.WaitGroup // handlers and the accept loop
}

// New runs a server with the zero Config until the test ends.
func New(tb testing.TB) *Server {
	tb.Helper()
	return Start(tb, Config{})
}

// Start runs a server until the test ends.
func Start(tb testing.TB, cfg Config) *Server {
	tb.Helper()
	s, err := Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(s.Stop)
	return s
}

// Open runs a server until Stop, without a test: what an action is refused for
// makes it panic.
func Open(cfg Config) (*Server, error) {
	orDefault(&cfg.Name, "hs.test")
	orDefault(&cfg.Listen, "127.0.0.1")
	orDefault(&cfg.RoomVersion, "11")
	orDefault(&cfg.MaxUpload, 50<<20)
	orDefault(&cfg.TokenLife, 5*time.Minute)
	orDefault(&cfg.Interval, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		Name: cfg.Name, cfg: cfg,
		users: map[string]*User{}, tokens: map[string]*device{}, refresh: map[string]*device{},
		rooms: map[string]*Room{}, aliases: map[string]*Room{}, media: map[string]*Media{},
		clients: map[string]bool{}, loginTokens: map[string]*User{}, counts: map[string]int{},
	}
	s.mux = s.routes()
	if cfg.TLS {
		var err error
		if s.cert, s.pool, err = selfSigned(cfg.Listen, cfg.Name); err != nil {
			return nil, err
		}
	}
	return s, s.listen()
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// listen opens the port: a free one the first time, the same one after.
func (s *Server) listen() error {
	at := s.addr
	orDefault(&at, net.JoinHostPort(s.cfg.Listen, "0"))
	l, err := net.Listen("tcp", at)
	if err != nil {
		return fmt.Errorf("matrixtest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	ctx := s.ctx
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.serve),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // connections that are cut on purpose
	}
	scheme := "http://"
	if s.cfg.TLS {
		scheme = "https://"
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12}
	}
	if s.addr == "" {
		s.addr = l.Addr().String()
		s.URL = scheme + s.addr
		if s.cfg.Found {
			s.Name = s.addr
		}
	}
	server := s.http
	s.busy.Go(func() {
		if s.cfg.TLS {
			_ = server.ServeTLS(l, "", "")
		} else {
			_ = server.Serve(l)
		}
	})
	return nil
}

// Stop closes the port and all connections at once and waits until that is done.
// What the server knows stays, for Resume.
func (s *Server) Stop() {
	s.mu.Lock()
	s.cancel() // whoever was let in before is in busy
	server := s.http
	s.mu.Unlock()
	_ = server.Close()
	s.busy.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rooms {
		r.stopTyping()
	}
}

// Resume listens on the same port again after Stop.
func (s *Server) Resume() error {
	return s.listen()
}

// Client is an HTTP client that trusts the server's certificate and shares
// nothing with others.
func (s *Server) Client() *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 8, ForceAttemptHTTP2: true}
	if s.pool != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: s.pool, MinVersion: tls.VersionTLS12}
	}
	if s.tb != nil {
		s.tb.Cleanup(tr.CloseIdleConnections)
	}
	return &http.Client{Transport: tr}
}

// RootCAs trusts the server's certificate, which is made out to the address it
// listens on, "localhost" and its name. It is nil without TLS.
func (s *Server) RootCAs() *x509.CertPool { return s.pool }

// fail ends what cannot go on: the test, or without one the program.
func (s *Server) fail(format string, args ...any) {
	if s.tb == nil {
		panic("matrixtest: " + fmt.Sprintf(format, args...))
	}
	s.tb.Helper()
	s.tb.Fatalf("matrixtest: "+format, args...)
}

// do runs f under the lock; an error of it is a failure.
func (s *Server) do(what string, f func() error) {
	err := s.try(f)
	if err != nil {
		if s.tb != nil {
			s.tb.Helper()
		}
		s.fail("%s: %v", what, err)
	}
}

func (s *Server) try(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// next is the position of a new change.
func (s *Server) next() int64 {
	s.pos++
	s.notify()
	return s.pos
}

func (s *Server) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Patience is how long the waiting functions wait before they fail a test.
const Patience = 20 * time.Second

// Wait waits until ok, which is asked again after each change and may call the
// server's methods.
func (s *Server) Wait(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), Patience, errors.New("patience"))
	defer cancel()
	for {
		s.mu.Lock()
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("matrixtest: %s", what)
		}
	}
}
