package component

import (
	"context"
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
	// TLS, when set, makes the connection begin with TLS. A config without a
	// ServerName gets the host of Address.
	TLS *tls.Config
	// Handler gets every stanza except the answers to our requests. It is called
	// by the read loop and must not block.
	Handler func(*Stanza)
	// OnState is told when the stream comes up, when it goes down, and when it
	// stays down for another reason than before, in order. It must not block.
	OnState func(StreamState)

	// QueueBytes bounds what waits to be written: 2 MiB, at least 1 MiB. Send
	// blocks when it would be exceeded.
	QueueBytes int
	// ReservedBytes is the part of QueueBytes that only TrySend and Request may
	// use: 256 KiB.
	ReservedBytes int
	// Limits bounds one incoming stanza: DefaultLimits.
	Limits Limits

	// DialTimeout bounds the connection and TLS: 10 s.
	DialTimeout time.Duration
	// LoginTimeout bounds stream header and handshake together: 15 s.
	LoginTimeout time.Duration
	// WriteTimeout is the longest one write call may take before the stream is
	// given up: 30 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long the server may be silent before it is pinged, and
	// then again before the stream is given up: 30 s.
	IdleTimeout time.Duration
	// CloseTimeout bounds the polite close at the end: 3 s.
	CloseTimeout time.Duration
	// BackoffMin and BackoffMax bound the pause between attempts: 1 s and 60 s.
	// After a refusal that no retry will cure the pause is BackoffMax at once.
	BackoffMin, BackoffMax time.Duration

	// Dial opens connections; nil means a net.Dialer with TCP keepalive.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets what an operator should know; nil means slog.Default().
	Log *slog.Logger
}

const minQueue = 4 * MaxOut

// withDefaults fills in what was left zero.
func (c StreamConfig) withDefaults() StreamConfig {
	durations := []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.DialTimeout, 10 * time.Second},
		{&c.LoginTimeout, 15 * time.Second},
		{&c.WriteTimeout, 30 * time.Second},
		{&c.IdleTimeout, 30 * time.Second},
		{&c.CloseTimeout, 3 * time.Second},
		{&c.BackoffMin, time.Second},
		{&c.BackoffMax, time.Minute},
	}
	for _, d := range durations {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 2 << 20
	}
	c.QueueBytes = max(c.QueueBytes, minQueue)
	if c.ReservedBytes <= 0 {
		c.ReservedBytes = MaxOut
	}
	c.ReservedBytes = min(c.ReservedBytes, c.QueueBytes-2*MaxOut)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Handler == nil {
		c.Handler = func(*Stanza) {}
	}
	if c.OnState == nil {
		c.OnState = func(StreamState) {}
	}
	return c
}
