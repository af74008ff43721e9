package ircconn

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/bridges/guard"
	"transportd/internal/irctest"
)

func TestDialRegisters(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	o := options(s)
	o.User, o.RealName = "al ice@x", "Alice\r\nQUIT"
	var told []string
	o.OnProgress = func(text string) { told = append(told, text) }
	c := dial(t, o)
	if c.Welcome() != "alice" {
		t.Errorf("welcomed as %q", c.Welcome())
	}
	m, err := c.Read(testContext(t))
	if err != nil || m.Command != "001" {
		t.Fatalf("first message is %v, %v", m, err)
	}
	await(t, c, "422")
	if got := c.ISupport().Network; got != "TestNet" {
		t.Errorf("network %q", got)
	}
	for _, name := range testCaps {
		if _, on := c.Cap(name); !on {
			t.Errorf("capability %s is off", name)
		}
	}
	if user := s.WaitClient(t, "alice").Mask(); user != "alice!~alicex@user.test" {
		t.Errorf("mask %q", user)
	}
	if len(told) != 2 || !strings.Contains(told[0], "without encryption") {
		t.Errorf("progress: %q", told)
	}
	if i := c.Info(); i.TLS != nil || i.Remote.Port() != s.Port() || i.Local.Port() == 0 {
		t.Errorf("info %+v", i)
	}
}

func TestDialOldServer(t *testing.T) {
	s := irctest.Start(t, irctest.Config{NoCap: true, MOTD: []string{"hello"}})
	c := dial(t, options(s))
	await(t, c, "376")
	if n := c.Caps().Names(); len(n) != 0 {
		t.Errorf("capabilities %q", n)
	}
}

func TestServerPassword(t *testing.T) {
	s := irctest.Start(t, irctest.Config{Password: "sesame street"})
	o := options(s)
	o.Password = "wrong"
	if f := dialFailure(t, o, BadPassword); !f.Permanent || f.Code != "464" || strings.Contains(f.Error(), "wrong") {
		t.Errorf("failure %+v", f)
	}
	o.Password = "sesame street"
	dial(t, o)
	o.Password = "a\r\nQUIT"
	dialFailure(t, o, BadPassword)
}

// TestRefusals: each way a server says no becomes its reason, with its words.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       Reason
		permanent  bool
	}{
		{"banned", ":srv 465 * :You are banned from this server", Banned, true},
		{"k-line", "ERROR :Closing Link: x[y] (K-Lined)", Banned, true},
		{"g-line", "ERROR :Closing Link: (G:Lined: spam)", Banned, true},
		{"z-line", "ERROR :Closing link: (unknown@1.2.3.4) [Z-lined]", Banned, true},
		{"throttle", "ERROR :Your host is trying to (re)connect too fast -- throttled", Throttled, false},
		{"clones", "ERROR :Closing Link: (Too many host connections (local))", Throttled, false},
		{"465 for clones", ":srv 465 * :Too many connections from your host", Throttled, false},
		{"full", "ERROR :Sorry, your connection class is full - try again later", ServerFull, false},
		{"bounce", ":srv 010 * other.example 6667 :Please use another server", ServerFull, false},
		{"password", ":srv 464 * :Password incorrect", BadPassword, true},
		{"not authorised", "ERROR :Closing Link: (You are not authorized to connect to this server)", Banned, true},
		{"account", "FAIL * ACCOUNT_REQUIRED_TO_CONNECT :You must log in", SASLUnavailable, true},
		{"killed", "ERROR :Closing Link: irc (Killed (oper (bye)))", Killed, false},
		{"other", "ERROR :Closing Link: (whatever)", Closed, false},
		{"invalid nick", ":srv 432 * alice :Erroneous nickname", NickInvalid, true},
		{"nick in use", ":srv 433 * alice :Nickname is already in use", NickInUse, false},
		{"collision", ":srv 436 * alice :Nickname collision", NickInUse, false},
		{"held", ":srv 437 * alice :Nick is temporarily unavailable", NickInUse, false},
		{"user name", ":srv 468 * :Your username is invalid", Protocol, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := irctest.Start(t, irctest.Config{})
			s.Hook("USER", func(c *irctest.Client, _ irctest.Msg) bool {
				c.Send("%s", tc.line)
				if strings.HasPrefix(tc.line, "ERROR") {
					c.Kill("gone") // a second ERROR must not hide the first
				}
				return true
			})
			f := dialFailure(t, options(s), tc.want)
			if f.Permanent != tc.permanent {
				t.Errorf("permanent is %v", f.Permanent)
			}
			words := tc.line[strings.LastIndex(tc.line, " :")+2:]
			if f.Words != words || !strings.HasSuffix(f.Text, words) {
				t.Errorf("words %q, text %q; want %q", f.Words, f.Text, words)
			}
			if f.Registered {
				t.Error("claims to have been registered")
			}
		})
	}
}

