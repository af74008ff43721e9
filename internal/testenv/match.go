package testenv

import (
	"fmt"
	"regexp"
	"strings"
)

// Condition is a condition on what a client receives, with words for the failure
// message.
type Condition[T any] struct {
	words string
	ok    func(T) bool
}

// Match is a condition on a stanza.
type Match = Condition[*Node]

func (m Condition[T]) String() string { return m.words }

// Holds tells whether the condition holds.
func (m Condition[T]) Holds(v T) bool { return m.ok(v) }

// All holds when every condition does.
func All[T any](ms ...Condition[T]) Condition[T] {
	return Condition[T]{words(" ", ms), func(v T) bool {
		for _, m := range ms {
			if !m.ok(v) {
				return false
			}
		}
		return true
	}}
}

// Any holds when one of the conditions does.
func Any[T any](ms ...Condition[T]) Condition[T] {
	return Condition[T]{"(" + words(" or ", ms) + ")", func(v T) bool {
		for _, m := range ms {
			if m.ok(v) {
				return true
			}
		}
		return false
	}}
}

func words[T any](between string, ms []Condition[T]) string {
	all := make([]string, len(ms))
	for i, m := range ms {
		all[i] = m.words
	}
	return strings.Join(all, between)
}

// Not holds when the condition does not.
func Not[T any](m Condition[T]) Condition[T] {
	return Condition[T]{"not(" + m.words + ")", func(v T) bool { return !m.ok(v) }}
}

// Where holds when f does.
func Where[T any](words string, f func(T) bool) Condition[T] { return Condition[T]{words, f} }

func kind(name string, ms []Match) Match {
	return All(append([]Match{{name, func(n *Node) bool { return n.Name == name }}}, ms...)...)
}

// Message is a message for which all conditions hold.
func Message(ms ...Match) Match { return kind("message", ms) }

// Presence is a presence for which all conditions hold; without a Type among
// them it is of any type.
func Presence(ms ...Match) Match { return kind("presence", ms) }

// IQ is an iq for which all conditions hold.
func IQ(ms ...Match) Match { return kind("iq", ms) }

func attr(name, value string) Match {
	return Match{fmt.Sprintf("%s=%q", name, value), func(n *Node) bool { return n.Attr(name) == value }}
}

// From is the sender, exactly.
func From(jid string) Match { return attr("from", jid) }

// To is the addressee, exactly.
func To(jid string) Match { return attr("to", jid) }

// ID is the stanza's id.
func ID(id string) Match { return attr("id", id) }

// Type is the stanza's type, "" for none.
func Type(t string) Match { return attr("type", t) }

// FromBare holds for the address and every resource of it.
func FromBare(jid string) Match {
	return Match{"from=" + jid + "/*", func(n *Node) bool {
		bare, _, _ := strings.Cut(n.Attr("from"), "/")
		return bare == jid
	}}
}

// Body is the text of the body, exactly.
func Body(text string) Match {
	return Match{fmt.Sprintf("body %q", text), func(n *Node) bool {
		b := n.Child("jabber:client", "body")
		return b != nil && b.Text == text
	}}
}

// BodyLike matches the body with a regular expression.
func BodyLike(pattern string) Match {
	re := regexp.MustCompile(pattern)
	return Match{"body ~ " + pattern, func(n *Node) bool {
		b := n.Child("jabber:client", "body")
		return b != nil && re.MatchString(b.Text)
	}}
}

// Subject is a subject, exactly, and no body (XEP-0045 section 8.1).
func Subject(text string) Match {
	return Match{fmt.Sprintf("subject %q", text), func(n *Node) bool {
		s := n.Child("jabber:client", "subject")
		return s != nil && s.Text == text && n.Child("jabber:client", "body") == nil
	}}
}

// Has holds when there is an element of that namespace and name below the stanza.
func Has(space, name string) Match {
	return Match{fmt.Sprintf("<%s xmlns=%q>", name, space), func(n *Node) bool { return find(n, space, name) != nil }}
}

func find(n *Node, space, name string) *Node {
	for _, c := range n.All(name) {
		if c.Space == space {
			return c
		}
	}
	return nil
}

// NSMUCUser is the namespace of what rooms tell about occupants.
const NSMUCUser = "http://jabber.org/protocol/muc#user"

// Status is a status code of a room's presence (XEP-0045 section 15.6).
func Status(codes ...string) Match {
	return Match{"status " + strings.Join(codes, "+"), func(n *Node) bool {
		x := n.Child(NSMUCUser, "x")
		for _, code := range codes {
			found := false
			for _, s := range x.All("status") {
				found = found || s.Attr("code") == code
			}
			if !found {
				return false
			}
		}
		return true
	}}
}

// Role is the role of the presence's item.
func Role(role string) Match { return itemAttr("role", role) }

// Affiliation is the affiliation of the presence's item.
func Affiliation(a string) Match { return itemAttr("affiliation", a) }

// NewNick is the item's nick, with status 303.
func NewNick(nick string) Match { return All(Status("303"), itemAttr("nick", nick)) }

func itemAttr(name, value string) Match {
	return Match{name + " " + value, func(n *Node) bool {
		return n.Child(NSMUCUser, "x").Child("", "item").Attr(name) == value
	}}
}

// StatusText matches the text of a presence's status, or of a room item's
// reason, with a regular expression.
func StatusText(pattern string) Match {
	re := regexp.MustCompile(pattern)
	return Match{"status or reason ~ " + pattern, func(n *Node) bool {
		return re.MatchString(n.Child("jabber:client", "status").Content()) ||
			re.MatchString(n.Child(NSMUCUser, "x").First("reason").Content())
	}}
}

// Error is an error of that type and condition (RFC 6120 section 8.3).
func Error(typ, condition string) Match {
	return Match{"error " + typ + " " + condition, func(n *Node) bool {
		e := n.Child("jabber:client", "error")
		return n.Attr("type") == "error" && e.Attr("type") == typ &&
			e.Child("urn:ietf:params:xml:ns:xmpp-stanzas", condition) != nil
	}}
}

// ErrorText matches the text of an error with a regular expression.
func ErrorText(pattern string) Match {
	re := regexp.MustCompile(pattern)
	return Match{"error text ~ " + pattern, func(n *Node) bool {
		return re.MatchString(n.Child("jabber:client", "error").Child("", "text").Content())
	}}
}

// Delayed: with a time stamp of the past (XEP-0203).
func Delayed() Match { return Has("urn:xmpp:delay", "delay") }
