package xep

import "transportd/component"

// NSNick carries the name an entity likes to be called (XEP-0172).
const NSNick = "http://jabber.org/protocol/nick"

// ParseNick returns the name; empty where there is none.
func ParseNick(e *component.Element) string { return find(e, NSNick, "nick").Text() }

// AppendNick writes the name.
func AppendNick(o *component.Out, name string) { o.Elem(NSNick, "nick", name) }
