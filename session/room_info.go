package session

import (
	"cmp"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// onInfo is what a room is like, beside its subject, where that has changed.
func (r *room) onInfo(ev *bridges.RoomInfo) { r.noteInfo(ev) }

// noteInfo takes over what a room is like, and tells clients that have seen another
// state of it to look again.
func (r *room) noteInfo(info *bridges.RoomInfo) {
	if info == nil || r.info != nil && *r.info == *info {
		return
	}
	first := r.info == nil
	r.info = info
	if !first && r.inside() {
		r.tellChanged()
	}
	r.wantPicture()
}

// tellChanged tells every client to look at what the room is like (XEP-0045 section
// 10.2.1, status 104).
func (r *room) tellChanged() {
	r.each(func(st *seat) {
		o := component.NewMessage(r.jid, st.jid, "groupchat", r.m.ids.next())
		xep.MUCUser{Statuses: []int{xep.StatusConfigChanged}}.AppendTo(o)
		r.send(o)
	})
}

// title is what a room is called for people.
func (r *room) title() string {
	if r.info != nil && r.info.Name != "" {
		return r.info.Name
	}
	return r.name
}

// access are the features that tell who may find a room and enter it, and who sees
// who people are. Of one that nothing is known of it is assumed that anybody may enter.
func (r *room) access() []string {
	if r != nil && r.self.Address != "" {
		return append(r.entrance(), xep.FeatureNonAnonymous)
	}
	return append(r.entrance(), xep.FeatureSemiAnonymous)
}

func (r *room) entrance() []string {
	switch {
	case r == nil || r.info == nil:
		return []string{xep.FeatureOpen}
	case r.info.Public && r.info.Open:
		return []string{xep.FeaturePublic, xep.FeatureOpen}
	case r.info.Public:
		return []string{xep.FeaturePublic, xep.FeatureMembersOnly}
	case r.info.Open:
		return []string{xep.FeatureHidden, xep.FeatureOpen}
	}
	return []string{xep.FeatureHidden, xep.FeatureMembersOnly}
}

// signFeatures are the features of a place that the network has more than words for.
func signFeatures(c bridges.Caps) []string {
	var out []string
	for _, f := range []struct {
		can  bool
		name string
	}{
		{c.Edit, xep.NSReplace}, {c.Reply, xep.NSReply}, {c.React, xep.NSReactions}, {c.Retract, xep.NSRetract},
		{c.Typing, xep.NSChatStates}, {c.Read, xep.NSMarkers},
	} {
		if f.can {
			out = append(out, f.name)
		}
	}
	return out
}

// roomFeaturesOf are those of a room.
func roomFeaturesOf(c bridges.Caps) []string {
	out := signFeatures(c)
	if c.Retract {
		out = append(out, xep.NSModerate)
	}
	return out
}

// capsOf is what can be done in a room, whether the user is in it or not.
func (s *Session) capsOf(r *room, addr bridges.Address) bridges.Caps {
	if r != nil && r.entered() {
		return r.l.net.Capabilities(bridges.Place{Room: r.id})
	}
	if l := s.existing(addr.Network); r == nil && l != nil {
		return l.net.Capabilities(bridges.Place{Room: l.net.RoomID(addr.Name)})
	}
	return bridges.Caps{}
}

// titleOf is what a room of the directory is called for people: as the user has it,
// or as the directory says.
func (s *Session) titleOf(l *link, e *bridges.DirectoryEntry) string {
	if r := s.byID(l, l.net.RoomID(e.Name)); r != nil && r.info != nil && r.info.Name != "" {
		return r.info.Name
	}
	return cmp.Or(e.Title, e.Name)
}
