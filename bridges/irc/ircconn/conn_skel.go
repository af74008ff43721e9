// Package ircconn is one connection to an IRC server: finding and reaching
// it, TLS, registration, capabilities (IRCv3 CAP 302), SASL, flood control,
// keepalive and ISUPPORT. It knows nothing of channels, users or gateways.
//
// A Conn costs no goroutine of its own while nothing is being written: the
// caller's reader goroutine calls Read in a loop, keepalive is a read deadline.
package ircconn

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"
)

// Conn is a registered connection. Read belongs to one goroutine; everything
// else may be called from any.
type Conn struct{}

// Dial tries the endpoints in order and returns once the server has welcomed
// us (001). It blocks until then, at most DialTimeout and RegisterTimeout per
// endpoint and whatever Limiter asks for, and ends early with ctx. Every error is a *Failure, or ctx's.
// A certificate that is refused is never followed by an attempt without TLS;
// a registration the server refuses (nick, password, login, ban) ends the attempt at once.
func Dial(ctx context.Context, o Options) (*Conn, error) { return nil, ErrClosed }

// Read returns the next message, in the order of the network, the first being
// 001 (notices before it come first). Strings are valid UTF-8.
//
// It blocks, and ends with ctx (ctx.Err()), with Close (ErrClosed), or when the
// connection is over (*Failure, again at every further call).
//
// PING and our own keepalive are answered inside and not returned: PINGs of
// everything that has arrived are answered before the first of those lines is
// returned. AUTHENTICATE is handled inside. CAP, 005 and the SASL numerics are
// applied first (Cap, ISupport, Login show the new state) and then returned.
// A PONG that answers a fence is returned with Message.Confirmed set.
// ERROR is not returned: its words are in the Failure that follows.
func (c *Conn) Read(ctx context.Context) (*Message, error) { return nil, ErrClosed }

// Write queues lines, all or none, and never blocks. Lines are numbered from 1
// in the order they are queued; the number of the last one is returned. Errors:
// ErrQueueFull, ErrClosed, ErrLineTooLong, ErrBadLine.
//
// Lines leave in order, as Options.Flood allows, several in one write to the
// socket. After a burst with lines that have Fence set, a PING follows whose
// PONG Read returns with Confirmed: the server has handled every line up to
// that number. At most one such PING is in flight; it is charged to the flood
// limit; while lines are held back it comes at most every 5 lines or 5 seconds.
func (c *Conn) Write(lines ...Line) (last uint64, err error) { return 0, ErrClosed }

// Send queues one line without tags; see Write.
func (c *Conn) Send(command string, params ...string) error { return ErrClosed }

// Written is the number of the last line handed to the operating system. After
// the connection is over, lines beyond it have certainly not been sent.
func (c *Conn) Written() uint64 { return 0 }

// Pending is how many lines wait to be written.
func (c *Conn) Pending() int { return 0 }

// Cap tells whether a capability is on, and the value the server announced
// for it (on or not).
func (c *Conn) Cap(name string) (value string, on bool) { return "", false }

// Caps is the whole capability state.
func (c *Conn) Caps() *CapSet { return nil }

// ISupport is what the server has announced so far (005). The value is
// immutable and shared; a later announcement replaces it, so ask again.
func (c *Conn) ISupport() *ISupport { return nil }

// Welcome is the nick the server has registered us with (001).
func (c *Conn) Welcome() string { return "" }

// Login is the state of the SASL login: the account of 900, or why there is none (nil: none was wanted or it is under way).
func (c *Conn) Login() (account string, failure *Failure) { return "", nil }

// Quit sends QUIT ahead of everything queued, which is given up, waits until
// the server has closed the connection or ctx ends, and closes it. A reader must be calling Read meanwhile.
func (c *Conn) Quit(ctx context.Context, reason string) {}

// Close ends the connection at once and waits for the writer. Read returns ErrClosed.
func (c *Conn) Close() error { return nil }

// Info describes the connection.
type Info struct {
	Endpoint Endpoint
	Remote   netip.AddrPort
	Local    netip.AddrPort
	TLS      *tls.ConnectionState // nil: not encrypted
	Since    time.Time            // of the welcome
}

// Info describes the connection.
func (c *Conn) Info() Info { return Info{} }

// CapSet is the capabilities of a connection: immutable, shared.
type CapSet struct {
	offered map[string]string
	on      map[string]bool
}

// On tells whether a capability is on.
func (s *CapSet) On(name string) bool { return s != nil && s.on[name] }

// Offered tells whether the server offers it, and with what value.
func (s *CapSet) Offered(name string) (value string, ok bool) {
	if s == nil {
		return "", false
	}
	value, ok = s.offered[name]
	return value, ok
}

// Limiter paces connections to the same host.
type Limiter struct{}

// STSCache remembers strict transport security policies by host.
type STSCache struct{}
