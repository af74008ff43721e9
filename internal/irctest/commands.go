package irctest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// command is one entry of the table: how many parameters it must have and
// whether it is for registered users only.
type command struct {
	min   int
	early bool
	run   func(s *Server, c *Client, m Msg)
}

var commands map[string]command

func init() { // a table in a variable would refer to itself
	commands = map[string]command{
		"CAP":          {1, true, (*Server).cmdCap},
		"PASS":         {1, true, (*Server).cmdPass},
		"NICK":         {0, true, (*Server).cmdNick},
		"USER":         {4, true, (*Server).cmdUser},
		"AUTHENTICATE": {1, true, (*Server).cmdAuthenticate},
		"QUIT":         {0, true, func(_ *Server, c *Client, m Msg) { c.kill("Quit: " + m.Param(0)) }},
		"PING":         {1, true, func(s *Server, c *Client, m Msg) { c.tell(nil, "PONG", s.cfg.Name, m.Param(0)) }},
		"PONG":         {0, true, func(*Server, *Client, Msg) {}},
		"JOIN":         {1, false, (*Server).cmdJoin},
		"PART":         {1, false, (*Server).cmdPart},
		"PRIVMSG":      {2, false, (*Server).cmdMessage},
		"NOTICE":       {2, false, (*Server).cmdMessage},
		"TAGMSG":       {1, false, (*Server).cmdMessage},
		"MODE":         {1, false, (*Server).cmdMode},
		"KICK":         {2, false, (*Server).cmdKick},
		"TOPIC":        {1, false, (*Server).cmdTopic},
		"NAMES":        {1, false, (*Server).cmdNames},
		"INVITE":       {2, false, (*Server).cmdInvite},
		"AWAY":         {0, false, (*Server).cmdAway},
		"SETNAME":      {1, false, (*Server).cmdSetName},
		"WHO":          {1, false, (*Server).cmdWho},
		"WHOIS":        {1, false, (*Server).cmdWhois},
		"WHOWAS": {1, false, func(_ *Server, c *Client, m Msg) {
			c.numeric("406", m.Param(0), "There was no such nickname")
			c.numeric("369", m.Param(0), "End of WHOWAS")
		}},
		"LIST":     {0, false, (*Server).cmdList},
		"ISON":     {1, false, (*Server).cmdIson},
		"USERHOST": {1, false, (*Server).cmdUserhost},
		"MOTD":     {0, false, func(s *Server, c *Client, _ Msg) { s.motd(c) }},
		"VERSION":  {0, false, func(s *Server, c *Client, _ Msg) { c.numeric("351", "irctest-1", s.cfg.Name, "scripted") }},
		"TIME":     {0, false, func(s *Server, c *Client, _ Msg) { c.numeric("391", s.cfg.Name, time.Now().UTC().Format(time.RFC1123)) }},
		"LUSERS":   {0, false, func(s *Server, c *Client, _ Msg) { s.lusers(c) }},
	}
}

// dispatch runs one command.
func (s *Server) dispatch(c *Client, m Msg) {
	if c.caps["labeled-response"] {
		_, c.label = m.GetTag("label")
	}
	defer c.flushLabel()
	cmd, known := commands[m.Command]
	switch {
	case !known, m.Command == "CAP" && s.cfg.NoCap:
		c.numeric("421", m.Command, "Unknown command")
	case !c.registered && !cmd.early:
		c.numeric("451", "You have not registered")
	case len(m.Params) < cmd.min:
		c.numeric("461", m.Command, "Not enough parameters")
	default:
		cmd.run(s, c, m)
	}
}

func (s *Server) cmdJoin(c *Client, m Msg) {
	if m.Param(0) == "0" {
		for ch := range maps.Clone(c.channels) {
			s.part(c, ch, "Left all channels")
		}
		return
	}
	keys := strings.Split(m.Param(1), ",")
	for i, name := range strings.Split(m.Param(0), ",") {
		key := ""
		if i < len(keys) {
			key = keys[i]
		}
		if code, text := s.mayJoin(c, name, key); code != "" {
			c.numeric(code, name, text)
			continue
		}
		s.join(c, name)
	}
}

