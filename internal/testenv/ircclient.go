package testenv

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// IRCClient is a plain IRC client: it sends lines, keeps what arrives, answers
// PING, and knows nothing else. Its methods are safe for concurrent use.
type IRCClient struct {
	Nick string
	conn net.Conn
	in   inbox[IRCLine]
	send sync.Mutex
}

// IRCLine is a received line.
type IRCLine struct {
	Text string
	At   time.Time
}

// DialIRC connects; with a nick it registers and waits for the welcome.
func DialIRC(ctx context.Context, address, nick string) (*IRCClient, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newIRCClient(ctx, conn, nick)
}

// DialIRCTLS is DialIRC with TLS, for clients that show a certificate.
func DialIRCTLS(ctx context.Context, address, nick string, config *tls.Config) (*IRCClient, error) {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newIRCClient(ctx, conn, nick)
}

func newIRCClient(ctx context.Context, conn net.Conn, nick string) (*IRCClient, error) {
	c := &IRCClient{Nick: nick, conn: conn}
	go c.read()
	if nick == "" {
		return c, nil
	}
	c.Send("NICK " + nick)
	c.Send("USER tester 0 * :" + nick)
	if _, err := c.Expect(ctx, `^:\S+ (376|422) `); err != nil {
		c.Close()
		return nil, fmt.Errorf("registering %s: %w", nick, err)
	}
	return c, nil
}

func (c *IRCClient) read() {
	lines := bufio.NewScanner(quickReader{c.conn})
	lines.Buffer(nil, 1<<16)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if rest, ok := strings.CutPrefix(line, "PING "); ok {
			c.Send("PONG " + rest)
			continue
		}
		c.in.put(IRCLine{Text: line, At: time.Now()})
	}
	c.in.close(errors.New("the IRC connection ended"))
}

// quickReader acknowledges what it reads at once: a server that leaves Nagle's
// algorithm on would wait 40 ms for it before its next packet.
type quickReader struct{ net.Conn }

func (r quickReader) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if raw, ok := r.Conn.(syscall.Conn); ok {
		if sc, err := raw.SyscallConn(); err == nil {
			_ = sc.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
		}
	}
	return n, err
}

// Send writes one line. A connection that is gone shows in Expect.
func (c *IRCClient) Send(line string) {
	c.send.Lock()
	defer c.send.Unlock()
	_, _ = c.conn.Write([]byte(line + "\r\n"))
}

// Sendf writes one line.
func (c *IRCClient) Sendf(format string, args ...any) { c.Send(fmt.Sprintf(format, args...)) }

// Expect waits for a line that matches and that no Expect has taken yet.
func (c *IRCClient) Expect(ctx context.Context, pattern string) (string, error) {
	line, err := c.ExpectLine(ctx, pattern)
	return line.Text, err
}

// ExpectLine is Expect with the time of arrival.
func (c *IRCClient) ExpectLine(ctx context.Context, pattern string) (IRCLine, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return IRCLine{}, err
	}
	line, err := c.in.take(ctx, func(l IRCLine) bool { return re.MatchString(l.Text) })
	if err != nil {
		err = fmt.Errorf("%s: no line matched %s: %w\nlines not taken:\n%s", c.Nick, pattern, err, c.waiting())
	}
	return line, err
}

// Seen tells whether a line that matches has arrived and was not taken.
func (c *IRCClient) Seen(pattern string) (string, bool) {
	re := regexp.MustCompile(pattern)
	line, ok := c.in.peek(func(l IRCLine) bool { return re.MatchString(l.Text) })
	return line.Text, ok
}

// Lines is everything received, taken or not.
func (c *IRCClient) Lines() []IRCLine { return c.in.all() }

// Forget drops what has arrived and was not taken.
func (c *IRCClient) Forget() { c.in.forget() }

// Fence returns when the server has handled everything sent before, and what it
// had for us by then has arrived.
func (c *IRCClient) Fence(ctx context.Context) error {
	token := fmt.Sprintf("fence-%d", time.Now().UnixNano())
	c.Send("PING " + token)
	_, err := c.Expect(ctx, ` PONG .*`+token)
	return err
}

// Join enters a channel and waits for the end of its list of names.
func (c *IRCClient) Join(ctx context.Context, channel string) error {
	c.Send("JOIN " + channel)
	name, _, _ := strings.Cut(channel, " ")
	_, err := c.Expect(ctx, `(?i)^:\S+ 366 \S+ `+regexp.QuoteMeta(name)+` `)
	return err
}

// Close ends the connection at once, without a QUIT.
func (c *IRCClient) Close() { _ = c.conn.Close() }

func (c *IRCClient) waiting() string {
	var b strings.Builder
	for _, l := range c.in.rest() {
		b.WriteString("  " + l.Text + "\n")
	}
	return b.String()
}
