package session

import (
	"strconv"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// roomFeatures are what every room can do; capabilities add to them.
var roomFeatures = []string{
	xep.NSDiscoInfo, xep.NSDiscoItems, xep.NSCommands, xep.NSMUC, xep.NSPing, xep.NSStanzaID,
	xep.FeatureStableID, xep.FeatureSelfPing,
	xep.FeatureSemiAnonymous, xep.FeatureOpen, xep.FeatureUnmoderated,
}

// roomInfo answers what a room or an occupant is.
func (s *Session) roomInfo(st *component.Stanza, r *room, addr bridges.Address) {
	if st.To.Resource != "" {
		if r != nil && r.inside() && r.seat(st.From.Resource) != nil && !r.isOwnNick(st.To.Resource) {
			if _, ok := r.whoIs(st.To.Resource); !ok {
				s.refuse(st, StanzaError(bridges.NewError(bridges.NotFound, "There is nobody of that name in the room.")))
				return
			}
		}
		s.send(s.personInfo(true, st.To.Resource).Reply(st))
		return
	}
	if node := st.Payload().Attr("node"); node != "" {
		s.refuse(st, component.NewStanzaError("cancel", "item-not-found", ""))
		return
	}
	name := addr.Name
	if r != nil {
		name = r.name
	}
	info := component.DiscoInfo{
		Identities: []component.Identity{{Category: "conference", Type: "text", Name: name}},
		Features:   append([]string(nil), roomFeatures...),
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
func (s *Session) personInfo(client bool, name string) component.DiscoInfo {
	id := component.Identity{Category: "account", Type: "registered", Name: name}
	if client {
		id = component.Identity{Category: "client", Type: "pc", Name: name}
	}
	return component.DiscoInfo{
		Identities: []component.Identity{id},
		Features:   []string{xep.NSDiscoInfo, xep.NSDiscoItems, xep.NSPing, xep.NSVersion, xep.NSTime, xep.NSVCard, xep.NSReceipts},
	}
}
