package ircconn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// LoadRootCAs reads a PEM file of certificates to trust instead of the system's.
func LoadRootCAs(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

// ParsePin reads a SHA-256 digest in hexadecimal, with or without colons.
func ParsePin(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if err != nil || len(b) != sha256.Size {
		return nil, errors.New("a pin is a SHA-256 digest: 64 hexadecimal digits")
	}
	return b, nil
}

// Fingerprint is the SHA-256 digest of a certificate, as ParsePin reads it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// errPin is a certificate that is not the pinned one.
type errPin struct{ cert *x509.Certificate }

func (e errPin) Error() string { return "certificate " + Fingerprint(e.cert) + " is not pinned" }

// config builds what crypto/tls needs for a host.
func (o *TLSOptions) config(host string) *tls.Config {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            o.RootCAs,
		InsecureSkipVerify: o.Insecure || len(o.Pins) > 0, // pins are checked below
		ServerName:         o.ServerName,
	}
	if c.ServerName == "" {
		c.ServerName = strings.TrimSuffix(host, ".")
	}
	if o.Certificate != nil {
		c.Certificates = []tls.Certificate{*o.Certificate}
	}
	if len(o.Pins) > 0 {
		pins := o.Pins
		c.VerifyConnection = func(s tls.ConnectionState) error { return checkPins(pins, s.PeerCertificates) }
	}
	return c
}

func checkPins(pins [][]byte, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	cert := sha256.Sum256(chain[0].Raw)
	key := sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
	for _, pin := range pins {
		if subtle.ConstantTimeCompare(pin, cert[:]) == 1 || subtle.ConstantTimeCompare(pin, key[:]) == 1 {
			return nil
		}
	}
	return errPin{chain[0]}
}

// handshake puts TLS on a connection. ctx limits it.
func handshake(ctx context.Context, sock net.Conn, o *TLSOptions, ep Endpoint) (*tls.Conn, *Failure) {
	t := tls.Client(sock, o.config(ep.Host))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, tlsFailure(ep, err)
	}
	return t, nil
}

// tlsFailure says in words what was wrong with a handshake.
func tlsFailure(ep Endpoint, err error) *Failure {
	f := &Failure{Reason: TLSFailed, Err: err}
	var (
		pin     errPin
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		header  tls.RecordHeaderError
	)
	host := ep.Host
	digest := ""
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		digest = " Its SHA-256 fingerprint is " + Fingerprint(verify.UnverifiedCertificates[0]) + "."
	}
	switch {
	case errors.As(err, &pin):
		f.Permanent = true
		f.Text = fmt.Sprintf("The certificate of %s is not the one that is pinned. Its SHA-256 fingerprint is %s.", host, Fingerprint(pin.cert))
	case errors.As(err, &unknown):
		f.Text = fmt.Sprintf("The certificate of %s is not signed by an authority that is trusted here.%s", host, digest)
	case errors.As(err, &name):
		f.Text = fmt.Sprintf("The certificate of %s is made out to another name.%s", host, digest)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Text = fmt.Sprintf("The certificate of %s has expired or is not valid yet.%s", host, digest)
	case verify != nil || errors.As(err, &invalid):
		f.Text = fmt.Sprintf("The certificate of %s cannot be verified.%s", host, digest)
	case errors.As(err, &header):
		f.Text = fmt.Sprintf("%s does not speak TLS on port %d.", host, ep.Port)
	case isTimeout(err):
		f.Reason = Timeout
		f.Text = fmt.Sprintf("%s did not finish the TLS handshake in time. Perhaps port %d is one without TLS.", host, ep.Port)
	default:
		f.Text = fmt.Sprintf("The TLS handshake with %s failed.", host)
	}
	return f
}

// badCertificate tells a refused certificate from other TLS trouble.
func badCertificate(f *Failure) bool {
	var pin errPin
	var verify *tls.CertificateVerificationError
	return f.Reason == TLSFailed && (errors.As(f.Err, &pin) || errors.As(f.Err, &verify))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// isLiteral tells an IP address from a host name.
func isLiteral(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a, err == nil
}
