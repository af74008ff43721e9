package test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// wrongPort is one nobody listens on: that for services of the XMPP server is not
// reachable under the address of ngIRCd.
func closedPort(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// served is the certificate a server shows.
func served(t *testing.T, s *IRCServer) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.TLS)), &tls.Config{InsecureSkipVerify: true}) // only looked at
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0]
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// How a link is made, and why not, on real servers. Each case is a transportd of its
// own with other settings of one network.
func TestLinks(t *testing.T) {
	t.Parallel()
	var s *site
	for _, c := range shared.sites {
		if c.name == "prosody+ng" {
			s = c
		}
	}
	ng, cert := s.ircd, served(t, s.ircd)
	foreign, err := shared.env.ForeignCA()
	if err != nil {
		t.Fatal(err)
	}
	closed := closedPort(t, ng.Host)
	plain, secure := strconv.Itoa(ng.Plain), "+"+strconv.Itoa(ng.TLS)
	quoted := func(list ...string) string { return `["` + strings.Join(list, `", "`) + `"]` }
	for _, c := range []struct {
		name    string
		network Network
		refusal string // words for the user; empty: they get in
		account string // ports that the user's account names
	}{
		{name: "own authority", network: Network{TLS: true}},
		{name: "another authority", network: Network{TLS: true, Settings: fmt.Sprintf("ca_file = %q", foreign)}, refusal: "certificate"},
		{name: "pin of the certificate", network: Network{TLS: true, Settings: fmt.Sprintf("ca_file = %q\npins = %s", foreign, quoted(sha256Hex(cert.Raw)))}},
		{name: "pin of the public key", network: Network{TLS: true, Settings: fmt.Sprintf("ca_file = %q\npins = %s", foreign, quoted(sha256Hex(cert.RawSubjectPublicKeyInfo)))}},
		{name: "wrong pin", network: Network{TLS: true, Settings: fmt.Sprintf("ca_file = %q\npins = %s", foreign, quoted(sha256Hex([]byte("another"))))}, refusal: "certificate"},
		{name: "not verified", network: Network{TLS: true, Settings: fmt.Sprintf("ca_file = %q\nverify = false", foreign)}},
		{name: "ports in order", network: Network{Ports: []string{closed, "+" + plain, secure}}},
		{name: "plain behind a closed port", network: Network{Ports: []string{"+" + closed, plain}}},
		{name: "IPv6", network: Network{TLS: true, Host: "::1"}},
		{name: "IPv6 and no TLS", network: Network{Host: "::1"}},
		{name: "a second host", network: Network{TLS: true, Host: `127.0.0.3", "` + ng.Host}},
		{name: "a port of the user's", network: Network{TLS: true, Ports: []string{"+" + closed}, Settings: "user_ports = " + quoted(strconv.Itoa(ng.TLS))}, account: secure},
		{name: "a port the user may not name", network: Network{TLS: true, Ports: []string{"+" + closed}, Settings: "user_ports = " + quoted("1")}, account: secure, refusal: "is not allowed here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.network.Name, c.network.Server = "net", ng
			own := *s
			own.network = "net"
			at := own.own(t, GatewayOptions{Domain: linking, Networks: []Network{c.network}})
			at.network = "net"
			defer at.gateway.Stop()
			alice := at.user(t, "alice")
			if c.account != "" {
				fields := `<query xmlns='jabber:iq:register'>` + submit(nsRegister, "nick", alice.name, "ports", c.account) + `</query>`
				if c.refusal != "" {
					refused := alice.request("set", at.console(), fields)
					if refused.Attr("type") != "error" || !strings.Contains(refused.String(), c.refusal) {
						t.Errorf("registering is answered with %s", refused)
					}
					return
				}
				alice.result("set", at.console(), fields)
			}
			_, garden := s.host(t, "bob", "garden")
			if c.refusal == "" {
				alice.enter(garden)
				return
			}
			room := at.room(garden)
			alice.join(room, alice.name, "")
			e := alice.expect(Presence(FromBare(room), Type("error")))
			if !strings.Contains(strings.ToLower(e.String()), c.refusal) {
				t.Errorf("the user is told %s", e)
			}
		})
	}
}

// A certificate logs in where the network offers that (SASL EXTERNAL); where it does
// not, the user is told before anything is saved.
func TestCertificates(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		if s.network == "inspplain" {
			return // fingerprints are seen through TLS
		}
		alice := s.user(t, "alice")
		text, fingerprint, err := shared.env.ClientCertificate(alice.name)
		if err != nil {
			t.Fatal(err)
		}
		fields := `<query xmlns='jabber:iq:register'>` + submit(nsRegister, "nick", alice.name, "certificate", text) + `</query>`
		if s.ircd.Services == nil {
			refused := alice.request("set", s.console(), fields)
			if refused.Attr("type") != "error" || !strings.Contains(refused.String(), "did not log you in with the certificate") {
				t.Errorf("registering is answered with %s", refused)
			}
			return
		}
		// The services learn the certificate from a connection that has it and is logged
		// in by password; from then on the certificate is enough.
		account, password := s.registered(t, "acc")
		alice.result("set", s.console(), `<query xmlns='jabber:iq:register'>`+
			submit(nsRegister, "nick", alice.name, "account", account, "password", password, "certificate", text)+`</query>`)
		bob, garden := s.host(t, "bob", "garden")
		room := alice.enter(garden)
		alice.chat(s.console(), "PRIVMSG NickServ :CERT ADD")
		alice.expect(Message(BodyLike("(?i)" + fingerprint + ".* added")))
		alice.leave(room, "")
		alice.result("set", s.console(), `<query xmlns='jabber:iq:register'><remove/></query>`)
		bob.expect(`^:%s!\S+ (PART|QUIT)`, alice.name)
		alice.result("set", s.console(), fields)
		alice.enter(garden)
		s.loggedIn(t, alice.name, account)
	})
}
