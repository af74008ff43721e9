package component

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// connection is one connection from dialling to its end. It returns why it
// ended.
func (s *Stream) connection(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		s.stats.failures.Add(1)
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	live := &liveConn{Conn: conn, idle: s.cfg.IdleTimeout, stats: &s.stats}
	f := newFramer(live, s.cfg.Limits)
	p, err := s.login(conn, f)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.stats.failures.Add(1)
		return err
	}
	return s.established(ctx, conn, live, f, p)
}

// established is the life of a connection behind the handshake.
func (s *Stream) established(ctx context.Context, conn net.Conn, live *liveConn, f *framer, p *parser) error {
	s.stats.connects.Add(1)
	s.fence.begin(s)
	s.privileges.begin()
	live.ping = func() { s.fence.ask(s, true) }
	s.writer.setUp()

	var writing sync.WaitGroup
	var writeErr error
	writing.Go(func() {
		if writeErr = s.writer.run(conn); writeErr != nil {
			conn.Close()
		}
	})
	fencing, endFence := context.WithCancel(context.Background())
	defer endFence()
	writing.Go(func() { s.fence.run(fencing, s) })
	s.setState(StreamState{Up: true, Text: "The stream is up."})
	s.cfg.Log.Info("XMPP stream up", "domain", s.domain.Domain, "server", s.cfg.Address)
	// From here ctx ends the stream politely.
	stop := context.AfterFunc(ctx, func() {
		live.closeBy(time.Now().Add(s.cfg.CloseTimeout))
		s.writer.close()
	})
	r := reader{stream: s, framer: f, parser: p}
	err := r.loop()
	stop()
	endFence()
	s.writer.setDown()
	if last := goodbye(err); last != "" && ctx.Err() == nil {
		// The writer may be in the middle of a stanza: let it finish, in bounds.
		overdue := time.AfterFunc(s.cfg.CloseTimeout, func() { conn.Close() })
		writing.Wait()
		if writeErr == nil {
			_, _ = io.WriteString(conn, last) // the stream is over either way
		}
		overdue.Stop()
	}
	conn.Close()
	writing.Wait()
	s.tracker.failAll(ErrDown)
	if writeErr != nil && !errors.As(err, new(*StreamError)) {
		err = writeErr
	}
	return err
}

// goodbye is what we still write when the stream ended for this reason; "" when
// nobody would read it.
func goodbye(err error) string {
	var perr *parseError
	switch {
	case errors.As(err, &perr):
		return "<stream:error><not-well-formed xmlns='" + NSStreamErrors + "'/></stream:error>" + streamEnd
	case errors.Is(err, errClosedByPeer), errors.As(err, new(*StreamError)):
		return streamEnd
	}
	return ""
}

// ping is the request that finds out whether the server is still there: a ping
// (XEP-0199) to ourselves, which the server has to route. Its own domain need not
// be known for that, and whatever comes back proves that it lives.
func ping(domain JID, id string) *Out {
	return NewIQ(domain, domain, "get", id).Elem("urn:xmpp:ping", "ping", "")
}

// liveConn reads from the connection and finds out when it is dead: after a
// silence it pings, after a second one it gives up. Only the read loop reads.
type liveConn struct {
	net.Conn
	idle  time.Duration
	ping  func() // nil until the stream is established
	stats *counters

	set    time.Time // when the read deadline was set last
	pinged bool

	mu      sync.Mutex
	closing bool // the deadline is that of the end
}

// Read implements io.Reader.
func (c *liveConn) Read(b []byte) (int, error) {
	for {
		if c.ping != nil {
			// To set a deadline costs more than to look at the clock: once in a
			// while is exact enough.
			if now := time.Now(); now.Sub(c.set) > c.idle/16 {
				c.set = now
				c.extend(now.Add(c.idle))
			}
		}
		n, err := c.Conn.Read(b)
		c.stats.bytesIn.Add(uint64(n))
		if n > 0 {
			c.pinged = false
			return n, nil
		}
		var ne net.Error
		if c.ping == nil || !errors.As(err, &ne) || !ne.Timeout() || c.isClosing() {
			return n, err
		}
		if c.pinged {
			return 0, errSilent
		}
		c.pinged = true
		c.set = time.Time{}
		c.ping()
	}
}

// extend moves the read deadline, unless the end has begun.
func (c *liveConn) extend(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		_ = c.SetReadDeadline(t) // a closed connection shows in the read
	}
}

// closeBy sets the last read deadline: the peer has until then to end its side.
func (c *liveConn) closeBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	_ = c.SetReadDeadline(t)
}

func (c *liveConn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}
