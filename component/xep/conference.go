package xep

import "transportd/component"

// NSConference carries a direct invitation (XEP-0249).
const NSConference = "jabber:x:conference"

// DirectInvite is an invitation that goes to a person without the room.
type DirectInvite struct {
	Room             component.JID
	Password, Reason string
}

// ParseDirectInvite reads a direct invitation; false where it names no room.
func ParseDirectInvite(e *component.Element) (DirectInvite, bool) {
	x := find(e, NSConference, "x")
	room := jid(x.Attr("jid"))
	if room.IsZero() {
		return DirectInvite{}, false
	}
	return DirectInvite{Room: room, Password: x.Attr("password"), Reason: x.Attr("reason")}, true
}

// AppendTo writes the invitation.
func (i DirectInvite) AppendTo(o *component.Out) {
	o.Start(NSConference, "x").Attr("jid", i.Room.String()).OptAttr("password", i.Password).OptAttr("reason", i.Reason).End()
}
