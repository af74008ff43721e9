package ircconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/text/encoding"
)

// Endpoint is one place where a network listens.
type Endpoint struct {
	Host string // a name or an IP address, without brackets
	Port uint16
	TLS  bool // TLS from the first byte; there is no STARTTLS
}

// String is "host:port" with a note when the connection is not encrypted.
func (e Endpoint) String() string {
	s := net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	if e.TLS {
		return s + " with TLS"
	}
	return s + " without encryption"
}

// Family limits which addresses of a host are tried.
type Family uint8

// Address families.
const (
	AnyFamily Family = iota // both, in the resolver's order, families taking turns
	OnlyIPv4
	OnlyIPv6
)

// Resolver turns a host name into addresses; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DialFunc opens a TCP connection; addr is always a literal "address:port".
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// TLSOptions says whom to trust. The zero value checks the certificate chain
// against the system's roots and the name against the host.
type TLSOptions struct {
	Insecure bool // take any certificate
	// RootCAs replaces the system's roots; see LoadRootCAs.
	RootCAs *x509.CertPool
	// Pins are SHA-256 digests of the server's certificate or of its public key
	// (SubjectPublicKeyInfo). A pin replaces the check of chain and name.
	Pins [][]byte
	// ServerName is expected instead of the endpoint's host.
	ServerName string
	// Certificate is shown to the server and makes SASL EXTERNAL possible.
	Certificate *tls.Certificate
}

// SASL mechanisms in the order they are preferred when SASL.Mechanisms is nil.
const (
	External    = "EXTERNAL"
	ScramSHA256 = "SCRAM-SHA-256"
	Plain       = "PLAIN"
)

// SASL is an account on the network's services.
type SASL struct {
	Account  string
	Password string
	// Identity is the account EXTERNAL asks for (RFC 4422 appendix A); empty: the
	// one the certificate belongs to.
	Identity string
	// Mechanisms limits and orders what is tried; nil means EXTERNAL when a
	// certificate is set, SCRAM-SHA-256, PLAIN.
	Mechanisms []string
	// Required makes the connection fail when the login does. Without it the
	// connection goes on and Conn.Login tells what happened.
	Required bool
}

// FloodLimits is a token bucket: Burst lines at once, then one every Every.
// A Burst or Every that is not positive turns the limit off.
type FloodLimits struct {
	Burst int
	Every time.Duration
}

// Options describes one connection. Only Endpoints and Nick are required.
// Dial keeps no reference to the value; the functions are called on the
// goroutine of Dial or Read and must not block.
type Options struct {
	Endpoints []Endpoint // tried in order
	Family    Family
	Resolver  Resolver // nil: the system's
	Dial      DialFunc // nil: the system's; for a source address or a proxy
	// Allow is asked for every address after the name was resolved and before
	// it is dialled; an error refuses the address. nil allows all. See guard.PublicOnly.
	Allow func(netip.Addr) error
	TLS   TLSOptions
	// Limiter paces connections to the same host; nil: no limit.
	Limiter *Limiter
	// STS remembers which hosts have asked for TLS only; nil: only the policy
	// seen on this connection counts.
	STS *STSCache

	Nick, User, RealName string // User and RealName default to Nick
	Password             string // of the server (PASS)
	SASL                 *SASL  // nil: no login
	// Nicks is asked when the server refuses a nick while registering: return
	// another one, or false to give up. nil gives up at once.
	Nicks func(refused string, why *Failure) (next string, ok bool)

	// Caps are the IRCv3 capabilities wanted; only what the server offers is
	// requested. cap-notify is implied, sasl is added by itself.
	Caps []string
	// Fallback decodes lines that are not UTF-8; nil: U+FFFD stands in.
	Fallback encoding.Encoding

	Flood FloodLimits
	Queue QueueLimits

	PingEvery       time.Duration // silence after which we ask; default 3 min
	PingTimeout     time.Duration // silence after that which ends it; default 1 min
	DialTimeout     time.Duration // for each endpoint, TLS included; default 20 s
	RegisterTimeout time.Duration // until the welcome; default 60 s
	WriteTimeout    time.Duration // for each write; default 30 s

	// OnProgress gets sentences for the user: "Connecting to …".
	OnProgress func(text string)
	// Go starts the short-lived goroutine that writes queued lines. It must not
	// block, and must run f in any case: Close waits for it. nil: go f().
	Go  func(f func())
	Log *slog.Logger // nil: silent. Never gets bodies or secrets.
}

// QueueLimits bounds what may wait to be written. Write refuses with
// ErrQueueFull when either is reached.
type QueueLimits struct {
	Lines int // default 500
	Bytes int // default 128 KiB
}
