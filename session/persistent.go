package session

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// joinAgain is how long a room that the user keeps and that cannot be joined just
// now is left alone.
const joinAgain = 5 * time.Minute

// keeps tells whether the user stays in a room without a client.
func (s *Session) keeps(local string) bool {
	c := s.choices[local]
	return c != nil && c.Persistent
}

// stays tells whether the room stays joined without a client: the user has made it
// persistent, or the account's list of channels has it, or something is still to be said.
func (r *room) stays() bool {
	return r.auto || r.keeps(r.jid.Local) || r.l.out.owes(r.jid.Local)
}

// listed tells whether the account's list of channels has the room.
func (r *room) listed() bool {
	return slices.ContainsFunc(r.l.autojoin, func(entry string) bool {
		name, _, _ := strings.Cut(entry, " ")
		return r.l.net.RoomID(name) == r.l.net.RoomID(r.name)
	})
}

// listedText is told who wants to drop such a room.
const listedText = "The list of channels of your account has this room; take it out of that list."

// keepsAny tells whether the user keeps any room.
func (s *Session) keepsAny() bool {
	for _, c := range s.choices {
		if c.Persistent {
			return true
		}
	}
	return false
}

// wanted tells whether the link is needed for a room the user keeps.
func (l *link) wanted() bool {
	for _, c := range l.s.choices {
		if c.Persistent && c.trouble == "" && c.addr.Network == l.id {
			return true
		}
	}
	return false
}

// mayKeep tells whether rooms are joined for the user without a client.
func (s *Session) mayKeep(network bridges.NetworkID) bool {
	return !s.loggedOut && !slices.Contains(s.resting, network) && (s.registered || s.m.policy().OpenJoin)
}

// openKept connects to where the user keeps rooms, all networks or the one.
func (s *Session) openKept(network bridges.NetworkID) {
	for _, c := range s.inOrder() {
		if c.Persistent && (network == "" || c.addr.Network == network) {
			s.openChoice(c, false)
		}
	}
}

// forgetKept ends the keeping of rooms on a network, or on all, whose account is
// being deleted: nobody is to come back there.
func (s *Session) forgetKept(network bridges.NetworkID) {
	for _, c := range s.inOrder() {
		if c.Persistent && (network == "" || c.addr.Network == network) {
			c.Persistent = false
			s.forgetRoom(c.jid, func(*component.StanzaError) {})
		}
	}
}

// openChoice joins a room the user keeps, connecting first where needed. Attended:
// the user has just asked for it.
func (s *Session) openChoice(c *choice, attended bool) {
	if !attended && !s.mayKeep(c.addr.Network) {
		return
	}
	l, err := s.link(c.addr.Network)
	if err != nil {
		c.trouble = StanzaError(err).Text
		s.log.Warn("a room that is kept cannot be joined", "room", c.jid.String(), "error", err)
		return
	}
	c.trouble = ""
	if l.nick == "" && !l.online() && !l.registered {
		l.nick = c.Nick
	}
	if l.online() {
		s.joinChoice(l, c)
	} else if l.retry == nil || attended {
		l.start(false) // joins what is kept once it is online
	}
}

// joinKept joins the rooms of a network that the user keeps.
func (s *Session) joinKept(l *link) {
	if !s.registered && !s.m.policy().OpenJoin {
		return
	}
	for _, c := range s.inOrder() {
		if c.Persistent && c.addr.Network == l.id {
			s.joinChoice(l, c)
		}
	}
}

func (s *Session) joinChoice(l *link, c *choice) {
	r := s.rooms[c.jid.Local]
	if r == nil {
		if other := s.byID(l, l.net.RoomID(c.addr.Name)); other != nil {
			c.trouble = "You are in this room under the address " + other.jid.String() + "."
			return
		}
		if e := s.roomLimit(); e != nil {
			c.trouble = e.Text
			return
		}
		r = s.addRoom(l, c.jid, c.addr.Name)
	}
	if r.password == "" {
		r.password = c.Password
	}
	c.trouble = ""
	r.join()
}

