package component

import (
	"context"
	"log/slog"
	"testing"

	"transportd/internal/xmpptest"
)

const (
	testDomain = "irc.example.org"
	testSecret = "s3cr3t"
)

// streamRig is a stream under test with the server it talks to.
type streamRig struct {
	*Stream
	srv    *xmpptest.Server
	states chan StreamState
	got    chan *Stanza

	end  context.CancelFunc
	done chan struct{}
}

// newStreamRig starts a stream against a scripted server on loopback. opts change its
// configuration.
func newStreamRig(t testing.TB, opts ...func(*StreamConfig)) *streamRig {
	t.Helper()
	srv := xmpptest.NewServer(t, testDomain, testSecret)
	return startStreamRig(t, srv, opts...)
}

func startStreamRig(t testing.TB, srv *xmpptest.Server, opts ...func(*StreamConfig)) *streamRig {
	t.Helper()
	r := &streamRig{
		srv: srv, states: make(chan StreamState, 1024), got: make(chan *Stanza, 1<<16),
		done: make(chan struct{}),
	}
	cfg := StreamConfig{
		Domain: testDomain, Address: srv.Addr(),
		Secret:  func() (string, error) { return testSecret, nil },
		Handler: func(s *Stanza) { r.got <- s },
		OnState: func(s StreamState) { r.states <- s },
		Log:     slog.New(slog.DiscardHandler),
	}
	for _, o := range opts {
		o(&cfg)
	}
	r.Stream = NewStream(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	go func() {
		defer close(r.done)
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	t.Cleanup(r.stop)
	return r
}

// stop ends the stream and waits until Run has returned.
func (r *streamRig) stop() {
	r.end()
	<-r.done
}

// up accepts the component's connection and waits for the stream to be told up.
func (r *streamRig) up(t testing.TB) *xmpptest.Conn {
	t.Helper()
	c := r.srv.Accept()
	for st := range r.states {
		if st.Up {
			return c
		}
	}
	return nil
}

func mustJID(t testing.TB, s string) JID {
	t.Helper()
	j, err := ParseJID(s)
	if err != nil {
		t.Fatalf("ParseJID(%q): %v", s, err)
	}
	return j
}

// parseOne parses one stanza as the stream would.
func parseOne(t testing.TB, x string) *Stanza {
	t.Helper()
	p := parser{base: streamBindings}
	s, perr := p.parse([]byte(x), 1, 0)
	if perr != nil {
		t.Fatalf("parsing %s: %v", x, perr)
	}
	if err := s.read(); err != nil {
		t.Fatalf("reading %s: %v", x, err)
	}
	return s
}
