package irc

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// room is a channel the user is in, or is just entering: then it collects the
// member list and keeps what is said meanwhile, so that Entered comes first
// and whole.
type room struct {
	id        bridges.RoomID
	name      string // as the network writes it
	roster    roster
	prefix    uint16 // the user's own
	moderated bool
	accounts  bool // accounts of all members are known and followed
	entered   bool
	asking    bool // a WHO for the accounts is under way
	modesRead bool // 324 has been asked for
	ask       *pending
	modes     modes
	told      bridges.RoomInfo // of modes
	subject   *bridges.Subject
	bans      []string // the latest seen set, to tell a ban from a kick
	held      []bridges.Event
	joined    time.Time
}

// Bounds of what a room keeps beside its members.
const (
	maxHeld = 256 // lines said before the member list is complete
	maxBans = 16
)

// Bounds of what a server can have a link keep of itself. What users enter has a limit
// of the gateway's.
const (
	maxRooms = 1000    // that the user is in: beyond it no server puts them into more
	maxCrowd = 500_000 // people in all of them together
)

// counts keeps the people of all rooms bounded; added are new ones, maybe counted twice.
// A server that tells of more is not served any longer.
func (n *network) counts(added int) {
	if n.crowd += added; n.crowd <= n.maxCrowd {
		return
	}
	n.crowd = 0
	for _, r := range n.rooms {
		r.roster.settle()
		n.crowd += len(r.roster.list)
	}
	if n.crowd > n.maxCrowd && n.recovery.failure == nil {
		n.recovery.failure = &bridges.Error{Kind: bridges.TooLarge, Permanent: true, Text: "The server tells of more people than this gateway keeps."}
	}
}

// begin makes the room of our own JOIN.
func (n *network) begin(name string, at time.Time) *room {
	id := bridges.RoomID(n.fold(name))
	r := &room{id: id, name: strings.Clone(name), joined: at}
	r.ask = n.pendingJoin(id)
	n.rooms[id] = r
	return r
}

// names takes one line of a NAMES reply.
func (n *network) names(r *room, list string) {
	before := len(r.roster.list)
	defer func() { n.counts(len(r.roster.list) - before) }()
	for entry := range strings.SplitSeq(list, " ") {
		prefix, source := takePrefixes(n.levels, entry)
		nick, user, host := ircconn.SplitSource(source)
		if nick == "" {
			continue
		}
		mask := ""
		if host != "" {
			mask = user + "@" + host
		}
		if n.isSelf(nick) {
			r.prefix = prefix
			n.learnMask(mask)
			continue
		}
		m := n.newMember(nick, mask, "")
		m.prefix = prefix
		r.roster.addUnsorted(m)
	}
}

// named goes on when the member list is complete: to the accounts, where the
// network tells them and nothing waits to be sent, else to Entered.
func (n *network) named(r *room) {
	if r.entered || r.asking {
		return
	}
	r.roster.settle()
	if n.canAskAccounts(r) && n.conn.Pending() == 0 && n.askAccounts(r) == nil {
		return
	}
	n.enter(r)
}

// canAskAccounts tells whether a WHOX would make the room's accounts known and
// later changes of them would be told.
func (n *network) canAskAccounts(r *room) bool {
	_, whox := n.support.Raw("WHOX")
	_, notify := n.conn.Cap("account-notify")
	_, join := n.conn.Cap("extended-join")
	return whox && notify && join && !r.accounts && len(r.roster.list) <= n.route.link.WhoLimit
}

// whoToken marks the answers to our own WHO.
const whoToken = "152"

func (n *network) askAccounts(r *room) error {
	_, err := n.begins(&pending{act: actWho, room: r.id}, "WHO", r.name, "%tcuhnfa,"+whoToken)
	r.asking = err == nil
	return err
}

// accountsKnown ends the WHO of a room.
func (n *network) accountsKnown(r *room) {
	if !r.asking {
		return
	}
	r.asking = false
	n.forget(func(p *pending) bool { return p.act == actWho && p.room == r.id })
	n.enter(r)
}

// enter tells the session that the user is in.
func (n *network) enter(r *room) {
	if r.entered {
		return
	}
	r.entered, r.asking = true, false
	r.roster.clip()
	ev := &bridges.Entered{Room: r.id, Name: r.name, Self: n.self(r), Members: n.members(r), Subject: r.subject}
	if r.ask != nil {
		ev.Ref, ev.Asked = r.ask.ref, r.ask.name
		n.drop(r.ask)
		r.ask = nil
	}
	n.emit(ev)
	n.out = append(n.out, r.held...)
	r.held = nil
	n.readModes()
}

// emitIn emits an event of a room. Before Entered, lines are kept and changes
// of members are left out: Entered tells the state they lead to.
func (n *network) emitIn(r *room, ev bridges.Event) {
	if r.entered {
		n.emit(ev)
		return
	}
	if _, isLine := ev.(*bridges.Message); isLine {
		if len(r.held) == maxHeld { // a member list that does not end
			n.enter(r)
			n.emit(ev)
			return
		}
		r.held = append(r.held, ev)
	}
}

// readModes asks for the modes of the rooms entered, once no join is waiting
// for its turn: they tell who may speak, which is needed later than the rest.
func (n *network) readModes() {
	if n.conn == nil || slices.ContainsFunc(n.pending, func(p *pending) bool { return p.act == actJoin }) {
		return
	}
	for _, r := range n.rooms {
		if r.entered && !r.modesRead {
			r.modesRead = true
			if r.name[0] != modeless {
				n.send("MODE", r.name)
			}
		}
	}
}

