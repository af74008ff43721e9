package testenv

import (
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
}

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
	p.l, p.at = l, l.Addr().String()
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
		p.wg.Go(func() { pass(in, out) })
		p.wg.Go(func() { pass(out, in) })
	}
}

// pass copies until either side ends, which ends both.
func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	from.Close()
	to.Close()
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
