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

// toStanza makes a stanza of a parsed top-level element. A stanza whose "to" is
// no address has the zero To.
func toStanza(e *Element) (*Stanza, error) {
	kind, ok := kindOf(e.Name)
	if !ok || (e.Space != NSComponent && e.Space != NSClient) {
		return nil, errNoStanza
	}
	s := &Stanza{Element: e, Kind: kind}
	var from, to string
	for i := range e.attrs {
		a := &e.attrs[i]
		switch {
		case a.space == NSXML && a.name == "lang":
			s.Lang = a.value
		case a.space != "":
		case a.name == "from":
			from = a.value
		case a.name == "to":
			to = a.value
		case a.name == "type":
			s.Type = a.value
		case a.name == "id":
			s.ID = a.value
		}
	}
	var err error
	if s.From, err = ParseJID(from); err != nil {
		return nil, errNoSender
	}
	if s.To, err = ParseJID(to); err != nil {
		s.To = JID{}
	}
	return s, nil
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
	e, perr := p.parse(head, 1, 8)
	if perr != nil {
		return nil, perr
	}
	return toStanza(e)
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
