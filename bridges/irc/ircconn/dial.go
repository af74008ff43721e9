package ircconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Dial tries the endpoints in order and returns once the server has welcomed
// us (001). It blocks until then, at most DialTimeout and RegisterTimeout for
// each endpoint and whatever Limiter asks for, and ends early with ctx, whose
// error it returns then; every other error is a *Failure. ctx does not bind the
// connection afterwards.
//
// A certificate that is refused is never followed by an attempt without TLS; a
// registration that the server refuses (nick, password, login, ban) ends the
// attempt at once. Otherwise the failure that tells most is returned.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	o.setDefaults()
	best := &Failure{Reason: Protocol, Permanent: true, Text: "No server is named for this network."}
	first, distrust := true, false
	for _, ep := range o.Endpoints {
		if up, ok := o.STS.upgrade(ep); ok {
			ep = up
		}
		if distrust && !ep.TLS {
			continue
		}
		c, f := attempt(ctx, &o, ep)
		if f == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		o.Log.DebugContext(ctx, "connection attempt failed", "endpoint", ep.String(), "reason", f.Reason, "error", f)
		if f.final() {
			return nil, f
		}
		distrust = distrust || badCertificate(f)
		if first || f.weight() >= best.weight() {
			best, first = f, false
		}
	}
	return nil, best
}

