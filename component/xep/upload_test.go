package xep

import (
	"strings"
	"testing"

	"transportd/component"
)

func TestSlotHeaders(t *testing.T) {
	s, ok := ParseSlot(message(t, `<slot xmlns='urn:xmpp:http:upload:0'><put url='https://a/'><header name='authorization'>Basic
 x</header><header name='Host'>inside</header></put><get url='https://b/'/></slot>`))
	if !ok || len(s.Headers) != 1 || s.Headers[0] != [2]string{"Authorization", "Basic x"} {
		t.Errorf("%+v, %t", s, ok)
	}
	for _, x := range []string{
		"", `<slot xmlns='urn:xmpp:http:upload:0'/>`, `<slot xmlns='urn:xmpp:http:upload:0'><put url='https://a/'/></slot>`,
		`<slot xmlns='urn:xmpp:http:upload:0'><get url='https://a/'/></slot>`, `<slot xmlns='urn:xmpp:http:upload'><put url='https://a/'/><get url='https://a/'/></slot>`,
	} {
		if s, ok := ParseSlot(message(t, x)); ok {
			t.Errorf("%q is %+v", x, s)
		}
	}
}

func TestUploadLimit(t *testing.T) {
	form := func(typ, size string) string {
		return `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>` + typ + `</value></field><field var='max-file-size'><value>` + size + `</value></field></x>`
	}
	const feature = `<feature var='urn:xmpp:http:upload:0'/>`
	for _, c := range []struct {
		info string
		max  int64
		ok   bool
	}{
		{"", 0, false},
		{`<feature var='urn:xmpp:http:upload'/>`, 0, false},
		{feature, 0, true},
		{feature + form("urn:xmpp:http:upload:0", "5000"), 5000, true},
		{feature + form("urn:other", "5000"), 0, true},
		{form("urn:xmpp:http:upload:0", "-1") + feature, 0, true},
	} {
		st, err := component.ParseStanza(`<iq type='result' id='x' from='up.example' to='gw.example'><query xmlns='http://jabber.org/protocol/disco#info'>` + c.info + `</query></iq>`)
		if err != nil {
			t.Fatal(err)
		}
		if max, ok := UploadLimit(st.Payload()); max != c.max || ok != c.ok {
			t.Errorf("%q: %d, %t", c.info, max, ok)
		}
	}
}

func TestUploadTooLarge(t *testing.T) {
	for name, want := range map[string]bool{"<file-too-large xmlns='urn:xmpp:http:upload:0'/>": true, "": false, "<retry xmlns='urn:xmpp:http:upload:0'/>": false} {
		st, err := component.ParseStanza(strings.Replace(`<iq type='error' id='x' from='up.example' to='gw.example'><error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>?</error></iq>`, "?", name, 1))
		if err != nil {
			t.Fatal(err)
		}
		if UploadTooLarge(st.StanzaError()) != want {
			t.Errorf("%q is %t", name, !want)
		}
	}
}