// modeless begins the names of channels that have no modes (RFC 2811 section
// 2.1). Asked for them, servers answer with 477, which refuses lines and joins
// too.
const modeless = '+'

// leave takes a room out of the state and tells it. cause is filled in but for
// the room and the member.
func (n *network) leave(r *room, cause bridges.Left) {
	delete(n.rooms, r.id)
	n.forget(func(p *pending) bool { return p.act == actWho && p.room == r.id })
	if !r.entered {
		if r.ask != nil {
			n.fail(r.ask, bridges.NewError(bridges.Forbidden, or(cause.Reason, "The network has put you out of the channel at once.")))
		}
		if p := n.find(actLeave, r.id, ""); p != nil {
			cause.Ref = p.ref
			n.drop(p)
		}
		if cause.Ref == 0 {
			return
		}
	} else if p := n.find(actLeave, r.id, ""); p != nil {
		cause.Ref = p.ref
		n.drop(p)
	}
	cause.Room, cause.Member, cause.Self = r.id, n.self(r), true
	n.emit(&cause)
}

// newMember makes a presence of a person.
func (n *network) newMember(nick, mask, account string) member {
	n.serial++
	return member{who: intern(record{nick: nick, folded: n.fold(nick), mask: mask, account: account}), serial: n.serial}
}

// setModerated changes who may speak, and tells of everyone whose role that
// changes.
func (n *network) setModerated(r *room, on bool, actor string) {
	if r.moderated == on {
		return
	}
	r.moderated = on
	if !r.entered {
		return
	}
	if r.prefix == 0 {
		n.emit(&bridges.Updated{Room: r.id, Member: n.self(r), Self: true, Actor: actor})
	}
	r.roster.settle()
	for i := range r.roster.list {
		if m := &r.roster.list[i]; m.prefix == 0 {
			n.emit(&bridges.Updated{Room: r.id, Member: n.member(r, m), Actor: actor})
		}
	}
}

// relevel moves prefix bits to where a new PREFIX has the same modes.
func (r *room) relevel(from, to []level) {
	if slices.Equal(from, to) {
		return
	}
	move := func(old uint16) (prefix uint16) {
		for i, l := range from {
			if old&(1<<i) == 0 {
				continue
			}
			if j := slices.IndexFunc(to, func(t level) bool { return t.mode == l.mode }); j >= 0 {
				prefix |= 1 << j
			}
		}
		return prefix
	}
	r.prefix = move(r.prefix)
	for i := range r.roster.list {
		r.roster.list[i].prefix = move(r.roster.list[i].prefix)
	}
}

// onRename: ":nick RENAME #old #new :reason" (draft/channel-rename).
func (n *network) onRename(l *line) {
	r := n.room(l.Param(0))
	name := l.Param(1)
	if r == nil || !tellable(name) {
		return
	}
	if other := n.room(name); other != nil && other != r {
		n.leave(other, bridges.Left{Kind: bridges.Parted, Actor: l.Nick()}) // two cannot have one name
	}
	delete(n.rooms, r.id)
	if r.entered {
		reason := "The channel is now " + name + "."
		if text := plainText(l.Param(2)); text != "" {
			reason += " " + text
		}
		n.emit(&bridges.Left{Room: r.id, Member: n.self(r), Self: true, Actor: l.Nick(), Reason: reason})
	}
	r.name = strings.Clone(name)
	r.id = bridges.RoomID(n.fold(name))
	n.rooms[r.id] = r
	for _, p := range n.pending { // what was under way goes on there
		if p.room == bridges.RoomID(n.fold(l.Param(0))) {
			p.room = r.id
		}
	}
	if r.entered {
		r.entered = false
		n.enter(r)
	}
}

// refold sorts everything anew after a change of CASEMAPPING. Identifiers may
// have changed, so every room is left under the old one where it had another,
// and entered again.
func (n *network) refold() {
	rooms := n.rooms
	n.rooms = make(map[bridges.RoomID]*room, len(rooms))
	for old, r := range rooms {
		r.id = bridges.RoomID(n.fold(r.name))
		r.roster.refold(n.support.CaseMapping)
		if n.rooms[r.id] != nil { // two that were different are one
			if r.entered && old != r.id {
				n.emit(&bridges.Left{Room: old, Member: n.self(r), Self: true})
			}
			continue
		}
		n.rooms[r.id] = r
		if !r.entered {
			continue
		}
		if old != r.id {
			n.emit(&bridges.Left{Room: old, Member: n.self(r), Self: true})
		}
		n.emit(&bridges.Entered{Room: r.id, Name: r.name, Self: n.self(r), Members: n.members(r), Subject: r.subject})
	}
}

// sawBan remembers a ban, to tell a kick that follows it.
func (r *room) sawBan(mask string) {
	if len(r.bans) == maxBans {
		r.bans = r.bans[:copy(r.bans, r.bans[1:])]
	}
	r.bans = append(r.bans, strings.Clone(mask))
}

func (r *room) banned(m ircconn.CaseMapping, nick, mask string) bool {
	full := m.Fold(nick + "!" + or(mask, "@"))
	return slices.ContainsFunc(r.bans, func(ban string) bool { return matches(m.Fold(ban), full) })
}

// matches tells whether a mask with * and ? fits a name; both are folded.
func matches(mask, name string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(mask) && mask[i] == '*':
			star, mark = i, j
			i++
		case i < len(mask) && (mask[i] == '?' || mask[i] == name[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(mask) && mask[i] == '*' {
		i++
	}
	return i == len(mask)
}
