// Package xep holds the payloads of XMPP extensions that this program reads or
// writes, one file per extension. They have one shape:
//
//   - constants for the namespaces, which are also the names of the features;
//   - small structs with the payload's meaning;
//   - ParseX(e), where e is the stanza that carries the payload or the payload
//     itself. A payload that is absent, or that lacks what gives it a meaning,
//     yields false; an optional part that cannot be read counts as absent. Where
//     a wrong payload must be answered, ParseX returns an error, which is always
//     a *component.StanzaError;
//   - AppendTo(o), which writes the payload below the element that is open in o.
//
// Nothing here blocks or keeps state, and what a Parse function returns does not
// alias the stanza's memory other than through strings.
package xep

import (
	"strconv"

	"gosrc.io/xmpp/stanza"

	"transportd/component"
)

// Namespaces of extensions that need no type of their own.
const (
	NSPing       = component.NSPing                      // XEP-0199
	NSTime       = component.NSTime                      // XEP-0202
	NSVersion    = component.NSVersion                   // XEP-0092
	NSLast       = component.NSLast                      // XEP-0012
	NSVCard      = component.NSVCard                     // XEP-0054
	NSGateway    = component.NSGateway                   // XEP-0100
	NSCommands   = component.NSCommands                  // XEP-0050
	NSDiscoInfo  = component.NSDiscoInfo                 // XEP-0030
	NSDiscoItems = component.NSDiscoItems                // XEP-0030
	NSForms      = component.NSForms                     // XEP-0004, component.Form
	NSRSM        = component.NSRSM                       // XEP-0059, component.ResultSet
	NSCaps       = component.NSCaps                      // XEP-0115, component.Caps
	NSOOB        = "jabber:x:oob"                        // XEP-0066
	NSCarbons    = "urn:xmpp:carbons:2"                  // XEP-0280
	NSMarkers    = "urn:xmpp:chat-markers:0"             // XEP-0333
	NSXHTML      = "http://jabber.org/protocol/xhtml-im" // XEP-0071
)

// find returns the payload itself: e, or its first child of that name.
func find(e *component.Element, space, name string) *component.Element {
	if e == nil || (e.Space == space && e.Name == name) {
		return e
	}
	return e.Child(space, name)
}

// count reads a non-negative number; anything else is nil.
func count(s string) *int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return nil
	}
	v := int(n)
	return &v
}

// jid reads a JID; what is none is the zero JID.
func jid(s string) component.JID {
	j, err := component.ParseJID(s)
	if err != nil {
		return component.JID{}
	}
	return j
}

// jidText is the inverse of jid.
func jidText(j component.JID) string {
	if j.IsZero() {
		return ""
	}
	return j.String()
}

func badRequest(text string) *component.StanzaError {
	return component.NewStanzaError(stanza.ErrorTypeModify, "bad-request", text)
}
