package ircconn

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"transportd/internal/irctest"
)

func TestSASL(t *testing.T) {
	cert, digest := irctest.ClientCertificate(t)
	stranger, _ := irctest.ClientCertificate(t)
	longPassword := strings.Repeat("p4ss", 200)
	s := irctest.Start(t, irctest.Config{
		TLS: true, Accounts: map[string]string{"alice": "secret", "long": longPassword}, Certs: map[string]string{digest: "certified"},
	})
	for _, tc := range []struct {
		name        string
		plain       bool
		cert        *tls.Certificate
		sasl        SASL
		account     string
		tried, fail string
	}{
		{name: "scram first", sasl: SASL{Account: "alice", Password: "secret"}, account: "alice", tried: "SCRAM-SHA-256"},
		{name: "plain only", sasl: SASL{Account: "alice", Password: "secret", Mechanisms: []string{"plain"}}, account: "alice", tried: "PLAIN"},
		{name: "long", sasl: SASL{Account: "long", Password: longPassword, Mechanisms: []string{Plain}}, account: "long", tried: "PLAIN"},
		{name: "external", cert: cert, sasl: SASL{}, account: "certified", tried: "EXTERNAL"},
		{name: "external with the account", cert: cert, sasl: SASL{Identity: "certified"}, account: "certified", tried: "EXTERNAL"},
		{name: "external with another's account", cert: cert, sasl: SASL{Identity: "alice"}, fail: "904", tried: "EXTERNAL"},
		{name: "external preferred", cert: cert, sasl: SASL{Account: "alice", Password: "secret"}, account: "certified", tried: "EXTERNAL"},
		{name: "unknown certificate, then password", cert: stranger, sasl: SASL{Account: "alice", Password: "secret"}, account: "alice", tried: "EXTERNAL SCRAM-SHA-256"},
		{name: "unknown certificate", cert: stranger, sasl: SASL{}, fail: "904", tried: "EXTERNAL"},
		{name: "wrong password", sasl: SASL{Account: "alice", Password: "wrong"}, fail: "904", tried: "SCRAM-SHA-256 PLAIN"},
		{name: "wrong password in the clear", plain: true, sasl: SASL{Account: "alice", Password: "wrong"}, fail: "904", tried: "SCRAM-SHA-256"},
		{name: "unknown account", sasl: SASL{Account: "nobody", Password: "x"}, fail: "904", tried: "SCRAM-SHA-256 PLAIN"},
		{name: "nothing to offer", sasl: SASL{Account: "alice"}, fail: "none"},
	} {
		for _, required := range []bool{true, false} {
			name := tc.name
			if required {
				name += ", required"
			}
			t.Run(name, func(t *testing.T) {
				o := tlsOptions(s)
				if tc.plain {
					o.Endpoints = options(s).Endpoints
				}
				o.TLS.Certificate = tc.cert
				sasl := tc.sasl
				sasl.Required = required
				o.SASL = &sasl
				o.Nick = "user"
				if tc.fail != "" && required {
					want := SASLFailed
					if tc.fail == "none" {
						want = SASLUnavailable
					}
					f := dialFailure(t, o, want)
					if want == SASLFailed && (f.Code != tc.fail || !f.Permanent || f.Words == "") {
						t.Errorf("failure %+v", f)
					}
					if tc.sasl.Password != "" && strings.Contains(f.Error(), tc.sasl.Password) && tc.sasl.Password != "x" {
						t.Errorf("the password is in %q", f.Error())
					}
					s.WaitGone(t, "user")
					return
				}
				c := dial(t, o)
				account, why := c.Login()
				if account != tc.account || (why != nil) != (tc.fail != "") {
					t.Errorf("account %q, failure %v", account, why)
				}
				user := s.WaitClient(t, "user")
				if user.Account() != tc.account {
					t.Errorf("the server knows us as %q", user.Account())
				}
				var tried []string
				for _, line := range user.Got() {
					if m, ok := strings.CutPrefix(line, "AUTHENTICATE "); ok && (m == External || m == Plain || m == ScramSHA256) {
						tried = append(tried, m)
					}
				}
				if got := strings.Join(tried, " "); got != tc.tried {
					t.Errorf("tried %q, want %q", got, tc.tried)
				}
				c.Close()
				s.WaitGone(t, "user")
			})
		}
	}
}

// TestSASLAbsent: no capability, no CAP at all, refused, or other mechanisms.
func TestSASLAbsent(t *testing.T) {
	for name, cfg := range map[string]irctest.Config{
		"no capability": {}, "no CAP": {NoCap: true}, "no mechanism of ours": {Caps: []string{"sasl=ECDSA-NIST256P-CHALLENGE"}},
		"mechanisms told late": {Caps: []string{"sasl"}, SASL: []string{"ECDSA-NIST256P-CHALLENGE"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := irctest.Start(t, cfg)
			o := options(s)
			o.SASL = &SASL{Account: "alice", Password: "secret", Required: true}
			want := SASLUnavailable
			if name == "mechanisms told late" {
				want = SASLFailed
			}
			dialFailure(t, o, want)
			s.WaitGone(t, "alice")
			o.SASL = &SASL{Account: "alice", Password: "secret"}
			c := dial(t, o)
			if account, _ := c.Login(); account != "" {
				t.Errorf("logged in as %q", account)
			}
		})
	}
}

