package session

import (
	"strings"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// GroupNode begins the nodes of a network's groups of rooms (bridges.Grouper) in
// disco#items; the group's name follows. A group has one node wherever it is listed, so
// that who follows a circle of groups comes back to nodes that are known.
const GroupNode = "group/"

// groupOf is the group that a request is about; empty: none.
func groupOf(st *component.Stanza) string {
	name, ok := strings.CutPrefix(st.Payload().Attr("node"), GroupNode)
	if !ok {
		return ""
	}
	return name
}

// inGroup answers what is in a group of rooms.
func (s *Session) inGroup(st *component.Stanza, network bridges.NetworkID, name string) {
	l := s.existing(network)
	if l == nil || !l.online() {
		s.refuse(st, StanzaError(errNoNetwork()))
		return
	}
	groups, ok := l.net.(bridges.Grouper)
	if !ok {
		s.refuse(st, component.NewStanzaError("cancel", "item-not-found", "There is no such node."))
		return
	}
	s.query(st, func(q *query) {
		entries, err := groups.Group(q.ctx, name)
		q.answer(err, func() *component.Out { return component.ItemsReply(st, s.groupItems(l, entries)) })
	})
}

// groupItems are entries of a group: rooms by their address, groups as nodes of the
// network's.
func (s *Session) groupItems(l *link, entries []bridges.DirectoryEntry) []component.Item {
	at := s.m.networkJID(l.id)
	items := make([]component.Item, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		item := component.Item{JID: at, Node: GroupNode + e.Name, Name: e.Title}
		if !e.Group {
			item = component.Item{JID: s.m.roomJID(l.id, e.Name), Name: e.Title}
		}
		if item.Name == "" {
			item.Name = e.Name
		}
		items = append(items, item)
	}
	return items
}

// aboutGroup answers what a group of rooms is: a branch of a tree (XEP-0030 section 3.1,
// category hierarchy), and no room.
func (s *Session) aboutGroup(st *component.Stanza, name string) {
	info := component.DiscoInfo{
		Identities: []component.Identity{{Category: "hierarchy", Type: "branch", Name: name}},
		Features:   []string{xep.NSDiscoInfo, xep.NSDiscoItems},
	}
	s.send(info.Reply(st))
}

func errNoNetwork() *bridges.Error {
	return bridges.NewError(bridges.Offline, "Connect to the network first, for example by joining a room.")
}

// DeliverKnown hands a stanza to its sender's session, and tells whether there is one.
// It never waits.
func (m *Manager) DeliverKnown(st *component.Stanza) bool {
	if m.peek(st.From.Bare()) == nil {
		return false
	}
	m.Deliver(st)
	return true
}
