package xmpptest

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Conn is one connection of the component.
type Conn struct {
	StreamID string // what the handshake is computed with

	s      *Server
	raw    net.Conn
	gate   gate
	header chan *Node // the component's stream header
	nodes  chan *Node // what it sent, in order
	err    error      // why reading ended; valid when nodes is closed
	ended  bool       // it ended with the stream's end tag

	mu  sync.Mutex
	log []string
}

// maxLog is how many stanzas a failed test shows.
const maxLog = 30

func (s *Server) newConn(raw net.Conn) *Conn {
	c := &Conn{
		StreamID: fmt.Sprintf("%x", time.Now().UnixNano()), s: s, raw: raw,
		header: make(chan *Node, 1), nodes: make(chan *Node, 1<<16),
	}
	c.gate.cond = sync.NewCond(&c.gate.mu)
	s.mu.Lock()
	s.open = append(s.open, c)
	s.mu.Unlock()
	s.work.Go(c.read)
	return c
}

// gate holds reads back while the server stalls.
type gate struct {
	mu     sync.Mutex
	cond   *sync.Cond
	shut   bool
	closed bool
}

func (g *gate) pass() {
	g.mu.Lock()
	for g.shut && !g.closed {
		g.cond.Wait()
	}
	g.mu.Unlock()
}

func (g *gate) set(shut, closed bool) {
	g.mu.Lock()
	g.shut = shut
	g.closed = g.closed || closed
	g.mu.Unlock()
	g.cond.Broadcast()
}

// Read implements io.Reader for the connection's decoder.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		c.gate.pass()
		n, err := c.raw.Read(b)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // Stall interrupted it
		}
		return n, err
	}
}

// read takes in all the component sends, until its stream ends; an end of its
// stream is answered as a server does, with ours and the end of the connection.
func (c *Conn) read() {
	defer close(c.nodes)
	d := xml.NewDecoder(c)
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			c.err = err
			return
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 {
				depth++
				c.header <- &Node{Name: t.Name, Attrs: t.Attr}
				continue
			}
			n, err := readNode(d, t)
			if err != nil {
				c.err = err
				return
			}
			c.note("C: " + n.String())
			c.nodes <- n
		case xml.EndElement:
			c.note("C: end of stream")
			c.ended = true
			c.err = io.EOF
			c.SendRaw("</stream:stream>")
			c.Hangup()
			return
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				c.err = fmt.Errorf("text between stanzas: %q", t)
				return
			}
		case xml.ProcInst:
			if depth > 0 || t.Target != "xml" {
				c.err = errors.New("a processing instruction in the stream")
				return
			}
		default:
			c.err = fmt.Errorf("%T in the stream", t)
			return
		}
	}
}

func (c *Conn) note(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(line) > 2000 {
		line = line[:2000] + "…"
	}
	if c.log = append(c.log, line); len(c.log) > maxLog {
		c.log = c.log[1:]
	}
}

func (c *Conn) fatalf(format string, args ...any) {
	c.s.t.Helper()
	c.mu.Lock()
	log := strings.Join(c.log, "\n")
	c.mu.Unlock()
	c.s.t.Fatalf("xmpptest: %s\non the wire (C: component, S: server):\n%s", fmt.Sprintf(format, args...), log)
}

// Login waits for the component's header and handshake, checks both and
// accepts them.
func (c *Conn) Login() {
	c.s.t.Helper()
	c.Header()
	c.SendHeader()
	if !c.HandshakeOK() {
		c.fatalf("the handshake's digest is wrong")
	}
	c.Send("<handshake/>")
}

// Header waits for the component's stream header and checks it.
func (c *Conn) Header() *Node {
	c.s.t.Helper()
	var h *Node
	select {
	case h = <-c.header:
	case <-time.After(c.s.Patience):
		c.fatalf("the component sent no stream header")
	}
	space := ""
	for _, a := range h.Attrs {
		if a.Name.Space == "" && a.Name.Local == "xmlns" {
			space = a.Value
		}
	}
	if h.Name.Local != "stream" || h.Name.Space != nsStreams || space != nsComponent {
		c.fatalf("the component's stream header is wrong: %+v", h)
	}
	if to := h.Attr("to"); to != c.s.Domain {
		c.fatalf("the component's stream is for %q, want %q", to, c.s.Domain)
	}
	return h
}

// SendHeader answers the component's stream header.
func (c *Conn) SendHeader() {
	c.SendRaw("<?xml version='1.0'?><stream:stream xmlns='" + nsComponent + "' xmlns:stream='" + nsStreams +
		"' from='" + escape(c.s.Domain) + "' id='" + c.StreamID + "'>")
}

// HandshakeOK waits for the handshake and reports whether its digest is right.
func (c *Conn) HandshakeOK() bool {
	c.s.t.Helper()
	n := c.Next()
	if n.Name.Local != "handshake" || n.Name.Space != nsComponent {
		c.fatalf("got %v, want a handshake", n)
	}
	sum := sha1.Sum([]byte(c.StreamID + c.s.Secret))
	return n.Text == hex.EncodeToString(sum[:])
}

// Send sends XML, usually a stanza; with arguments it is a format.
func (c *Conn) Send(x string, args ...any) {
	if len(args) > 0 {
		x = fmt.Sprintf(x, args...)
	}
	c.note("S: " + x)
	c.SendRaw(x)
}

// SendRaw sends bytes as they are. That the component has gone shows in what is
// expected of it afterwards.
func (c *Conn) SendRaw(x string) { _, _ = io.WriteString(c.raw, x) }

// Stall makes the server read no more, from now on, so that the component's
// writes pile up.
func (c *Conn) Stall() {
	c.gate.set(true, false)
	_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // a closed connection does not read either
}

// Resume ends Stall.
func (c *Conn) Resume() {
	_ = c.raw.SetReadDeadline(time.Time{})
	c.gate.set(false, false)
}

// StreamError ends the stream with a stream error and closes the connection.
func (c *Conn) StreamError(condition, text string) {
	e := "<stream:error><" + condition + " xmlns='" + nsStreamErrors + "'/>"
	if text != "" {
		e += "<text xmlns='" + nsStreamErrors + "'>" + escape(text) + "</text>"
	}
	c.Send("%s", e+"</stream:error></stream:stream>")
	c.Hangup()
}

// Close ends the stream politely: the end tag, and the connection when the
// component has ended its side.
func (c *Conn) Close() {
	c.s.t.Helper()
	c.Send("</stream:stream>")
	c.ExpectEnd()
	c.Hangup()
}

// Hangup closes the connection without ending the stream.
func (c *Conn) Hangup() {
	c.gate.set(false, true)
	c.raw.Close()
}

// Break closes the connection with a reset, losing what is on its way.
func (c *Conn) Break() {
	if t, ok := c.raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // without it the connection closes less rudely
	}
	c.Hangup()
}
