package xep

import "transportd/component"

// NSOccupantID carries an occupant's stable id (XEP-0421).
const NSOccupantID = "urn:xmpp:occupant-id:0"

// ParseOccupantID returns the id; empty where there is none.
func ParseOccupantID(e *component.Element) string {
	return find(e, NSOccupantID, "occupant-id").Attr("id")
}

// AppendOccupantID writes the id.
func AppendOccupantID(o *component.Out, id string) {
	o.Start(NSOccupantID, "occupant-id").Attr("id", id).End()
}
