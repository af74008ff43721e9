package irc

import (
	"strconv"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// numericTable is the numerics that are more than text. The others are errors
// by the table in numerics.go, or shown in the console.
func numericTable() map[string]handler {
	table := map[string]handler{
		"001": {1, (*network).onWelcome},
		"005": {2, (*network).onSupport},
		"221": {0, (*network).ignoreUnlessRaw},
		"301": {3, (*network).onAwayReply},
		"305": {0, (*network).onUnaway},
		"306": {0, (*network).onNowAway},
		"303": {1, (*network).onIson},
		"315": {2, (*network).onEndOfWho},
		"324": {3, (*network).onModeIs},
		"329": {0, (*network).ignoreUnlessRaw},
		"331": {2, (*network).onNoTopic},
		"332": {3, (*network).onTopicIs},
		"333": {4, (*network).onTopicBy},
		"341": {3, (*network).onInviting},
		"353": {4, (*network).onNames},
		"354": {1, (*network).onWhox},
		"366": {2, (*network).onEndOfNames},
		"376": {0, (*network).onEndOfWelcome},
		"396": {2, (*network).onOwnHost},
		"422": {0, (*network).onEndOfWelcome},
		"470": {3, (*network).onForward},
		"600": {2, (*network).onWatched}, "604": {2, (*network).onWatched},
		"601": {2, (*network).onUnwatched}, "605": {2, (*network).onUnwatched},
		"730": {2, (*network).onMonitored},
		"731": {2, (*network).onUnmonitored},
		"900": {3, (*network).onLoggedIn},
		"901": {0, (*network).onLoggedOut},
	}
	for code := range queryNumerics {
		if _, taken := table[code]; !taken {
			table[code] = handler{1, (*network).onQueryReply}
		}
	}
	return table
}

func (n *network) onWelcome(l *line) {
	n.nick = strings.Clone(l.Param(0))
}

func (n *network) onSupport(*line) { n.takeSupport(n.conn.ISupport()) }

func (n *network) onEndOfWelcome(l *line) {
	if n.phase == phaseWelcome {
		n.welcomed()
		return
	}
	n.showNumeric(l)
}

// ignoreUnlessRaw leaves out what only a raw command can have asked for, and
// servers send by themselves too.
func (n *network) ignoreUnlessRaw(l *line) {
	if n.find(actRaw, "", "") != nil {
		n.showNumeric(l)
	}
}

// onAwayReply is 301, the answer to a line to somebody away, and part of WHOIS.
func (n *network) onAwayReply(l *line) {
	if n.queryReply(l) {
		return
	}
	nick := l.Param(1)
	user := bridges.UserID(n.fold(nick))
	n.emit(&bridges.Present{Member: bridges.Member{ID: user, Nick: nick, Away: true}, Online: true, Text: plainText(l.Last())})
}

func (n *network) onUnaway(*line)  { n.setSelfAway(false) }
func (n *network) onNowAway(*line) { n.setSelfAway(true) }

func (n *network) onTopicIs(l *line) {
	r := n.room(l.Param(1))
	if r == nil || r.entered {
		n.showNumeric(l)
		return
	}
	r.subject = &bridges.Subject{Text: plainText(strings.Clone(l.Last()))}
}

// onTopicBy is 333, "me #chan nick!user@host 1700000000".
func (n *network) onTopicBy(l *line) {
	r := n.room(l.Param(1))
	if r == nil || r.entered || r.subject == nil {
		return
	}
	by, _, _ := ircconn.SplitSource(l.Param(2))
	r.subject.By = strings.Clone(by)
	if sec, err := strconv.ParseInt(l.Param(3), 10, 64); err == nil && sec > 0 {
		r.subject.At = time.Unix(sec, 0).UTC()
	}
}

func (n *network) onNoTopic(l *line) {
	if r := n.room(l.Param(1)); r == nil || r.entered {
		n.showNumeric(l)
	}
}

// onNames is 353, "me = #chan :@nick +nick".
func (n *network) onNames(l *line) {
	r := n.room(l.Param(2))
	if r == nil || r.entered || r.asking {
		n.showNumeric(l)
		return
	}
	n.names(r, l.Param(3))
}

func (n *network) onEndOfNames(l *line) {
	if r := n.room(l.Param(1)); r != nil && !r.entered {
		n.named(r)
	}
}

// onWhox is 354, "me 152 #chan user host nick flags account".
func (n *network) onWhox(l *line) {
	if l.Param(1) != whoToken || len(l.Params) < 8 {
		n.showNumeric(l)
		return
	}
	r := n.room(l.Param(2))
	if r == nil {
		return // left meanwhile
	}
	nick, away, account := l.Param(5), strings.HasPrefix(l.Param(6), "G"), accountOf(l.Param(7))
	mask := l.Param(3) + "@" + l.Param(4)
	if n.isSelf(nick) {
		n.learnMask(mask)
		n.login, n.away = strings.Clone(account), away
		return
	}
	m := r.roster.find(n.fold(nick))
	if m == nil {
		return
	}
	changed := m.away != away
	m.away = away
	changed = editRecord(m, func(who *record) { who.mask, who.account = mask, account }) || changed
	if changed && r.entered {
		n.emit(&bridges.Updated{Room: r.id, Member: n.member(r, m)})
	}
}

// onEndOfWho is 315, "me #chan :End of WHO".
func (n *network) onEndOfWho(l *line) {
	r := n.room(l.Param(1))
	if r == nil || !r.asking {
		n.ignoreUnlessRaw(l)
		return
	}
	r.accounts = true
	n.accountsKnown(r)
}

// onOwnHost is 396: how others see our host, alone or as user@host.
func (n *network) onOwnHost(l *line) {
	host := l.Param(1)
	user, _, known := strings.Cut(n.mask, "@")
	switch {
	case strings.Contains(host, "@"):
		n.learnMask(host)
	case known:
		n.learnMask(user + "@" + host)
	}
	if n.phase == phaseOnline {
		n.selfEverywhere()
	}
}

// onForward is 470: "me #asked #other :reason", and the JOIN of the other follows.
func (n *network) onForward(l *line) {
	if p := n.pendingJoin(bridges.RoomID(n.fold(l.Param(1)))); p != nil {
		delete(n.keys, p.room)
		p.room = bridges.RoomID(n.fold(l.Param(2)))
		return
	}
	n.showNumeric(l)
}

// onInviting is 341, "me nick #chan" or the other way round.
func (n *network) onInviting(l *line) {
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		room, user := bridges.RoomID(n.fold(l.Param(order[1]))), n.fold(l.Param(order[0]))
		if p := n.find(actInvite, room, user); p != nil {
			n.done(p, "")
			return
		}
	}
	n.showNumeric(l)
}

// onLoggedIn is 900, "me nick!user@host account :text".
func (n *network) onLoggedIn(l *line) { n.loggedIn(l.Param(2)) }

func (n *network) onLoggedOut(*line) { n.loggedIn("") }

func (n *network) loggedIn(account string) {
	if n.login == account {
		return
	}
	n.login = strings.Clone(account)
	if n.phase == phaseOnline {
		n.selfEverywhere()
	}
	n.recovery.loggedIn(n)
}
