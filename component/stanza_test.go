package component

import "testing"

// What a stanza holds in other namespaces or further down never changes what it
// says itself: each of these made the library see another body.
func TestForeignChildrenChangeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		children, body string
		has            bool
	}{
		"forwarded":                  {`<body>outer</body><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>inner</body><subject>s</subject></message></forwarded>`, "outer", true},
		"forwarded in our namespace": {`<x xmlns='urn:x'><message xmlns='jabber:component:accept'><body>inner</body></message></x>`, "", false},
		"fallback":                   {`<body>text</body><fallback xmlns='urn:xmpp:fallback:0'><body start='0' end='3'/></fallback>`, "text", true},
		"foreign body":               {`<body>own</body><body xmlns='http://www.w3.org/1999/xhtml'>foreign</body>`, "own", true},
		"foreign alone":              {`<body xmlns='urn:x'>foreign</body>`, "", false},
		"two languages":              {`<body xml:lang='fr'>un</body><body>one</body>`, "one", true},
		"own language":               {`<body xml:lang='fr'>un</body><body xml:lang='DE'>eins</body>`, "eins", true},
		"other language":             {`<body xml:lang='fr'>un</body><body xml:lang='it'>uno</body>`, "un", true},
		"empty":                      {`<body/>`, "", true},
		"none":                       {`<subject>s</subject>`, "", false},
		"mixed":                      {`<body>a<b xmlns='urn:x'>x</b>b</body>`, "ab", true},
	} {
		s := parseOne(t, `<message from='a@b' to='c' xml:lang='de'>`+c.children+`</message>`)
		if got, ok := s.Body(); got != c.body || ok != c.has {
			t.Errorf("%s: body %q, %v, want %q, %v", name, got, ok, c.body, c.has)
		}
	}
	s := parseOne(t, `<presence from='a@b' to='c'><status>away</status><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>`)
	if got := s.Child("", "status").Text(); got != "away" {
		t.Errorf("status is %q", got)
	}
	s = parseOne(t, `<iq type='error' id='1' from='a@b' to='c'><x xmlns='urn:x'><error type='auth'/></x><error xmlns='urn:x'/><error type='wait'><gone xmlns='urn:x'/><not-allowed xmlns='`+NSStanzaErrors+`'/></error></iq>`)
	if e := s.StanzaError(); e.Type != "wait" || e.Condition != "not-allowed" || e.App.Name != "gone" {
		t.Errorf("error is %+v", e)
	}
	if s.Payload().Name != "x" {
		t.Errorf("payload is %v", s.Payload())
	}
}

func TestStanzaWithoutError(t *testing.T) {
	if e := parseOne(t, `<message from='a@b'/>`).StanzaError(); e != nil {
		t.Errorf("got %v", e)
	}
	if e := parseOne(t, `<message type='error' from='a@b'/>`).StanzaError(); e == nil || e.Condition != "undefined-condition" {
		t.Errorf("got %+v", e)
	}
}

// An absent and an empty subject differ: the empty one takes a room's subject
// away.
func TestEmptySubjectIsThere(t *testing.T) {
	if parseOne(t, `<message from='a@b'><subject/></message>`).Child("", "subject") == nil {
		t.Error("an empty subject is not seen")
	}
	if parseOne(t, `<message from='a@b'><body/></message>`).Child("", "subject") != nil {
		t.Error("a subject is seen where none is")
	}
}
