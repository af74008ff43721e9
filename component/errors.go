package component

import (
	"errors"
	"fmt"

	"gosrc.io/xmpp/stanza"
)

// Errors of the stream's methods.
var (
	// ErrDown says that there is no stream to the XMPP server.
	ErrDown = errors.New("the stream to the XMPP server is down")
	// ErrTimeout says that a request was not answered in time.
	ErrTimeout = errors.New("no answer in time")
	// ErrQueueFull says that the writer's queue had no room for a request.
	ErrQueueFull = errors.New("the queue to the XMPP server is full")
	// ErrUnreadable says that an answer came that could not be read: it broke
	// a limit or held what XML forbids.
	ErrUnreadable = errors.New("the answer could not be read")

	errNoElement = errors.New("no element")
)

// GuardError says why an outgoing stanza was refused before it reached the
// socket. Such a stanza is a fault of the gateway, never of the network or user.
type GuardError struct {
	Reason string
}

// Error implements the error interface.
func (e *GuardError) Error() string { return "outgoing stanza refused: " + e.Reason }

// StreamError is a stream error the server sent (RFC 6120, 4.9), or the
// condition under which we end the stream ourselves.
type StreamError struct {
	Condition string // "not-authorized", "conflict", "host-unknown", …
	Text      string // the server's words, if any
	Login     bool   // it came before the handshake was done
}

// Error implements the error interface.
func (e *StreamError) Error() string {
	s := "stream error " + e.Condition
	if e.Login {
		s = "login refused: " + e.Condition
	}
	if e.Text != "" {
		s += fmt.Sprintf(" (%q)", e.Text)
	}
	return s
}

// AppCondition is an application-specific condition beside the defined one.
type AppCondition struct {
	Space, Name string
}

// StanzaError is a stanza error (RFC 6120, 8.3). The types are the constants of
// gosrc.io/xmpp/stanza.
type StanzaError struct {
	Type      stanza.ErrorType
	Condition string        // "item-not-found", …; "" is written as undefined-condition
	Text      string        // for the user
	App       *AppCondition // optional
	Alternate string        // redirect and gone: the new address as a URI
	By        JID           // optional: who refused
}

// NewStanzaError returns an error with a type, a condition of RFC 6120, 8.3.3
// and a plain sentence for the user, which may be empty.
func NewStanzaError(t stanza.ErrorType, condition, text string) *StanzaError {
	return &StanzaError{Type: t, Condition: condition, Text: text}
}

// Error implements the error interface.
func (e *StanzaError) Error() string {
	s := "stanza error " + e.Condition
	if e.Text != "" {
		s += fmt.Sprintf(" (%q)", e.Text)
	}
	return s
}

// parseError is why a stanza, or the stream, was refused by framer or parser.
type parseError struct {
	kind   errKind
	reason string
}

// errKind says how far a fault reaches and what its sender is told.
type errKind uint8

const (
	// errFatal: the bytes are no XML, nothing after them can be trusted.
	errFatal errKind = iota
	// errLimit: the stanza breaks a limit.
	errLimit
	// errContent: the frame is intact, its content is not allowed XML (undefined
	// entities, characters XML forbids, comments, processing instructions).
	errContent
	// errStrict: as errContent, for what namespaces in XML or XML itself forbid
	// and encoding/xml lets pass.
	errStrict
)

// Error implements the error interface.
func (e *parseError) Error() string { return e.reason }

// Why stanzas and streams are refused by the parser; the framer has its own.
var (
	errSyntax    = &parseError{errFatal, "the stanza is not well-formed XML"}
	errMismatch  = &parseError{errFatal, "an end tag does not fit its start tag"}
	errCDEnd     = &parseError{errContent, "the stanza holds ]]> as text"}
	errEntity    = &parseError{errContent, "the stanza holds an entity that is not defined"}
	errCharacter = &parseError{errContent, "the stanza holds a character that XML forbids"}
	errEncoding  = &parseError{errContent, "the stanza is not valid UTF-8"}
	errName      = &parseError{errContent, "the stanza holds a name that XML forbids"}
	errReference = &parseError{errStrict, "a character reference names a character that XML forbids"}
	errAttrSpace = &parseError{errStrict, "there is no space between two attributes"}
	errDuplicate = &parseError{errStrict, "an element has an attribute twice"}
	errUnbound   = &parseError{errStrict, "a namespace prefix is not declared"}
	errNamespace = &parseError{errStrict, "a namespace declaration is not allowed"}
	errQName     = &parseError{errStrict, "a name has a colon where none may be"}
	errTooManyNS = &parseError{errLimit, "too many namespaces are declared at once"}
)

// StanzaError returns the stanza's error, or nil when it is not of type "error". The
// condition is "undefined-condition" when the stanza names none.
func (s *Stanza) StanzaError() *StanzaError {
	if !s.IsError() {
		return nil
	}
	out := &StanzaError{Type: stanza.ErrorTypeCancel, Condition: "undefined-condition"}
	e := s.Child("", "error")
	if e == nil {
		return out
	}
	if t := e.Attr("type"); t != "" {
		out.Type = stanza.ErrorType(t)
	}
	if by, err := ParseJID(e.Attr("by")); err == nil {
		out.By = by
	}
	for c := range e.Children() {
		switch {
		case c.Space == NSStanzaErrors && c.Name == "text":
			out.Text = c.Text()
		case c.Space == NSStanzaErrors:
			out.Condition = c.Name
			out.Alternate = c.Text()
		case out.App == nil:
			out.App = &AppCondition{Space: c.Space, Name: c.Name}
		}
	}
	return out
}