func TestNickChoice(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	s.Puppet("alice")
	s.Puppet("alice2")
	o := options(s)
	var asked []string
	o.Nicks = func(refused string, why *Failure) (string, bool) {
		asked = append(asked, refused+" "+why.Code)
		return "alice" + string(rune('1'+len(asked))), true
	}
	c := dial(t, o)
	if c.Welcome() != "alice3" || !slices.Equal(asked, []string{"alice 433", "alice2 433"}) {
		t.Errorf("nick %s, asked %q", c.Welcome(), asked)
	}
	o.Nicks = func(string, *Failure) (string, bool) { return "", false }
	if f := dialFailure(t, o, NickInUse); f.Words == "" || f.Permanent {
		t.Errorf("failure %+v", f)
	}
	o.Nicks = func(string, *Failure) (string, bool) { return "alice", true } // stubborn
	dialFailure(t, o, NickInUse)
	o.Nick = "al ice"
	dialFailure(t, o, NickInvalid)
}

func TestEndpointOrder(t *testing.T) {
	s := irctest.Start(t, irctest.Config{TLS: true})
	free := closedPort(t)
	o := options(s)
	o.TLS.RootCAs = s.RootCAs()
	o.Endpoints = []Endpoint{{s.Host(), free, true}, {s.Host(), s.TLSPort(), true}, {s.Host(), s.Port(), false}}
	if c := dial(t, o); c.Info().TLS == nil || c.Info().TLS.Version < tls.VersionTLS12 {
		t.Error("the second endpoint should have served")
	}
	o.Nick = "bob"
	o.Endpoints = []Endpoint{{s.Host(), free, true}, {s.Host(), s.Port(), false}}
	if c := dial(t, o); c.Info().TLS != nil {
		t.Error("the plain endpoint should have served")
	}
	o.Endpoints = []Endpoint{{s.Host(), free, true}}
	if f := dialFailure(t, o, Refused); f.Permanent {
		t.Error("refused is not for ever")
	}
	o.Endpoints = nil
	dialFailure(t, o, Protocol)
}

// closedPort is a port nobody listens on.
func closedPort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func TestCertificates(t *testing.T) {
	s := irctest.Start(t, irctest.Config{TLS: true})
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(caFile, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := LoadRootCAs(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := ParsePin(Fingerprint(s.Certificate()))
	if err != nil {
		t.Fatal(err)
	}
	key := sha256Sum(s.Certificate().RawSubjectPublicKeyInfo)
	wrong := make([]byte, 32)
	for _, tc := range []struct {
		name string
		tls  TLSOptions
		want string // part of the failure's text, "" for success
	}{
		{"unknown authority", TLSOptions{}, "not signed by an authority"},
		{"CA file", TLSOptions{RootCAs: roots}, ""},
		{"other name", TLSOptions{RootCAs: roots, ServerName: "irc.example"}, "another name"},
		{"expected name", TLSOptions{RootCAs: roots, ServerName: "irc.test"}, ""},
		{"certificate pin", TLSOptions{Pins: [][]byte{wrong, pin}}, ""},
		{"key pin", TLSOptions{Pins: [][]byte{key}}, ""},
		{"wrong pin", TLSOptions{Pins: [][]byte{wrong}}, "not the one that is pinned"},
		{"wrong pin, good chain", TLSOptions{RootCAs: roots, Pins: [][]byte{wrong}}, "not the one that is pinned"},
		{"wrong pin, insecure", TLSOptions{Insecure: true, Pins: [][]byte{wrong}}, "not the one that is pinned"},
		{"insecure", TLSOptions{Insecure: true}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := tlsOptions(s)
			o.TLS = tc.tls
			o.Nick = "n" + strings.Map(func(r rune) rune {
				if r < 'a' || r > 'z' {
					return -1
				}
				return r
			}, tc.name)
			if tc.want == "" {
				if c := dial(t, o); c.Info().TLS.Fingerprint != Fingerprint(s.Certificate()) {
					t.Error("fingerprint differs")
				}
				return
			}
			// a plain endpoint after it must not be used
			o.Endpoints = append(o.Endpoints, Endpoint{Host: s.Host(), Port: s.Port()})
			f := dialFailure(t, o, TLSFailed)
			if !strings.Contains(f.Text, tc.want) || !strings.Contains(f.Text, Fingerprint(s.Certificate())) {
				t.Errorf("text %q", f.Text)
			}
			if f.Permanent != strings.Contains(tc.name, "wrong pin") {
				t.Errorf("permanent is %v", f.Permanent)
			}
		})
	}
}

func TestTLSToPlainPort(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	s.Hook("*", func(c *irctest.Client, _ irctest.Msg) bool { return true })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if sock, err := l.Accept(); err == nil {
			_, _ = sock.Write([]byte(":srv NOTICE * :*** Looking up your hostname\r\n"))
			defer sock.Close()
			_, _ = sock.Read(make([]byte, 1000))
		}
	}()
	o := tlsOptions(s)
	o.Endpoints = []Endpoint{{"127.0.0.1", l.Addr().(*net.TCPAddr).AddrPort().Port(), true}}
	if f := dialFailure(t, o, TLSFailed); !strings.Contains(f.Text, "does not speak TLS") {
		t.Errorf("text %q", f.Text)
	}
}

