package xep

import (
	"strings"

	"transportd/component"
)

// NSReactions carries a sender's whole set of reactions to a message
// (XEP-0444).
const NSReactions = "urn:xmpp:reactions:0"

// Reactions are the emoji a sender leaves on a message; none takes them back.
type Reactions struct {
	ID    string
	Emoji []string
}

// ParseReactions reads reactions; false where they name no message. Empty ones
// and repetitions are left out.
func ParseReactions(e *component.Element) (Reactions, bool) {
	x := find(e, NSReactions, "reactions")
	if x.Attr("id") == "" {
		return Reactions{}, false
	}
	r := Reactions{ID: x.Attr("id")}
	seen := make(map[string]bool)
	for c := range x.Children() {
		emoji := strings.TrimSpace(c.Text())
		if c.Space != NSReactions || c.Name != "reaction" || emoji == "" || seen[emoji] {
			continue
		}
		seen[emoji] = true
		r.Emoji = append(r.Emoji, emoji)
	}
	return r, true
}

// AppendTo writes the reactions.
func (r Reactions) AppendTo(o *component.Out) {
	o.Start(NSReactions, "reactions").Attr("id", r.ID)
	for _, emoji := range r.Emoji {
		o.Elem("", "reaction", emoji)
	}
	o.End()
}
