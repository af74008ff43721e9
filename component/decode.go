package component

import (
	"errors"

	"gosrc.io/xmpp/stanza"
)

// Why an element of the stream is not handed on.
var (
	errNoStanza = errors.New("the element is no stanza")
	errNoSender = errors.New("the stanza has no usable sender")
)

// toStanza makes a stanza of a parsed top-level element.
func toStanza(e *Element) (*Stanza, error) {
	s := &Stanza{Element: e}
	return s, s.read()
}

// read fills in what the stanza's element says. A stanza whose "to" is no address
// has the zero To.
func (s *Stanza) read() error {
	e := s.Element
	kind, ok := kindOf(e.Name)
	if !ok || (e.Space != NSComponent && e.Space != NSClient) {
		return errNoStanza
	}
	s.Kind = kind
	var from, to string
	for i := range e.attrs {
		switch a := &e.attrs[i]; a.name {
		case "from":
			from = a.value
		case "to":
			to = a.value
		case "type":
			s.Type = a.value
		case "id":
			s.ID = a.value
		case "xml:lang":
			s.Lang = a.value
		}
	}
	var err error
	if s.From, err = ParseJID(from); err != nil {
		return errNoSender
	}
	s.To, _ = ParseJID(to) // the zero JID says what is wrong
	return nil
}

// headOnly makes a stanza of a start tag alone: what is known of one that was
// skipped.
func (p *parser) headOnly(head []byte) (*Stanza, error) {
	n := len(head)
	if n < 2 {
		return nil, errNoStanza
	}
	if head[n-2] != '/' {
		head = append(head[:n-1:n-1], "/>"...)
	}
	s, perr := p.parse(head, 1, 8)
	if perr != nil {
		return nil, perr
	}
	return s, s.read()
}

// refusal is what the sender of a refused stanza is told.
func refusal(why *parseError) *StanzaError {
	if why.kind == errLimit {
		return NewStanzaError(stanza.ErrorTypeModify, "policy-violation",
			"This was larger or more deeply nested than the gateway accepts.")
	}
	return NewStanzaError(stanza.ErrorTypeModify, "not-acceptable",
		"This held something that is not allowed in XMPP.")
}

// streamError reads a stream error (RFC 6120, 4.9.2).
func streamError(e *Element, login bool) *StreamError {
	out := &StreamError{Condition: "undefined-condition", Login: login}
	for c := range e.Children() {
		switch {
		case c.Space != NSStreamErrors:
		case c.Name == "text":
			out.Text = c.Text()
		default:
			out.Condition = c.Name
		}
	}
	return out
}
