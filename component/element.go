package component

import (
	"encoding/xml"
	"iter"
	"strings"
)

// Namespaces of the stream itself.
const (
	// NSComponent is the default namespace of a component's stream (XEP-0114).
	NSComponent = "jabber:component:accept"
	// NSClient is the namespace stanzas have on a client's stream; it appears
	// in forwarded stanzas.
	NSClient = "jabber:client"
	// NSStreams qualifies the stream header and stream errors (RFC 6120, 4.8.1).
	NSStreams = "http://etherx.jabber.org/streams"
	// NSStreamErrors qualifies stream error conditions (RFC 6120, 4.9).
	NSStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	// NSStanzaErrors qualifies stanza error conditions (RFC 6120, 8.3).
	NSStanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
	// NSXML is what the reserved prefix "xml" stands for, as in xml:lang.
	NSXML = "http://www.w3.org/XML/1998/namespace"
)

// Element is one node of a parsed stanza: namespace-resolved and read-only.
// Namespace declarations are not among its attributes. All methods may be
// called on a nil Element, which has no attributes, no text and no children.
//
// The strings of all elements of one stanza share one allocation. An element
// may be kept for as long as wanted; to keep a small part of a large stanza use
// [Element.Detach].
type Element struct {
	Space, Name string

	attrs []attr
	text  string   // character data before the first child
	tail  string   // character data between this element's end and its next sibling
	first *Element // first child
	next  *Element // next sibling
}

type attr struct {
	space, name, value string
}

// Attr returns the value of the attribute with this name and no namespace, or
// "" when there is none. "xml:lang" is understood too.
func (e *Element) Attr(name string) string {
	if name == "xml:lang" {
		v, _ := e.LookupAttr(NSXML, "lang")
		return v
	}
	v, _ := e.LookupAttr("", name)
	return v
}

// LookupAttr returns the value of an attribute and whether it is there. An
// attribute written without a prefix has no namespace: space is "".
func (e *Element) LookupAttr(space, name string) (string, bool) {
	if e == nil {
		return "", false
	}
	for i := range e.attrs {
		if a := &e.attrs[i]; a.name == name && a.space == space {
			return a.value, true
		}
	}
	return "", false
}

// Text returns the element's own character data, joined: not that of its
// children.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	mixed := false
	for c := e.first; c != nil; c = c.next {
		if c.tail != "" {
			mixed = true
			break
		}
	}
	if !mixed {
		return e.text
	}
	var b strings.Builder
	b.WriteString(e.text)
	for c := e.first; c != nil; c = c.next {
		b.WriteString(c.tail)
	}
	return b.String()
}

// Child returns the first direct child with this name, or nil. An empty space
// means the element's own namespace.
func (e *Element) Child(space, name string) *Element {
	if e == nil {
		return nil
	}
	if space == "" {
		space = e.Space
	}
	for c := e.first; c != nil; c = c.next {
		if c.Name == name && c.Space == space {
			return c
		}
	}
	return nil
}

// Children yields the direct children in document order.
func (e *Element) Children() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for c := e.first; c != nil; c = c.next {
			if !yield(c) {
				return
			}
		}
	}
}

// Decode reads the element into v with encoding/xml. Only this element and what
// it holds is looked at, so a payload that does not fit v costs an error here
// and nothing else. v is usually a type of gosrc.io/xmpp/stanza.
func (e *Element) Decode(v any) error {
	if e == nil {
		return errNoElement
	}
	o := getOut()
	defer o.Release()
	o.copyElement(e, "")
	return xml.Unmarshal(o.buf, v)
}

// String returns the element as XML, for logs of tests and error messages.
func (e *Element) String() string {
	if e == nil {
		return ""
	}
	o := getOut()
	defer o.Release()
	o.copyElement(e, "")
	return string(o.buf)
}

// Detach returns a deep copy that shares no memory with the stanza.
func (e *Element) Detach() *Element {
	if e == nil {
		return nil
	}
	c := e.detach()
	c.tail = ""
	return c
}

func (e *Element) detach() *Element {
	c := &Element{
		Space: strings.Clone(e.Space), Name: strings.Clone(e.Name),
		text: strings.Clone(e.text), tail: strings.Clone(e.tail),
	}
	if len(e.attrs) > 0 {
		c.attrs = make([]attr, len(e.attrs))
		for i, a := range e.attrs {
			c.attrs[i] = attr{strings.Clone(a.space), strings.Clone(a.name), strings.Clone(a.value)}
		}
	}
	last := &c.first
	for k := e.first; k != nil; k = k.next {
		*last = k.detach()
		last = &(*last).next
	}
	return c
}
