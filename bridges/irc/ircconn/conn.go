// Package ircconn is one connection to an IRC server: finding and reaching
// it, TLS, registration, capabilities (IRCv3 CAP 302), SASL, flood control,
// keepalive and ISUPPORT. It knows nothing of channels, users or gateways.
//
// A Conn costs no goroutine of its own while nothing is being written: the
// caller's reader goroutine calls Read in a loop, keepalive is a read
// deadline, and no buffer is held while the connection is idle.
package ircconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/encoding"
)

// Conn is a registered connection. Read belongs to one goroutine; everything
// else may be called from any.
type Conn struct {
	sock net.Conn
	info Info
	opt  settings

	caps    atomic.Pointer[CapSet]
	support atomic.Pointer[ISupport]

	// Of the reading goroutine.
	in       lineReader
	early    []*Message    // read before Dial returned
	reg      *registration // while registering
	sasl     *exchange     // while logging in
	lastRead time.Duration // since info.Since
	pinged   time.Duration // when we asked for a sign of life, 0: not since lastRead
	pings    uint64
	goodbye  string          // the words of ERROR
	ctxDone  <-chan struct{} // the context stop belongs to
	stop     func() bool

	mu           sync.Mutex
	out          outbox
	account      string
	loginFailure *Failure
	welcome      string   // set before Dial returns
	dead         bool     // no more reads or writes
	err          error    // why
	broken       *Failure // writing has failed; what has arrived may still be read
	quitting     bool
	gone         chan struct{} // closed with dead; made by Quit
	writers      sync.WaitGroup
}

// settings is what a connection keeps of its Options.
type settings struct {
	caps         []string
	sasl         *SASL
	certificate  bool
	fallback     encoding.Encoding
	sts          *STSCache
	queue        QueueLimits
	pingEvery    time.Duration
	pingTimeout  time.Duration
	writeTimeout time.Duration
	goFunc       func(func())
}

// Info describes a connection.
type Info struct {
	Endpoint Endpoint
	Remote   netip.AddrPort
	Local    netip.AddrPort
	TLS      *TLSInfo  // nil: not encrypted
	Since    time.Time // when it was made
}

// TLSInfo describes the encryption; crypto/tls has names for the numbers.
type TLSInfo struct {
	Version     uint16
	CipherSuite uint16
	Fingerprint string // SHA-256 of the server's certificate, in hexadecimal
}

// Info describes the connection.
func (c *Conn) Info() Info { return c.info }

// Caps is the state of the capabilities. It is immutable and replaced at every change.
func (c *Conn) Caps() *CapSet { return c.caps.Load() }

// Cap tells whether a capability is on, and the value the server announced
// for it (on or not).
func (c *Conn) Cap(name string) (value string, on bool) {
	s := c.Caps()
	value, _ = s.Offered(name)
	return value, s.On(name)
}

// ISupport is what the server has announced so far (005). The value is
// immutable and shared; a later announcement replaces it, so ask again.
func (c *Conn) ISupport() *ISupport { return c.support.Load() }

// Welcome is the nick the server has registered us with (001).
func (c *Conn) Welcome() string { return c.welcome }

// Login is the state of the SASL login: the account, or why there is none;
// both are empty when no login was wanted or it is under way.
func (c *Conn) Login() (account string, failure *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account, c.loginFailure
}

// SkippedLines is how many lines were dropped because they were too long to be IRC. For
// the reading goroutine.
func (c *Conn) SkippedLines() uint64 { return c.in.skipped }

// Close ends the connection at once and waits for the writer. Read returns ErrClosed.
func (c *Conn) Close() error {
	c.end(ErrClosed)
	c.writers.Wait()
	return nil
}

// end closes the socket; the first reason given is the one Read reports.
func (c *Conn) end(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.dead, c.err = true, why
	if c.out.timer != nil {
		c.out.timer.Stop()
		c.out.timer = nil
	}
	if c.out.nudge != nil {
		c.out.nudge.Stop()
		c.out.nudge = nil
	}
	if c.gone != nil {
		close(c.gone)
	}
	c.out.urgent, c.out.queue, c.out.sizes, c.out.qhead, c.out.shead = nil, nil, nil, 0, 0
	closeSocket(c.sock)
}

// closeSocket closes without the wait of up to 5 s that TLS would take to say goodbye to a
// peer that does not read.
func closeSocket(sock net.Conn) {
	if t, ok := sock.(*tls.Conn); ok {
		sock = t.NetConn()
	}
	_ = sock.Close() // nothing is left to be done with it
}

// Read returns the next message, in the order of the network, beginning with
// the notices and login numerics before 001. Strings are valid UTF-8.
//
// It blocks until there is one, or the connection is over: *Failure, ErrClosed
// after Close, the error of ctx. Every further call returns the same. ctx binds
// the connection and not the call: its end closes the connection, even between
// two calls. So pass the same one every time.
//
// PING and our own keepalive are handled inside and not returned: PINGs of
// everything that has arrived are answered before the first of those lines is
// returned. So are AUTHENTICATE and ERROR, whose words are in the Failure that
// follows. CAP, 005 and the SASL numerics are applied first (Cap, ISupport,
// Login show the new state) and then returned. A PONG that answers a fence is
// returned with Message.Confirmed set.
func (c *Conn) Read(ctx context.Context) (*Message, error) {
	c.watch(ctx)
	if len(c.early) > 0 {
		m := c.early[0]
		c.early[0] = nil
		if c.early = c.early[1:]; len(c.early) == 0 {
			c.early = nil
		}
		return m, nil
	}
	for {
		m, err := c.next()
		if err != nil {
			return nil, c.over(err)
		}
		if c.apply(m) {
			return m, nil
		}
	}
}

