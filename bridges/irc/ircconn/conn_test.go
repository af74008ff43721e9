package ircconn

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/encoding/charmap"

	"transportd/internal/irctest"
)

func TestCapChanges(t *testing.T) {
	s := irctest.Start(t, irctest.Config{Caps: []string{"cap-notify", "chghost", "unwanted=1", "away-notify"}})
	c := dial(t, options(s))
	drainMOTD(t, c)
	if got := c.Caps().Names(); !slices.Equal(got, []string{"away-notify", "cap-notify", "chghost"}) {
		t.Errorf("on: %q", got)
	}
	if v, on := c.Cap("unwanted"); v != "1" || on {
		t.Errorf("unwanted: %q %v", v, on)
	}
	s.DelCap("chghost")
	await(t, c, "CAP")
	if _, on := c.Cap("chghost"); on {
		t.Error("chghost is still on")
	}
	s.SetCap("echo-message")
	for range 2 { // NEW and ACK
		await(t, c, "CAP")
	}
	if _, on := c.Cap("echo-message"); !on {
		t.Error("echo-message is not on")
	}
	s.SetCap("something-else")
	await(t, c, "CAP")
	if got := s.WaitClient(t, "alice").Got(); strings.Contains(strings.Join(got, "\n"), "something-else") {
		t.Errorf("asked for what nobody wants: %q", got)
	}
}

// TestCapRefused: NAK of a whole line does not lose the others.
func TestCapRefused(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	s.Hook("CAP", func(c *irctest.Client, m irctest.Msg) bool {
		if m.Param(0) == "REQ" && strings.Contains(m.Param(1), "setname") {
			c.Send(":srv CAP * NAK :%s", m.Param(1))
			return true
		}
		return false
	})
	c := dial(t, options(s))
	want := slices.DeleteFunc(slices.Clone(testCaps), func(n string) bool { return n == "setname" })
	slices.Sort(want)
	got := slices.DeleteFunc(c.Caps().Names(), func(n string) bool { return n == "cap-notify" })
	if !slices.Equal(got, want) {
		t.Errorf("on: %q", got)
	}
}

// TestManyCaps: requests are split into lines a server can take.
func TestManyCaps(t *testing.T) {
	var caps []string
	for i := range 60 {
		caps = append(caps, "example.org/capability-"+strings.Repeat(string(rune('a'+i%26)), 1+i/26))
	}
	s := irctest.Start(t, irctest.Config{Caps: caps})
	o := options(s)
	o.Caps = caps
	c := dial(t, o)
	if got := c.Caps().Names(); len(got) != len(caps) {
		t.Errorf("%d capabilities on, want %d", len(got), len(caps))
	}
	for _, line := range s.WaitClient(t, "alice").Got() {
		if len(line) > 510 {
			t.Errorf("line of %d bytes", len(line))
		}
	}
}

func TestISupportChanges(t *testing.T) {
	s := irctest.Start(t, irctest.Config{ISupport: []string{"CASEMAPPING=rfc1459", "NICKLEN=9"}})
	c := dial(t, options(s))
	drainMOTD(t, c)
	before := c.ISupport()
	if before.NickLen != 9 || before.Fold("[A]") != "{a}" {
		t.Errorf("nick length %d", before.NickLen)
	}
	s.SetISupport("NICKLEN=20", "-CASEMAPPING", "LINELEN=1024")
	await(t, c, "005")
	now := c.ISupport()
	if now.NickLen != 20 || now.LineLen != 1024 || before.NickLen != 9 {
		t.Errorf("nick length %d, line length %d", now.NickLen, now.LineLen)
	}
	if _, ok := now.Raw("CASEMAPPING"); ok {
		t.Error("CASEMAPPING is still there")
	}
	if err := c.Send("PRIVMSG", "#r", strings.Repeat("x", 900)); err != nil {
		t.Errorf("line within LINELEN: %v", err)
	}
	if err := c.Send("PRIVMSG", "#r", strings.Repeat("x", 1020)); !errors.Is(err, ErrLineTooLong) {
		t.Errorf("line beyond LINELEN: %v", err)
	}
}

