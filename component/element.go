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
	first *Element // first child
	next  *Element // next sibling
}

// Character data behind a child is a node of its own among the children: one
// without a name.
func (e *Element) isText() bool { return e.Name == "" }

// attr is an attribute. The name of one without a namespace is its local name;
// otherwise it is as written for the prefix "xml", and {namespace}local for any
// other.
type attr struct {
	name, value string
}

// split returns the namespace and local name of an attribute.
func (a *attr) split() (space, local string) {
	if a.name[0] == '{' {
		end := strings.LastIndexByte(a.name, '}')
		return a.name[1:end], a.name[end+1:]
	}
	if local, ok := strings.CutPrefix(a.name, "xml:"); ok {
		return NSXML, local
	}
	return "", a.name
}

// Attr returns the value of the attribute with this name and no namespace, or
// "" when there is none. "xml:lang" is understood too.
func (e *Element) Attr(name string) string {
	v, _ := e.attr(name)
	return v
}

// attr looks an attribute up by its name as it is kept.
func (e *Element) attr(name string) (string, bool) {
	if e != nil {
		for i := range e.attrs {
			if e.attrs[i].name == name {
				return e.attrs[i].value, true
			}
		}
	}
	return "", false
}

// LookupAttr returns the value of an attribute and whether it is there. An
// attribute written without a prefix has no namespace: space is "".
func (e *Element) LookupAttr(space, name string) (string, bool) {
	switch space {
	case "":
		return e.attr(name)
	case NSXML:
		return e.attr("xml:" + name)
	}
	return e.attr("{" + space + "}" + name)
}

// Text returns the element's own character data, joined: not that of its
// children.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	var b []byte
	for c := e.first; c != nil; c = c.next {
		if c.isText() {
			b = append(b, c.text...)
		}
	}
	if b == nil {
		return e.text
	}
	return e.text + string(b)
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
			if !c.isText() && !yield(c) {
				return
			}
		}
	}
}

// Content yields character data and direct children in document order: of each
// pair one is set.
func (e *Element) Content() iter.Seq2[string, *Element] {
	return func(yield func(string, *Element) bool) {
		if e == nil || e.text != "" && !yield(e.text, nil) {
			return
		}
		for c := e.first; c != nil; c = c.next {
			if c.isText() && !yield(c.text, nil) || !c.isText() && !yield("", c) {
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
	c := &Element{
		Space: strings.Clone(e.Space), Name: strings.Clone(e.Name), text: strings.Clone(e.text),
	}
	if len(e.attrs) > 0 {
		c.attrs = make([]attr, len(e.attrs))
		for i, a := range e.attrs {
			c.attrs[i] = attr{strings.Clone(a.name), strings.Clone(a.value)}
		}
	}
	last := &c.first
	for k := e.first; k != nil; k = k.next {
		*last = k.Detach()
		last = &(*last).next
	}
	return c
}
