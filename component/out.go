package component

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"sync"
)

// maxPooled is the largest buffer, in bytes, that goes back to the pool.
const maxPooled = 32 << 10

// Out is one outgoing stanza under construction. It comes from a pool: after
// [Stream.Send], [Stream.TrySend], [Stream.Request] or [Out.Release] it must not
// be touched. Every string is escaped and cleared of what XML 1.0 forbids, so any
// text from anywhere may be given to it. An Out is not for concurrent use.
//
// The methods return the Out itself, so that a stanza reads as one expression:
//
//	out := component.NewMessage(from, to, "chat", id).
//		Elem("", "body", text).
//		Start("urn:xmpp:receipts", "request").End()
//
// A mistake (an unnamed element, an end too many, a value that does not marshal)
// is kept and makes the stream refuse the stanza with a [GuardError].
type Out struct {
	buf   []byte
	stack []openElement
	open  bool // the start tag of the innermost element is not closed yet
	attAt int  // where its attributes begin, behind a declaration of its namespace

	kind     Kind
	from, to JID
	typ, id  string
	toPos    int // where the escaped value of "to" begins …
	toEnd    int // … and ends
	err      string
	prefixes int // generated attribute prefixes so far
}

type openElement struct {
	name, space string
}

var outPool = sync.Pool{New: func() any { return &Out{buf: make([]byte, 0, 1024)} }}

func getOut() *Out { return outPool.Get().(*Out) }

// NewMessage begins a message. typ and id are left out when empty.
func NewMessage(from, to JID, typ, id string) *Out { return newOut(KindMessage, from, to, typ, id) }

// NewPresence begins a presence; typ is "" for available. typ and id are left
// out when empty.
func NewPresence(from, to JID, typ, id string) *Out { return newOut(KindPresence, from, to, typ, id) }

// NewIQ begins an IQ. A get or set needs an id: see [Stream.NewID].
func NewIQ(from, to JID, typ, id string) *Out { return newOut(KindIQ, from, to, typ, id) }

// Result begins the empty result of an IQ request, from and to exchanged.
func Result(req *Stanza) *Out { return NewIQ(req.To, req.From, "result", req.ID) }

// ErrorReply returns the error that answers a stanza, of the same kind and with
// the same id, from and to exchanged. It returns nil when the stanza is itself an
// error or an IQ result, which are never answered.
func ErrorReply(req *Stanza, e *StanzaError) *Out {
	if req.IsError() || (req.Kind == KindIQ && req.Type == "result") {
		return nil
	}
	return newOut(req.Kind, req.To, req.From, "error", req.ID).Error(e)
}

func newOut(k Kind, from, to JID, typ, id string) *Out {
	o := getOut()
	o.kind, o.from, o.to, o.typ, o.id = k, from, to, typ, id
	name := k.String()
	o.buf = append(append(o.buf, '<'), name...)
	o.stack = append(o.stack, openElement{name, NSComponent})
	o.open, o.attAt = true, len(o.buf)
	o.OptAttr("type", typ)
	o.OptAttr("id", id)
	o.buf = append(o.buf, ` from="`...)
	o.buf = appendJID(o.buf, from)
	o.buf = append(o.buf, `" to="`...)
	o.toPos = len(o.buf)
	o.buf = appendJID(o.buf, to)
	o.toEnd = len(o.buf)
	o.buf = append(o.buf, '"')
	return o
}

func appendJID(b []byte, j JID) []byte {
	if j.Local != "" {
		b = append(appendAttr(b, j.Local), '@')
	}
	b = appendAttr(b, j.Domain)
	if j.Resource != "" {
		b = appendAttr(append(b, '/'), j.Resource)
	}
	return b
}

// Start begins a child element. An empty space means the parent's namespace; a
// namespace is written only where it changes.
func (o *Out) Start(space, name string) *Out {
	parent := ""
	if n := len(o.stack); n > 0 {
		parent = o.stack[n-1].space
	} else {
		o.fail("an element after the end of the stanza")
	}
	if space == "" {
		space = parent
	}
	o.start(space, parent, name)
	return o
}

