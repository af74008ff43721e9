package component

import "strings"

// Kind is the kind of a stanza.
type Kind uint8

// The three kinds of stanzas (RFC 6120, section 8).
const (
	KindMessage Kind = iota
	KindPresence
	KindIQ
)

var kindNames = [...]string{KindMessage: "message", KindPresence: "presence", KindIQ: "iq"}

// String returns the element name of the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

func kindOf(name string) (Kind, bool) {
	switch name {
	case "message":
		return KindMessage, true
	case "presence":
		return KindPresence, true
	case "iq":
		return KindIQ, true
	}
	return 0, false
}

// Stanza is one incoming stanza. It is read-only, owns its memory and may be
// kept after the handler returned.
type Stanza struct {
	*Element
	Kind Kind
	Type string // as written: "" stays ""
	ID   string
	Lang string // xml:lang of the stanza
	From JID
	To   JID
}

// Payload returns the first child element of an IQ, or nil. An IQ get or set
// has exactly one (RFC 6120, 8.2.3).
func (s *Stanza) Payload() *Element {
	if s == nil {
		return nil
	}
	for c := range s.Children() {
		return c
	}
	return nil
}

// Body returns a message's body and whether it has one. Only children in the
// stanza's own namespace count. With several, the one without xml:lang or in
// the stanza's language is taken first.
func (s *Stanza) Body() (string, bool) {
	if s == nil || s.Element == nil {
		return "", false
	}
	var found *Element
	for c := s.first; c != nil; c = c.next {
		if c.Name != "body" || c.Space != s.Space {
			continue
		}
		lang := c.Attr("xml:lang")
		if lang == "" || strings.EqualFold(lang, s.Lang) {
			return c.Text(), true
		}
		if found == nil {
			found = c
		}
	}
	if found == nil {
		return "", false
	}
	return found.Text(), true
}

// IsError reports whether the stanza is of type "error".
func (s *Stanza) IsError() bool { return s != nil && s.Type == "error" }
