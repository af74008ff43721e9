package component

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// refElement is what encoding/xml reads: the measure for our parser.
type refElement struct {
	name    xml.Name
	attrs   []xml.Attr
	content []any // string and *refElement, in order
}

// readRef reads the rest of an element with encoding/xml.
func readRef(d *xml.Decoder, start xml.StartElement) (*refElement, error) {
	e := &refElement{name: start.Name}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			e.attrs = append(e.attrs, a)
		}
	}
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			c, err := readRef(d, t)
			if err != nil {
				return nil, err
			}
			e.content = append(e.content, c)
		case xml.CharData:
			if n := len(e.content); n > 0 {
				if s, ok := e.content[n-1].(string); ok {
					e.content[n-1] = s + string(t)
					continue
				}
			}
			if len(t) > 0 {
				e.content = append(e.content, string(t))
			}
		case xml.EndElement:
			return e, nil
		}
	}
}

// refStream reads the elements of a stream with encoding/xml, up to the first
// error.
func refStream(stream string) []*refElement {
	d := xml.NewDecoder(strings.NewReader(stream))
	if _, err := d.Token(); err != nil {
		return nil
	}
	var out []*refElement
	for {
		t, err := d.Token()
		if err != nil {
			return out
		}
		if start, ok := t.(xml.StartElement); ok {
			e, err := readRef(d, start)
			if err != nil {
				return out
			}
			out = append(out, e)
		}
	}
}

// sameTree returns the first difference between the two readings, or "".
func sameTree(e *Element, ref *refElement) string {
	if e.Name != ref.name.Local || e.Space != ref.name.Space {
		return fmt.Sprintf("name {%s}%s, encoding/xml %v", e.Space, e.Name, ref.name)
	}
	if len(e.attrs) != len(ref.attrs) {
		return fmt.Sprintf("%d attributes, encoding/xml %d", len(e.attrs), len(ref.attrs))
	}
	for i, a := range e.attrs {
		space, local := a.split()
		if r := ref.attrs[i]; local != r.Name.Local || space != r.Name.Space || a.value != r.Value {
			return fmt.Sprintf("attribute %+v, encoding/xml %+v", a, r)
		}
	}
	var content []any
	if e.text != "" {
		content = append(content, e.text)
	}
	for c := e.first; c != nil; c = c.next {
		if c.isText() {
			content = append(content, c.text)
		} else {
			content = append(content, c)
		}
	}
	if len(content) != len(ref.content) {
		return fmt.Sprintf("%s has %d pieces of content, encoding/xml %d", e.Name, len(content), len(ref.content))
	}
	for i, c := range content {
		switch c := c.(type) {
		case string:
			if c != ref.content[i] {
				return fmt.Sprintf("text %q, encoding/xml %q", c, ref.content[i])
			}
		case *Element:
			r, ok := ref.content[i].(*refElement)
			if !ok {
				return "an element where encoding/xml has text"
			}
			if d := sameTree(c, r); d != "" {
				return d
			}
		}
	}
	return ""
}

const testHeader = `<stream:stream xmlns="` + NSComponent + `" xmlns:stream="` + NSStreams + `" id="1">`

// event is one thing our framer and parser made of a stream.
type event struct {
	el  *Element
	err *parseError
	end bool
}

// readStream reads a stream with our framer and parser.
func readStream(r io.Reader, lim Limits) (out []event, err error) {
	f := newFramer(r, lim)
	var p *parser
	for {
		fr, err := f.read()
		if err != nil {
			return out, err
		}
		switch fr.kind {
		case frameHeader:
			if p, _, err = readHeader(fr); err != nil {
				return out, err
			}
		case frameSkipped:
			out = append(out, event{err: fr.err})
		case frameEnd:
			return append(out, event{end: true}), nil
		case frameStanza:
			s, perr := p.parse(fr.data, fr.nodes, fr.attrs)
			switch {
			case perr == nil:
				out = append(out, event{el: s.Element})
			case perr.kind == errFatal:
				return out, perr
			default:
				out = append(out, event{err: perr})
			}
		}
	}
}

// checkAgainstEncodingXML demands that we read a stream as encoding/xml does. We
// may refuse more, for reasons of a documented kind; we may never accept what it
// refuses, nor see another tree.
func checkAgainstEncodingXML(t *testing.T, body string) {
	t.Helper()
	stream := testHeader + body
	got, err := readStream(strings.NewReader(stream), Limits{})
	ref := refStream(stream)
	for _, ev := range got {
		switch {
		case ev.end:
			if len(ref) != 0 {
				t.Fatalf("%q: the stream ended early for us", body)
			}
			return
		case ev.err == nil:
			if len(ref) == 0 {
				t.Fatalf("%q: we accept %v, encoding/xml does not", body, ev.el)
			}
			if d := sameTree(ev.el, ref[0]); d != "" {
				t.Fatalf("%q: %s", body, d)
			}
			ref = ref[1:]
		case ev.err.kind == errContent && ev.err != errRestrictedIn:
			// encoding/xml stops at such faults.
			if len(ref) != 0 {
				t.Fatalf("%q: we refuse (%v), encoding/xml does not", body, ev.err)
			}
			return
		default: // stricter than encoding/xml, which may also stop here
			if len(ref) == 0 {
				return
			}
			ref = ref[1:]
		}
	}
	if len(ref) != 0 && !errors.Is(err, errTopText) && !errors.Is(err, errRestricted) {
		t.Fatalf("%q: we stop with %v, encoding/xml goes on with %+v", body, err, ref[0])
	}
}

