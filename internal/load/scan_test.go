package main

import (
	"fmt"
	"strings"
	"testing"
)

// The same stanzas come out wherever the stream is cut.
func TestNextStanzaCutAnywhere(t *testing.T) {
	parts := []string{
		`<message from="a@b/c" to='u1@load.test/r'><body>hello</body></message>`,
		`<message from="r@b" to='u1@load.test/r'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded><message><body>hello</body></message></forwarded></result></message>`,
		`<presence from='a' to='b'/>`,
		`<presence from='a' to='b'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>`,
		`<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`,
	}
	whole := []byte(" \n" + strings.Join(parts, "\n"))
	for cut := range whole {
		var got []string
		for have, end := 0, cut; ; {
			s, n, err := nextStanza(whole[have:end])
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if n > 0 {
				have += n
				if s.kind != 'w' {
					got = append(got, string(s.all))
				}
				continue
			}
			if end == len(whole) {
				break
			}
			end = len(whole)
		}
		if fmt.Sprint(got) != fmt.Sprint(parts) {
			t.Fatalf("cut at %d: %q", cut, got)
		}
	}
}

func TestNextStanzaRefuses(t *testing.T) {
	for _, in := range []string{"plain text here", "<unknown a='b'>text</unknown>"} {
		if _, _, err := nextStanza([]byte(in)); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
	if s, n, err := nextStanza([]byte("</stream:stream>")); err != nil || n == 0 || s.kind != 0 {
		t.Errorf("end of stream: %+v, %d, %v", s, n, err)
	}
	if s, _, err := nextStanza([]byte("<stream:error><conflict/></stream:error>")); err != nil || s.kind != 'e' {
		t.Errorf("stream error: %+v, %v", s, err)
	}
}

func TestStanzaParts(t *testing.T) {
	s, _, err := nextStanza([]byte(`<message id='7' from="a@b/c" to='u1@load.test/r'><subject>s</subject><body xml:lang='en'>hello</body></message>`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(attr(s.head, " from=")) + " " + string(attr(s.head, " to=")) + " " + string(attr(s.head, " id=")); got != "a@b/c u1@load.test/r 7" {
		t.Errorf("attributes: %s", got)
	}
	if attr(s.head, " type=") != nil {
		t.Error("an attribute that is not there has a value")
	}
	if got := string(s.text("<body")); got != "hello" {
		t.Errorf("body: %q", got)
	}
	if s.text("<thread") != nil {
		t.Error("an element that is not there has text")
	}
}