// mayJoin returns the error of a join that is refused.
func (s *Server) mayJoin(c *Client, name, key string) (code, text string) {
	limit, _ := strconv.Atoi(s.token("CHANNELLEN"))
	if !s.isChannel(name) || strings.ContainsAny(name, " \a") {
		return "403", "No such channel"
	}
	if limit > 0 && len(name) > limit {
		return "479", "Illegal channel name"
	}
	if _, n, ok := strings.Cut(s.token("CHANLIMIT"), ":"); ok {
		if most, err := strconv.Atoi(n); err == nil && len(c.channels) >= most {
			return "405", "You have joined too many channels"
		}
	}
	ch := s.channels[s.fold(name)]
	if ch == nil {
		return "", ""
	}
	invited := ch.invited[s.fold(c.nick)]
	_, inviteOnly := ch.modes['i']
	most, _ := strconv.Atoi(ch.modes['l'])
	switch {
	case s.listed(c, ch, 'b') && !s.listed(c, ch, 'e') && !invited:
		return "474", "Cannot join channel (+b)"
	case inviteOnly && !invited && !s.listed(c, ch, 'I'):
		return "473", "Cannot join channel (+i)"
	case ch.modes['k'] != "" && ch.modes['k'] != key:
		return "475", "Cannot join channel (+k)"
	case most > 0 && len(ch.members) >= most:
		return "471", "Cannot join channel (+l)"
	}
	if _, registeredOnly := ch.modes['R']; registeredOnly && c.account == "" {
		return "477", "Cannot join channel (+R): you need to be logged in"
	}
	return "", ""
}

// channelOf finds a channel the client is in, or complains.
func (s *Server) channelOf(c *Client, name string) *channel {
	ch := s.channels[s.fold(name)]
	switch {
	case ch == nil:
		c.numeric("403", name, "No such channel")
		return nil
	case ch.find(c) == nil:
		c.numeric("442", ch.name, "You're not on that channel")
		return nil
	}
	return ch
}

func (s *Server) cmdPart(c *Client, m Msg) {
	for name := range strings.SplitSeq(m.Param(0), ",") {
		if ch := s.channelOf(c, name); ch != nil {
			s.part(c, ch, m.Param(1))
		}
	}
}

func (s *Server) part(c *Client, ch *channel, reason string) {
	params := []string{ch.name}
	if reason != "" {
		params = append(params, reason)
	}
	for _, m := range slices.Clone(ch.members) {
		m.c.tell(c, "PART", params...)
	}
	s.leave(c, ch)
}

func (s *Server) cmdMode(c *Client, m Msg) {
	target := m.Param(0)
	if !s.isChannel(target) {
		s.userMode(c, m)
		return
	}
	ch := s.channels[s.fold(target)]
	switch {
	case ch == nil:
		c.numeric("403", target, "No such channel")
	case len(m.Params) == 1:
		spec, params := ch.modeString()
		c.numeric("324", append([]string{ch.name, spec}, params...)...)
		c.numeric("329", ch.name, strconv.FormatInt(ch.created.Unix(), 10))
	default:
		s.changeModes(c, ch, m.Param(1), m.Params[2:])
	}
}

// userMode is MODE on oneself.
func (s *Server) userMode(c *Client, m Msg) {
	switch {
	case s.fold(m.Param(0)) != s.fold(c.nick):
		c.numeric("502", "Cannot change mode for other users")
	case len(m.Params) == 1:
		c.numeric("221", "+"+c.modes)
	default:
		set := true
		for _, r := range m.Param(1) {
			switch {
			case r == '+' || r == '-':
				set = r == '+'
			case set && !strings.ContainsRune(c.modes, r):
				c.modes += string(r)
			case !set:
				c.modes = strings.ReplaceAll(c.modes, string(r), "")
			}
		}
		c.tell(c, "MODE", c.nick, m.Param(1))
	}
}