var parserSeeds = []string{
	`<message from='a@b/c' to='d' type='chat' id='1'><body>hi</body></message>`,
	`<iq type="get" id="1" from="a" to="b"><query xmlns="http://jabber.org/protocol/disco#info" node='x"y'/></iq>`,
	`<presence xml:lang='de'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>`,
	`<message><body>a &lt;b&gt; &amp; &quot;c&quot; &apos;d&apos; &#65;&#x42;</body></message>`,
	`<message><body><![CDATA[<b>&amp;]]]]><![CDATA[>]]></body></message>`,
	`<message><body>one<br/>two<br/>three</body></message>`,
	`<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>inner</body></message></forwarded><body>outer</body></message>`,
	"<message>\r\n<body a='x\r\ny\tz'>a\rb\r\nc&#13;\n</body></message>",
	`<a:b xmlns:a='urn:a' a:c='1' c='2'><a:d xmlns:a='urn:b'/><e xmlns=''/></a:b>`,
	`<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
	`<é à='û'>ñ</é>`, `<a>&nbsp;</a>`, `<a>&#0;</a>`, `<a>&#xD800;</a>`, "<a>\x01</a>", "<a>\xff</a>", "<a>\uFFFE</a>",
	`<a><!-- c --></a>`, `<a><?pi x?></a>`, `<a><!DOCTYPE x></a>`, `<a></b>`, `<a b></a>`, `<a b=c/>`, `<a b='<'/>`,
	`<a b='1'c='2'/>`, `<a b='1' b='2'/>`, `<x:a/>`, `<a x:b='1'/>`, `<a xmlns:b=''/>`, `<a:b:c/>`, `<:a/>`, `<a:/>`,
	`<a>]]></a>`, `<a/><b/>`, `<a / >`, `</a>`, `<a `, `< a/>`, `<a></a >`, `<a></ a>`, `<a/`, `<a><![CDATA[`, `<1/>`, `<-a/>`,
	`<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:b='1'/>`, `<a xmlns:xmlns='x'/>`, `<xmlns:a/>`, `<a>&#38;lt;</a>`,
	`<a a:b='1' c:b='2' xmlns:a='x' xmlns:c='x'/>`, " \n<a/>\t<b/> ", "x<a/>", `<a>&</a>`, `<a>&;</a>`, `<a>&#;</a>`, `<a>&#x;</a>`,
}

func TestParserAgainstEncodingXML(t *testing.T) {
	for _, s := range parserSeeds {
		checkAgainstEncodingXML(t, s)
	}
}

func FuzzParser(f *testing.F) {
	for _, s := range parserSeeds {
		f.Add(s)
	}
	f.Fuzz(checkAgainstEncodingXML)
}

// A tree must not change when the read buffer is used again.
func TestStanzasShareNothingWithTheBuffer(t *testing.T) {
	b := []byte(`<message from='a@b/c' to='d' id='1'><body a='v'>text</body></message>`)
	p := parser{base: streamBindings}
	e, perr := p.parse(b, 1, 0)
	if perr != nil {
		t.Fatal(perr)
	}
	before := e.String()
	for i := range b {
		b[i] = '!'
	}
	if _, perr := p.parse([]byte(`<x y='z'><w>other</w></x>`), 2, 1); perr != nil {
		t.Fatal(perr)
	}
	if got := e.String(); got != before {
		t.Errorf("the tree changed from %s to %s", before, got)
	}
}

func TestDetach(t *testing.T) {
	s := parseOne(t, `<message from='a@b/c' to='d'><x xmlns='urn:x' a='1' xml:lang='de'>t<y/>u<z>v</z></x>tail</message>`)
	x := s.Child("urn:x", "x")
	d := x.Detach()
	if d.String() != x.String() || d.Text() != "tu" || d.next != nil {
		t.Errorf("detached %s of %s", d, x)
	}
	var none *Element
	if none.Detach() != nil || none.Attr("x") != "" || none.Text() != "" || none.Child("", "x") != nil || none.Decode(d) == nil {
		t.Error("a nil element is not empty")
	}
	for range none.Children() {
		t.Error("a nil element has children")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`<x xmlns='urn:x' xmlns:b='urn:b' b:a='1' xml:lang='de'>t<y xmlns=''/>u</x>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseFragment(b, "")
		if err != nil {
			return
		}
		// What we write must read as the same tree, by us and by encoding/xml.
		again, err := parseFragment([]byte(e.String()), "")
		if err != nil || again.String() != e.String() {
			t.Fatalf("%s reads as %v, %v", e, again, err)
		}
		d := xml.NewDecoder(bytes.NewReader([]byte(e.String())))
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		ref, err := readRef(d, tok.(xml.StartElement))
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		if diff := sameTree(e, ref); diff != "" {
			t.Fatalf("%s: %s", e, diff)
		}
	})
}
