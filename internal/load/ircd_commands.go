package main

import (
	"bytes"
	"slices"
	"strings"
)

// ircCommand is one command of the server: the least number of parameters and what it does.
type ircCommand struct {
	min int
	run func(c *ircConn, p []string)
}

// line takes one line of the client. PRIVMSG is the hot path and is kept apart; the rest goes through the table.
func (c *ircConn) line(b []byte) {
	c.label = nil
	if len(b) > 0 && b[0] == '@' {
		tags, rest, _ := bytes.Cut(b[1:], []byte(" "))
		b = bytes.TrimLeft(rest, " ")
		if i := bytes.Index(tags, []byte("label=")); i >= 0 && c.enabled["labeled-response"] {
			c.label, _, _ = bytes.Cut(tags[i+len("label="):], []byte(";"))
		}
	}
	if bytes.HasPrefix(b, []byte("PRIVMSG ")) {
		target, text, ok := bytes.Cut(b[len("PRIVMSG "):], []byte(" "))
		if ok {
			c.privmsg(target, bytes.TrimPrefix(text, []byte(":")))
		}
		return
	}
	params := split(string(b))
	if len(params) == 0 {
		return
	}
	name := strings.ToUpper(params[0])
	cmd, ok := c.d.commands[name]
	switch {
	case !ok:
		c.numeric("421", name+" :Unknown command")
	case len(params)-1 < cmd.min:
		c.numeric("461", name+" :Not enough parameters")
	default:
		cmd.run(c, params[1:])
	}
}

// split cuts a line into command and parameters.
func split(s string) []string {
	head, last, hasLast := strings.Cut(s, " :")
	p := strings.Fields(head)
	if hasLast {
		p = append(p, last)
	}
	return p
}

// privmsg routes a line: to the members of the channel, and back to its author where echo-message is on.
func (c *ircConn) privmsg(target, text []byte) {
	if c.channel == nil || string(target) != c.channel.name {
		ch := c.channels[string(target)]
		if ch == nil {
			c.numeric("404", string(target)+" :Cannot send to channel")
			return
		}
		c.channel = ch
	}
	c.d.hooks.said(c, target, text)
	echo := c.enabled["echo-message"]
	if !echo && len(*c.channel.members.Load()) == 1 {
		return
	}
	var room [512]byte
	head := append(room[:0], ':')
	head = append(append(head, c.prefix()...), " PRIVMSG "...)
	head = append(append(head, target...), " :"...)
	if echo {
		c.out.fill(func(b []byte) []byte {
			b = append(c.appendTags(b, c.label), head...)
			return append(append(b, text...), '\r', '\n')
		})
	}
	c.broadcast(c.channel, head, text)
}

func ircCommands() map[string]ircCommand {
	quiet := func(*ircConn, []string) {}
	return map[string]ircCommand{
		"CAP":     {1, (*ircConn).cap},
		"NICK":    {1, (*ircConn).setNick},
		"USER":    {4, func(c *ircConn, p []string) { c.user = p[0]; c.register() }},
		"PING":    {1, func(c *ircConn, p []string) { c.send("PONG %s :%s", ircHost, p[0]) }},
		"PONG":    {1, (*ircConn).pong},
		"JOIN":    {1, (*ircConn).cmdJoin},
		"PART":    {1, (*ircConn).cmdPart},
		"NAMES":   {1, (*ircConn).cmdNames},
		"MODE":    {1, (*ircConn).cmdMode},
		"TOPIC":   {1, func(c *ircConn, p []string) { c.numeric("331", p[0]+" :No topic is set") }},
		"WHO":     {1, func(c *ircConn, p []string) { c.numeric("315", p[0]+" :End of /WHO list.") }},
		"WHOIS":   {1, func(c *ircConn, p []string) { c.numeric("318", p[0]+" :End of /WHOIS list.") }},
		"MOTD":    {0, func(c *ircConn, _ []string) { c.numeric("422", ":No message of the day") }},
		"LIST":    {0, func(c *ircConn, _ []string) { c.numeric("323", ":End of /LIST") }},
		"AWAY":    {0, func(c *ircConn, _ []string) { c.numeric("306", ":You have been marked as being away") }},
		"QUIT":    {0, func(c *ircConn, _ []string) { c.conn.Close() }},
		"NOTICE":  {2, quiet},
		"PASS":    {1, quiet},
		"TAGMSG":  {1, quiet},
		"MONITOR": {1, quiet},
	}
}

