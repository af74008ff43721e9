package irc

import (
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// modeChange is one change of a MODE line.
type modeChange struct {
	mode byte
	add  bool
	arg  string
	kind ircconn.ModeKind
}

// readModeChanges takes apart the changes of a MODE line by the classes of
// CHANMODES and PREFIX. A mode nobody has announced takes no argument.
func readModeChanges(s *ircconn.ISupport, changes string, args []string) []modeChange {
	var all []modeChange
	add := true
	for i := range len(changes) {
		c := modeChange{mode: changes[i], add: add}
		switch c.mode {
		case '+', '-':
			add = c.mode == '+'
			continue
		}
		c.kind = s.ModeKind(c.mode)
		takes := c.kind == ircconn.ModePrefix || c.kind == ircconn.ModeList || c.kind == ircconn.ModeAlways ||
			(c.kind == ircconn.ModeSet && add)
		if takes && len(args) > 0 {
			c.arg, args = args[0], args[1:]
		}
		all = append(all, c)
	}
	return all
}

func (c modeChange) String() string {
	sign := "-"
	if c.add {
		sign = "+"
	}
	s := sign + string(rune(c.mode))
	if c.arg != "" {
		s += " " + c.arg
	}
	return s
}

// onMode: ":actor MODE #chan +ov-b nick nick mask", or a user's own modes.
func (n *network) onMode(l *line) {
	if !n.support.IsChannel(l.Param(0)) && n.room(l.Param(0)) == nil {
		return // our own modes say nothing a user of ours needs
	}
	r := n.room(l.Param(0))
	if r == nil {
		return
	}
	actor := l.Nick()
	changes := readModeChanges(n.support, l.Param(1), l.Params[2:])
	touched := make([]string, 0, len(changes))
	var rest []string
	for _, c := range changes {
		if c.kind == ircconn.ModePrefix && c.arg != "" {
			if nick := n.fold(c.arg); n.setPrefix(r, nick, c) && !slices.Contains(touched, nick) {
				touched = append(touched, nick)
			}
			continue
		}
		n.setMode(r, c, actor)
		rest = append(rest, c.String())
	}
	for _, nick := range touched {
		if nick == n.fold(n.nick) {
			n.emitIn(r, &bridges.Updated{Room: r.id, Member: n.self(r), Self: true, Actor: actor})
		} else if m := r.roster.find(nick); m != nil {
			n.emitIn(r, &bridges.Updated{Room: r.id, Member: n.member(r, m), Actor: actor})
		}
	}
	if len(rest) > 0 {
		n.tellModes(r)
		n.emitIn(r, &bridges.ModeChanged{Room: r.id, Actor: actor, Text: plainText(strings.Join(rest, " "))})
	}
	if n.isSelf(actor) {
		n.sawChanges(r, changes)
	}
}

// setPrefix gives or takes a level, and tells whether that changed anything.
func (n *network) setPrefix(r *room, nick string, c modeChange) bool {
	i := slices.IndexFunc(n.levels, func(l level) bool { return l.mode == c.mode })
	if i < 0 {
		return false
	}
	prefix := &r.prefix
	if nick != n.fold(n.nick) {
		m := r.roster.find(nick)
		if m == nil {
			return false
		}
		prefix = &m.prefix
	}
	old := *prefix
	if c.add {
		*prefix |= 1 << i
	} else {
		*prefix &^= 1 << i
	}
	return *prefix != old
}

// setMode follows the settings that matter: who may speak, the key, the bans.
func (n *network) setMode(r *room, c modeChange, actor string) {
	r.modes.take(c)
	switch {
	case c.mode == 'm' && c.kind != ircconn.ModeList:
		n.setModerated(r, c.add, actor)
	case c.mode == 'k' && c.add && c.arg != "" && c.arg != "*":
		n.keepKey(r.id, c.arg)
	case c.mode == 'k' && !c.add:
		delete(n.keys, r.id)
	case c.mode == 'b' && c.add && c.arg != "":
		r.sawBan(c.arg)
	case c.mode == 'b' && c.kind == ircconn.ModeList:
		r.bans = slices.DeleteFunc(r.bans, func(ban string) bool { return n.support.CaseMapping.Equal(ban, c.arg) })
	}
}

// sawChanges ends the actions whose changes the network has now shown.
func (n *network) sawChanges(r *room, changes []modeChange) {
	for _, p := range slices.Clone(n.pending) {
		if p.act != actMode || p.room != r.id {
			continue
		}
		p.want = slices.DeleteFunc(p.want, func(w change) bool {
			return slices.ContainsFunc(changes, func(c modeChange) bool {
				return c.mode == w.mode && c.add == w.add && (w.arg == "" || n.fold(c.arg) == w.arg)
			})
		})
		if len(p.want) == 0 {
			n.done(p, "")
		}
	}
}

// maxKeys bounds the keys of channels remembered.
const maxKeys = 256

func (n *network) keepKey(id bridges.RoomID, key string) {
	if n.keys == nil {
		n.keys = make(map[bridges.RoomID]string)
	}
	if len(n.keys) < maxKeys || n.keys[id] != "" {
		n.keys[id] = strings.Clone(key)
	}
}

// onModeIs is 324, what a channel's modes are: "me #chan +nt".
func (n *network) onModeIs(l *line) {
	r := n.room(l.Param(1))
	if r == nil || n.find(actRaw, "", "") != nil {
		n.showNumeric(l)
	}
	if r == nil {
		return
	}
	moderated := false
	r.modes = modes{known: true}
	for _, c := range readModeChanges(n.support, l.Param(2), l.Params[3:]) {
		r.modes.take(c)
		moderated = moderated || (c.mode == 'm' && c.kind != ircconn.ModeList)
		if c.mode == 'k' {
			n.setMode(r, c, "")
		}
	}
	n.setModerated(r, moderated, "")
	n.tellModes(r)
}
