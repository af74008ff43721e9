package component

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"transportd/internal/xmpptest"
)

func quick(c *StreamConfig) {
	c.BackoffMin, c.BackoffMax = time.Millisecond, 5*time.Millisecond
}

func TestStreamCarriesStanzasBothWays(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	c.Send(`<message from='Juliet@Example.org/Balcony' to='irc.example.org' type='chat' id='1' xml:lang='de'><body>hi &amp; &#xE9;</body></message>`)
	s := <-r.got
	if s.From != (JID{"juliet", "example.org", "Balcony"}) || s.To != r.Domain() || s.Type != "chat" || s.ID != "1" || s.Lang != "de" || s.Kind != KindMessage {
		t.Fatalf("got %+v", s)
	}
	if b, ok := s.Body(); !ok || b != "hi & é" {
		t.Fatalf("body is %q, %v", b, ok)
	}
	out := NewMessage(s.To, s.From, "chat", "2").Elem("", "body", "hello <there>")
	if err := r.Send(context.Background(), out); err != nil {
		t.Fatal(err)
	}
	c.ExpectXML(`<message from='irc.example.org' to='juliet@example.org/Balcony' type='chat' id='2'><body>hello &lt;there&gt;</body></message>`)
	r.stop()
	if st := r.Stats(); st.StanzasIn != 1 || st.StanzasOut != 1 || st.Connects != 1 {
		t.Fatalf("counted %+v", st)
	}
}

