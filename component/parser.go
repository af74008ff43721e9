package component

import (
	"bytes"
	"slices"
	"strings"
)

// parser turns the bytes of one stanza into a tree of elements. It is strict:
// besides well-formedness it demands what namespaces in XML demand, and refuses
// what XMPP forbids (RFC 6120, 11). It is reused from stanza to stanza; the trees
// it returns share nothing with it or with the bytes it was given.
type parser struct {
	base     []binding // declared by the stream's header
	bindings []binding // in scope
	open     []openNode

	s     string // the stanza; all strings of the tree are parts of it
	flags textFlags
	root  *Element
	slab  []Element // room for elements, allocated at once
	attrs []attr    // the same for attributes

	scratch []byte // where text is put together
}

// binding is a namespace declaration in scope; prefix "" is the default one.
type binding struct {
	prefix, space string
}

// openNode is an element whose end has not come yet.
type openNode struct {
	el       *Element
	last     *Element // its last child so far
	name     string   // as written, to compare with the end tag
	bindings int      // declarations in scope outside of it
}

// streamBindings is what the header of a component's stream declares.
var streamBindings = []binding{{"", NSComponent}, {"stream", NSStreams}}

// parseFragment parses one element that stands in the given namespace.
func parseFragment(b []byte, space string) (*Element, error) {
	p := parser{base: []binding{{"", space}}}
	s, err := p.parse(b, bytes.Count(b, []byte{'<'}), 0)
	if err != nil {
		return nil, err
	}
	return s.Element, nil
}

// header parses the stream's start tag and keeps the namespaces it declares for
// the stanzas to come.
func (p *parser) header(b []byte) (*Element, *parseError) {
	p.s = string(b)
	p.slab = make([]Element, 0, 1)
	if _, err := checkText(p.s); err != nil {
		return nil, err
	}
	if _, err := p.startTag(1); err != nil {
		return nil, err
	}
	root := p.root
	*p = parser{base: p.bindings, bindings: slices.Clone(p.bindings)}
	return root, nil
}

// parse parses one element of the stream, of which it expects that many nodes and
// attributes. The stanza it returns has only its element; see [Stanza.read].
func (p *parser) parse(b []byte, nodes, attrs int) (*Stanza, *parseError) {
	p.s = string(b)
	p.bindings = append(p.bindings[:0], p.base...)
	st := p.room(nodes)
	if attrs > 0 {
		p.attrs = make([]attr, 0, attrs)
	}
	err := p.document()
	if err == nil && (p.root == nil || len(p.open) != 0) {
		err = errSyntax
	}
	st.Element = p.root
	clear(p.open)
	*p = parser{base: p.base, bindings: p.bindings[:0], open: p.open[:0], scratch: p.scratch}
	if err != nil {
		return nil, err
	}
	return st, nil
}

// room allocates a stanza with its elements: in one piece where they are few,
// which is nearly always.
func (p *parser) room(nodes int) *Stanza {
	switch {
	case nodes <= 2:
		r := new(struct {
			stanza   Stanza
			elements [2]Element
		})
		p.slab = r.elements[:0]
		return &r.stanza
	case nodes <= 4:
		r := new(struct {
			stanza   Stanza
			elements [4]Element
		})
		p.slab = r.elements[:0]
		return &r.stanza
	case nodes <= 6:
		r := new(struct {
			stanza   Stanza
			elements [6]Element
		})
		p.slab = r.elements[:0]
		return &r.stanza
	}
	p.slab = make([]Element, 0, nodes)
	return new(Stanza)
}

func (p *parser) document() (err *parseError) {
	if p.flags, err = checkText(p.s); err != nil {
		return err
	}
	for i := 0; i < len(p.s) && err == nil; {
		switch {
		case p.s[i] != '<':
			i, err = p.text(i)
		case i+1 == len(p.s):
			return errSyntax
		case p.s[i+1] == '/':
			i, err = p.endTag(i + 2)
		case p.s[i+1] == '!':
			i, err = p.cdata(i)
		default:
			i, err = p.startTag(i + 1)
		}
	}
	return err
}

