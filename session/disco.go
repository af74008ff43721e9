package session

import (
	"slices"
	"strconv"
	"strings"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// roomFeatures are what every room can do; capabilities add to them.
var roomFeatures = []string{
	xep.NSDiscoInfo, xep.NSDiscoItems, xep.NSCommands, xep.NSMUC, xep.NSPing, xep.NSStanzaID, xep.NSVCard,
	xep.FeatureStableID, xep.FeatureSelfPing,
}

// roomInfo answers what a room or an occupant is.
func (s *Session) roomInfo(st *component.Stanza, r *room, addr bridges.Address) {
	if st.To.Resource != "" {
		var caps bridges.Caps
		if r != nil && r.inside() && r.seat(st.From.Resource) != nil && !r.isOwnNick(st.To.Resource) {
			m, ok := r.whoIs(st.To.Resource)
			if !ok {
				s.refuse(st, StanzaError(bridges.NewError(bridges.NotFound, "There is nobody of that name in the room.")))
				return
			}
			caps = r.l.net.Capabilities(bridges.Place{User: m.ID})
		}
		s.send(s.personInfo(true, st.To.Resource, caps).Reply(st))
		return
	}
	if node := st.Payload().Attr("node"); node != "" {
		s.refuse(st, component.NewStanzaError("cancel", "item-not-found", ""))
		return
	}
	name := addr.Name
	if r != nil {
		name = r.title()
	}
	if s.capsOf(r, addr).Group {
		s.aboutGroup(st, name)
		return
	}
	info := component.DiscoInfo{
		Identities: []component.Identity{{Category: "conference", Type: "text", Name: name}},
		Features:   append([]string(nil), roomFeatures...),
	}
	for _, f := range slices.Concat(r.access(), roomFeaturesOf(s.capsOf(r, addr))) {
		info.AddFeature(f)
	}
	if l := s.existing(addr.Network); r == nil && l != nil {
		if _, ok := l.net.(bridges.Knocker); ok {
			info.AddFeature(xep.NSRegister)
		}
	}
	// Clients know by this what such a network cannot do.
	if kind := s.m.info.RoomType; kind != "text" {
		info.Identities = append(info.Identities, component.Identity{Category: "conference", Type: kind, Name: name})
	}
	if s.m.archive != nil {
		info.AddFeature(xep.NSMAM)
		info.AddFeature(xep.FeatureMAMExtended)
		info.AddFeature(xep.FeatureTombstone)
	}
	if s.remains(st.To.Local, r) {
		info.AddFeature(xep.FeaturePersistent)
	} else {
		info.AddFeature(xep.FeatureTemporary)
	}
	if r != nil && r.info != nil && r.info.Moderated {
		info.AddFeature(xep.FeatureModerated)
	} else {
		info.AddFeature(xep.FeatureUnmoderated)
	}
	if r != nil && r.password != "" {
		info.AddFeature(xep.FeaturePasswordProtected)
	} else {
		info.AddFeature(xep.FeatureUnsecured)
	}
	if r != nil && r.inside() {
		if r.l.net.Capabilities(bridges.Place{Room: r.id}).Accounts {
			info.AddFeature(xep.NSOccupantID)
		}
		_, members, _ := r.l.net.Members(r.id)
		form := component.NewForm("", nil, component.TypeField(xep.FormRoomInfo),
			infoField("muc#roominfo_occupants", strconv.Itoa(len(members)+1)))
		if r.info != nil && r.info.Description != "" {
			form.Fields = append(form.Fields, infoField("muc#roominfo_description", r.info.Description))
		}
		if r.picture.hash != "" {
			form.Fields = append(form.Fields, component.FormField{Var: "muc#roominfo_avatarhash", Type: component.FieldTextMulti, Values: []string{r.picture.hash}})
		}
		if r.subject != nil {
			form.Fields = append(form.Fields, infoField("muc#roominfo_subject", r.subject.Text))
		}
		form.Type = "result"
		info.Forms = append(info.Forms, *form)
	}
	s.send(info.Reply(st))
}

func infoField(name, value string) component.FormField {
	return component.FormField{Var: name, Type: "text-single", Values: []string{value}}
}

// personInfo is what a person is: an account, or with a resource its client.
// The first identity is no conference, so that clients see no room in it.
func (s *Session) personInfo(client bool, name string, caps bridges.Caps) component.DiscoInfo {
	id := component.Identity{Category: "account", Type: "registered", Name: name}
	if client {
		id = component.Identity{Category: "client", Type: "pc", Name: name}
	}
	return component.DiscoInfo{
		Identities: []component.Identity{id},
		Features: slices.Concat([]string{
			xep.NSDiscoInfo, xep.NSDiscoItems, xep.NSPing, xep.NSVersion, xep.NSTime, xep.NSVCard, xep.NSReceipts,
		}, signFeatures(caps)),
	}
}

// aboutPerson answers what a person outside rooms is. Asked about the capabilities in
// their presence (XEP-0115) all of a network are the same: they have no name.
func (s *Session) aboutPerson(st *component.Stanza, addr bridges.Address) {
	var caps bridges.Caps
	if l := s.existing(addr.Network); l != nil {
		caps = l.net.Capabilities(bridges.Place{User: l.net.UserID(addr.Name)})
	}
	client, name := st.To.Resource != "", addr.Name
	if p := s.persons[st.To.Local]; p != nil && p.nick != "" {
		name = p.nick
	}
	if strings.HasPrefix(st.Payload().Attr("node"), component.CapsNode+"#") {
		client, name = false, ""
	}
	s.send(s.personInfo(client, name, caps).Reply(st))
}