// TestSharedTables: connections to servers that say the same share what they said.
func TestSharedTables(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	a := dial(t, options(s))
	o := options(s)
	o.Nick = "bob"
	b := dial(t, o)
	drainMOTD(t, a)
	drainMOTD(t, b)
	if a.ISupport() != b.ISupport() || a.Caps() != b.Caps() {
		t.Error("tables are not shared")
	}
}

func TestHostileLines(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	o := options(s)
	o.Fallback = charmap.Windows1251
	c := dial(t, o)
	drainMOTD(t, c)
	alice := s.WaitClient(t, "alice")
	hostile := [][]byte{
		{0, 1, 2, '\r', '\n'}, []byte("\r\n\r\n\n\n"), []byte("@\r\n@a\r\n@a=b \r\n:\r\n:x\r\n: \r\n   \r\n"),
		[]byte(":a PRIVMSG alice :nul\x00inside\r\n"), []byte(":a PRIVMSG alice :return\rinside\r\n"), []byte("\xff\xfe\xfd\r\n"),
		[]byte("PING\r\nPONG\r\nERRORS\r\nCAP\r\nCAP x\r\nCAP * ACK\r\nCAP * LS * :\r\n005\r\n005 a\r\nAUTHENTICATE\r\n900\r\n908\r\n001\r\n"),
		bytes.Repeat([]byte("x"), 100000), []byte("\r\n"),
		[]byte("@" + strings.Repeat("t", 8000) + " :a PRIVMSG alice :" + strings.Repeat("long ", 1000) + "\r\n"),
		[]byte(strings.Repeat(": ", 5000) + "\r\n"),
		[]byte(":a NOTICE alice :\xcf\xf0\xe8\xe2\xe5\xf2\r\n"),
		[]byte(":a NOTICE alice :cut \xd0\x9f\xd1\r\n"),
		[]byte("end\n"),
	}
	for _, b := range hostile {
		alice.SendBytes(b)
	}
	var notices []string
	long := false
	for {
		m, err := c.Read(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Command == "NOTICE" {
			notices = append(notices, m.Last())
		}
		long = long || m.Command == "PRIVMSG" && len(m.Last()) == 5000
		if strings.ContainsAny(m.Last(), "\x00\r\n") {
			t.Errorf("control characters in %q", m.Params)
		}
		if m.Command == "END" {
			break
		}
	}
	if !slices.Equal(notices, []string{"Привет", "cut П"}) {
		t.Errorf("notices %q", notices)
	}
	if !long {
		t.Error("the long line is missing")
	}
	if c.SkippedLines() != 1 {
		t.Errorf("%d lines skipped, want 1", c.SkippedLines())
	}
}

// TestPieces: lines arrive in any pieces, several at once or one in many.
func TestPieces(t *testing.T) {
	text := ":a NOTICE alice :" + strings.Repeat("0123456789", 60) + "\r\n:b NOTICE alice :x\r\n\n:c NOTICE alice :y\n"
	for _, size := range []int{1, 2, 3, 7, 100, 611, 612, 613, 5000} {
		inBubble(t, Options{}, func(t *testing.T, c *Conn, s *pipeServer, msgs chan *Message) {
			for b := []byte(text); len(b) > 0; {
				n := min(size, len(b))
				if _, err := s.Write(b[:n]); err != nil {
					t.Fatal(err)
				}
				b = b[n:]
			}
			synctest.Wait()
			var got []string
			for len(msgs) > 0 {
				m := <-msgs
				got = append(got, m.Nick()+string(m.Last()[0]))
			}
			if !slices.Equal(got, []string{"a0", "bx", "cy"}) {
				t.Errorf("pieces of %d: %q", size, got)
			}
		})
	}
}

func TestReadEnds(t *testing.T) {
	s := irctest.Start(t, irctest.Config{TLS: true})
	for name, tc := range map[string]struct {
		end  func(*Conn, *irctest.Client, context.CancelFunc)
		want func(error) bool
	}{
		"server closes": {func(_ *Conn, c *irctest.Client, _ context.CancelFunc) { c.Drop() }, func(err error) bool { return isReason(err, Closed) }},
		"killed": {func(_ *Conn, c *irctest.Client, _ context.CancelFunc) { c.Kill("Killed (oper (spam))") }, func(err error) bool {
			var f *Failure
			return isReason(err, Killed) && errors.As(err, &f) && strings.Contains(f.Words, "spam") && !f.Permanent
		}},
		"banned":          {func(_ *Conn, c *irctest.Client, _ context.CancelFunc) { c.Kill("G-Lined: go away") }, func(err error) bool { return isReason(err, Banned) }},
		"we close":        {func(c *Conn, _ *irctest.Client, _ context.CancelFunc) { c.Close() }, func(err error) bool { return errors.Is(err, ErrClosed) }},
		"context is over": {func(_ *Conn, _ *irctest.Client, cancel context.CancelFunc) { cancel() }, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		for _, o := range []Options{options(s), tlsOptions(s)} {
			o.Nick = "n" + strings.ReplaceAll(name, " ", "")
			ctx, cancel := context.WithCancel(testContext(t))
			c := dial(t, o)
			drainMOTD(t, c)
			tc.end(c, s.WaitClient(t, o.Nick), cancel)
			for range 3 { // and again the same
				if _, err := c.Read(ctx); !tc.want(err) {
					t.Errorf("%s: Read returned %v", name, err)
				}
			}
			cancel()
			s.WaitGone(t, o.Nick)
		}
	}
}

// TestRegisterTimeout: a server that accepts and says nothing.
func TestRegisterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := pipe(false)
		o := pipeOptions(d)
		start := time.Now()
		dialFailureNow(t, o, Timeout)
		if time.Since(start) != time.Minute {
			t.Errorf("gave up after %v", time.Since(start))
		}
		s.Close()
	})
}