// noteEntered is called when the user is in: a room that is kept is kept with the
// password that fitted, and where all rooms are kept this one is from now on.
func (r *room) noteEntered() {
	if c := r.choices[r.jid.Local]; c != nil {
		c.trouble = ""
		r.noteKept()
		return
	}
	if len(r.seats) > 0 && !r.auto && r.keepsByDefault() {
		r.rewrite(true)
	}
}

// noteKept stores under which nick and with which password a room is kept, where
// that has changed.
func (r *room) noteKept() {
	c := r.choices[r.jid.Local]
	if c != nil && c.Persistent && r.inside() && (c.Nick != r.nick || c.Password != r.password) {
		r.rewrite(true)
	}
}

// rewrite stores the room's setting on nobody's request.
func (r *room) rewrite(persistent bool) {
	r.changeRoom(r.jid, r.address(), roomChange{persistent: &persistent}, func(*component.StanzaError) {})
}

// lostKept is called when the user is out of a room, or could not get in, without
// having asked for that. A room that is kept is not joined again before the next
// connection; the user is told, by a message where no client saw it happen.
func (r *room) lostKept(why string, seen bool) {
	if !r.stays() {
		return
	}
	if c := r.choices[r.jid.Local]; c != nil {
		c.trouble = why
	}
	if !seen {
		r.l.tell("You are not in " + r.name + " any more: " + why)
	}
}

// notJoined is lostKept for a join that failed. One that can come true by waiting is
// tried again.
func (r *room) notJoined(err *bridges.Error, seen bool) {
	c := r.choices[r.jid.Local]
	if c == nil || !c.Persistent || err.Kind != bridges.RateLimited && err.Kind != bridges.Timeout {
		r.lostKept(StanzaError(err).Text, seen)
		return
	}
	c.trouble = StanzaError(err).Text
	l := r.l
	r.after(max(joinAgain, err.RetryAfter), func() {
		if r.choices[c.jid.Local] == c && c.Persistent && c.trouble != "" && !l.dead && l.online() {
			r.joinChoice(l, c)
		}
	})
}

// lostForGood notes that a link will not be made again by itself. The user is told
// where rooms are kept there, and once when the network does not take the account's
// login any more.
func (l *link) lostForGood(err *bridges.Error) {
	why := StanzaError(err).Text
	refused := l.registered && err.Kind == bridges.BadCredentials
	any := false
	for _, c := range l.s.choices {
		if c.Persistent && c.addr.Network == l.id {
			c.trouble, any = why, true
		}
	}
	var text string
	switch {
	case any:
		text = "The connection to the network was refused, so you are not in the rooms you keep there: " + why
	case refused && !l.toldRefused:
		text = "The network does not take your login any more: " + why
	}
	if refused {
		l.text = sentences(err.Text, l.howToLogIn())
	}
	switch {
	case text == "":
		return
	case refused:
		l.toldRefused = true
		text = sentences(text, l.howToLogIn())
	}
	l.tell(text)
}

// howToLogIn tells what begins a new login, which the user has to do.
func (l *link) howToLogIn() string {
	command := "relogin"
	if l.id != l.s.m.driver.Info().FixedNetwork {
		command += " " + string(l.id)
	}
	return "Write “" + command + "” to " + l.s.m.domain.String() + " to log in again; nothing that is set is lost."
}

// sentences puts one sentence behind another.
func sentences(a, b string) string {
	if a = strings.TrimSpace(a); a == "" {
		return b
	}
	if !strings.ContainsAny(a[len(a)-1:], ".!?") {
		a += "."
	}
	return a + " " + b
}

// tell sends the user a message from the network's address.
func (l *link) tell(text string) {
	l.s.showPrivate(keptMessage{from: l.jid, body: text, id: l.s.m.ids.next(), at: time.Now()}, false)
}

// whyOut says why the user is out of a room.
func whyOut(ev *bridges.Left) string {
	text := "You were taken out of it"
	switch ev.Kind {
	case bridges.Kicked:
		text = "You were kicked"
	case bridges.Banned:
		text = "You were banned"
	}
	if ev.Actor != "" {
		text += " by " + ev.Actor
	}
	if ev.Reason != "" {
		return text + ": " + ev.Reason
	}
	return text + "."
}
