package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// ircClient is a plain client of the scripted server.
type ircClient struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func startIRCd(t *testing.T, caps ...string) *ircd {
	t.Helper()
	d, err := newIRCd(caps, ircHooks{registered: func(*ircConn) {}, said: func(*ircConn, []byte, []byte) {}, chunk: func() {}, ended: func(*ircConn) {}})
	if err != nil {
		t.Fatal(err)
	}
	d.serve(0)
	t.Cleanup(d.close)
	return d
}

func (d *ircd) client(t *testing.T, nick string) *ircClient {
	t.Helper()
	c, err := net.Dial("tcp", local(d.port()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ic := &ircClient{t: t, c: c, r: bufio.NewReader(c)}
	if nick != "" {
		ic.send("NICK "+nick, "USER "+nick+" 0 * :x")
		ic.until(" 422 ")
	}
	return ic
}

func (c *ircClient) send(lines ...string) {
	c.t.Helper()
	if _, err := fmt.Fprint(c.c, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// until reads up to a line that holds the text and returns all of them.
func (c *ircClient) until(text string) []string {
	c.t.Helper()
	if err := c.c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	var got []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("waiting for %q after %q: %v", text, got, err)
		}
		got = append(got, strings.TrimRight(line, "\r\n"))
		if strings.Contains(line, text) {
			return got
		}
	}
}

func TestIRCdRegistration(t *testing.T) {
	d := startIRCd(t)
	c := d.client(t, "")
	c.send("CAP LS 302", "NICK u1", "USER u1 0 * :x")
	c.until("CAP * LS :")
	c.send("CAP REQ :sasl", "CAP END")
	got := strings.Join(c.until(" 422 "), "\n")
	for _, want := range []string{"CAP * NAK :sasl", " 001 u1 ", "CASEMAPPING=ascii", "PREFIX=(ov)@+", "CHANMODES="} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	c.send("PING :a b", "NONSENSE", "NICK")
	c.until("PONG irc.load.test :a b")
	c.until(" 421 u1 NONSENSE ")
	c.until(" 461 u1 NICK ")
	taken := d.client(t, "")
	taken.send("NICK u1")
	taken.until(" 433 * u1 ")
}

func TestIRCdChannel(t *testing.T) {
	d := startIRCd(t)
	a, b := d.client(t, "u1"), d.client(t, "u2")
	a.send("JOIN #all")
	if got := a.until(" 366 "); !strings.Contains(got[0], ":u1!u1@u1.load.test JOIN #all") || !strings.HasSuffix(got[1], ":@bob u1") {
		t.Errorf("join: %q", got)
	}
	b.send("JOIN #all")
	if got := b.until(" 366 "); !strings.HasSuffix(got[1], ":@bob u1 u2") {
		t.Errorf("names: %q", got)
	}
	a.until(":u2!u2@u2.load.test JOIN #all")
	a.send("PRIVMSG #all :hello there", "PING x")
	b.until(":u1!u1@u1.load.test PRIVMSG #all :hello there")
	if got := a.until("PONG"); len(got) != 1 {
		t.Errorf("an echo without echo-message: %q", got)
	}
	a.send("PRIVMSG #other :x")
	a.until(" 404 ")
	b.send("NICK u3")
	a.until(":u2!u2@u2.load.test NICK :u3")
	b.send("PART #all")
	a.until(":u3!u2@u3.load.test PART #all")
	b.send("JOIN #all")
	a.until("JOIN #all")
	b.send("QUIT")
	a.until(" QUIT ")
}

func TestIRCdModern(t *testing.T) {
	d := startIRCd(t, modernCaps...)
	c := d.client(t, "")
	c.send("CAP LS 302", "CAP REQ :echo-message labeled-response server-time batch message-tags", "NICK u1", "USER u1 0 * :x", "CAP END", "JOIN #c1")
	c.until(" 366 ")
	c.send("@label=7 PRIVMSG #c1 :hello")
	got := c.until("PRIVMSG")
	if line := got[len(got)-1]; !strings.HasPrefix(line, "@label=7;time=20") || !strings.HasSuffix(line, " :u1!u1@u1.load.test PRIVMSG #c1 :hello") {
		t.Errorf("echo: %q", line)
	}
}

// All members of a big channel are listed, in lines of an allowed length.
func TestIRCdBigChannel(t *testing.T) {
	c := startIRCd(t).client(t, "u1")
	c.send("JOIN " + bigChannel(1000))
	names := 0
	for _, line := range c.until(" 366 ") {
		if len(line) > 510 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if strings.Contains(line, " 353 ") {
			_, list, _ := strings.Cut(line[1:], " :")
			names += len(strings.Fields(list))
		}
	}
	if names != 1002 {
		t.Errorf("%d names, want 1002", names)
	}
}