func TestIPv6(t *testing.T) {
	s := irctest.Start(t, irctest.Config{Listen: "::1", TLS: true})
	o := options(s)
	o.TLS.RootCAs = s.RootCAs()
	if c := dial(t, o); !c.Info().Remote.Addr().Is6() {
		t.Errorf("remote %v", c.Info().Remote)
	}
	o.Endpoints = []Endpoint{{"irc.test", s.TLSPort(), true}}
	o.Resolver = fakeResolver{"irc.test": {"127.0.0.1", "::1"}} // nobody listens on the first
	o.Nick = "bob"
	if c := dial(t, o); !c.Info().Remote.Addr().Is6() {
		t.Errorf("remote %v", c.Info().Remote)
	}
	o.Family = OnlyIPv4
	dialFailure(t, o, Refused)
}

type fakeResolver map[string][]string

func (r fakeResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range r[host] {
		out = append(out, netip.MustParseAddr(s))
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return out, nil
}

// TestAddressOrder: every address is tried, families in turn, those that are refused left out.
func TestAddressOrder(t *testing.T) {
	r := fakeResolver{"irc.test": {"2001:4860::1", "2001:4860::2", "8.8.8.8", "::ffff:127.0.0.1", "10.0.0.1", "9.9.9.9", "fe80::1"}}
	for _, tc := range []struct {
		family Family
		want   []string
	}{
		{AnyFamily, []string{"[2001:4860::1]:6667", "8.8.8.8:6667", "[2001:4860::2]:6667", "9.9.9.9:6667"}},
		{OnlyIPv4, []string{"8.8.8.8:6667", "9.9.9.9:6667"}},
		{OnlyIPv6, []string{"[2001:4860::1]:6667", "[2001:4860::2]:6667"}},
	} {
		var tried []string
		o := Options{
			Endpoints: []Endpoint{{Host: "irc.test", Port: 6667}}, Nick: "alice", Resolver: r, Family: tc.family, Allow: guard.PublicOnly,
			Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
				tried = append(tried, addr)
				return nil, errors.New("unreachable")
			},
		}
		dialFailure(t, o, Refused)
		if !slices.Equal(tried, tc.want) {
			t.Errorf("family %d tried %q", tc.family, tried)
		}
	}
}

func TestDialCancelled(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	s.Hook("USER", func(*irctest.Client, irctest.Msg) bool { cancel(); return true })
	if _, err := Dial(ctx, options(s)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSTS(t *testing.T) {
	s := irctest.Start(t, irctest.Config{TLS: true})
	s.SetCap("sts=duration=1000,port=" + portString(s.TLSPort()))
	o := options(s)
	o.TLS.RootCAs = s.RootCAs()
	o.STS = new(STSCache)
	if c := dial(t, o); c.Info().TLS == nil {
		t.Fatal("the policy was not followed")
	}
	accepted := s.Counters().Accepted
	o.Nick = "bob"
	if c := dial(t, o); c.Info().TLS == nil {
		t.Error("the policy was forgotten")
	}
	if n := s.Counters().Accepted - accepted; n != 1 {
		t.Errorf("%d connections where the policy is known", n)
	}
	o.TLS.RootCAs = nil // then no connection at all, and never a plain one
	dialFailure(t, o, TLSFailed)
	s.SetCap("sts=duration=0,port=" + portString(s.TLSPort()))
	o.TLS.RootCAs, o.Nick = s.RootCAs(), "carol"
	dial(t, o)
	if _, known := o.STS.upgrade(o.Endpoints[0]); known {
		t.Error("duration 0 does not end the policy")
	}
	if len(o.STS.hosts) != 0 {
		t.Error("an ended policy is kept")
	}
}

func TestLimiter(t *testing.T) {
	l := NewLimiter(0, 2)
	ctx := t.Context()
	a, _ := l.Wait(ctx, "h")
	b, _ := l.Wait(ctx, "h")
	if done, err := l.Wait(ctx, "other"); err != nil {
		t.Fatal(err)
	} else {
		done()
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := l.Wait(short, "h"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("third connection: %v", err)
	}
	a()
	a() // twice does no harm
	c, err := l.Wait(ctx, "h")
	if err != nil {
		t.Fatal(err)
	}
	b()
	c()
	if len(l.hosts) != 0 {
		t.Errorf("%d hosts remembered", len(l.hosts))
	}
	var none *Limiter
	if done, err := none.Wait(ctx, "h"); err != nil || done == nil {
		t.Error("no limiter must not limit")
	}
}
