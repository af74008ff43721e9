package irctest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ergochat/irc-go/ircmsg"
)

// Msg is a line from a client.
type Msg struct {
	ircmsg.Message
	Raw string
}

// Param returns a parameter, "" when there are fewer.
func (m Msg) Param(i int) string {
	if i < len(m.Params) {
		return m.Params[i]
	}
	return ""
}

// Client is a connection to the server, or a puppet: a user without a socket.
type Client struct {
	s    *Server
	sock net.Conn // nil: a puppet

	// Guarded by s.mu.
	nick, user, host, real string
	account                string
	away                   string
	oper                   bool
	modes                  string
	caps                   map[string]bool
	capVersion             int
	capOpen                bool // between CAP LS and CAP END
	passed                 bool // the server password was right
	registered             bool
	gone                   bool
	signon                 time.Time
	channels               map[*channel]bool
	sasl                   saslState
	label                  string // of the command being handled
	collected              []outLine
	floodAt                time.Time
	floodN                 int

	got  recorder // lines from the client
	seen recorder // lines to the client

	outMu   sync.Mutex
	out     []byte
	outWake chan struct{}
	closing bool // after out is written
	stalled chan struct{}
}

// sendQueueMax ends a client that does not read.
const sendQueueMax = 64 << 20

func newClient(s *Server, sock net.Conn) *Client {
	return &Client{
		s: s, sock: sock, host: s.cfg.HideHost, caps: make(map[string]bool), channels: make(map[*channel]bool),
		outWake: make(chan struct{}, 1), signon: time.Now(),
		got: recorder{off: s.cfg.NoRecord}, seen: recorder{off: s.cfg.NoRecord},
	}
}

// read handles what the client sends, line by line.
func (c *Client) read() {
	defer c.closed("Connection closed")
	r := bufio.NewReaderSize(c.sock, 16<<10)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		c.waitStalled()
		c.line(strings.TrimRight(line, "\r\n"))
	}
}

// line handles one line as if the client had sent it.
func (c *Client) line(line string) {
	if line == "" {
		return
	}
	m, err := ircmsg.ParseLine(line)
	if err != nil {
		return
	}
	msg := Msg{Message: m, Raw: line}
	s := c.s
	s.mu.Lock()
	s.counters.LinesIn++
	s.counters.Commands[m.Command]++
	hook := s.hooks[m.Command]
	if hook == nil {
		hook = s.hooks["*"]
	}
	s.mu.Unlock()
	c.got.add(line)
	if hook != nil && hook(c, msg) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone || c.flooded() {
		return
	}
	s.dispatch(c, msg)
}

// flooded ends a client that sends too fast.
func (c *Client) flooded() bool {
	if c.s.cfg.FloodLines == 0 || c.sock == nil || !c.registered {
		return false
	}
	if now := time.Now(); now.Sub(c.floodAt) > time.Second {
		c.floodAt, c.floodN = now, 0
	}
	if c.floodN++; c.floodN <= c.s.cfg.FloodLines {
		return false
	}
	c.kill("Excess Flood")
	return true
}