// A stanza that broke once and every defect of the library in one place: the
// stream lives on, and each costs one answer at most.
func TestStreamSurvives(t *testing.T) {
	const from = `from='a@b.example/r' to='irc.example.org' id='x'`
	for name, c := range map[string]struct{ send, answer string }{
		"unknown top-level element":           {`<foo xmlns='urn:x'><bar/></foo>`, ""},
		"unknown element of the stream":       {`<stream:features><x xmlns='urn:y'/></stream:features>`, ""},
		"stanza in a foreign namespace":       {`<message xmlns='urn:x' ` + from + `/>`, ""},
		"no sender":                           {`<message to='irc.example.org'><body>x</body></message>`, ""},
		"sender is no address":                {`<message from='@' to='irc.example.org'/>`, ""},
		"recipient is no address":             {`<iq type='get' from='a@b.example/r' to='@' id='x'><q xmlns='urn:x'/></iq>`, `iq[@type='error'][@id='x']/error/jid-malformed`},
		"undefined entity":                    {`<message ` + from + `><body>&nbsp;</body></message>`, `message[@type='error'][@id='x'][@to='a@b.example/r']/error[@type='modify']/not-acceptable`},
		"illegal character reference":         {`<message ` + from + `><body>&#1;</body></message>`, `message[@type='error']/error/not-acceptable`},
		"character that XML forbids":          {"<message " + from + "><body>\x01</body></message>", `message[@type='error']/error/not-acceptable`},
		"invalid UTF-8":                       {"<message " + from + "><body>\xff</body></message>", `message[@type='error']/error/not-acceptable`},
		"invalid UTF-8 in an error":           {"<message type='error' " + from + "><body>\xff</body></message>", ""},
		"comment":                             {`<iq type='get' ` + from + `><!-- <x> --><q xmlns='urn:x'/></iq>`, `iq[@type='error']/error/not-acceptable`},
		"processing instruction":              {`<presence ` + from + `><?x <y?></presence>`, `presence[@type='error']/error/not-acceptable`},
		"prefix that is not declared":         {`<message ` + from + `><x:y/></message>`, `message[@type='error']/error/not-acceptable`},
		"attribute twice":                     {`<message ` + from + `><y a='1' a='2'/></message>`, `message[@type='error']/error/not-acceptable`},
		"too large":                           {`<message ` + from + `><body>` + strings.Repeat("x", 2<<20) + `</body></message>`, `message[@type='error'][@id='x']/error[@type='modify']/policy-violation`},
		"too large, in attributes":            {`<message ` + from + `><body a='` + strings.Repeat("x", 2<<20) + `'/></message>`, `message[@type='error']/error/policy-violation`},
		"too large, one attribute of its own": {`<message ` + from + ` a='` + strings.Repeat("x", 2<<20) + `'/>`, ""},
		"too deep":                            {`<iq type='set' ` + from + `>` + strings.Repeat("<a>", 2000) + strings.Repeat("</a>", 2000) + `</iq>`, `iq[@type='error']/error/policy-violation`},
		"too wide":                            {`<iq type='set' ` + from + `>` + strings.Repeat("<a/>", 5000) + `</iq>`, `iq[@type='error']/error/policy-violation`},
		"too many attributes":                 {`<iq type='set' ` + from + `><a` + strings.Repeat(" a=''", 9000) + `/></iq>`, `iq[@type='error']/error/policy-violation`},
		"too many namespaces":                 {`<iq type='set' ` + from + `><a` + manyNamespaces(300) + `/></iq>`, `iq[@type='error']/error/policy-violation`},
		"too large a result":                  {`<iq type='result' ` + from + `>` + strings.Repeat("<a/>", 5000) + `</iq>`, ""},
		"an IQ result nobody asked for":       {`<iq type='result' ` + from + `/>`, ""},
		"an IQ error nobody asked for":        {`<iq type='error' ` + from + `/>`, ""},
		"whitespace":                          {" \n\t\r ", ""},
		"second handshake":                    {`<handshake/>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStreamRig(t)
			conn := r.up(t)
			conn.SendRaw(c.send)
			if c.answer != "" {
				conn.Expect(c.answer)
			}
			conn.Send(`<message from='a@b.example/r' to='irc.example.org'><body>still there</body></message>`)
			s := <-r.got
			if s.IsError() { // errors are handed on without the content that broke
				s = <-r.got
			}
			if b, _ := s.Body(); b != "still there" {
				t.Fatalf("got %v", s.Element)
			}
			if err := r.Send(context.Background(), NewMessage(r.Domain(), mustJID(t, "a@b.example/r"), "", "after")); err != nil {
				t.Fatal(err)
			}
			conn.Expect(`message[@id='after']`) // and nothing else came before
		})
	}
}

func manyNamespaces(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" xmlns:n" + strings.Repeat("x", i) + "='urn:x'")
	}
	return b.String()
}

// Typed fields of a stanza are text to the stream: a bad number costs nothing.
func TestStreamSurvivesBadNumbers(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	for _, x := range []string{
		`<priority>many</priority>`, `<priority>99999999999999999999</priority>`,
		`<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='ten' since='…'/></x>`,
		`<query xmlns='x'><set xmlns='http://jabber.org/protocol/rsm'><max>-</max></set></query>`,
	} {
		c.Send("%s", `<presence from='a@b.example/r' to='#c%i@irc.example.org/n'>`+x+`</presence>`)
		if s := <-r.got; s.Kind != KindPresence {
			t.Fatalf("got %v", s.Element)
		}
	}
}

// Somebody who leaves with too many words has left all the same.
func TestSkippedUnavailableIsDelivered(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	c.SendRaw(`<presence type='unavailable' from='a@b.example/r' to='#c%i@irc.example.org/n'>` + strings.Repeat("<a/>", 5000) + `</presence>`)
	s := <-r.got
	if s.Type != "unavailable" || s.From.String() != "a@b.example/r" || s.Child("", "a") != nil {
		t.Fatalf("got %v", s.Element)
	}
}

func TestStreamEnds(t *testing.T) {
	for name, c := range map[string]struct {
		how  func(*xmpptest.Conn)
		want error
	}{
		"politely": {func(c *xmpptest.Conn) { c.Close() }, errClosedByPeer},
		"rudely":   {func(c *xmpptest.Conn) { c.Break() }, nil},
		"by EOF":   {func(c *xmpptest.Conn) { c.Hangup() }, errClosedRudely},
		"system-shutdown": {func(c *xmpptest.Conn) { c.StreamError("system-shutdown", "bye") },
			&StreamError{Condition: "system-shutdown", Text: "bye"}},
		"conflict":         {func(c *xmpptest.Conn) { c.StreamError("conflict", "") }, &StreamError{Condition: "conflict"}},
		"not well-formed":  {func(c *xmpptest.Conn) { c.SendRaw("<message></presence>") }, errMismatch},
		"broken tag":       {func(c *xmpptest.Conn) { c.SendRaw("<message <") }, errNotXML},
		"text at the top":  {func(c *xmpptest.Conn) { c.SendRaw("hello") }, errTopText},
		"document type":    {func(c *xmpptest.Conn) { c.SendRaw("<message><!DOCTYPE x></message>") }, errRestricted},
		"comment at top":   {func(c *xmpptest.Conn) { c.SendRaw("<!-- x -->") }, errRestricted},
		"wrong stream end": {func(c *xmpptest.Conn) { c.SendRaw("</foo>") }, errNotXML},
		"error without its end": {func(c *xmpptest.Conn) {
			c.SendRaw("<stream:error><conflict xmlns='" + NSStreamErrors + "'/></stream:error>")
		}, &StreamError{Condition: "conflict"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStreamRig(t, quick)
			conn := r.up(t)
			c.how(conn)
			st := <-r.states
			if st.Up || st.Err == nil || st.Text == "" {
				t.Fatalf("got %+v", st)
			}
			var se *StreamError
			if want, ok := c.want.(*StreamError); ok {
				if !errors.As(st.Err, &se) || *se != *want {
					t.Fatalf("the reason is %v, want %v", st.Err, want)
				}
			} else if c.want != nil && !errors.Is(st.Err, c.want) {
				t.Fatalf("the reason is %v, want %v", st.Err, c.want)
			}
			conn.ExpectGone()
			r.up(t) // and it comes back
		})
	}
}

func TestLoginRefused(t *testing.T) {
	for _, condition := range []string{"not-authorized", "host-unknown", "conflict", "invalid-namespace", "internal-server-error"} {
		t.Run(condition, func(t *testing.T) {
			r := newStreamRig(t, quick)
			c := r.srv.AcceptRaw()
			c.Header()
			c.SendHeader()
			c.StreamError(condition, "no")
			var se *StreamError
			if st := <-r.states; !errors.As(st.Err, &se) || se.Condition != condition || !se.Login || se.Text != "no" {
				t.Fatalf("got %+v", st)
			}
			r.up(t)
		})
	}
}

func TestLoginFaults(t *testing.T) {
	for name, c := range map[string]struct {
		how  func(*xmpptest.Conn)
		want error
	}{
		"silence": {func(c *xmpptest.Conn) {}, errNoHandshake},
		"silence after the header": {func(c *xmpptest.Conn) {
			c.Header()
			c.SendHeader()
			c.HandshakeOK()
		}, errNoHandshake},
		"closed at once": {func(c *xmpptest.Conn) { c.Hangup() }, nil},
		"no XML":         {func(c *xmpptest.Conn) { c.SendRaw("SSH-2.0-x\r\n") }, errTopText},
		"another namespace": {func(c *xmpptest.Conn) {
			c.SendRaw("<stream:stream xmlns='jabber:client' xmlns:stream='" + NSStreams + "'>")
		}, errNoHeader},
		"no stream":          {func(c *xmpptest.Conn) { c.SendRaw("<html>") }, errNoHeader},
		"header is the end":  {func(c *xmpptest.Conn) { c.SendRaw("<stream:stream/>") }, errNotXML},
		"a stanza as answer": {func(c *xmpptest.Conn) { c.Header(); c.SendHeader(); c.Send("<iq/>") }, errNoHandshake},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStreamRig(t, quick, func(c *StreamConfig) { c.LoginTimeout = 50 * time.Millisecond })
			c.how(r.srv.AcceptRaw())
			if st := <-r.states; st.Up || (c.want != nil && !errors.Is(st.Err, c.want)) {
				t.Fatalf("got %+v, want %v", st, c.want)
			}
		})
	}
}

func TestSendWithoutStream(t *testing.T) {
	s := NewStream(StreamConfig{Domain: testDomain})
	m := func() *Out { return NewMessage(s.Domain(), JID{Domain: "b.example"}, "", "") }
	if err := s.Send(context.Background(), m()); !errors.Is(err, ErrDown) {
		t.Errorf("Send: %v", err)
	}
	if s.TrySend(m()) {
		t.Error("TrySend took a stanza")
	}
	done := make(chan error, 1)
	s.Request(NewIQ(s.Domain(), JID{Domain: "b.example"}, "get", "1").Elem("urn:xmpp:ping", "ping", ""), time.Hour,
		func(_ *Stanza, err error) { done <- err })
	if err := <-done; !errors.Is(err, ErrDown) {
		t.Errorf("Request: %v", err)
	}
}

func TestPoliteEnd(t *testing.T) {
	r := newStreamRig(t)
	c := r.up(t)
	c.Stall()
	for range 100 {
		if err := r.Send(context.Background(), NewMessage(r.Domain(), JID{Domain: "b.example"}, "", "x")); err != nil {
			t.Fatal(err)
		}
	}
	r.end()
	c.Resume()
	for range 100 {
		c.Expect("message[@id='x']")
	}
	c.Close()
	<-r.done
	if st := <-r.states; st.Up {
		t.Fatalf("got %+v", st)
	}
}

func TestEndDoesNotWaitForEver(t *testing.T) {
	r := newStreamRig(t, func(c *StreamConfig) { c.CloseTimeout = 20 * time.Millisecond })
	r.up(t).Stall() // neither reads nor closes
	r.stop()
}