func (s *Server) cmdKick(c *Client, m Msg) {
	ch := s.channelOf(c, m.Param(0))
	if ch == nil {
		return
	}
	if !s.isOp(ch.find(c)) {
		c.numeric("482", ch.name, "You're not a channel operator")
		return
	}
	for nick := range strings.SplitSeq(m.Param(1), ",") {
		target := s.nicks[s.fold(nick)]
		switch {
		case target == nil:
			c.numeric("401", nick, "No such nick")
		case ch.find(target) == nil:
			c.numeric("441", target.nick, ch.name, "They aren't on that channel")
		case s.rank(ch.find(target)) < s.rank(ch.find(c)):
			c.numeric("482", ch.name, "You can't kick somebody of a higher rank")
		default:
			s.kick(c, ch, target, m.Params[2:])
		}
	}
}

func (s *Server) kick(by *Client, ch *channel, target *Client, reason []string) {
	text := target.nick
	if len(reason) > 0 {
		text = reason[0]
	}
	for _, m := range slices.Clone(ch.members) {
		m.c.tell(by, "KICK", ch.name, target.nick, text)
	}
	s.leave(target, ch)
}

func (s *Server) cmdTopic(c *Client, m Msg) {
	ch := s.channelOf(c, m.Param(0))
	if ch == nil {
		return
	}
	if len(m.Params) == 1 {
		c.sendTopic(ch)
		return
	}
	if _, locked := ch.modes['t']; locked && !s.isOp(ch.find(c)) {
		c.numeric("482", ch.name, "You're not a channel operator")
		return
	}
	ch.topic, ch.topicBy, ch.topicAt = m.Param(1), c.mask(), time.Now()
	for _, mb := range ch.members {
		mb.c.send(outLine{text: ":" + c.mask() + " TOPIC " + ch.name + " :" + ch.topic, from: c})
	}
}

func (s *Server) cmdNames(c *Client, m Msg) {
	for name := range strings.SplitSeq(m.Param(0), ",") {
		if ch := s.channels[s.fold(name)]; ch != nil {
			s.names(c, ch)
		} else {
			c.numeric("366", name, "End of /NAMES list.")
		}
	}
}

func (s *Server) cmdInvite(c *Client, m Msg) {
	target := s.nicks[s.fold(m.Param(0))]
	ch := s.channelOf(c, m.Param(1))
	switch {
	case ch == nil:
	case target == nil:
		c.numeric("401", m.Param(0), "No such nick")
	case ch.find(target) != nil:
		c.numeric("443", target.nick, ch.name, "is already on channel")
	default:
		if _, locked := ch.modes['i']; locked && !s.isOp(ch.find(c)) {
			c.numeric("482", ch.name, "You're not a channel operator")
			return
		}
		ch.invited[s.fold(target.nick)] = true
		c.numeric("341", target.nick, ch.name)
		target.tell(c, "INVITE", target.nick, ch.name)
		for _, mb := range ch.members {
			if mb.c != c && mb.c.caps["invite-notify"] {
				mb.c.tell(c, "INVITE", target.nick, ch.name)
			}
		}
	}
}

func (s *Server) cmdAway(c *Client, m Msg) {
	c.away = m.Param(0)
	if c.away == "" {
		c.numeric("305", "You are no longer marked as being away")
		c.tellPeers("away-notify", "AWAY")
		return
	}
	c.numeric("306", "You have been marked as being away")
	c.tellPeers("away-notify", "AWAY", c.away)
}

func (s *Server) cmdSetName(c *Client, m Msg) {
	c.real = m.Param(0)
	if c.caps["setname"] {
		c.tell(c, "SETNAME", c.real)
	}
	c.tellPeers("setname", "SETNAME", c.real)
}
