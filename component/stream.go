package component

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// StreamState is the state of the stream, told to [StreamConfig.OnState].
type StreamState struct {
	Up   bool
	Err  error  // why it is down; nil when it is up
	Text string // one sentence for an operator
}

// StreamConfig is what a stream needs to know. Fields left zero get the default
// named with them.
type StreamConfig struct {
	// Domain is the component's domain, Address the server's "host:port".
	Domain, Address string
	// Secret returns the shared secret. It is called at every attempt, so that a
	// changed file is noticed.
	Secret func() (string, error)
	// TLS, when set, makes the stream begin with TLS.
	TLS *tls.Config
	// Handler gets every stanza except the answers to requests of ours. It is
	// called by the read loop and must not block.
	Handler func(*Stanza)
	// OnState is told when the stream comes up, goes down, or stays down for
	// another reason, in order. It must not block.
	OnState func(StreamState)

	// QueueBytes bounds what waits to be written: 4 MiB. Send blocks when it
	// would be exceeded.
	QueueBytes int
	// ReservedBytes is the part of QueueBytes only TrySend and Request may use:
	// 256 KiB.
	ReservedBytes int
	// Limits bounds one incoming stanza: DefaultLimits.
	Limits Limits

	// DialTimeout bounds the connection and TLS: 10 s.
	DialTimeout time.Duration
	// LoginTimeout bounds stream header and handshake together: 15 s.
	LoginTimeout time.Duration
	// WriteTimeout is the longest one write may take before the stream is given
	// up: 30 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long the server may be silent before it is pinged,
	// and then again before the stream is given up: 30 s.
	IdleTimeout time.Duration
	// CloseTimeout bounds the polite close at the end: 3 s.
	CloseTimeout time.Duration
	// BackoffMin and BackoffMax bound the pause between attempts: 1 s and 60 s.
	BackoffMin, BackoffMax time.Duration

	// Dial opens connections; nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets what an operator should know; nil means slog.Default().
	Log *slog.Logger
}

// Limits bounds one incoming stanza.
type Limits struct {
	Bytes, Depth, Nodes, Attrs int
}

// StreamStats counts what happened on a stream since the start.
type StreamStats struct {
	Connects, Failures           uint64 // logins that worked, attempts that did not
	StanzasIn, StanzasOut        uint64
	BytesIn, BytesOut            uint64
	Writes                       uint64 // write calls; StanzasOut/Writes is the coalescing
	Skipped                      uint64 // stanzas over a limit or with forbidden content
	Unknown                      uint64 // well-formed elements that are no stanza
	Refused                      uint64 // outgoing stanzas the guard refused
	Dropped                      uint64 // replies of TrySend for which there was no room
	Strays                       uint64 // IQ answers nobody asked for, spoofed ones included
	Timeouts                     uint64 // requests that got no answer
	QueuedBytes, PendingRequests int
}

// Stream is the life of one component connection.
type Stream struct {
	cfg    StreamConfig
	domain JID
}

// NewStream returns a stream that does nothing until Run.
func NewStream(cfg StreamConfig) *Stream {
	return &Stream{cfg: cfg, domain: JID{Domain: fold(cfg.Domain)}}
}

// Run connects and stays connected until ctx is done.
func (s *Stream) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Domain returns the component's own address.
func (s *Stream) Domain() JID { return s.domain }

// Up reports whether the stream is established.
func (s *Stream) Up() bool { return false }

// Send queues a stanza.
func (s *Stream) Send(ctx context.Context, o *Out) error {
	o.Release()
	return ErrDown
}

// TrySend queues a stanza without ever blocking.
func (s *Stream) TrySend(o *Out) bool {
	o.Release()
	return false
}

// Request sends an IQ get or set and reports its answer.
func (s *Stream) Request(o *Out, timeout time.Duration, done func(*Stanza, error)) {
	o.Release()
	time.AfterFunc(0, func() { done(nil, ErrDown) })
}

// Stats returns the counters.
func (s *Stream) Stats() StreamStats { return StreamStats{} }

// NewID returns an unguessable id.
func (s *Stream) NewID() string { return rand.Text() }