func (o *Out) start(space, parent, name string) {
	if !validName(name) {
		o.fail("an element's name is not allowed: " + strconv.Quote(name))
	}
	o.closeTag()
	o.buf = append(append(o.buf, '<'), name...)
	o.stack = append(o.stack, openElement{name, space})
	o.open = true
	if space != parent {
		o.declare("xmlns", space)
	}
	o.attAt = len(o.buf)
}

// Attr adds an attribute to the element begun last; it must come before the
// element's content. It is written even when empty. "xml:lang" is allowed.
func (o *Out) Attr(name, value string) *Out {
	if o.mayHave(name) {
		o.rawAttr(name, value)
	}
	return o
}

// AttrJID is Attr with an address for a value.
func (o *Out) AttrJID(name string, value JID) *Out {
	if o.mayHave(name) {
		o.buf = append(append(append(o.buf, ' '), name...), '=', '"')
		o.buf = append(appendJID(o.buf, value), '"')
	}
	return o
}

// mayHave reports whether the element begun last can be given an attribute of that
// name, and notes the mistake where it cannot.
func (o *Out) mayHave(name string) bool {
	switch {
	case !o.open:
		o.fail("an attribute after the element's content: " + strconv.Quote(name))
	case name != "xml:lang" && (name == "xmlns" || !validName(name)):
		o.fail("an attribute's name is not allowed: " + strconv.Quote(name))
	case o.hasAttr(name):
		o.fail("an attribute is given twice: " + name)
	default:
		return true
	}
	return false
}

// hasAttr reports whether the open tag has an attribute. Values hold no quotes, so
// what is found is no part of one.
func (o *Out) hasAttr(name string) bool {
	tag := o.buf[o.attAt:]
	for len(tag) > 0 {
		i := bytes.Index(tag, []byte(name))
		if i < 0 {
			return false
		}
		end := i + len(name)
		if i > 0 && tag[i-1] == ' ' && end+1 < len(tag) && tag[end] == '=' && tag[end+1] == '"' {
			return true
		}
		tag = tag[end:]
	}
	return false
}

// declare writes a namespace declaration. ejabberd ends the stream for a namespace
// with a line feed in it, so only what can be part of a URI passes.
func (o *Out) declare(name, space string) {
	if !validSpace(space) {
		o.fail("a namespace is not allowed: " + strconv.Quote(space))
	}
	o.rawAttr(name, space)
}

func (o *Out) rawAttr(name, value string) {
	o.buf = append(append(append(o.buf, ' '), name...), '=', '"')
	o.buf = append(appendAttr(o.buf, value), '"')
}

// OptAttr adds an attribute unless its value is empty.
func (o *Out) OptAttr(name, value string) *Out {
	if value == "" {
		return o
	}
	return o.Attr(name, value)
}

// Text adds character data to the element begun last.
func (o *Out) Text(s string) *Out {
	if s == "" {
		return o
	}
	if len(o.stack) == 0 {
		o.fail("text after the end of the stanza")
	}
	o.closeTag()
	o.buf = appendText(o.buf, s)
	return o
}

// End ends the element begun last.
func (o *Out) End() *Out {
	if len(o.stack) <= 1 {
		o.fail("an end without a start")
		return o
	}
	o.end()
	return o
}

func (o *Out) end() {
	n := len(o.stack) - 1
	if o.open {
		o.buf = append(o.buf, '/', '>')
		o.open = false
	} else {
		o.buf = append(o.buf, '<', '/')
		o.buf = append(append(o.buf, o.stack[n].name...), '>')
	}
	o.stack = o.stack[:n]
}

func (o *Out) closeTag() {
	if o.open {
		o.buf = append(o.buf, '>')
		o.open = false
	}
}

// Elem adds a child that holds only text, or nothing when text is empty.
func (o *Out) Elem(space, name, text string) *Out {
	return o.Start(space, name).Text(text).End()
}

// Copy adds a parsed element with everything in it. It passes through the
// encoder: what is written is ours, never the bytes that came in.
func (o *Out) Copy(e *Element) *Out {
	if e == nil {
		return o
	}
	n := len(o.stack)
	if n == 0 {
		o.fail("an element after the end of the stanza")
		return o
	}
	o.copyElement(e, o.stack[n-1].space)
	return o
}

