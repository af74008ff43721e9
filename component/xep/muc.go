package xep

import (
	"strconv"
	"time"

	"transportd/component"
)

// NSMUC marks a presence as a request to enter a room, and is the feature of
// rooms and of services with rooms (XEP-0045 section 7.2.2).
const NSMUC = "http://jabber.org/protocol/muc"

// Names of room features (XEP-0045 section 6.4 and the registrar).
const (
	FeatureHidden            = "muc_hidden"
	FeatureMembersOnly       = "muc_membersonly"
	FeatureModerated         = "muc_moderated"
	FeatureNonAnonymous      = "muc_nonanonymous"
	FeatureOpen              = "muc_open"
	FeaturePasswordProtected = "muc_passwordprotected"
	FeaturePersistent        = "muc_persistent"
	FeaturePublic            = "muc_public"
	FeatureSemiAnonymous     = "muc_semianonymous"
	FeatureTemporary         = "muc_temporary"
	FeatureUnmoderated       = "muc_unmoderated"
	FeatureUnsecured         = "muc_unsecured"
	FeatureStableID          = NSMUC + "#stable_id"
	// FeatureSelfPing tells that the room answers a ping to one's own occupant
	// JID itself (XEP-0410 section 3.3).
	FeatureSelfPing = NSMUC + "#self-ping-optimization"
	// FormRoomInfo is the FORM_TYPE of a room's extended disco#info.
	FormRoomInfo = NSMUC + "#roominfo"
)

// MUCJoin is what a client asks for when it enters a room.
type MUCJoin struct {
	Password string
	History  History
}

// History limits the discussion history a client wants (XEP-0045 section
// 7.2.14). A nil or zero part sets no limit.
type History struct {
	MaxStanzas, MaxChars, Seconds *int
	Since                         time.Time
}

// ParseMUCJoin reads the x element of a join.
func ParseMUCJoin(e *component.Element) (MUCJoin, bool) {
	x := find(e, NSMUC, "x")
	if x == nil {
		return MUCJoin{}, false
	}
	join := MUCJoin{Password: x.Child("", "password").Text()}
	if h := x.Child("", "history"); h != nil {
		join.History = History{
			MaxStanzas: count(h.Attr("maxstanzas")),
			MaxChars:   count(h.Attr("maxchars")),
			Seconds:    count(h.Attr("seconds")),
		}
		if since, err := component.ParseTime(h.Attr("since")); err == nil {
			join.History.Since = since
		}
	}
	return join, true
}

// AppendTo writes the x element.
func (j MUCJoin) AppendTo(o *component.Out) {
	o.Start(NSMUC, "x")
	if j.Password != "" {
		o.Elem("", "password", j.Password)
	}
	if j.History != (History{}) {
		o.Start("", "history")
		for _, limit := range []struct {
			name  string
			value *int
		}{{"maxstanzas", j.History.MaxStanzas}, {"maxchars", j.History.MaxChars}, {"seconds", j.History.Seconds}} {
			if limit.value != nil {
				o.Attr(limit.name, strconv.Itoa(*limit.value))
			}
		}
		if !j.History.Since.IsZero() {
			o.Attr("since", component.FormatTime(j.History.Since))
		}
		o.End()
	}
	o.End()
}