// TestSASLRefusedCapability: biboumi hangs for ever here.
func TestSASLRefusedCapability(t *testing.T) {
	s := irctest.Start(t, irctest.Config{Accounts: map[string]string{"alice": "secret"}})
	s.Hook("CAP", func(c *irctest.Client, m irctest.Msg) bool {
		if m.Param(0) == "REQ" && strings.Contains(m.Param(1), "sasl") {
			c.Send(":srv CAP * NAK :%s", m.Param(1))
			return true
		}
		return false
	})
	o := options(s)
	o.SASL = &SASL{Account: "alice", Password: "secret"}
	c := dial(t, o)
	if _, why := c.Login(); why == nil || why.Reason != SASLUnavailable {
		t.Errorf("failure %v", why)
	}
	o.Nick = "bob"
	o.SASL.Required = true
	dialFailure(t, o, SASLUnavailable)
}

// TestSASLSilent: services that never answer cost a while, not the connection.
func TestSASLSilent(t *testing.T) {
	s := irctest.Start(t, irctest.Config{Accounts: map[string]string{"alice": "secret"}})
	s.Hook("AUTHENTICATE", func(c *irctest.Client, m irctest.Msg) bool { return m.Param(0) != "*" })
	defer func(d time.Duration) { saslTimeout = d }(saslTimeout)
	saslTimeout = 100 * time.Millisecond
	o := options(s)
	o.SASL = &SASL{Account: "alice", Password: "secret"}
	c := dial(t, o)
	if _, why := c.Login(); why == nil || why.Reason != SASLUnavailable {
		t.Errorf("failure %v", why)
	}
}

// TestSASLImpostor: a server that cannot prove that it knows the password gets it not in the clear either.
func TestSASLImpostor(t *testing.T) {
	s := irctest.Start(t, irctest.Config{TLS: true, Accounts: map[string]string{"alice": "secret"}})
	steps := 0
	s.Hook("AUTHENTICATE", func(c *irctest.Client, m irctest.Msg) bool {
		if m.Param(0) == "SCRAM-SHA-256" || m.Param(0) == "*" {
			return false
		}
		if steps++; steps == 2 { // instead of checking our proof
			c.Send("AUTHENTICATE dj1BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQT0=")
			return true
		}
		return false
	})
	o := tlsOptions(s)
	o.SASL = &SASL{Account: "alice", Password: "secret", Required: true}
	f := dialFailure(t, o, SASLFailed)
	if !strings.Contains(f.Text, "could not prove") {
		t.Errorf("text %q", f.Text)
	}
	if n := s.Counters().Commands["AUTHENTICATE"]; n != 4 { // name, first, proof, abort
		t.Errorf("%d AUTHENTICATE lines", n)
	}
}

// TestSASLReturns: services go and come back while we are connected (cap-notify).
func TestSASLReturns(t *testing.T) {
	s := irctest.Start(t, irctest.Config{Accounts: map[string]string{"alice": "secret"}})
	s.DelCap("sasl")
	o := options(s)
	o.SASL = &SASL{Account: "alice", Password: "secret"}
	c := dial(t, o)
	drainMOTD(t, c)
	if account, _ := c.Login(); account != "" {
		t.Fatalf("logged in as %q", account)
	}
	s.SetCap("sasl=PLAIN,SCRAM-SHA-256")
	await(t, c, "903")
	if account, why := c.Login(); account != "alice" || why != nil {
		t.Errorf("account %q, %v", account, why)
	}
	s.SetAccount("alice", "")
	await(t, c, "901")
	if account, _ := c.Login(); account != "" {
		t.Errorf("still logged in as %q", account)
	}
}

// TestSASLTooMuchWork: a server can have us compute for hours with one line.
func TestSASLTooMuchWork(t *testing.T) {
	for _, count := range []string{"1000001", "2147483647", "99999999999999999999"} {
		s := irctest.Start(t, irctest.Config{Accounts: map[string]string{"alice": "secret"}})
		s.Hook("AUTHENTICATE", func(c *irctest.Client, m irctest.Msg) bool {
			if m.Param(0) == ScramSHA256 || m.Param(0) == "*" {
				return false
			}
			first, err := base64.StdEncoding.DecodeString(m.Param(0))
			_, nonce, ok := strings.Cut(string(first), ",r=")
			if err != nil || !ok {
				t.Errorf("first message %q, %v", m.Param(0), err)
			}
			c.Send("AUTHENTICATE %s", base64.StdEncoding.EncodeToString([]byte("r="+nonce+"x,s=c2FsdA==,i="+count)))
			return true
		})
		o := options(s)
		o.SASL = &SASL{Account: "alice", Password: "secret", Required: true}
		dialFailure(t, o, SASLFailed)
		if n := s.Counters().Commands["AUTHENTICATE"]; n != 3 { // name, first, abort
			t.Errorf("i=%s: %d AUTHENTICATE lines", count, n)
		}
	}
}