func (o *Out) copyElement(e *Element, parent string) {
	o.start(e.Space, parent, e.Name)
	for i := range e.attrs {
		o.copyAttr(&e.attrs[i])
	}
	o.Text(e.text)
	for c := e.first; c != nil; c = c.next {
		if c.isText() {
			o.Text(c.text)
		} else {
			o.copyElement(c, e.Space)
		}
	}
	o.end()
}

func (o *Out) copyAttr(a *attr) {
	if a.name[0] != '{' {
		o.rawAttr(a.name, a.value)
		return
	}
	space, local := a.split()
	o.prefixes++
	p := "ns" + strconv.Itoa(o.prefixes)
	o.declare("xmlns:"+p, space)
	o.rawAttr(p+":"+local, a.value)
}

// Marshal adds a value of the stanza package, or any other that encoding/xml can
// marshal to one element. The result is parsed and passed through the encoder, so
// that what encoding/xml lets through unescaped (inner XML, CDATA fields) cannot
// reach the server.
func (o *Out) Marshal(v any) *Out {
	b, err := xml.Marshal(v)
	if err != nil {
		o.fail("a value cannot be marshalled: " + err.Error())
		return o
	}
	space := ""
	if n := len(o.stack); n > 0 {
		space = o.stack[n-1].space
	}
	e, err := parseFragment(b, space)
	if err != nil {
		o.fail("a marshalled value is not well-formed: " + err.Error())
		return o
	}
	return o.Copy(e)
}

// Error adds an error element (RFC 6120, 8.3.2).
func (o *Out) Error(e *StanzaError) *Out {
	if e == nil {
		e = &StanzaError{Type: "cancel", Condition: "undefined-condition"}
	}
	cond := e.Condition
	if cond == "" {
		cond = "undefined-condition"
	}
	typ := string(e.Type)
	if typ == "" {
		typ = "cancel"
	}
	o.Start("", "error").Attr("type", typ)
	if !e.By.IsZero() {
		o.Attr("by", e.By.String())
	}
	o.Elem(NSStanzaErrors, cond, e.Alternate)
	if e.Text != "" {
		o.Elem(NSStanzaErrors, "text", e.Text)
	}
	if e.App != nil {
		o.Elem(e.App.Space, e.App.Name, "")
	}
	return o.End()
}

// SetTo gives the stanza another recipient.
func (o *Out) SetTo(to JID) *Out {
	var room [256]byte
	v := appendJID(room[:0], to)
	tail := len(o.buf) - o.toEnd
	grown := o.toPos + len(v) + tail
	if grown > cap(o.buf) {
		b := make([]byte, grown, grown+grown/4)
		copy(b, o.buf[:o.toPos])
		copy(b[o.toPos+len(v):], o.buf[o.toEnd:])
		o.buf = b
	} else {
		b := o.buf[:max(grown, len(o.buf))]
		copy(b[o.toPos+len(v):], b[o.toEnd:o.toEnd+tail])
		o.buf = b[:grown]
	}
	copy(o.buf[o.toPos:], v)
	if o.attAt > o.toPos {
		o.attAt += o.toPos + len(v) - o.toEnd
	}
	o.toEnd = o.toPos + len(v)
	o.to = to
	return o
}

// Clone returns the same stanza for another recipient, without encoding it
// again. The original stays as it is and is still to be sent or released.
func (o *Out) Clone(to JID) *Out {
	c := getOut()
	buf, stack := c.buf, c.stack
	*c = *o
	c.buf = append(buf[:0], o.buf...)
	c.stack = append(stack[:0], o.stack...)
	return c.SetTo(to)
}

// Len returns the size so far, in bytes.
func (o *Out) Len() int { return len(o.buf) }

// Release gives back a stanza that is not going to be sent. Releasing nil does
// nothing.
func (o *Out) Release() {
	if o == nil {
		return
	}
	buf, stack := o.buf, o.stack
	if cap(buf) > maxPooled {
		buf = make([]byte, 0, 1024)
	}
	clear(stack)
	*o = Out{buf: buf[:0], stack: stack[:0]}
	outPool.Put(o)
}

// fail keeps the first mistake.
func (o *Out) fail(reason string) {
	if o.err == "" {
		o.err = reason
	}
}

// finish ends the stanza's own element.
func (o *Out) finish() {
	if len(o.stack) == 1 {
		o.end()
	}
}
