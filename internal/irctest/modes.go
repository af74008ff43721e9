package irctest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// modeChange is one letter of a MODE command.
type modeChange struct {
	set   bool
	mode  byte
	param string
}

// modeKind returns 1 to 4 for CHANMODES A to D, 5 for PREFIX, 0 for unknown.
func (s *Server) modeKind(mode byte) int {
	if modes, _ := s.prefix(); strings.IndexByte(modes, mode) >= 0 {
		return 5
	}
	for i, set := range strings.Split(s.token("CHANMODES"), ",") {
		if strings.IndexByte(set, mode) >= 0 {
			return i + 1
		}
	}
	return 0
}

// changeModes is MODE on a channel. by is nil for the server itself.
func (s *Server) changeModes(by *Client, ch *channel, spec string, params []string) {
	set := true
	var done []modeChange
	for i := range len(spec) {
		switch mode := spec[i]; mode {
		case '+', '-':
			set = mode == '+'
		default:
			var param string
			kind := s.modeKind(mode)
			if takes := kind == 1 || kind == 2 || kind == 5 || kind == 3 && set; takes && len(params) > 0 {
				param, params = params[0], params[1:]
			}
			if change, ok := s.changeMode(by, ch, modeChange{set, mode, param}, kind); ok {
				done = append(done, change)
			}
		}
	}
	if len(done) > 0 {
		s.showModes(by, ch, done)
	}
}

// changeMode applies one change; it returns what is shown.
func (s *Server) changeMode(by *Client, ch *channel, change modeChange, kind int) (modeChange, bool) {
	complain := func(code string, params ...string) {
		if by != nil {
			by.numeric(code, params...)
		}
	}
	op := by == nil || by.oper || s.isOp(ch.find(by))
	switch {
	case kind == 0:
		complain("472", string(change.mode), "is an unknown mode char to me")
		return change, false
	case kind == 1 && change.param == "":
		s.sendList(by, ch, change.mode)
		return change, false
	case !op:
		complain("482", ch.name, "You're not a channel operator")
		return change, false
	case kind == 1:
		ok := s.changeList(by, ch, &change)
		return change, ok
	case kind == 5:
		return s.changeRank(ch, change, complain)
	case kind != 4 && change.set && change.param == "":
		complain("461", "MODE", "Not enough parameters")
		return change, false
	case change.set:
		ch.modes[change.mode] = change.param
	default:
		if _, on := ch.modes[change.mode]; !on {
			return change, false
		}
		delete(ch.modes, change.mode)
	}
	return change, true
}

// changeRank gives or takes a prefix mode.
func (s *Server) changeRank(ch *channel, change modeChange, complain func(string, ...string)) (modeChange, bool) {
	target := s.nicks[s.fold(change.param)]
	if target == nil {
		complain("401", change.param, "No such nick")
		return change, false
	}
	m := ch.find(target)
	if m == nil {
		complain("441", target.nick, ch.name, "They aren't on that channel")
		return change, false
	}
	if strings.IndexByte(m.modes, change.mode) >= 0 == change.set {
		return change, false
	}
	if change.set {
		m.modes += string(change.mode)
	} else {
		m.modes = strings.ReplaceAll(m.modes, string(change.mode), "")
	}
	change.param = target.nick
	return change, true
}

func (s *Server) changeList(by *Client, ch *channel, change *modeChange) bool {
	list := ch.lists[change.mode]
	if change.mode == 'b' && !strings.ContainsAny(change.param, "!@") {
		change.param += "!*@*"
	}
	i := slices.IndexFunc(list, func(e listEntry) bool { return e.mask == change.param })
	switch {
	case change.set && i < 0:
		ch.lists[change.mode] = append(list, listEntry{change.param, s.source(by), time.Now()})
		return true
	case !change.set && i >= 0:
		ch.lists[change.mode] = slices.Delete(list, i, i+1)
		return true
	}
	return false
}

// listNumerics are entry and end of the lists.
var listNumerics = map[byte][2]string{'b': {"367", "368"}, 'e': {"348", "349"}, 'I': {"346", "347"}, 'q': {"728", "729"}}

func (s *Server) sendList(to *Client, ch *channel, mode byte) {
	if to == nil {
		return
	}
	codes, ok := listNumerics[mode]
	if !ok {
		return
	}
	for _, e := range ch.lists[mode] {
		to.numeric(codes[0], ch.name, e.mask, e.by, strconv.FormatInt(e.at.Unix(), 10))
	}
	to.numeric(codes[1], ch.name, "End of channel list")
}

// showModes tells the members what was changed.
func (s *Server) showModes(by *Client, ch *channel, done []modeChange) {
	var spec strings.Builder
	var params []string
	sign := byte(0)
	for _, d := range done {
		want := byte('-')
		if d.set {
			want = '+'
		}
		if want != sign {
			spec.WriteByte(want)
			sign = want
		}
		spec.WriteByte(d.mode)
		if d.param != "" {
			params = append(params, d.param)
		}
	}
	for _, m := range ch.members {
		m.c.tell(by, "MODE", append([]string{ch.name, spec.String()}, params...)...)
	}
}

// modeString is 324.
func (ch *channel) modeString() (spec string, params []string) {
	var letters []byte
	for mode := range ch.modes {
		letters = append(letters, mode)
	}
	slices.Sort(letters)
	for _, mode := range letters {
		if p := ch.modes[mode]; p != "" {
			params = append(params, p)
		}
	}
	return "+" + string(letters), params
}

// match compares a mask with wildcards.
func match(mask, s string) bool {
	switch {
	case mask == "":
		return s == ""
	case mask[0] == '*':
		return match(mask[1:], s) || s != "" && match(mask, s[1:])
	case s == "":
		return false
	}
	return (mask[0] == '?' || mask[0] == s[0]) && match(mask[1:], s[1:])
}

// listed tells whether a client's mask is in a list.
func (s *Server) listed(c *Client, ch *channel, mode byte) bool {
	return slices.ContainsFunc(ch.lists[mode], func(e listEntry) bool {
		return match(s.fold(e.mask), s.fold(c.mask())) || e.mask == fmt.Sprintf("$a:%s", c.account)
	})
}
