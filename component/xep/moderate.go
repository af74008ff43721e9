package xep

import "transportd/component"

// NSModerate asks a room to take back an occupant's message (XEP-0425).
const NSModerate = "urn:xmpp:message-moderate:1"

// Moderate asks for the message with the stanza-id ID to be taken back.
type Moderate struct {
	ID, Reason string
}

// ParseModerate reads the request; false where it names no message or asks for
// something else than a retraction.
func ParseModerate(e *component.Element) (Moderate, bool) {
	m := find(e, NSModerate, "moderate")
	if m.Attr("id") == "" || m.Child(NSRetract, "retract") == nil {
		return Moderate{}, false
	}
	return Moderate{ID: m.Attr("id"), Reason: m.Child("", "reason").Text()}, true
}

// AppendTo writes the request.
func (m Moderate) AppendTo(o *component.Out) {
	o.Start(NSModerate, "moderate").Attr("id", m.ID)
	o.Start(NSRetract, "retract").End()
	if m.Reason != "" {
		o.Elem("", "reason", m.Reason)
	}
	o.End()
}
