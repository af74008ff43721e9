package irctest

import (
	"slices"
	"strings"
	"time"
)

// cmdMessage is PRIVMSG, NOTICE and TAGMSG.
func (s *Server) cmdMessage(c *Client, m Msg) {
	var tags []string
	for name, value := range m.ClientOnlyTags() {
		tags = append(tags, name+"="+value)
	}
	slices.Sort(tags)
	if m.Command == "TAGMSG" && !c.caps["message-tags"] {
		c.numeric("421", m.Command, "Unknown command")
		return
	}
	for target := range strings.SplitSeq(m.Param(0), ",") {
		s.message(c, m, target, strings.Join(tags, ";"))
	}
}

func (s *Server) message(c *Client, m Msg, target, tags string) {
	_, symbols := s.prefix()
	name := target
	if !s.isChannel(target) { // part of one, or a nick
		name = strings.TrimLeft(target, symbols)
	}
	l := outLine{from: c, id: s.newID(), at: time.Now(), clientTags: tags}
	var to []*Client
	switch user := s.nicks[s.fold(target)]; {
	case s.isChannel(name):
		ch := s.channels[s.fold(name)]
		if ch == nil {
			c.complain(m, "403", target, "No such channel")
			return
		}
		if text := s.maySpeak(c, ch); text != "" {
			c.complain(m, "404", ch.name, text)
			return
		}
		floor := len(symbols)
		if name != target {
			floor = strings.IndexByte(symbols, target[0])
		}
		for _, mb := range ch.members {
			if mb.c != c && (name == target || s.rank(mb) <= floor) {
				to = append(to, mb.c)
			}
		}
		target = target[:len(target)-len(name)] + ch.name
	case s.service(c, target, m):
	case user == nil || !user.registered:
		c.complain(m, "401", target, "No such nick/channel")
		return
	default:
		target = user.nick
		to = append(to, user)
		if user.away != "" && m.Command == "PRIVMSG" {
			c.numeric("301", user.nick, user.away)
		}
	}
	l.text = ":" + c.mask() + " " + m.Command + " " + target
	if m.Command != "TAGMSG" {
		l.text += " :" + m.Params[len(m.Params)-1]
	}
	if c.caps["echo-message"] {
		c.send(l)
	}
	for _, r := range to {
		if (r != c || s.nicks[s.fold(target)] == c) && (m.Command != "TAGMSG" || r.caps["message-tags"]) {
			r.send(l)
		}
	}
}

// complain answers a message that was refused; NOTICE and TAGMSG get none.
func (c *Client) complain(m Msg, code string, params ...string) {
	if m.Command == "PRIVMSG" || c.label != "" {
		c.numeric(code, params...)
	}
}

// maySpeak returns why a client may not speak in a channel.
func (s *Server) maySpeak(c *Client, ch *channel) string {
	m := ch.find(c)
	_, noExternal := ch.modes['n']
	_, moderated := ch.modes['m']
	modes, _ := s.prefix()
	ranked := m != nil && s.rank(m) < len(modes)
	switch {
	case m == nil && noExternal:
		return "Cannot send to channel (no external messages)"
	case moderated && !ranked:
		return "Cannot send to channel (+m)"
	case !ranked && s.listed(c, ch, 'b'):
		return "Cannot send to channel (you're banned)"
	}
	return ""
}
