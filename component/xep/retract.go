package xep

import "transportd/component"

// NSRetract takes a message back (XEP-0424).
const NSRetract = "urn:xmpp:message-retract:1"

// ParseRetract returns the id of the message that is taken back; empty where
// none is.
func ParseRetract(e *component.Element) string {
	return find(e, NSRetract, "retract").Attr("id")
}

// AppendRetract writes that the message with that id is taken back.
func AppendRetract(o *component.Out, id string) {
	o.Start(NSRetract, "retract").Attr("id", id).End()
}
