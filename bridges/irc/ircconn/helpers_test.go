package ircconn

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/internal/irctest"
)

// testCaps are what the gateway asks for.
var testCaps = []string{
	"multi-prefix", "userhost-in-names", "server-time", "message-tags", "account-notify", "extended-join", "away-notify",
	"chghost", "setname", "echo-message", "labeled-response", "batch", "invite-notify", "standard-replies",
}

func options(s *irctest.Server) Options {
	return Options{
		Endpoints: []Endpoint{{Host: s.Host(), Port: s.Port()}},
		Nick:      "alice", Caps: testCaps,
	}
}

func tlsOptions(s *irctest.Server) Options {
	o := options(s)
	o.Endpoints = []Endpoint{{Host: s.Host(), Port: s.TLSPort(), TLS: true}}
	o.TLS.RootCAs = s.RootCAs()
	return o
}

// testContext ends with the test, and long before go test loses patience.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, o Options) *Conn {
	t.Helper()
	c, err := Dial(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialFailure connects and wants to fail for a reason.
func dialFailure(t testing.TB, o Options, want Reason) *Failure {
	t.Helper()
	c, err := Dial(testContext(t), o)
	if err == nil {
		c.Close()
		t.Fatalf("connected; want reason %d", want)
	}
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("error is %T %v, want a *Failure", err, err)
	}
	if f.Reason != want {
		t.Fatalf("reason %d (%v), want %d", f.Reason, f, want)
	}
	if f.Text == "" || strings.ContainsAny(f.Text, "\r\n") {
		t.Errorf("text for the user is %q", f.Text)
	}
	return f
}

// await reads until a message of a command comes.
func await(t testing.TB, c *Conn, command string) *Message {
	t.Helper()
	ctx := testContext(t)
	for {
		m, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", command, err)
		}
		if m.Command == command {
			return m
		}
	}
}

// drainMOTD reads past the greeting.
func drainMOTD(t testing.TB, c *Conn) {
	t.Helper()
	await(t, c, "422")
}

// pipeServer is the far end of an in-memory connection; it works under synctest.
type pipeServer struct {
	net.Conn
	mu    sync.Mutex
	lines []string
	wake  chan struct{}
}

// pipe returns a dial function whose connection ends at the server returned.
// The server takes lines as they come; greet makes it answer NICK with a welcome.
func pipe(greet bool) (*pipeServer, DialFunc) {
	near, far := net.Pipe()
	s := &pipeServer{Conn: far, wake: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 4096)
		var rest string
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			rest += string(buf[:n])
			for {
				line, after, ok := strings.Cut(rest, "\r\n")
				if !ok {
					break
				}
				rest = after
				s.took(line)
				if greet && strings.HasPrefix(line, "USER ") {
					s.say(":srv 001 alice :Welcome")
				}
			}
		}
	}()
	return s, func(context.Context, string, string) (net.Conn, error) { return near, nil }
}

func (s *pipeServer) took(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *pipeServer) say(line string) { _, _ = s.Write([]byte(line + "\r\n")) }

func (s *pipeServer) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// forget empties the record.
func (s *pipeServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = nil
}

func pipeOptions(d DialFunc) Options {
	return Options{Endpoints: []Endpoint{{Host: "192.0.2.1", Port: 6667}}, Dial: d, Nick: "alice"}
}
