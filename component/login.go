package component

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var (
	errClosedByPeer = errors.New("the XMPP server closed the stream")
	errClosedRudely = errors.New("the XMPP server broke the connection")
	errNoHeader     = errors.New("the XMPP server sent no component stream header")
	errNoHandshake  = errors.New("the XMPP server did not answer the handshake")
	errSilent       = errors.New("the XMPP server does not answer any more")
)

// dial opens the connection, with TLS where that is configured.
func (s *Stream) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	defer cancel()
	conn, err := s.cfg.Dial(ctx, "tcp", s.cfg.Address)
	if err != nil || s.cfg.TLS == nil {
		return conn, err
	}
	cfg := s.cfg.TLS.Clone()
	if cfg.ServerName == "" {
		if cfg.ServerName, _, err = net.SplitHostPort(s.cfg.Address); err != nil {
			conn.Close()
			return nil, err
		}
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// login opens the stream and proves the secret (XEP-0114, section 3).
func (s *Stream) login(conn net.Conn, f *framer) (*parser, error) {
	secret, err := s.cfg.Secret()
	if err != nil {
		return nil, fmt.Errorf("the component's secret: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(s.cfg.LoginTimeout)); err != nil {
		return nil, err
	}
	header := append([]byte("<?xml version='1.0'?><stream:stream xmlns='"+NSComponent+
		"' xmlns:stream='"+NSStreams+"' to=\""), appendAttr(nil, s.domain.Domain)...)
	if _, err := conn.Write(append(header, `">`...)); err != nil {
		return nil, err
	}
	fr, err := f.read()
	if err != nil {
		return nil, loginFault(err)
	}
	p, id, err := readHeader(fr)
	if err != nil {
		return nil, err
	}
	// The server may refuse at once, without a word from us.
	sum := sha1.Sum([]byte(id + secret))
	proof := "<handshake>" + hex.EncodeToString(sum[:]) + "</handshake>"
	if _, err := conn.Write([]byte(proof)); err != nil {
		return nil, err
	}
	if fr, err = f.read(); err != nil {
		return nil, loginFault(err)
	}
	if err := handshakeDone(p, fr); err != nil {
		return nil, err
	}
	return p, conn.SetDeadline(time.Time{})
}

// loginFault says what a failed read during login means.
func loginFault(err error) error {
	var ne net.Error
	switch {
	case errors.As(err, &ne) && ne.Timeout():
		return fmt.Errorf("%w: %w", errNoHandshake, err)
	case errors.Is(err, io.EOF):
		return errClosedByPeer
	}
	return err
}

// readHeader reads the server's stream header and returns the stream's id and a
// parser that knows the namespaces it declared.
func readHeader(fr frame) (*parser, string, error) {
	if fr.kind != frameHeader {
		return nil, "", errNoHeader
	}
	p := &parser{}
	e, err := p.header(fr.data)
	if err != nil {
		return nil, "", err
	}
	if e.Name != "stream" || e.Space != NSStreams {
		return nil, "", errNoHeader
	}
	if def, _ := p.lookup(""); def != NSComponent {
		return nil, "", errNoHeader
	}
	return p, e.Attr("id"), nil
}

// handshakeDone looks at the server's answer to the handshake.
func handshakeDone(p *parser, fr frame) error {
	switch fr.kind {
	case frameEnd:
		return &StreamError{Condition: "not-authorized", Text: "closed without a reason", Login: true}
	case frameStanza:
	default:
		return errNoHandshake
	}
	e, err := p.parse(fr.data, fr.nodes, fr.attrs)
	switch {
	case err != nil:
		return err
	case e.Name == "error" && e.Space == NSStreams:
		return streamError(e.Element, true)
	case e.Name != "handshake" || e.Space != NSComponent:
		return errNoHandshake
	}
	return nil
}
