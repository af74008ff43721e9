package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const ircHost = "irc.load.test"

// ircd is a small scripted IRC server for thousands of connections: registration, channels, routing of PRIVMSG, PING. It is
// the same for every gateway. In every channel sits bob, in whose name the load program speaks; a channel "#big<n>" shows n
// more members.
type ircd struct {
	ln       net.Listener
	caps     []string
	hooks    ircHooks
	commands map[string]ircCommand

	mu       sync.RWMutex
	conns    map[*ircConn]struct{}
	nicks    map[string]*ircConn
	channels map[string]*ircChannel
	closed   bool
	wg       sync.WaitGroup
	stop     chan struct{}
}

// ircHooks tell the load program what happens; all run on the connection's own goroutine.
type ircHooks struct {
	registered func(*ircConn)
	said       func(c *ircConn, target, text []byte) // a PRIVMSG of that connection
	chunk      func()                                // after each read's lines
	ended      func(*ircConn)                        // a registered connection ended
}

type ircChannel struct {
	name    string
	mu      sync.Mutex                 // held while somebody comes or goes
	members atomic.Pointer[[]*ircConn] // copied on write
	extra   int
}

// ircConn is one client. Its fields belong to its read goroutine unless said otherwise.
type ircConn struct {
	d    *ircd
	conn net.Conn
	out  outbox // anyone

	nick, user string
	capHeld    bool // registration waits for CAP END
	registered bool
	enabled    map[string]bool
	tagged     atomic.Bool // server-time or message-tags is on: what is sent gets tags
	channel    *ircChannel // the last one used
	channels   map[string]*ircChannel
	label      []byte // of the line at hand
	dirty      []*ircConn
	owner      atomic.Pointer[user]
	pongs      chan string
}

func newIRCd(caps []string, hooks ircHooks) (*ircd, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &ircd{ln: ln, caps: caps, hooks: hooks, commands: ircCommands(), conns: make(map[*ircConn]struct{}),
		nicks: make(map[string]*ircConn), channels: make(map[string]*ircChannel), stop: make(chan struct{})}, nil
}

func (d *ircd) port() int { return d.ln.Addr().(*net.TCPAddr).Port }

// serve accepts clients until close; ping is how often a client is pinged, 0 for never.
func (d *ircd) serve(ping time.Duration) {
	d.wg.Add(1)
	go d.accept()
	if ping > 0 {
		d.wg.Add(1)
		go d.pinger(ping)
	}
}

func (d *ircd) accept() {
	defer d.wg.Done()
	for {
		c, err := d.ln.Accept()
		if err != nil {
			return
		}
		ic := &ircConn{d: d, conn: c, channels: make(map[string]*ircChannel, 1), pongs: make(chan string, 1)}
		ic.out.w = c
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			c.Close()
			return
		}
		d.conns[ic] = struct{}{}
		d.wg.Add(1)
		d.mu.Unlock()
		go ic.serve()
	}
}

// pinger pings all clients, spread evenly over the interval, as a real server would.
func (d *ircd) pinger(every time.Duration) {
	defer d.wg.Done()
	t := time.NewTicker(every / 32)
	defer t.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-d.stop:
			return
		case <-t.C:
		}
		var due []*ircConn
		d.mu.RLock()
		for _, c := range d.nicks {
			if o := c.owner.Load(); o != nil && o.number%32 == turn%32 {
				due = append(due, c)
			}
		}
		d.mu.RUnlock()
		for _, c := range due {
			_ = c.out.write([]byte("PING :" + ircHost + "\r\n")) // a dead connection ends in its own goroutine
		}
	}
}

// close ends all connections and waits for their goroutines.
func (d *ircd) close() {
	d.ln.Close()
	d.mu.Lock()
	d.closed = true
	for c := range d.conns {
		c.conn.Close()
	}
	d.mu.Unlock()
	close(d.stop)
	d.wg.Wait()
}

func (c *ircConn) serve() {
	defer c.d.wg.Done()
	defer c.gone()
	buf := make([]byte, 1024)
	have := 0
	for {
		n, err := c.conn.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		used := 0
		for {
			i := bytes.IndexByte(buf[used:have], '\n')
			if i < 0 {
				break
			}
			c.line(bytes.TrimSuffix(buf[used:used+i], []byte("\r")))
			used += i + 1
		}
		c.d.hooks.chunk()
		if c.flushAll() != nil {
			return
		}
		full := have == len(buf)
		have = copy(buf, buf[used:have])
		if full && len(buf) < 64<<10 {
			buf = append(buf, make([]byte, len(buf))...)
		}
		if have == len(buf) {
			return // an endless line
		}
	}
}

