package test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net"
	"os"
	"strconv"
	"testing"

	. "transportd/internal/testenv"
)

// linkSite is Prosody, one IRC server and a transportd that knows several ways
// to it, each a network.
func linkSite(t *testing.T, start func(*Env) (*IRCServer, error), ways func(*Env, *IRCServer) []Network) *crashSite {
	t.Helper()
	env, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s := &crashSite{site: &site{domain: domain}, env: env}
	t.Cleanup(func() {
		if s.gateway != nil && s.gateway.Fault() != "" {
			t.Errorf("transportd reported a fault:\n%s", s.gateway.Fault())
		}
		if t.Failed() && s.gateway != nil {
			t.Logf("transportd's log:\n%s", Tail(s.gateway.Log(), 100))
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	err = Together(
		func() (err error) {
			s.server, err = env.StartProsody(t.Context(), XMPPOptions{Components: []string{domain}})
			return
		},
		func() (err error) { s.ircd, err = start(env); return },
		func() (err error) { s.clients, err = env.StartXMPPClients(); return },
	)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway, err = env.StartTransportd(t.Context(), GatewayOptions{
		Domain: domain, XMPP: s.server, Binary: shared.env.Binary(), Networks: ways(env, s.ircd),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// by is the site with another of its networks.
func (s *site) by(network string) *site {
	other := *s
	other.network = network
	return &other
}

// turnedAway asks to join and fails unless that is refused in such words.
func (u *user) turnedAway(words string) {
	u.t.Helper()
	room := u.site.room("#" + unique("never"))
	u.join(room, u.name, "")
	u.later(Presence(From(room+"/"+u.name), Type("error"), ErrorText(words)))
}

// later waits for what may come only when an attempt to connect has timed out.
func (u *user) later(m Match) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 4*patience)
	defer cancel()
	if _, err := u.Expect(ctx, m); err != nil {
		u.t.Fatal(err)
	}
}

// arrives joins a channel and fails unless the network sees it.
func (u *user) arrives() {
	u.t.Helper()
	bob, garden := u.site.host(u.t, "bob", "garden")
	room := u.site.room(garden)
	u.join(room, u.name, "")
	u.later(Presence(From(room+"/"+u.name), Status("110")))
	bob.meets(u.name, garden)
}

// leaf is the first certificate of a file.
func leaf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// pin is the digest that trusts a certificate or a public key.
func pin(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// nobodysPort is a port of a host where nothing listens.
func nobodysPort(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// Several addresses of one ngIRCd, for a gateway may not list a host twice.
var loopbacks = []string{"127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9", "127.0.0.10", "127.0.0.11", "127.0.0.99", "::1"}

// systemRoots is what a network's ca_file would be without one: authorities that
// have not signed our servers.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"

// Who is trusted, which port is used and over which family of addresses.
func TestLinks(t *testing.T) {
	t.Parallel()
	var plain, tls, none string
	s := linkSite(t,
		func(e *Env) (*IRCServer, error) { return e.StartNgIRCdWith(t.Context(), IRCOptions{Also: loopbacks}) },
		func(e *Env, ircd *IRCServer) []Network {
			cert := leaf(t, ircd.CertFile)
			plain, tls, none = strconv.Itoa(ircd.Plain), "+"+strconv.Itoa(ircd.TLS), nobodysPort(t, "127.0.0.7")
			trust := func(name, host, line string) Network {
				return Network{Name: name, Host: host, Server: ircd, TLS: true, Lines: "ca_file = \"" + systemRoots + "\"\n" + line}
			}
			return []Network{
				{Name: "known", Server: ircd, TLS: true},
				trust("stranger", "127.0.0.3", ""),
				trust("pinned", "127.0.0.4", `pins = ["`+pin(cert.Raw)+`"]`),
				trust("pinnedkey", "127.0.0.5", `pins = ["`+pin(cert.RawSubjectPublicKeyInfo)+`"]`),
				{Name: "otherpin", Host: "127.0.0.6", Server: ircd, TLS: true, Lines: `pins = ["` + pin([]byte("another")) + `"]`},
				{Name: "third", Host: "127.0.0.7", Server: ircd, Ports: []string{"+" + none, "+" + plain, tls}},
				{Name: "notls", Host: "127.0.0.8", Server: ircd, TLS: true, Ports: []string{"+" + plain}},
				{Name: "own", Host: "127.0.0.9", Server: ircd, TLS: true, Ports: []string{"+" + none}, Lines: `user_ports = ["` + plain + `", "` + tls + `"]`},
				{Name: "clear", Host: "127.0.0.10", Server: ircd, Ports: []string{tls, plain}, Lines: "ca_file = \"" + systemRoots + "\""},
				{Name: "last", Host: "127.0.0.11", Server: ircd, Ports: []string{"+" + none, plain}},
				{Name: "othername", Host: "127.0.0.99", Server: ircd, TLS: true}, // the certificate is not for that
				{Name: "six", Host: "::1", Server: ircd, TLS: true},
			}
		})
	for network, scenario := range map[string]func(t *testing.T, s *site){
		"known":     reached,
		"pinned":    reached,
		"pinnedkey": reached,
		"third":     reached,
		"six":       reached,
		"last":      reached,
		"clear":     refusedWith(`certificate of 127\.0\.0\.10 is not signed by an authority`), // and never then without TLS
		"othername": refusedWith(`certificate of 127\.0\.0\.99 is made out to another name`),
		"stranger":  refusedWith(`certificate of 127\.0\.0\.3 is not signed by an authority.* fingerprint is [0-9a-f]{64}`),
		"otherpin":  refusedWith(`certificate of 127\.0\.0\.6 is not the one that is pinned.* fingerprint is [0-9a-f]{64}`),
		"notls":     refusedWith(`127\.0\.0\.8 did not finish the TLS handshake in time.* port ` + plain + ` is one without TLS`),
		"own": func(t *testing.T, s *site) {
			alice, carol := s.user(t, "alice"), s.user(t, "carol")
			carol.turnedAway(`No connection to 127\.0\.0\.9 is possible on port ` + none)
			set := func(ports string) Stanza {
				return alice.request("set", s.console(), `<query xmlns='jabber:iq:register'>`+
					submit(nsRegister, "nick", alice.name, "ports", ports)+`</query>`)
			}
			alice.check(set(plain), Type("error"), ErrorText("without TLS are not allowed"))
			alice.check(set("+1"), Type("error"), ErrorText(`Port \+1 is not allowed`))
			alice.check(set(tls), Type("result"))
			alice.arrives()
		},
	} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			scenario(t, s.by(network))
		})
	}
}

func reached(t *testing.T, s *site) { s.user(t, "alice").arrives() }

func refusedWith(words string) func(t *testing.T, s *site) {
	return func(t *testing.T, s *site) { s.user(t, "alice").turnedAway(words) }
}
