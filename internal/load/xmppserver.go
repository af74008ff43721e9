package main

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // XEP-0114 section 3 prescribes it
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// xmppServer plays the XMPP server of one component (XEP-0114). It knows as much XML as nextStanza does.
type xmppServer struct {
	ln     net.Listener
	domain string
	secret string
	handle func(stanza) // read goroutine; the stanza is valid during the call only
	chunk  func()       // read goroutine, after each read's stanzas
	ended  func(error)  // the stream ended, with why

	up   chan struct{} // closed when the component has authenticated
	done chan struct{} // closed when the serving goroutine has ended

	mu      sync.Mutex
	conn    net.Conn
	out     *outbox
	pending map[string]chan string
	lastID  int
}

func newXMPPServer(domain, secret string) (*xmppServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &xmppServer{ln: ln, domain: domain, secret: secret, up: make(chan struct{}), done: make(chan struct{}),
		pending: make(map[string]chan string)}, nil
}

func (x *xmppServer) port() int { return x.ln.Addr().(*net.TCPAddr).Port }

// serve accepts one component and reads its stream until it ends.
func (x *xmppServer) serve() {
	defer close(x.done)
	c, err := x.ln.Accept()
	if err != nil {
		x.ended(err)
		return
	}
	x.mu.Lock()
	x.conn, x.out = c, &outbox{w: c}
	x.mu.Unlock()
	defer c.Close()
	rest, err := x.handshake(c)
	if err != nil {
		x.ended(fmt.Errorf("handshake: %w", err))
		return
	}
	close(x.up)
	x.ended(x.read(c, rest))
}

// close ends the stream politely and waits for the serving goroutine.
func (x *xmppServer) close() {
	x.ln.Close()
	x.mu.Lock()
	c := x.conn
	x.mu.Unlock()
	if c != nil {
		c.Close()
	}
	<-x.done
}

// handshake plays XEP-0114 section 3 and returns what came behind it.
func (x *xmppServer) handshake(c net.Conn) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	buf := make([]byte, 0, 4096)
	more := func() error {
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		return err
	}
	var open int
	for open <= 0 {
		if err := more(); err != nil {
			return nil, err
		}
		if i := bytes.Index(buf, []byte("<stream:stream")); i >= 0 {
			open = bytes.IndexByte(buf[i:], '>') + i + 1
			if open == i {
				open = 0
			}
		}
	}
	const id = "load-1"
	if _, err := fmt.Fprintf(c, "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "+
		"xmlns:stream='http://etherx.jabber.org/streams' from='%s' id='%s'>", x.domain, id); err != nil {
		return nil, err
	}
	buf = append(buf[:0], buf[open:]...)
	for {
		s, n, err := nextStanza(buf)
		if err != nil {
			return nil, err
		}
		if s.kind == 'h' {
			sum := sha1.Sum([]byte(id + x.secret)) //nolint:gosec // see the import
			if !s.has(hex.EncodeToString(sum[:])) {
				return nil, errors.New("wrong digest")
			}
			if err := c.SetDeadline(time.Time{}); err != nil {
				return nil, err
			}
			return buf[n:], x.out.write([]byte("<handshake/>"))
		}
		buf = append(buf[:0], buf[n:]...)
		if err := more(); err != nil {
			return nil, err
		}
	}
}

func (x *xmppServer) read(c net.Conn, rest []byte) error {
	buf := make([]byte, 256<<10)
	have := copy(buf, rest)
	for {
		used := 0
		for used < have {
			s, n, err := nextStanza(buf[used:have])
			if err != nil {
				return fmt.Errorf("%w: %.200q", err, buf[used:have])
			}
			if n == 0 {
				break
			}
			used += n
			switch s.kind {
			case 'm', 'p':
				x.handle(s)
			case 'i':
				x.iq(s)
			case 'w':
			default:
				return fmt.Errorf("the gateway ended the stream: %.200q", s.all)
			}
		}
		x.chunk()
		have = copy(buf, buf[used:have])
		if have == len(buf) {
			return errors.New("a stanza of more than 256 KiB")
		}
		n, err := c.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
	}
}

// iq hands an answer to who waits for it and answers requests: pings with a result, all else with service-unavailable.
func (x *xmppServer) iq(s stanza) {
	id, typ := string(attr(s.head, " id=")), string(attr(s.head, " type="))
	if typ == "result" || typ == "error" {
		x.mu.Lock()
		ch := x.pending[id]
		delete(x.pending, id)
		x.mu.Unlock()
		if ch != nil {
			ch <- string(s.all)
		}
		return
	}
	answer, payload := "result", ""
	if !s.has("urn:xmpp:ping") {
		answer = "error"
		payload = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	}
	// A failed write shows as the end of the stream in read.
	_ = x.out.write(fmt.Appendf(nil, "<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>",
		answer, id, attr(s.head, " to="), attr(s.head, " from="), payload))
}

// request sends an IQ and waits for its answer, which may be an error stanza.
func (x *xmppServer) request(ctx context.Context, from, to, typ, payload string) (string, error) {
	ch := make(chan string, 1)
	x.mu.Lock()
	x.lastID++
	id := "load" + strconv.Itoa(x.lastID)
	x.pending[id] = ch
	out := x.out
	x.mu.Unlock()
	if err := out.write(fmt.Appendf(nil, "<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", typ, id, from, to, payload)); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	select {
	case answer := <-ch:
		return answer, nil
	case <-x.done:
		return "", errors.New("the stream ended")
	case <-ctx.Done():
		return "", fmt.Errorf("no answer to an IQ for %s: %w", to, ctx.Err())
	}
}

// command runs the one-page ad-hoc command node (XEP-0050) of to as from, with the given form fields (one or more lines each).
func (x *xmppServer) command(ctx context.Context, from, to, node string, fields [][2]string) error {
	const ns = "http://jabber.org/protocol/commands"
	first, err := x.request(ctx, from, to, "set", fmt.Sprintf("<command xmlns='%s' node='%s' action='execute'/>", ns, node))
	if err != nil {
		return err
	}
	session := attr([]byte(first), " sessionid=")
	if session == nil {
		return fmt.Errorf("command %s of %s: no session: %.300s", node, to, first)
	}
	var form strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&form, "<field var='%s'><value>%s</value></field>", f[0], f[1])
	}
	last, err := x.request(ctx, from, to, "set", fmt.Sprintf("<command xmlns='%s' node='%s' sessionid='%s' action='complete'>"+
		"<x xmlns='jabber:x:data' type='submit'>%s</x></command>", ns, node, session, form.String()))
	if err != nil {
		return err
	}
	if !bytes.Contains([]byte(last), []byte("completed")) {
		return fmt.Errorf("command %s of %s was not completed: %.300s", node, to, last)
	}
	return nil
}
