package xep

import (
	"strconv"

	"transportd/component"
)

// NSMUCUser carries what a room tells of occupants, and invitations
// (XEP-0045 section 17.2).
const NSMUCUser = "http://jabber.org/protocol/muc#user"

// Status codes of XEP-0045 section 15.6.2 that a gateway has a use for.
const (
	StatusNonAnonymous  = 100 // any occupant may see one's full JID
	StatusSelf          = 110 // the presence is one's own
	StatusConfigChanged = 104
	StatusRoomCreated   = 201
	StatusNickAssigned  = 210 // the room changed the nick one asked for
	StatusBanned        = 301
	StatusNickChanged   = 303
	StatusKicked        = 307
	StatusAffiliation   = 321 // removed by a change of affiliation
	StatusMembersOnly   = 322
	StatusShutdown      = 332
	StatusConnection    = 333 // removed because of a technical problem
)

// MUCUser is the x element of occupants' presences and of invitations.
type MUCUser struct {
	Items    []Item
	Statuses []int
	Invites  []Invite
	Decline  *Invite
	Password string
	Destroy  *Destroy
}

// Item is an occupant's standing.
type Item struct {
	Affiliation, Role string
	JID, Nick         string
	Reason            string
	Actor             string // nick of who did it
}

// Invite is a mediated invitation or its refusal. A JID that could not be read
// is zero.
type Invite struct {
	From, To component.JID
	Reason   string
}

// Destroy tells that a room is gone, and what takes its place.
type Destroy struct {
	Alternate component.JID
	Reason    string
}

// ParseMUCUser reads the x element.
func ParseMUCUser(e *component.Element) (MUCUser, bool) {
	x := find(e, NSMUCUser, "x")
	if x == nil {
		return MUCUser{}, false
	}
	var u MUCUser
	for c := range x.Children() {
		if c.Space != NSMUCUser {
			continue
		}
		switch c.Name {
		case "item":
			u.Items = append(u.Items, parseItem(c))
		case "status":
			if n := count(c.Attr("code")); n != nil {
				u.Statuses = append(u.Statuses, *n)
			}
		case "invite":
			u.Invites = append(u.Invites, parseInvite(c))
		case "decline":
			d := parseInvite(c)
			u.Decline = &d
		case "password":
			u.Password = c.Text()
		case "destroy":
			u.Destroy = parseDestroy(c)
		}
	}
	return u, true
}

func parseItem(e *component.Element) Item {
	return Item{
		Affiliation: e.Attr("affiliation"),
		Role:        e.Attr("role"),
		JID:         e.Attr("jid"),
		Nick:        e.Attr("nick"),
		Reason:      e.Child("", "reason").Text(),
		Actor:       e.Child("", "actor").Attr("nick"),
	}
}

func parseInvite(e *component.Element) Invite {
	return Invite{From: jid(e.Attr("from")), To: jid(e.Attr("to")), Reason: e.Child("", "reason").Text()}
}

func parseDestroy(e *component.Element) *Destroy {
	return &Destroy{Alternate: jid(e.Attr("jid")), Reason: e.Child("", "reason").Text()}
}

// AppendTo writes the x element.
func (u MUCUser) AppendTo(o *component.Out) {
	o.Start(NSMUCUser, "x")
	for _, item := range u.Items {
		item.appendTo(o)
	}
	for _, invite := range u.Invites {
		invite.appendTo(o, "invite")
	}
	if u.Decline != nil {
		u.Decline.appendTo(o, "decline")
	}
	if u.Destroy != nil {
		u.Destroy.AppendTo(o)
	}
	if u.Password != "" {
		o.Elem("", "password", u.Password)
	}
	for _, code := range u.Statuses {
		o.Start("", "status").Attr("code", strconv.Itoa(code)).End()
	}
	o.End()
}

func (i Item) appendTo(o *component.Out) {
	o.Start("", "item").OptAttr("affiliation", i.Affiliation).OptAttr("role", i.Role).
		OptAttr("jid", i.JID).OptAttr("nick", i.Nick)
	if i.Actor != "" {
		o.Start("", "actor").Attr("nick", i.Actor).End()
	}
	if i.Reason != "" {
		o.Elem("", "reason", i.Reason)
	}
	o.End()
}

func (i Invite) appendTo(o *component.Out, name string) {
	o.Start("", name).OptAttr("from", jidText(i.From)).OptAttr("to", jidText(i.To))
	if i.Reason != "" {
		o.Elem("", "reason", i.Reason)
	}
	o.End()
}

// AppendTo writes the destroy element.
func (d Destroy) AppendTo(o *component.Out) {
	o.Start("", "destroy").OptAttr("jid", jidText(d.Alternate))
	if d.Reason != "" {
		o.Elem("", "reason", d.Reason)
	}
	o.End()
}
