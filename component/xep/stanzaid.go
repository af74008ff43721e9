package xep

import "transportd/component"

// NSStanzaID carries the ids that entities give a stanza (XEP-0359).
const NSStanzaID = "urn:xmpp:sid:0"

// StanzaID is an id assigned by an entity on the stanza's way.
type StanzaID struct {
	ID string
	By component.JID
}

// ParseStanzaID returns the id that by assigned; false where there is none.
// Ids of others say nothing and are passed over (XEP-0359 section 6).
func ParseStanzaID(e *component.Element, by component.JID) (StanzaID, bool) {
	for c := range e.Children() {
		if c.Space == NSStanzaID && c.Name == "stanza-id" && c.Attr("id") != "" && jid(c.Attr("by")) == by {
			return StanzaID{ID: c.Attr("id"), By: by}, true
		}
	}
	return StanzaID{}, false
}

// AppendTo writes the stanza-id.
func (s StanzaID) AppendTo(o *component.Out) { AppendStanzaID(o, s.ID, s.By) }

// AppendStanzaID writes the id that by assigned.
func AppendStanzaID(o *component.Out, id string, by component.JID) {
	o.Start(NSStanzaID, "stanza-id").Attr("id", id).AttrJID("by", by).End()
}

// ParseOriginID returns the id that the sender's client gave; empty where there
// is none.
func ParseOriginID(e *component.Element) string {
	return find(e, NSStanzaID, "origin-id").Attr("id")
}

// AppendOriginID writes the sender's own id.
func AppendOriginID(o *component.Out, id string) {
	o.Start(NSStanzaID, "origin-id").Attr("id", id).End()
}
