package xep

import "transportd/component"

// NSRoster is the contact list of a user (RFC 6121 section 2), which a component may be
// let read and change (XEP-0356 section 4).
const NSRoster = "jabber:iq:roster"

// RosterItem is an entry of a contact list.
type RosterItem struct {
	JID          component.JID
	Name         string
	Subscription string // "none", "to", "from", "both" or "remove"
	Groups       []string
}

// ParseRoster reads a contact list; entries whose address cannot be read are left out.
// False where there is none.
func ParseRoster(e *component.Element) (items []RosterItem, ok bool) {
	q := find(e, NSRoster, "query")
	for c := range q.Children() {
		item := RosterItem{JID: jid(c.Attr("jid")), Name: c.Attr("name"), Subscription: c.Attr("subscription")}
		if c.Space != NSRoster || c.Name != "item" || item.JID.IsZero() {
			continue
		}
		for g := range c.Children() {
			if g.Space == NSRoster && g.Name == "group" {
				item.Groups = append(item.Groups, g.Text())
			}
		}
		items = append(items, item)
	}
	return items, q != nil
}

// AppendRoster writes entries: none asks for the list.
func AppendRoster(o *component.Out, items ...RosterItem) {
	o.Start(NSRoster, "query")
	for _, item := range items {
		o.Start("", "item").AttrJID("jid", item.JID).OptAttr("name", item.Name).OptAttr("subscription", item.Subscription)
		for _, g := range item.Groups {
			o.Elem("", "group", g)
		}
		o.End()
	}
	o.End()
}
