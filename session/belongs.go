package session

import (
	"strconv"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Bounds of telling of rooms that the network has had the user in for long, where the
// user's list of rooms cannot be changed.
const (
	maxOffers  = 10               // invitations; the rest is told as a number
	offersSpan = 10 * time.Second // in which they come
)

// onBelongs tells the user of a room that the network has them in: by an entry in the
// list of rooms or, where the user's server does not let that be changed, by an
// invitation. A room that the user entered elsewhere is entered by clients too; what is
// there from long ago, and may be a thousand rooms, is only listed.
func (s *Session) onBelongs(l *link, ev *bridges.Belongs) {
	jid := s.m.roomJID(l.id, ev.Name)
	if s.rooms[jid.Local] != nil || s.byID(l, l.net.RoomID(ev.Name)) != nil || s.keeps(jid.Local) {
		return
	}
	title, old := ev.Title, ev.Old
	s.mark(&bookmark{room: jid, name: title, autojoin: !old, otherwise: func() { s.offerRoom(l, jid, title, old) }})
}

// offerRoom invites the user to a room they are in.
func (s *Session) offerRoom(l *link, jid component.JID, title string, old bool) {
	if old {
		l.offers++
		if l.offers == 1 {
			s.after(offersSpan, l.tellOffers)
		}
		if l.offers > maxOffers {
			return
		}
	}
	reason := "You are in this room."
	if title != "" {
		reason = "You are in this room: " + title
	}
	s.sendInvite(jid, component.JID{}, reason, "")
}

// tellOffers says how many rooms nobody was invited to.
func (l *link) tellOffers() {
	more := l.offers - maxOffers
	l.offers = 0
	if more > 0 && !l.dead {
		l.notice(&bridges.ServerNotice{Text: "You are in " + strconv.Itoa(more) + " more rooms of the network than you have been invited to now. Join them as you like."})
	}
}