func (o *Options) setDefaults() {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Dial == nil {
		// our own PING does what TCP keepalive would
		o.Dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	o.Queue.Lines = cmp.Or(o.Queue.Lines, 500)
	o.Queue.Bytes = cmp.Or(o.Queue.Bytes, 128<<10)
	o.PingEvery = cmp.Or(o.PingEvery, 3*time.Minute)
	o.PingTimeout = cmp.Or(o.PingTimeout, time.Minute)
	o.DialTimeout = cmp.Or(o.DialTimeout, 20*time.Second)
	o.RegisterTimeout = cmp.Or(o.RegisterTimeout, time.Minute)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	if o.OnProgress == nil {
		o.OnProgress = func(string) {}
	}
	if o.Go == nil {
		o.Go = func(f func()) { go f() }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// attempt connects to one endpoint and registers, following the server's wish
// for TLS once.
func attempt(ctx context.Context, o *Options, ep Endpoint) (*Conn, *Failure) {
	c, err := attemptOnce(ctx, o, ep)
	var up upgrade
	if errors.As(err, &up) {
		ep = Endpoint{Host: ep.Host, Port: up.port, TLS: true}
		o.OnProgress(ep.Host + " wants an encrypted connection.")
		c, err = attemptOnce(ctx, o, ep)
	}
	if err == nil {
		return c, nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return nil, f
	}
	return nil, &Failure{Reason: Closed, Text: "The attempt to connect to " + ep.Host + " was ended.", Err: err}
}

func attemptOnce(ctx context.Context, o *Options, ep Endpoint) (*Conn, error) {
	done, err := o.Limiter.Wait(ctx, ep.Host)
	if err != nil {
		return nil, err
	}
	defer done()
	o.OnProgress("Connecting to " + ep.String() + ".")
	sock, f := connect(ctx, o, ep)
	if f != nil {
		return nil, f
	}
	c := newConn(sock, o, ep)
	o.OnProgress("Connected to " + ep.Host + ", registering as " + cleanText(o.Nick) + ".")
	if err := c.register(ctx, o); err != nil {
		c.writers.Wait()
		return nil, err
	}
	return c, nil
}

// partWays ends a connection that only told where to go instead, and waits a
// moment for the server to forget it: the nick was given there already.
func (c *Conn) partWays() {
	_ = c.sock.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c.sock, "QUIT\r\n"); err == nil {
		_, _ = io.Copy(io.Discard, c.sock)
	}
}

func newConn(sock net.Conn, o *Options, ep Endpoint) *Conn {
	c := &Conn{
		sock: sock,
		info: Info{Endpoint: ep, Remote: addrPort(sock.RemoteAddr()), Local: addrPort(sock.LocalAddr()), Since: time.Now()},
		opt: settings{
			caps: o.Caps, sasl: o.SASL, certificate: o.TLS.Certificate != nil, fallback: o.Fallback, sts: o.STS,
			queue: o.Queue, pingEvery: o.PingEvery, pingTimeout: o.PingTimeout, writeTimeout: o.WriteTimeout,
			goFunc: o.Go,
		},
	}
	c.out.bucket = newBucket(o.Flood)
	c.caps.Store(noCaps)
	c.support.Store(noSupport)
	c.in.init(sock)
	if t, ok := sock.(*tls.Conn); ok {
		state := t.ConnectionState()
		c.info.TLS = &TLSInfo{Version: state.Version, CipherSuite: state.CipherSuite}
		if len(state.PeerCertificates) > 0 {
			c.info.TLS.Fingerprint = Fingerprint(state.PeerCertificates[0])
		}
	}
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// connect resolves, dials and, where the endpoint says so, puts TLS on.
func connect(ctx context.Context, o *Options, ep Endpoint) (net.Conn, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	addrs, f := resolve(ctx, o, ep.Host)
	if f != nil {
		return nil, f
	}
	sock, f := dialAny(ctx, o, ep, addrs)
	if f != nil || !ep.TLS {
		return sock, f
	}
	t, f := handshake(ctx, sock, &o.TLS, ep)
	if f != nil {
		closeSocket(sock)
		return nil, f
	}
	return t, nil
}

// resolve finds the addresses of a host that may be dialled, in the order to try.
func resolve(ctx context.Context, o *Options, host string) ([]netip.Addr, *Failure) {
	addrs, literal := []netip.Addr(nil), false
	if a, ok := isLiteral(host); ok {
		addrs, literal = []netip.Addr{a}, true
	} else {
		var err error
		if addrs, err = o.Resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, unresolved(host, err)
		}
	}
	family := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		a = a.Unmap()
		if o.Family == AnyFamily || (o.Family == OnlyIPv4) == a.Is4() {
			family = append(family, a)
		}
	}
	if len(family) == 0 {
		return nil, &Failure{Reason: Unresolved, Text: host + " has no address of the kind this gateway uses."}
	}
	allowed := make([]netip.Addr, 0, len(family))
	for _, a := range family {
		if o.Allow == nil || o.Allow(a) == nil {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		text := host + " is at an address this gateway does not connect to."
		if literal {
			text = "This gateway does not connect to " + host + "."
		}
		return nil, &Failure{Reason: ForbiddenAddress, Permanent: true, Text: text}
	}
	return alternate(allowed), nil
}

func unresolved(host string, err error) *Failure {
	f := &Failure{Reason: Unresolved, Err: err}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		f.Text = "There is no host named " + host + "."
	} else {
		f.Text = "The address of " + host + " could not be found at the moment."
	}
	return f
}

// alternate lets the address families take turns, the resolver's first choice
// first (RFC 8305 section 4).
func alternate(addrs []netip.Addr) []netip.Addr {
	var same, other []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(same), len(other)) {
		if i < len(same) {
			out = append(out, same[i])
		}
		if i < len(other) {
			out = append(out, other[i])
		}
	}
	return out
}

// minDial is the least an address gets before the next one is tried.
const minDial = 2 * time.Second

// dialAny tries the addresses one after the other, sharing the time that is left.
func dialAny(ctx context.Context, o *Options, ep Endpoint, addrs []netip.Addr) (net.Conn, *Failure) {
	var last error
	for i, a := range addrs {
		share := o.DialTimeout
		if deadline, ok := ctx.Deadline(); ok {
			share = max(minDial, time.Until(deadline)/time.Duration(len(addrs)-i))
		}
		try, cancel := context.WithTimeout(ctx, share)
		sock, err := o.Dial(try, "tcp", netip.AddrPortFrom(a, ep.Port).String())
		cancel()
		if err == nil {
			return sock, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	f := &Failure{Reason: Refused, Err: last}
	if isTimeout(last) {
		f.Reason = Timeout
		f.Text = fmt.Sprintf("%s does not answer on port %d.", ep.Host, ep.Port)
	} else {
		f.Text = fmt.Sprintf("No connection to %s is possible on port %d.", ep.Host, ep.Port)
	}
	return nil, f
}
