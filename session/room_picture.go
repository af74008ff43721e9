package session

import (
	"transportd/component"
	"transportd/component/xep"
)

// roomPicture is what is known of a room's picture (XEP-0486).
type roomPicture struct {
	ref  string // of the network's that hash is of, or that could not be shown
	hash string // SHA-1 in hexadecimal; empty: there is none to be shown
	told string // to the clients
}

// wantPicture has the room's picture looked at, once a client is there to see it.
func (r *room) wantPicture() {
	if !r.l.hasPictures() || r.info == nil || len(r.seats) == 0 || r.picture.ref == r.info.Avatar {
		return
	}
	if r.info.Avatar == "" { // there was one
		r.picture.ref, r.picture.hash = "", ""
		r.tellPicture()
		return
	}
	if r.looking {
		return
	}
	l, ref := r.l, r.info.Avatar
	looked := func() {
		r.looking = false
		p, known, _ := r.look(l, ref, nil)
		if r.rooms[r.jid.Local] != r || r.l != l || !known {
			return
		}
		r.picture.ref, r.picture.hash = ref, p.hash
		r.tellPicture()
		r.wantPicture() // it may be another by now
	}
	_, known, waits := r.look(l, ref, looked)
	if r.looking = waits && r.picture.ref != ref; known {
		looked()
	}
}

// tellPicture tells the clients that the room has another picture: those that look at
// what the room is, and those that wait for its presence (XEP-0486 sections 3.2 and 5.2).
func (r *room) tellPicture() {
	if r.picture.hash == r.picture.told {
		return
	}
	r.picture.told = r.picture.hash
	r.tellChanged()
	r.each(r.showPicture)
}

// showPicture shows a client which picture the room has.
func (r *room) showPicture(st *seat) {
	o := component.NewPresence(r.jid, st.jid, "", "")
	xep.AppendPhoto(o, r.picture.hash, true)
	r.send(o)
}

// roomCard answers with the room's name and picture (XEP-0486 section 3.4).
func (s *Session) roomCard(st *component.Stanza, r *room) {
	if r == nil || r.info == nil {
		s.refuse(st, component.NewStanzaError("cancel", "item-not-found", "Nothing is known of this room."))
		return
	}
	info, l := *r.info, r.l
	title := r.title()
	s.query(st, func(q *query) {
		face := s.fetchPicture(q.ctx, l, info.Avatar)
		q.answer(nil, func() *component.Out {
			o := component.Result(st).Start(xep.NSVCard, "vCard").Elem("", "FN", title)
			if info.Description != "" {
				o.Elem("", "DESC", info.Description)
			}
			face.photo(o)
			return o.End()
		})
	})
}
