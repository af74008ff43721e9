package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// clientCertificate is what a user gives as a certificate, in PEM with its key,
// and the fingerprint by which services know it.
func clientCertificate(t *testing.T) (text, fingerprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: cert}, {Type: "PRIVATE KEY", Bytes: private}} {
		b.Write(pem.EncodeToMemory(block))
	}
	return b.String(), pin(cert)
}

// shows connects a new nick with TLS and a certificate.
func (s *site) shows(t *testing.T, name, text string) *person {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(shared.env.CAFile())
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no authority: ", err)
	}
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	c, err := DialIRCTLS(wait(t), net.JoinHostPort(s.ircd.Host, strconv.Itoa(s.ircd.TLS)), unique(name), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &person{IRCClient: c, t: t, site: s}
}

// certify registers a certificate and nothing else to log in with.
func (u *user) certify(text string) Stanza {
	u.t.Helper()
	return u.request("set", u.site.console(), `<query xmlns='jabber:iq:register'>`+
		submit(nsRegister, "nick", u.name, "certificate", text)+`</query>`)
}

// A certificate logs in by SASL EXTERNAL once services know it, and is refused
// before.
func TestLinkCertificate(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		alice := s.user(t, "alice")
		text, fingerprint := clientCertificate(t)
		p := s.shows(t, "acct", text)
		account := p.Nick
		p.Send("CAP LS 302")
		if offer := p.expect(` CAP \S+ LS :`); !strings.Contains(offer, "EXTERNAL") {
			t.Errorf("no EXTERNAL: %s", offer)
		}
		p.Sendf("PRIVMSG NickServ :REGISTER secret-%s %s@example.org", account, account)
		p.expect(`(?i)^:NickServ!\S+ NOTICE %s :.*registered`, account)

		alice.check(alice.certify(text), Type("error"), ErrorText(`(?i)sasl|log in|authentication|certificate`))
		if alice.registeredNow() {
			t.Error("registered in spite of the refusal")
		}
		p.Send("PRIVMSG NickServ :CERT ADD")
		p.expect(`(?i)^:NickServ!\S+ NOTICE %s :.*%s`, account, fingerprint)
		alice.check(alice.certify(text), Type("result"))
		alice.arrives()
		s.loggedIn(t, alice.name, account)
		if strings.Contains(s.gateway.Log(), "PRIVATE KEY") {
			t.Error("the key is in the log")
		}
	})
}

// A network without SASL takes a certificate and does not log in by it: the user
// is told, and is there all the same. As clients do, it puts the PEM on one line.
func TestLinkCertificateIgnored(t *testing.T) {
	sites(t, func(s *site) bool { return s.network == "ng" }, func(t *testing.T, s *site) {
		alice := s.user(t, "alice")
		text, _ := clientCertificate(t)
		alice.check(alice.certify(strings.ReplaceAll(text, "\n", " ")), Type("result"))
		alice.arrives()
		alice.expect(Message(FromBare(s.console()), BodyLike("You are not logged in: the network offers no SASL EXTERNAL")))
	})
}
