package irc

import (
	"strconv"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// RoomID folds a channel's name.
func (n *network) RoomID(name string) bridges.RoomID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return bridges.RoomID(n.fold(name))
}

// UserID folds a nick.
func (n *network) UserID(name string) bridges.UserID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return bridges.UserID(n.fold(name))
}

// Self is the user's own identity.
func (n *network) Self() bridges.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self(nil)
}

// self is the user as a member of r, or of no room. mu is held.
func (n *network) self(r *room) bridges.Member {
	if n.nick == "" || (r == nil && n.phase < phaseOnline && n.conn != nil) {
		return bridges.Member{}
	}
	m := bridges.Member{
		ID: bridges.UserID(n.fold(n.nick)), Nick: n.nick, Mask: n.mask, Account: n.login,
		Identity: n.identity(n.login, 0), Away: n.away,
	}
	if r != nil {
		m.Role, m.Affiliation = standingOf(n.levels, r.prefix, r.moderated)
	}
	return m
}

// identity is the stable name of a presence.
func (n *network) identity(account string, serial uint32) string {
	if account != "" {
		return "account " + account
	}
	var b [32]byte
	return string(strconv.AppendUint(append(b[:0], n.runID...), uint64(serial), 36))
}

// member is somebody's presence in a room. mu is held.
func (n *network) member(r *room, m *member) bridges.Member {
	who := m.who.Value()
	out := bridges.Member{
		ID: bridges.UserID(who.folded), Nick: who.nick, Mask: who.mask, Account: who.account,
		Identity: n.identity(who.account, m.serial), Away: m.away,
	}
	out.Role, out.Affiliation = standingOf(n.levels, m.prefix, r.moderated)
	return out
}

// Members is a room's membership.
func (n *network) Members(id bridges.RoomID) (self bridges.Member, others []bridges.Member, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id]
	if r == nil || !r.entered {
		return bridges.Member{}, nil, false
	}
	return n.self(r), n.members(r), true
}

func (n *network) members(r *room) []bridges.Member {
	r.roster.settle()
	others := make([]bridges.Member, len(r.roster.list))
	for i := range r.roster.list {
		others[i] = n.member(r, &r.roster.list[i])
	}
	return others
}

// Member is one member of a room, or the user.
func (n *network) Member(id bridges.RoomID, user bridges.UserID) (bridges.Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id]
	if r == nil || !r.entered {
		return bridges.Member{}, false
	}
	if string(user) == n.fold(n.nick) {
		return n.self(r), true
	}
	if m := r.roster.find(string(user)); m != nil {
		return n.member(r, m), true
	}
	return bridges.Member{}, false
}

// Capabilities tells what can be done at a place.
func (n *network) Capabilities(p bridges.Place) bridges.Caps {
	n.mu.Lock()
	defer n.mu.Unlock()
	target := string(p.User)
	c := bridges.Caps{}
	if p.Room != "" {
		target = string(p.Room)
		c.Subject, c.Moderate, c.Shared = true, true, n.shared()
		r := n.rooms[p.Room]
		c.Accounts = r != nil && r.accounts
	}
	c.MaxLine = n.textLimit("PRIVMSG", target)
	return c
}

// shared tells whether the user is connected to just what the operator listed: on
// another port, or with a password of the user's, there may be a bouncer.
func (n *network) shared() bool {
	return n.route.listed && len(n.set.ports) == 0 && n.set.serverPass == n.route.link.password
}

// takeSupport follows what the server says of itself. mu is held.
func (n *network) takeSupport(s *ircconn.ISupport) {
	if s == n.support {
		return
	}
	old, levels := n.support, n.levels
	n.support, n.levels = s, levelsOf(s.Prefix)
	if s.CaseMapping != old.CaseMapping {
		n.refold()
	}
	for _, r := range n.rooms {
		r.relevel(levels, n.levels)
	}
}
