package session

import (
	"cmp"
	"context"
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
		item.Name = cmp.Or(item.Name, e.Name)
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

// addGroups adds the command that lists groups of rooms, where networks have any.
func (m *Manager) addGroups(c *component.Commands) {
	name := m.info.Groups
	if name == "" {
		return
	}
	c.Add(component.Command{
		Node: "groups", Verb: name, Name: "List your " + name, Args: []string{fieldRoom},
		Help:    "lists the " + name + " you are in, or what is in the one whose address you write behind it.",
		Targets: []component.AddressKind{component.AddressHost, component.AddressNetwork}, Allowed: m.admitted, Run: m.told(m.listGroups),
	})
}

// listGroups lists the groups of rooms a user is in, or what is in one of them.
func (m *Manager) listGroups(ctx context.Context, call *component.Call) (*component.Step, error) {
	network, group := m.networkAt(call.To), ""
	if text := call.Typed[fieldRoom]; text != "" {
		_, addr, err := m.roomNamed(call.To, text)
		if err != nil {
			return nil, err
		}
		network, group = addr.Network, addr.Name
	}
	if m.peek(call.From.Bare()) == nil {
		return nil, errNoNetwork()
	}
	got := make(chan []online, 1)
	if err := m.inside(ctx, call.From, func(s *Session) { got <- s.onlineLinks(network) }); err != nil {
		return nil, searchError(err)
	}
	var links []online
	select {
	case links = <-got:
	default: // the session panicked over it
	}
	if len(links) == 0 {
		return nil, errNoNetwork()
	}
	form := &component.Form{Type: component.FormResult, Title: "Your " + m.info.Groups, Reported: []component.FormField{
		{Var: fieldRoom, Type: component.FieldJIDSingle, Label: "Address"},
		{Var: "name", Type: component.FieldTextSingle, Label: "Name"},
		{Var: "rooms", Type: component.FieldTextSingle, Label: "Holds rooms"},
	}}
	step := &component.Step{Form: form}
	for _, l := range links {
		grouper, ok := l.net.(bridges.Grouper)
		if !ok {
			continue
		}
		entries, err := grouper.Group(ctx, group)
		if err != nil {
			return nil, searchError(err)
		}
		for _, e := range entries {
			if len(form.Items) == maxListed {
				step.Note = "These are the first only."
				break
			}
			form.Items = append(form.Items, []component.FormField{
				{Var: fieldRoom, Values: []string{m.roomJID(l.id, e.Name).String()}},
				{Var: "name", Values: []string{cmp.Or(e.Title, e.Name)}},
				{Var: "rooms", Values: []string{yesNo(e.Group)}},
			})
		}
	}
	if len(form.Items) == 0 {
		return component.Done("There are none."), nil
	}
	return step, nil
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