// Do runs a command as if the client had sent it; hooks are not asked. For puppets.
func (c *Client) Do(line string) {
	m, err := ircmsg.ParseLine(line)
	if err != nil {
		panic(fmt.Sprintf("irctest: %q: %v", line, err))
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.dispatch(c, Msg{Message: m, Raw: line})
}

// Send writes a raw line to the client, whatever is in it; CR LF is added.
func (c *Client) Send(format string, args ...any) {
	line := format
	if len(args) > 0 {
		line = fmt.Sprintf(format, args...)
	}
	c.SendBytes([]byte(line + "\r\n"))
}

// SendBytes writes bytes to the client as they are.
func (c *Client) SendBytes(b []byte) {
	for line := range strings.SplitSeq(strings.TrimRight(string(b), "\r\n"), "\n") {
		c.seen.add(strings.TrimRight(line, "\r"))
	}
	if c.sock == nil {
		return
	}
	c.outMu.Lock()
	defer c.outMu.Unlock()
	if len(c.out) > sendQueueMax {
		c.out, c.closing = nil, true
	}
	if !c.closing {
		c.out = append(c.out, b...)
	}
	c.wake()
}

func (c *Client) wake() {
	select {
	case c.outWake <- struct{}{}:
	default:
	}
}

// Numeric sends a numeric reply: ":server code nick params…", the last one as text.
func (c *Client) Numeric(code string, params ...string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.numeric(code, params...)
}

// write sends what is queued until the client is closed.
func (c *Client) write() {
	defer c.sock.Close()
	for range c.outWake {
		c.outMu.Lock()
		b, closing := c.out, c.closing
		c.out = nil
		c.outMu.Unlock()
		if len(b) > 0 {
			if _, err := c.sock.Write(b); err != nil {
				return
			}
		}
		if closing {
			return
		}
	}
}

// hangUp closes the socket without a word.
func (c *Client) hangUp() {
	c.outMu.Lock()
	c.closing = true
	c.wake()
	c.outMu.Unlock()
	if c.sock != nil {
		sock := c.sock
		if t, ok := sock.(*tls.Conn); ok {
			sock = t.NetConn()
		}
		_ = sock.Close()
	}
	c.Continue()
}

// Drop closes the connection without a word, as a broken line does.
func (c *Client) Drop() { c.hangUp() }

// Kill ends the client with ERROR and a QUIT to the others.
func (c *Client) Kill(reason string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.kill(reason)
}

func (c *Client) kill(reason string) {
	c.send(outLine{text: "ERROR :Closing Link: " + c.host + " (" + reason + ")"})
	c.s.quit(c, reason)
	c.finish()
}

// finish closes the socket after everything queued has been written.
func (c *Client) finish() {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	c.closing = true
	c.wake()
}

// closed is the end of the reader.
func (c *Client) closed(reason string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.counters.Closed++
	c.s.quit(c, reason)
	delete(c.s.clients, c)
	c.s.notify()
	c.finish()
}

// Stall stops reading from the client until Continue: its socket fills up.
func (c *Client) Stall() {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	if c.stalled == nil {
		c.stalled = make(chan struct{})
	}
}

// Continue ends Stall.
func (c *Client) Continue() {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	if c.stalled != nil {
		close(c.stalled)
		c.stalled = nil
	}
}

func (c *Client) waitStalled() {
	c.outMu.Lock()
	stalled := c.stalled
	c.outMu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

// Nick is the client's nick now.
func (c *Client) Nick() string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.nick
}

// Mask is "nick!user@host" as others see it.
func (c *Client) Mask() string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.mask()
}

func (c *Client) mask() string { return c.nick + "!" + c.user + "@" + c.host }

// Account is the services account, "" when not logged in.
func (c *Client) Account() string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.account
}

// HasCap tells whether the client has turned a capability on.
func (c *Client) HasCap(name string) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.caps[name]
}

// Channels lists the channels the client is in, sorted.
func (c *Client) Channels() []string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var names []string
	for ch := range c.channels {
		names = append(names, ch.name)
	}
	slices.Sort(names)
	return names
}

// Expect waits for a line from the client that matches the pattern and
// returns it. Lines before it are passed over; the next Expect looks at what comes after.
func (c *Client) Expect(tb testing.TB, pattern string) string {
	tb.Helper()
	return c.got.expect(tb, "from "+c.Nick(), pattern)
}

// ExpectSeen waits for a line that the server has sent to the client.
func (c *Client) ExpectSeen(tb testing.TB, pattern string) string {
	tb.Helper()
	return c.seen.expect(tb, "to "+c.Nick(), pattern)
}

// Got is all lines from the client.
func (c *Client) Got() []string { return c.got.all() }

// Seen is all lines sent to the client.
func (c *Client) Seen() []string { return c.seen.all() }