// text reads character data from i to the next markup.
func (p *parser) text(i int) (int, *parseError) {
	end := len(p.s)
	if n := strings.IndexByte(p.s[i:], '<'); n >= 0 {
		end = i + n
	}
	t := p.s[i:end]
	if p.flags&hasCDEnd != 0 && strings.Contains(t, "]]>") {
		return 0, errCDEnd
	}
	if p.flags&(hasEntity|hasReturn) != 0 {
		var err *parseError
		if t, err = p.unescape(t); err != nil {
			return 0, err
		}
	}
	return end, p.addText(t)
}

// cdata reads a CDATA section at i.
func (p *parser) cdata(i int) (int, *parseError) {
	const begin, end = "<![CDATA[", "]]>"
	if !strings.HasPrefix(p.s[i:], begin) {
		return 0, errRestrictedIn
	}
	i += len(begin)
	n := strings.Index(p.s[i:], end)
	if n < 0 {
		return 0, errSyntax
	}
	t := p.s[i : i+n]
	if p.flags&hasReturn != 0 {
		t = foldReturns(t)
	}
	return i + n + len(end), p.addText(t)
}

// addText puts character data where it belongs: into the open element, or behind
// its last child.
func (p *parser) addText(t string) *parseError {
	if len(p.open) == 0 {
		return errSyntax
	}
	if t == "" {
		return nil
	}
	o := &p.open[len(p.open)-1]
	at := o.el
	if o.last != nil {
		if at = o.last; !at.isText() {
			at = p.node()
		}
	}
	if at.text == "" {
		at.text = t
	} else {
		at.text += t // only around CDATA sections
	}
	return nil
}

// endTag reads an end tag whose name begins at i.
func (p *parser) endTag(i int) (int, *parseError) {
	n := len(p.open) - 1
	if n < 0 {
		return 0, errSyntax
	}
	o := &p.open[n]
	if !strings.HasPrefix(p.s[i:], o.name) {
		return 0, errMismatch
	}
	i = p.space(i + len(o.name))
	if i >= len(p.s) || p.s[i] != '>' {
		return 0, errMismatch
	}
	p.bindings = p.bindings[:o.bindings]
	p.open = p.open[:n]
	return i + 1, nil
}

// startTag reads a start tag whose name begins at i.
func (p *parser) startTag(i int) (int, *parseError) {
	name, colon, i, err := p.name(i)
	if err != nil {
		return 0, err
	}
	if p.root != nil && len(p.open) == 0 {
		return 0, errSyntax
	}
	outside := len(p.bindings)
	i, attrs, err := p.attributes(i)
	if err != nil {
		return 0, err
	}
	if name == prefixXMLNS {
		return 0, errNamespace
	}
	e := p.node()
	e.attrs = attrs
	prefix := ""
	if e.Name = name; colon > 0 {
		prefix, e.Name = name[:colon], name[colon+1:]
	}
	if e.Space, err = p.lookup(prefix); err != nil {
		return 0, err
	}
	if p.s[i] == '>' {
		p.open = append(p.open, openNode{el: e, name: name, bindings: outside})
		return i + 1, nil
	}
	if i+1 >= len(p.s) || p.s[i+1] != '>' {
		return 0, errSyntax
	}
	p.bindings = p.bindings[:outside]
	return i + 2, nil
}

// node returns a new element, which is the root or a child of the open one.
func (p *parser) node() *Element {
	if len(p.slab) == cap(p.slab) {
		p.slab = make([]Element, 0, 2*cap(p.slab))
	}
	p.slab = p.slab[:len(p.slab)+1]
	e := &p.slab[len(p.slab)-1]
	if len(p.open) == 0 {
		p.root = e
		return e
	}
	o := &p.open[len(p.open)-1]
	if o.last == nil {
		o.el.first = e
	} else {
		o.last.next = e
	}
	o.last = e
	return e
}
