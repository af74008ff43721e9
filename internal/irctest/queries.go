package irctest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// cmdWho is WHO on a channel or nick, also in the WHOX form.
func (s *Server) cmdWho(c *Client, m Msg) {
	mask := m.Param(0)
	fields, whox := strings.CutPrefix(m.Param(1), "%")
	fields, token, _ := strings.Cut(fields, ",")
	reply := func(ch *channel, mb *member) {
		name := "*"
		flags := "H"
		if mb.c.away != "" {
			flags = "G"
		}
		if strings.Contains(mb.c.modes, "B") {
			flags += "B"
		}
		if ch != nil {
			name = ch.name
			flags += s.symbols(mb, c.caps["multi-prefix"])
		}
		if whox {
			c.numeric("354", s.whox(fields, token, name, flags, mb.c)...)
			return
		}
		c.numeric("352", name, mb.c.user, mb.c.host, s.cfg.Name, mb.c.nick, flags, "0 "+mb.c.real)
	}
	if ch := s.channels[s.fold(mask)]; ch != nil {
		for _, mb := range ch.members {
			reply(ch, mb)
		}
	} else if user := s.nicks[s.fold(mask)]; user != nil {
		reply(nil, &member{c: user})
	}
	c.numeric("315", mask, "End of /WHO list.")
}

// whox fills the fields asked for, in the order of the extension.
func (s *Server) whox(fields, token, channel, flags string, u *Client) []string {
	account := u.account
	if account == "" {
		account = "0"
	}
	values := map[rune]string{
		't': token, 'c': channel, 'u': u.user, 'i': "127.0.0.1", 'h': u.host, 's': s.cfg.Name, 'n': u.nick, 'f': flags,
		'd': "0", 'l': "0", 'a': account, 'o': "n/a", 'r': u.real,
	}
	var out []string
	for _, f := range "tcuihsnfdlaor" {
		if strings.ContainsRune(fields, f) {
			out = append(out, values[f])
		}
	}
	return out
}

func (s *Server) cmdWhois(c *Client, m Msg) {
	nick := m.Params[len(m.Params)-1]
	u := s.nicks[s.fold(nick)]
	if u == nil || !u.registered {
		c.numeric("401", nick, "No such nick/channel")
		c.numeric("318", nick, "End of /WHOIS list.")
		return
	}
	c.numeric("311", u.nick, u.user, u.host, "*", u.real)
	var chans []string
	for ch := range u.channels {
		if _, secret := ch.modes['s']; !secret || ch.find(c) != nil {
			chans = append(chans, s.symbols(ch.find(u), true)+ch.name)
		}
	}
	if slices.Sort(chans); len(chans) > 0 {
		c.numeric("319", u.nick, strings.Join(chans, " "))
	}
	c.numeric("312", u.nick, s.cfg.Name, "test server")
	if u.away != "" {
		c.numeric("301", u.nick, u.away)
	}
	if u.account != "" {
		c.numeric("330", u.nick, u.account, "is logged in as")
	}
	idle := strconv.Itoa(int(time.Since(u.signon).Seconds()))
	c.numeric("317", u.nick, idle, strconv.FormatInt(u.signon.Unix(), 10), "seconds idle, signon time")
	c.numeric("318", u.nick, "End of /WHOIS list.")
}

func (s *Server) cmdList(c *Client, _ Msg) {
	c.numeric("321", "Channel", "Users  Name")
	var names []string
	for name := range s.channels {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		ch := s.channels[name]
		if _, secret := ch.modes['s']; !secret || ch.find(c) != nil {
			c.numeric("322", ch.name, strconv.Itoa(len(ch.members)), ch.topic)
		}
	}
	c.numeric("323", "End of /LIST")
}

func (s *Server) cmdIson(c *Client, m Msg) {
	var on []string
	for nick := range strings.FieldsSeq(strings.Join(m.Params, " ")) {
		if u := s.nicks[s.fold(nick)]; u != nil && u.registered {
			on = append(on, u.nick)
		}
	}
	c.numeric("303", strings.Join(on, " "))
}

func (s *Server) cmdUserhost(c *Client, m Msg) {
	var out []string
	for _, nick := range m.Params {
		if u := s.nicks[s.fold(nick)]; u != nil && u.registered {
			out = append(out, u.nick+"=+"+u.user+"@"+u.host)
		}
	}
	c.numeric("302", strings.Join(out, " "))
}

func (s *Server) motd(c *Client) {
	if len(s.cfg.MOTD) == 0 {
		c.numeric("422", "MOTD File is missing")
		return
	}
	c.numeric("375", "- "+s.cfg.Name+" Message of the day -")
	for _, line := range s.cfg.MOTD {
		c.numeric("372", "- "+line)
	}
	c.numeric("376", "End of message of the day.")
}

func (s *Server) lusers(c *Client) {
	c.numeric("251", "There are "+strconv.Itoa(len(s.nicks))+" users and 0 invisible on 1 server")
	c.numeric("255", "I have "+strconv.Itoa(len(s.nicks))+" clients and 0 servers")
}
