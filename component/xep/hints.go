package xep

import "transportd/component"

// NSHints tells servers what to do with a message (XEP-0334).
const NSHints = "urn:xmpp:hints"

// Hint is one of the four hints.
type Hint string

// Hints.
const (
	NoPermanentStore Hint = "no-permanent-store"
	NoStore          Hint = "no-store"
	NoCopy           Hint = "no-copy"
	Store            Hint = "store"
)

// HasHint reports whether a message carries a hint.
func HasHint(e *component.Element, h Hint) bool { return find(e, NSHints, string(h)) != nil }

// AppendTo writes the hint.
func (h Hint) AppendTo(o *component.Out) { o.Start(NSHints, string(h)).End() }

// AppendPrivate marks a message to be kept from the recipient's other clients
// (XEP-0280 section 8.1).
func AppendPrivate(o *component.Out) {
	o.Start(NSCarbons, "private").End()
	NoCopy.AppendTo(o)
}
