package testenv

import (
	"bytes"
	"io"
	"net"
	"sync"
)

// Proxy passes TCP connections on to one address and can cut them, as a network
// does, while both ends stay up.
type Proxy struct {
	to  string
	wg  sync.WaitGroup
	mu  sync.Mutex
	l   net.Listener // nil while it is cut
	at  string
	all []net.Conn

	silent bool   // nothing is passed on
	back   []byte // the last that came from the address
}

// keepBack is how much of that is kept, in bytes.
const keepBack = 1 << 20

// NewProxy makes a proxy to an address. The caller must Close it.
func NewProxy(to string) (*Proxy, error) {
	p := &Proxy{to: to, at: net.JoinHostPort(Host, "0")}
	return p, p.Restore()
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.at }

// Restore lets connections be made, again.
func (p *Proxy) Restore() error {
	l, err := net.Listen("tcp", p.at)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.l, p.at, p.silent = l, l.Addr().String(), false
	p.wg.Go(func() { p.serve(l) })
	return nil
}

func (p *Proxy) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.all = append(p.all, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(in, out, false) })
		p.wg.Go(func() { p.pass(out, in, true) })
	}
}

// pass copies until either side ends, which ends both.
func (p *Proxy) pass(from, to net.Conn, back bool) {
	_, _ = io.Copy(way{p, to, back}, from)
	from.Close()
	to.Close()
}

// way is one direction of a connection.
type way struct {
	p    *Proxy
	to   net.Conn
	back bool
}

// Write implements io.Writer.
func (w way) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	silent := w.p.silent
	if w.back && !silent {
		w.p.back = append(w.p.back, b...)
		w.p.back = w.p.back[max(0, len(w.p.back)-keepBack):]
	}
	w.p.mu.Unlock()
	if silent {
		return len(b), nil
	}
	return w.to.Write(b)
}

// Back tells whether a text has come from the address lately.
func (p *Proxy) Back(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.back, []byte(text))
}

// Silence passes nothing on from now on: neither end is told, and what they write
// is lost, as on a connection that is half open. Restore ends it for new
// connections.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
}

// Cut ends all connections and refuses new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.l != nil {
		p.l.Close()
		p.l = nil
	}
	for _, c := range p.all {
		c.Close()
	}
	p.all = nil
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.Cut()
	p.wg.Wait()
}
