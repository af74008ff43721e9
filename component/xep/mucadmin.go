package xep

import (
	"slices"

	"transportd/component"
)

// NSMUCAdmin asks for and changes roles and affiliations (XEP-0045 sections 8
// to 10).
const NSMUCAdmin = "http://jabber.org/protocol/muc#admin"

// The words of roles and affiliations (XEP-0045 section 5).
var (
	roles        = []string{"none", "visitor", "participant", "moderator"}
	affiliations = []string{"outcast", "none", "member", "admin", "owner"}
)

// AdminItem is one entry of a muc#admin query: a change that is wanted, what
// shall be listed, or an entry of a list.
type AdminItem struct {
	Affiliation, Role string
	Nick              string
	JID               string
	Reason            string
}

// ParseMUCAdmin reads the items of a query. It refuses a query without items,
// and words that are no role or affiliation.
func ParseMUCAdmin(e *component.Element) ([]AdminItem, error) {
	q := find(e, NSMUCAdmin, "query")
	var items []AdminItem
	for c := range q.Children() {
		if c.Space != NSMUCAdmin || c.Name != "item" {
			continue
		}
		item := AdminItem{
			Affiliation: c.Attr("affiliation"),
			Role:        c.Attr("role"),
			Nick:        c.Attr("nick"),
			JID:         c.Attr("jid"),
			Reason:      c.Child("", "reason").Text(),
		}
		if item.Affiliation == "" && item.Role == "" {
			return nil, badRequest("An item needs a role or an affiliation.")
		}
		if item.Affiliation != "" && !slices.Contains(affiliations, item.Affiliation) {
			return nil, badRequest("There is no such affiliation.")
		}
		if item.Role != "" && !slices.Contains(roles, item.Role) {
			return nil, badRequest("There is no such role.")
		}
		items = append(items, item)
	}
	if len(items) == 0 {
		return nil, badRequest("The query has no items.")
	}
	return items, nil
}

// AppendMUCAdmin writes a query with the items, which may be none.
func AppendMUCAdmin(o *component.Out, items []AdminItem) {
	o.Start(NSMUCAdmin, "query")
	for _, i := range items {
		Item{Affiliation: i.Affiliation, Role: i.Role, JID: i.JID, Nick: i.Nick, Reason: i.Reason}.appendTo(o)
	}
	o.End()
}
