package irc

import (
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// onJoin: ":nick!user@host JOIN #chan", with extended-join "account :realname".
func (n *network) onJoin(l *line) {
	nick, _, _ := ircconn.SplitSource(l.Source)
	account := ""
	if len(l.Params) > 2 {
		account = accountOf(l.Param(1))
	}
	for name := range strings.SplitSeq(l.Param(0), ",") {
		if n.isSelf(nick) {
			n.learnMask(maskOf(l.Source))
			if account != "" {
				n.login = strings.Clone(account)
			}
			n.entering(name, l.time())
			continue
		}
		r := n.room(name)
		if r == nil {
			continue
		}
		m := n.newMember(nick, maskOf(l.Source), account)
		n.counts(1)
		if !r.entered {
			r.roster.addUnsorted(m)
			continue
		}
		r.roster.add(m)
		n.emit(&bridges.Joined{Room: r.id, Member: n.member(r, r.roster.find(m.folded()))})
	}
}

// entering: we have joined. What follows is topic and member list.
func (n *network) entering(name string, at time.Time) {
	if r := n.room(name); r != nil && r.entered {
		return // a server that repeats it
	}
	if !tellable(name) {
		return // a server that makes names up
	}
	if len(n.rooms) >= maxRooms && n.pendingJoin(bridges.RoomID(n.fold(name))) == nil {
		n.send("PART", name)
		return
	}
	if at.IsZero() {
		at = time.Now().Add(-clockDoubt)
	}
	r := n.begin(name, at)
	if r.ask == nil {
		// The network has put us in. The answer's fence ends the list if nothing else does.
		r.modesRead = true
		_, _ = n.begins(&pending{act: actEnter, room: r.id}, "MODE", r.name)
	}
}

// clockDoubt is how far the clock of a server may be behind ours before one of
// its lines is taken for an old one.
const clockDoubt = 30 * time.Second

// accountOf reads an account as JOIN, ACCOUNT and WHOX write it.
func accountOf(s string) string {
	if s == "*" || s == "0" {
		return ""
	}
	return s
}

// onPart: ":nick PART #chan :reason". A server may part us by itself.
func (n *network) onPart(l *line) {
	nick := l.Nick()
	reason := plainText(l.Param(1))
	for name := range strings.SplitSeq(l.Param(0), ",") {
		r := n.room(name)
		switch {
		case r == nil:
		case n.isSelf(nick):
			n.leave(r, bridges.Left{Kind: bridges.Parted, Reason: reason})
		default:
			n.gone(r, nick, bridges.Left{Kind: bridges.Parted, Reason: reason})
		}
	}
}

// gone takes a member out of a room and tells it.
func (n *network) gone(r *room, nick string, cause bridges.Left) {
	m, ok := r.roster.remove(n.fold(nick))
	if !ok {
		return
	}
	cause.Room, cause.Member = r.id, n.member(r, &m)
	n.emitIn(r, &cause)
}

// onKick: ":actor KICK #chan nick :reason", the reason may be missing.
func (n *network) onKick(l *line) {
	r := n.room(l.Param(0))
	if r == nil {
		return
	}
	actor := l.Nick()
	for nick := range strings.SplitSeq(l.Param(1), ",") {
		cause := bridges.Left{Kind: bridges.Kicked, Actor: actor, Reason: plainText(l.Param(2))}
		if n.isSelf(nick) {
			if r.banned(n.support.CaseMapping, n.nick, n.mask) {
				cause.Kind = bridges.Banned
			}
			n.leave(r, cause)
			return
		}
		if m := r.roster.find(n.fold(nick)); m != nil && r.banned(n.support.CaseMapping, nick, m.who.Value().mask) {
			cause.Kind = bridges.Banned
		}
		n.gone(r, nick, cause)
		if p := n.find(actKick, r.id, n.fold(nick)); p != nil && n.isSelf(actor) {
			n.done(p, "")
		}
	}
}

// onQuit: ":nick QUIT :reason", from every room at once.
func (n *network) onQuit(l *line) {
	nick := l.Nick()
	if n.isSelf(nick) {
		return // the end of the connection follows
	}
	reason := plainText(l.Param(0))
	for _, r := range n.rooms {
		n.gone(r, nick, bridges.Left{Kind: bridges.Quit, Reason: reason})
	}
	if user := bridges.UserID(n.fold(nick)); n.hasWritten(user) {
		n.emit(&bridges.Present{Member: bridges.Member{ID: user, Nick: nick, Mask: maskOf(l.Source)}, Text: reason})
	}
	n.recovery.freed(n, nick)
}

// onNick: ":old NICK new", in every room at once.
func (n *network) onNick(l *line) {
	old, now := l.Nick(), l.Param(0)
	if now == "" {
		return
	}
	if n.isSelf(old) || n.isAnswer(l, now) {
		n.renamed(now)
		return
	}
	oldID := bridges.UserID(n.fold(old))
	person := bridges.Member{ID: bridges.UserID(n.fold(now)), Nick: now, Mask: maskOf(l.Source)}
	for _, r := range n.rooms {
		m, ok := r.roster.remove(string(oldID))
		if !ok {
			continue
		}
		who := m.who.Value()
		who.nick, who.folded = now, n.fold(now)
		m.who = intern(who)
		r.roster.remove(who.folded) // whoever had the nick is not there any more
		r.roster.add(m)
		person = n.member(r, &m)
		n.emitIn(r, &bridges.Renamed{Room: r.id, OldID: oldID, OldNick: old, Member: person})
	}
	person.Role, person.Affiliation = 0, 0
	n.emit(&bridges.Renamed{OldID: oldID, OldNick: old, Member: person})
	n.recovery.freed(n, old)
}

// isAnswer tells whether a NICK is the answer to ours although its source is
// not: InspIRCd writes the new nick there when the line has a label.
func (n *network) isAnswer(l *line, now string) bool {
	p := l.label.action
	return p != nil && p.act == actNick && n.support.CaseMapping.Equal(l.Nick(), now) && n.isNick(p.name, now)
}

// renamed: we have another nick, by our wish or the network's.
func (n *network) renamed(now string) {
	old := n.nick
	oldID := bridges.UserID(n.fold(old))
	n.nick = strings.Clone(now)
	ev := &bridges.Renamed{OldID: oldID, OldNick: old, Self: true}
	for _, p := range n.pending {
		if p.act == actNick && n.isNick(p.name, now) {
			ev.Ref = p.ref
			if p.ref != 0 {
				n.wanted = n.nick
			}
			n.drop(p)
			break
		}
	}
	if n.phase < phaseOnline {
		n.recovery.renamed(n)
		return // nobody has seen the old one
	}
	for _, r := range n.rooms {
		n.emitIn(r, &bridges.Renamed{Room: r.id, OldID: oldID, OldNick: old, Member: n.self(r), Self: true})
	}
	ev.Member = n.self(nil)
	n.emit(ev)
	n.recovery.renamed(n)
}

// everywhere changes a person's presences, and tells of each that changed.
func (n *network) everywhere(nick string, edit func(*member) bool) {
	folded := n.fold(nick)
	for _, r := range n.rooms {
		if m := r.roster.find(folded); m != nil && edit(m) {
			n.emitIn(r, &bridges.Updated{Room: r.id, Member: n.member(r, m)})
		}
	}
}

// selfEverywhere tells of a change of our own.
func (n *network) selfEverywhere() {
	for _, r := range n.rooms {
		n.emitIn(r, &bridges.Updated{Room: r.id, Member: n.self(r), Self: true})
	}
}

// editRecord changes what is known of a person.
func editRecord(m *member, edit func(*record)) bool {
	was := m.who.Value()
	is := was
	edit(&is)
	if is == was {
		return false
	}
	m.who = intern(is)
	return true
}

// onAway: ":nick AWAY :text", without text the person is back.
func (n *network) onAway(l *line) {
	nick, away := l.Nick(), l.Param(0) != ""
	if n.isSelf(nick) {
		n.setSelfAway(away)
		return
	}
	n.everywhere(nick, func(m *member) bool {
		changed := m.away != away
		m.away = away
		return changed
	})
	if user := bridges.UserID(n.fold(nick)); n.hasWritten(user) {
		person := bridges.Member{ID: user, Nick: nick, Mask: maskOf(l.Source), Away: away}
		n.emit(&bridges.Present{Member: person, Online: true, Text: plainText(l.Param(0))})
	}
}

func (n *network) setSelfAway(away bool) {
	if n.away != away {
		n.away = away
		n.selfEverywhere()
	}
}

// onChghost: ":nick!user@host CHGHOST newuser newhost".
func (n *network) onChghost(l *line) {
	mask := l.Param(0) + "@" + l.Param(1)
	if n.isSelf(l.Nick()) {
		n.learnMask(mask)
		n.selfEverywhere()
		return
	}
	n.everywhere(l.Nick(), func(m *member) bool {
		return editRecord(m, func(who *record) { who.mask = mask })
	})
}

// onAccount: ":nick ACCOUNT account", "*" after a logout.
func (n *network) onAccount(l *line) {
	account := accountOf(l.Param(0))
	if n.isSelf(l.Nick()) {
		n.loggedIn(account)
		return
	}
	n.everywhere(l.Nick(), func(m *member) bool {
		return editRecord(m, func(who *record) { who.account = account })
	})
}

// onInvite: ":nick INVITE whom #chan"; with invite-notify also for others.
func (n *network) onInvite(l *line) {
	whom, name := l.Param(0), l.Param(1)
	if n.isSelf(l.Nick()) {
		return // our own, told through 341
	}
	if !n.isSelf(whom) || !tellable(name) {
		n.notice(l.Nick(), "has invited "+whom+" to "+name)
		return
	}
	n.emit(&bridges.Invited{Name: name, By: n.person(l, nil)})
}

// person is who a line comes from, as known in r or at large.
func (n *network) person(l *line, r *room) bridges.Member {
	nick, _, _ := ircconn.SplitSource(l.Source)
	folded := n.fold(nick)
	if r != nil {
		if m := r.roster.find(folded); m != nil {
			if m.who.Value().mask == "" { // NAMES did not tell
				mask := maskOf(l.Source)
				editRecord(m, func(who *record) { who.mask = mask })
			}
			out := n.member(r, m)
			out.Role, out.Affiliation = 0, 0
			return out
		}
	}
	out := bridges.Member{ID: bridges.UserID(folded), Nick: nick, Mask: maskOf(l.Source)}
	if l.Tags != "" {
		out.Account = accountOf(l.Tags.Value("account"))
	}
	if out.Account != "" {
		out.Identity = n.identity(out.Account, 0)
	}
	return out
}

func (n *network) hasWritten(user bridges.UserID) bool {
	for _, w := range n.wrote {
		if w == user {
			return true
		}
	}
	return false
}

// onTopic: ":nick TOPIC #chan :text".
func (n *network) onTopic(l *line) {
	r := n.room(l.Param(0))
	if r == nil {
		return
	}
	at, by := l.time(), n.speaker(l, r, n.isSelf(l.Nick()))
	if l.playback {
		if !at.IsZero() {
			n.emitIn(r, &bridges.Message{Place: bridges.Place{Room: r.id}, From: by, Self: n.isSelf(l.Nick()),
				Kind: bridges.NewSubject, Body: plainText(l.Param(1)), At: at, Replay: true})
		}
		return
	}
	if at.IsZero() {
		at = time.Now()
	}
	r.subject = &bridges.Subject{Text: plainText(l.Param(1)), By: l.Nick(), At: at, Identity: by.Identity}
	ev := &bridges.SubjectChanged{Room: r.id, Subject: *r.subject}
	if n.isSelf(l.Nick()) {
		if p := n.find(actTopic, r.id, ""); p != nil {
			ev.Ref = p.ref
			n.drop(p)
		}
	}
	if r.subject.Text == "" {
		r.subject = nil
	}
	n.emitIn(r, ev)
}