// dialFailureNow is dialFailure without a context of its own, for bubbles.
func dialFailureNow(t *testing.T, o Options, want Reason) *Failure {
	t.Helper()
	_, err := Dial(t.Context(), o)
	var f *Failure
	if !errors.As(err, &f) || f.Reason != want {
		t.Fatalf("error %v, want reason %d", err, want)
	}
	return f
}

func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := pipeOptions(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		o.Resolver = fakeResolver{"h": {"192.0.2.1", "192.0.2.2"}}
		o.Endpoints = []Endpoint{{Host: "h", Port: 1}}
		start := time.Now()
		dialFailureNow(t, o, Timeout)
		if time.Since(start) != 20*time.Second {
			t.Errorf("gave up after %v", time.Since(start))
		}
	})
}

func TestLimiterPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(2*time.Second, 0)
		start := time.Now()
		for i := range 3 {
			done, err := l.Wait(t.Context(), "h")
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != time.Duration(i)*2*time.Second {
				t.Errorf("attempt %d after %v", i, got)
			}
			done()
		}
	})
}

// TestBadPingCookie: 513 of old servers.
func TestBadPingCookie(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	s.Hook("USER", func(c *irctest.Client, m irctest.Msg) bool {
		c.Send(":srv 513 alice :To connect, type /QUOTE PONG 4711")
		return true
	})
	s.Hook("PONG", func(c *irctest.Client, m irctest.Msg) bool {
		if m.Param(0) == "4711" {
			c.Send(":srv 001 alice :Welcome")
		}
		return true
	})
	dial(t, options(s))
}

func TestDecode(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"plain", "plain"}, {"gr\xc3\xbc\xc3\x9fe", "grüße"}, {"gr\xfc\xdfe", "grüße"},
		{"cut \xe2\x82", "cut "}, {"cut \xf0\x9f\x98", "cut "}, {"\xff", "ÿ"}, {"", ""},
		{"caf\xe9", "café"}, {"gr\xc3\xbc caf\xc3", "grü caf"}, {strings.Repeat("a", 440) + "\xe2", strings.Repeat("a", 440)},
	} {
		if got := Decode([]byte(tc.in), charmap.Windows1252); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.in, got, tc.want)
		}
	}
	if got := Decode([]byte("a\xfcb"), nil); got != "a\uFFFDb" {
		t.Errorf("no fallback: %q", got)
	}
	for name, want := range map[string]bool{"latin1": true, "ISO-8859-15": true, "windows-1251": true, "shift_jis": true, "utf-8": false, "utf-16le": false, "x": false} {
		if _, ok := LookupEncoding(name); ok != want {
			t.Errorf("encoding %s: %v", name, ok)
		}
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}
