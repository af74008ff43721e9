package component

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"
)

var (
	outFrom = JID{"#c%irc.example.net", testDomain, "nick"}
	outTo   = JID{"a", "b.example", "r"}
)

// encode returns what would be written, after the guard.
func encode(t testing.TB, o *Out) string {
	t.Helper()
	x, err := Encode(o, testDomain)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestOut(t *testing.T) {
	const addr = ` from="#c%irc.example.net@irc.example.org/nick" to="a@b.example/r"`
	for name, c := range map[string]struct {
		o    *Out
		want string
	}{
		"empty":    {NewPresence(outFrom, outTo, "", ""), `<presence` + addr + `/>`},
		"type, id": {NewMessage(outFrom, outTo, "chat", "1"), `<message type="chat" id="1"` + addr + `/>`},
		"body":     {NewMessage(outFrom, outTo, "", "").Elem("", "body", `<&>"'`), `<message` + addr + `><body>&lt;&amp;&gt;&quot;&apos;</body></message>`},
		"namespaces": {NewMessage(outFrom, outTo, "", "").Start("urn:x", "x").Start("urn:x", "y").End().Start("", "z").Elem("urn:w", "w", "").End().End(),
			`<message` + addr + `><x xmlns="urn:x"><y/><z><w xmlns="urn:w"/></z></x></message>`},
		"back to the stanza's namespace": {NewMessage(outFrom, outTo, "", "").Start("urn:x", "x").Elem(NSComponent, "body", "b").End(),
			`<message` + addr + `><x xmlns="urn:x"><body xmlns="jabber:component:accept">b</body></x></message>`},
		"attributes": {NewMessage(outFrom, outTo, "", "").Attr("xml:lang", "de").Start("", "x").Attr("a", "<\"'>\t\n\r").OptAttr("b", "").Attr("c", "").End(),
			`<message` + addr + ` xml:lang="de"><x a="&lt;&quot;&apos;&gt;&#x9;&#xA;&#xD;" c=""/></message>`},
		"whitespace":            {NewMessage(outFrom, outTo, "", "").Elem("", "body", "a\tb\nc\rd"), `<message` + addr + "><body>a\tb\nc&#xD;d</body></message>"},
		"what XML forbids":      {NewMessage(outFrom, outTo, "", "").Elem("", "body", "a\x00\x02\x1f\uFFFE\uFFFFb"), `<message` + addr + `><body>ab</body></message>`},
		"invalid UTF-8":         {NewMessage(outFrom, outTo, "", "").Elem("", "body", "a\xff\xed\xa0\x80b"), `<message` + addr + "><body>a\uFFFD\uFFFD\uFFFD\uFFFDb</body></message>"},
		"a replacement of ours": {NewMessage(outFrom, outTo, "", "").Elem("", "body", "\uFFFD"), `<message` + addr + "><body>\uFFFD</body></message>"},
		"empty subject":         {NewMessage(outFrom, outTo, "", "").Elem("", "subject", ""), `<message` + addr + `><subject/></message>`},
		"error": {NewIQ(outFrom, outTo, "error", "1").Error(&StanzaError{Type: "cancel", Condition: "gone", Text: "x", Alternate: "xmpp:y", By: JID{Domain: "z"}, App: &AppCondition{"urn:a", "b"}}),
			`<iq type="error" id="1"` + addr + `><error type="cancel" by="z"><gone xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">xmpp:y</gone><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">x</text><b xmlns="urn:a"/></error></iq>`},
		"empty error": {NewIQ(outFrom, outTo, "error", "1").Error(&StanzaError{}),
			`<iq type="error" id="1"` + addr + `><error type="cancel"><undefined-condition xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`},
		"copy": {NewMessage(outFrom, outTo, "", "").Copy(parseOne(t, `<message from='x'><b xmlns='urn:b' a='1' xml:lang='de' xmlns:q='urn:q' q:c='2'>t<i/>u</b></message>`).Child("urn:b", "b")),
			`<message` + addr + `><b xmlns="urn:b" a="1" xml:lang="de" xmlns:ns1="urn:q" ns1:c="2">t<i/>u</b></message>`},
		"recipient changed": {NewMessage(outFrom, outTo, "", "1").Elem("", "body", "x").SetTo(JID{Domain: "c"}),
			`<message id="1" from="#c%irc.example.net@irc.example.org/nick" to="c"><body>x</body></message>`},
		"recipient grown, in the middle": {NewMessage(outFrom, JID{Domain: "c"}, "", "1").Start("urn:x", "x").SetTo(JID{"a&b", "c", strings.Repeat("é", 400)}).Text("y").End().SetTo(outTo),
			`<message id="1"` + addr + `><x xmlns="urn:x">y</x></message>`},
	} {
		if got := encode(t, c.o); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestClone(t *testing.T) {
	o := NewMessage(outFrom, outTo, "groupchat", "1").Elem("", "body", strings.Repeat("x", 5000))
	b := o.Clone(JID{"bb", "b.example", "longer resource"})
	b.Elem("", "only-b", "")
	first, second := encode(t, o), encode(t, b)
	if !strings.Contains(second, `to="bb@b.example/longer resource"`) || !strings.Contains(second, "<only-b/>") || strings.Contains(first, "only-b") {
		t.Errorf("got %s and %s", first, second)
	}
}

func TestReplies(t *testing.T) {
	req := parseOne(t, `<iq type='get' id='1' from='a@b.example/r' to='irc.example.org'><q xmlns='urn:x'/></iq>`)
	if got := encode(t, Result(req)); got != `<iq type="result" id="1" from="irc.example.org" to="a@b.example/r"/>` {
		t.Error(got)
	}
	e := NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "no")
	if got := encode(t, ErrorReply(req, e)); !strings.HasPrefix(got, `<iq type="error" id="1" from="irc.example.org" to="a@b.example/r"><error type="auth"><forbidden`) {
		t.Error(got)
	}
	for _, x := range []string{`<iq type='result' id='1' from='a@b'/>`, `<iq type='error' id='1' from='a@b'/>`, `<message type='error' from='a@b'/>`, `<presence type='error' from='a@b'/>`} {
		if o := ErrorReply(parseOne(t, x), e); o != nil {
			t.Errorf("%s is answered with %s", x, encode(t, o))
		}
	}
}

// The library's types reach the wire through our encoder: its fields that are not
// escaped cannot break out, and its errors are not lost.
func TestMarshal(t *testing.T) {
	o := NewIQ(outFrom, outTo, "result", "1").Marshal(stanza.DiscoInfo{Node: "n<", Identity: []stanza.Identity{{Name: "x", Category: "gateway", Type: "irc"}}})
	s := parseOne(t, encode(t, o))
	if q := s.Payload(); q.Space != "http://jabber.org/protocol/disco#info" || q.Attr("node") != "n<" || q.Child("", "identity").Attr("type") != "irc" {
		t.Errorf("got %v", s.Element)
	}
	type cdata struct {
		XMLName xml.Name `xml:"urn:x x"`
		Text    string   `xml:",cdata"`
	}
	s = parseOne(t, encode(t, NewMessage(outFrom, outTo, "", "").Marshal(cdata{Text: "<b>]]>&amp;"})))
	if got := s.Child("urn:x", "x").Text(); got != "<b>]]>&amp;" {
		t.Errorf("got %q", got)
	}
	type inner struct {
		XMLName xml.Name `xml:"urn:x x"`
		XML     string   `xml:",innerxml"`
	}
	for _, v := range []any{inner{XML: "</x></message><evil/>"}, inner{XML: "<b>"}, cdata{Text: "\x01"}, make(chan int), inner{XML: "&nbsp;"}, inner{XML: "<!-- x -->"}} {
		if x, err := Encode(NewMessage(outFrom, outTo, "", "").Marshal(v), testDomain); !errors.As(err, new(*GuardError)) {
			t.Errorf("%+v was encoded as %s", v, x)
		}
	}
}

func TestDecode(t *testing.T) {
	s := parseOne(t, `<iq type='get' id='1' from='a@b.example/r' to='irc.example.org'><query xmlns='http://jabber.org/protocol/disco#info' node='n'><feature var='f'/></query></iq>`)
	var d stanza.DiscoInfo
	if err := s.Payload().Decode(&d); err != nil || d.Node != "n" || len(d.Features) != 1 || d.Features[0].Var != "f" {
		t.Errorf("got %+v, %v", d, err)
	}
	s = parseOne(t, `<iq type='get' id='1' from='a@b.example/r' to='irc.example.org'><set xmlns='http://jabber.org/protocol/rsm'><max>many</max></set></iq>`)
	if err := s.Payload().Decode(&stanza.ResultSet{}); err == nil {
		t.Error("a bad number was decoded")
	}
}

func TestGuardRefuses(t *testing.T) {
	ours := JID{Domain: testDomain}
	for name, o := range map[string]*Out{
		"sender elsewhere":         NewMessage(JID{Domain: "b.example"}, outTo, "", ""),
		"sender in a subdomain":    NewMessage(JID{Domain: "x." + testDomain}, outTo, "", ""),
		"sender in other case":     NewMessage(JID{Domain: "IRC.example.org"}, outTo, "", ""),
		"no sender":                NewMessage(JID{}, outTo, "", ""),
		"no recipient":             NewMessage(ours, JID{}, "", ""),
		"recipient without domain": NewMessage(ours, JID{Local: "a"}, "", ""),
		"space in a local part":    NewMessage(JID{"a b", testDomain, ""}, outTo, "", ""),
		"at in a local part":       NewMessage(ours, JID{"a@b", "c", ""}, "", ""),
		"control in a resource":    NewMessage(JID{"a", testDomain, "\x02"}, outTo, "", ""),
		"invalid UTF-8":            NewMessage(JID{"a", testDomain, "\xff"}, outTo, "", ""),
		"long resource":            NewMessage(JID{"a", testDomain, strings.Repeat("x", 1024)}, outTo, "", ""),
		"too large":                NewMessage(ours, outTo, "", "").Elem("", "body", strings.Repeat("x", MaxOut)),
		"too large when escaped":   NewMessage(ours, outTo, "", "").Elem("", "body", strings.Repeat("&", MaxOut/4)),
		"open element":             NewMessage(ours, outTo, "", "").Start("", "x"),
		"end too many":             NewMessage(ours, outTo, "", "").Start("", "x").End().End(),
		"no name":                  NewMessage(ours, outTo, "", "").Elem("", "", ""),
		"bad name":                 NewMessage(ours, outTo, "", "").Elem("", "a b", ""),
		"injected name":            NewMessage(ours, outTo, "", "").Elem("", "a/><b", ""),
		"prefixed name":            NewMessage(ours, outTo, "", "").Elem("", "x:y", ""),
		"bad attribute":            NewMessage(ours, outTo, "", "").Attr("a b", ""),
		"line feed in a namespace": NewMessage(ours, outTo, "", "").Elem("urn:\n", "x", ""),
		"reserved namespace":       NewMessage(ours, outTo, "", "").Elem(NSXML, "x", ""),
		"illegal namespace":        NewMessage(ours, outTo, "", "").Elem("urn:é\uFFFE", "x", ""),
		"namespace as attribute":   NewMessage(ours, outTo, "", "").Attr("xmlns", "urn:x"),
		"attribute after content":  NewMessage(ours, outTo, "", "").Elem("", "x", "").Attr("a", "b"),
		"attribute twice":          NewMessage(ours, outTo, "", "1").Attr("id", "2"),
		"IQ without id":            NewIQ(ours, outTo, "get", ""),
		"IQ without type":          NewIQ(ours, outTo, "", "1"),
	} {
		if x, err := Encode(o, testDomain); !errors.As(err, new(*GuardError)) {
			t.Errorf("%s: encoded as %.200s, %v", name, x, err)
		}
	}
}

// Nothing a network or a user can say makes us write what a strict parser
// refuses, or something else than was meant.
func FuzzOut(f *testing.F) {
	f.Add("nick", "hello", "urn:x", "v")
	f.Add("a\x00b", "<&>\"'\r\n\t]]>", "urn:<x>", "\x1b[0m")
	f.Add("\xff\xfe", "\uFFFE\U0010FFFF", "&amp;", "<![CDATA[")
	f.Add("a@b/c", "\xed\xa0\x80", "", "\u2028")
	f.Fuzz(func(t *testing.T, nick, text, space, value string) {
		resource, _ := SafeResource(nick)
		local := EscapeLocal(nick)
		if local == "" || len(local) > maxJIDPart {
			local = "x"
		}
		o := NewMessage(JID{local, testDomain, resource}, JID{local, "b.example", resource}, value, text).
			Elem("", "body", text).
			Start(space, "x").Attr("a", value).Attr("xml:lang", nick).Text(nick).Elem("", "y", text).Text(value).End()
		if o.Len() > MaxOut/2 {
			o.Release()
			return
		}
		out, err := Encode(o, testDomain)
		if err != nil && !validSpace(space) {
			return
		}
		if err != nil || !validSpace(space) {
			t.Fatalf("namespace %q: %v", space, err)
		}
		got, err := readStream(strings.NewReader(testHeader+out+"</stream:stream>"), Limits{})
		if err != nil || len(got) != 2 || got[0].err != nil {
			t.Fatalf("%q: we read %v, %v", out, got, err)
		}
		ref := refStream(testHeader + out + "</stream:stream>")
		if len(ref) != 1 {
			t.Fatalf("%q: encoding/xml does not read it", out)
		}
		if d := sameTree(got[0].el, ref[0]); d != "" {
			t.Fatalf("%q: %s", out, d)
		}
		s, err := toStanza(got[0].el)
		if err != nil || s.From != (JID{local, testDomain, resource}) {
			t.Fatalf("%q: sender %+v, %v", out, s, err)
		}
		if b, _ := s.Body(); b != legal(text) {
			t.Fatalf("body %q became %q", text, b)
		}
		if space != "" && s.Child(space, "x").Attr("a") != legal(value) {
			t.Fatalf("%q: the attribute is lost", out)
		}
	})
}

// legal is what is left of a string in XML.
func legal(s string) string {
	var b strings.Builder
	for _, r := range s { // invalid bytes come as U+FFFD
		if legalRune(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
