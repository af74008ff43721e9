package xep

import "transportd/component"

// NSReplace marks a message that corrects an earlier one (XEP-0308).
const NSReplace = "urn:xmpp:message-correct:0"

// ParseReplace returns the id of the message that this one corrects; empty
// where it corrects none.
func ParseReplace(e *component.Element) string {
	return find(e, NSReplace, "replace").Attr("id")
}

// AppendReplace writes that the message corrects the one with that id.
func AppendReplace(o *component.Out, id string) {
	o.Start(NSReplace, "replace").Attr("id", id).End()
}