func (c *ircConn) cap(p []string) {
	switch strings.ToUpper(p[0]) {
	case "LS":
		c.capHeld = !c.registered
		c.send("CAP * LS :%s", strings.Join(c.d.caps, " "))
	case "LIST":
		c.send("CAP * LIST :")
	case "REQ":
		c.capHeld = !c.registered
		if len(p) < 2 {
			return
		}
		want := strings.Fields(p[1])
		for _, w := range want {
			if !slices.Contains(c.d.caps, strings.TrimPrefix(w, "-")) {
				c.send("CAP * NAK :%s", p[1])
				return
			}
		}
		if c.enabled == nil {
			c.enabled = make(map[string]bool)
		}
		for _, w := range want {
			c.enabled[strings.TrimPrefix(w, "-")] = !strings.HasPrefix(w, "-")
		}
		c.tagged.Store(c.enabled["server-time"])
		c.send("CAP * ACK :%s", p[1])
	case "END":
		c.capHeld = false
		c.register()
	}
}

func (c *ircConn) setNick(p []string) {
	c.d.mu.Lock()
	holder := c.d.nicks[p[0]]
	if holder == nil {
		delete(c.d.nicks, c.nick)
		c.d.nicks[p[0]] = c
	}
	c.d.mu.Unlock()
	if holder != nil && holder != c {
		c.numeric("433", p[0]+" :Nickname is already in use")
		return
	}
	if c.registered && p[0] != c.nick {
		line := []byte(":" + c.prefix() + " NICK :" + p[0] + "\r\n")
		c.out.add(line)
		for _, ch := range c.channels {
			c.broadcast(ch, line, nil)
		}
	}
	c.nick = p[0]
	c.register()
}

// register welcomes a client that has said all it must.
func (c *ircConn) register() {
	if c.registered || c.capHeld || c.nick == "" || c.user == "" {
		return
	}
	c.registered = true
	c.d.hooks.registered(c)
	c.numeric("001", ":Welcome to the Load network "+c.prefix())
	c.numeric("002", ":Your host is "+ircHost)
	c.numeric("003", ":This server was created for this run")
	c.numeric("004", ircHost+" load-1 iow beIklmnopstv bklov")
	c.numeric("005", "CASEMAPPING=ascii CHANTYPES=# PREFIX=(ov)@+ CHANMODES=beI,k,l,imnpst NETWORK=Load NICKLEN=30 "+
		"CHANNELLEN=50 TOPICLEN=300 MODES=4 :are supported by this server")
	c.numeric("422", ":No message of the day")
}

// pong hands the token to a fence that waits for it.
func (c *ircConn) pong(p []string) {
	select {
	case c.pongs <- p[len(p)-1]:
	default:
	}
}

func (c *ircConn) cmdJoin(p []string) {
	for name := range strings.SplitSeq(p[0], ",") {
		if !c.registered || c.channels[name] != nil {
			continue
		}
		if !strings.HasPrefix(name, "#") {
			c.numeric("403", name+" :No such channel")
			continue
		}
		c.d.join(c, c.d.channelNamed(name))
	}
}

func (c *ircConn) cmdPart(p []string) {
	for name := range strings.SplitSeq(p[0], ",") {
		ch := c.channels[name]
		if ch == nil {
			c.numeric("442", name+" :You're not on that channel")
			continue
		}
		line := ":" + c.prefix() + " PART " + name + "\r\n"
		c.out.add([]byte(line))
		delete(c.channels, name)
		c.channel = nil
		c.d.leave(c, ch, line)
	}
}

func (c *ircConn) cmdNames(p []string) {
	ch := c.channels[p[0]]
	if ch == nil {
		c.numeric("366", p[0]+" :End of /NAMES list.")
		return
	}
	c.names(ch, *ch.members.Load())
}

func (c *ircConn) cmdMode(p []string) {
	switch {
	case !strings.HasPrefix(p[0], "#"):
		if len(p) == 1 {
			c.numeric("221", "+")
		}
	case len(p) == 1:
		c.numeric("324", p[0]+" +nt")
		c.numeric("329", p[0]+" 1700000000")
	case strings.Trim(p[1], "+") == "b":
		c.numeric("368", p[0]+" :End of channel ban list")
	}
}