// flushAll sends what the read's lines have caused, to this client and to others.
func (c *ircConn) flushAll() error {
	for _, o := range c.dirty {
		_ = o.out.flush() // a dead connection ends in its own goroutine
	}
	clear(c.dirty)
	c.dirty = c.dirty[:0]
	return c.out.flush()
}

// gone takes the client out of everything.
func (c *ircConn) gone() {
	c.conn.Close()
	d := c.d
	for _, ch := range c.channels {
		d.leave(c, ch, fmt.Sprintf(":%s QUIT :gone\r\n", c.prefix()))
	}
	d.mu.Lock()
	delete(d.conns, c)
	if d.nicks[c.nick] == c {
		delete(d.nicks, c.nick)
	}
	closed := d.closed
	d.mu.Unlock()
	for _, o := range c.dirty {
		_ = o.out.flush()
	}
	if c.registered && !closed {
		d.hooks.ended(c)
	}
}

func (c *ircConn) prefix() string { return c.nick + "!" + c.user + "@" + c.nick + ".load.test" }

// send queues a line for this client; it goes out at the end of the read.
func (c *ircConn) send(format string, args ...any) {
	c.out.fill(func(b []byte) []byte {
		b = c.appendTags(b, c.label)
		b = append(b, ':')
		b = append(b, ircHost...)
		b = append(b, ' ')
		return append(fmt.Appendf(b, format, args...), '\r', '\n')
	})
}

// numeric queues a numeric reply.
func (c *ircConn) numeric(code, rest string) {
	nick := c.nick
	if nick == "" {
		nick = "*"
	}
	c.send("%s %s %s", code, nick, rest)
}

// appendTags appends the message tags a modern server sends. Any goroutine, when label is nil.
func (c *ircConn) appendTags(b, label []byte) []byte {
	if !c.tagged.Load() && label == nil {
		return b
	}
	b = append(b, '@')
	if label != nil {
		b = append(append(b, "label="...), label...)
		b = append(b, ';')
	}
	b = append(b, "time="...)
	b = time.Now().UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return append(b, ' ')
}

// channelNamed finds or makes a channel.
func (d *ircd) channelNamed(name string) *ircChannel {
	d.mu.Lock()
	defer d.mu.Unlock()
	ch := d.channels[name]
	if ch == nil {
		ch = &ircChannel{name: name}
		ch.members.Store(&[]*ircConn{})
		if n, ok := number([]byte(strings.TrimPrefix(name, "#big"))); ok {
			ch.extra = int(n)
		}
		d.channels[name] = ch
	}
	return ch
}

// join adds the client and tells the members, itself first. As on a server with one thread, nothing of the channel comes
// between the client's own JOIN and the end of its list of names.
func (d *ircd) join(c *ircConn, ch *ircChannel) {
	line := fmt.Appendf(nil, ":%s JOIN %s\r\n", c.prefix(), ch.name)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	old := *ch.members.Load()
	now := append(old[:len(old):len(old)], c)
	c.channels[ch.name], c.channel = ch, ch
	c.out.add(line)
	c.names(ch, now)
	ch.members.Store(&now)
	c.broadcast(ch, line, nil)
}

// leave takes the client out and tells the others.
func (d *ircd) leave(c *ircConn, ch *ircChannel, line string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var now []*ircConn
	for _, m := range *ch.members.Load() {
		if m != c {
			now = append(now, m)
		}
	}
	ch.members.Store(&now)
	c.broadcast(ch, []byte(line), nil)
}

// broadcast queues a line, made of the given parts, for everyone in the channel but c.
func (c *ircConn) broadcast(ch *ircChannel, head, text []byte) {
	for _, m := range *ch.members.Load() {
		if m == c {
			continue
		}
		m.out.fill(func(b []byte) []byte {
			b = append(m.appendTags(b, nil), head...)
			if text != nil {
				b = append(append(b, text...), '\r', '\n')
			}
			return b
		})
		c.dirty = append(c.dirty, m)
	}
}

// names sends 353 lines of at most 480 bytes and 366.
func (c *ircConn) names(ch *ircChannel, members []*ircConn) {
	full := c.enabled["userhost-in-names"]
	var line strings.Builder
	put := func(prefix, nick, host string) {
		if line.Len() > 380 {
			c.numeric("353", "= "+ch.name+" :"+line.String())
			line.Reset()
		}
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(prefix + nick)
		if full {
			line.WriteString("!" + nick + "@" + host)
		}
	}
	put("@", "bob", "bob.load.test")
	for _, m := range members {
		put("", m.nick, m.nick+".load.test")
	}
	for i := range ch.extra {
		nick := memberNick(i)
		put("", nick, nick+".load.test")
	}
	c.numeric("353", "= "+ch.name+" :"+line.String())
	c.numeric("366", ch.name+" :End of /NAMES list.")
}