// watch makes the end of ctx end the connection.
func (c *Conn) watch(ctx context.Context) {
	if ctx.Done() == c.ctxDone {
		return
	}
	c.unwatch()
	c.ctxDone = ctx.Done()
	if c.ctxDone != nil {
		c.stop = context.AfterFunc(ctx, func() { c.end(ctx.Err()) })
	}
}

func (c *Conn) unwatch() {
	if c.stop != nil {
		c.stop()
	}
	c.ctxDone, c.stop = nil, nil
}

// over ends the connection for the reader and says why.
func (c *Conn) over(err error) error {
	c.end(c.readFailure(err))
	c.unwatch()
	c.in.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// readFailure turns an error of reading into a Failure with the best words there are.
func (c *Conn) readFailure(err error) error {
	var f *Failure
	host := c.info.Endpoint.Host
	switch {
	case c.goodbye != "":
		f = refusal(classify(c.goodbye), host, "ERROR", c.goodbye)
		f.Permanent = f.Permanent && c.reg != nil || f.Reason == Banned
	case errors.As(err, &f):
	case errors.Is(err, io.EOF):
		f = &Failure{Reason: Closed, Text: host + " has closed the connection.", Err: err}
	default:
		f = &Failure{Reason: Closed, Text: "The connection to " + host + " was lost.", Err: err}
	}
	f.Registered = c.welcome != ""
	return f
}

// next reads one message; lines that are none are skipped.
func (c *Conn) next() (*Message, error) {
	for {
		line := c.in.line()
		if line == nil {
			if err := c.more(); err != nil {
				return nil, err
			}
			continue
		}
		if m, err := ParseMessage(Decode(line, c.opt.fallback)); err == nil {
			return m, nil
		}
	}
}

// more waits for data. It answers the PINGs in it before any of it is looked at.
func (c *Conn) more() error {
	for {
		err := c.in.fill()
		if err == nil {
			c.lastRead, c.pinged = time.Since(c.info.Since), 0
			c.answerPings(c.in.unread())
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := c.silence(); err != nil {
			return err
		}
	}
}

// silence is called at every read deadline: it sets the next one, asks for a
// sign of life, or gives up.
func (c *Conn) silence() error {
	host := c.info.Endpoint.Host
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	switch {
	case c.goodbye != "":
		return io.EOF
	case broken != nil:
		return broken
	}
	if c.reg != nil {
		return c.reg.expired(c)
	}
	now := time.Since(c.info.Since)
	due := c.lastRead + c.opt.pingEvery
	switch {
	case c.pinged != 0 && now >= c.pinged+c.opt.pingTimeout:
		return &Failure{Reason: Timeout, Text: host + " does not answer any more."}
	case c.pinged != 0:
		due = c.pinged + c.opt.pingTimeout
	case now >= due:
		c.pings++
		c.pinged = now
		c.control(Line{Command: "PING", Params: []string{alivePrefix + strconv.FormatUint(c.pings, 10)}})
		due = now + c.opt.pingTimeout
	}
	return c.sock.SetReadDeadline(c.info.Since.Add(due))
}

var pingWord = []byte("PING ")

// answerPings answers every PING among complete lines that have just arrived.
func (c *Conn) answerPings(lines []byte) {
	if !bytes.Contains(lines, pingWord) {
		return
	}
	for line := range bytes.Lines(lines) {
		if !bytes.Contains(line, pingWord) {
			continue
		}
		if m, err := ParseMessage(strings.TrimRight(string(line), "\r\n")); err == nil && m.Command == "PING" {
			c.control(Line{Command: "PONG", Params: []string{m.Param(0)}})
		}
	}
}

// goodbyeWait is how long a server may take to close after ERROR.
const goodbyeWait = 5 * time.Second

// handlers are the messages that change the state of a connection.
var handlers = map[string]func(c *Conn, m *Message) (deliver bool){
	"PING":         func(*Conn, *Message) bool { return false },
	"PONG":         (*Conn).handlePong,
	"CAP":          func(c *Conn, m *Message) bool { c.handleCap(m); return true },
	"AUTHENTICATE": func(c *Conn, m *Message) bool { c.handleAuthenticate(m); return false },
	"005":          (*Conn).handleISupport,
	"105":          (*Conn).handleISupport,
	"ERROR":        (*Conn).handleError,
}

// apply lets a message change the connection's state, and tells whether the
// caller of Read gets to see it.
func (c *Conn) apply(m *Message) bool {
	if h := handlers[m.Command]; h != nil {
		return h(c, m)
	}
	if h := saslNumerics[m.Command]; h != nil {
		h(c, m)
	}
	return true
}

func (c *Conn) handlePong(m *Message) bool {
	token := m.Last()
	if m.Confirmed = c.confirm(token); m.Confirmed != 0 {
		return true
	}
	return token != nudgeToken && token != alivePrefix+strconv.FormatUint(c.pings, 10)
}

// handleISupport takes 005: our nick, tokens, and a closing text.
func (c *Conn) handleISupport(m *Message) bool {
	if len(m.Params) > 2 {
		c.support.Store(c.ISupport().with(m.Params[1 : len(m.Params)-1]))
	}
	return true
}

// handleError keeps the server's last words, the first that tell something
// where there are several; it closes the connection next.
func (c *Conn) handleError(m *Message) bool {
	if words := m.Last(); c.goodbye == "" || classify(c.goodbye) == Closed && classify(words) != Closed {
		c.goodbye = words
	}
	if c.goodbye == "" {
		c.goodbye = "ERROR"
	}
	_ = c.sock.SetReadDeadline(time.Now().Add(goodbyeWait)) // fails only when it is closed
	return false
}
