package irctest

import (
	"errors"
	"slices"
	"strings"
)

var errNoAccount = errors.New("no such account")

// Hook is asked before the built-in answer to a command ("*": every command
// without a hook of its own). It returns true when it has dealt with the
// command. It runs on the client's reader without locks: it may send, sleep,
// stall, or call anything here. nil removes it.
func (s *Server) Hook(command string, f func(c *Client, m Msg) (handled bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		delete(s.hooks, strings.ToUpper(command))
		return
	}
	s.hooks[strings.ToUpper(command)] = f
}

// Puppet adds a registered user without a socket. It has the capabilities
// named; Do acts for it, ExpectSeen and Seen tell what it has been sent.
func (s *Server) Puppet(nick string, caps ...string) *Client {
	c := newClient(s, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range caps {
		c.caps[name] = true
	}
	c.nick, c.user, c.real, c.host = nick, "~"+strings.ToLower(nick), nick+" of the test", strings.ToLower(nick)+".puppet.test"
	c.registered, c.passed = true, true
	s.clients[c] = true
	s.nicks[s.fold(nick)] = c
	s.notify()
	return c
}

// Leave ends a puppet.
func (c *Client) Leave(reason string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.quit(c, reason)
	delete(c.s.clients, c)
}

// SetMode changes a channel's modes with the server's own authority.
func (s *Server) SetMode(channel, spec string, params ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channels[s.fold(channel)]; ch != nil {
		s.changeModes(nil, ch, spec, params)
	}
}

// ForceJoin puts a client into a channel without its asking (SAJOIN).
func (s *Server) ForceJoin(nick, channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.nicks[s.fold(nick)]; c != nil {
		s.join(c, channel)
	}
}

// ForceNick renames a client without its asking (services, collisions).
func (s *Server) ForceNick(nick, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.nicks[s.fold(nick)]; c != nil && s.nicks[s.fold(to)] == nil {
		s.setNick(c, to)
	}
}

// ForceKick kicks with the server's own authority.
func (s *Server) ForceKick(channel, nick, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, c := s.channels[s.fold(channel)], s.nicks[s.fold(nick)]
	if ch != nil && c != nil && ch.find(c) != nil {
		s.kick(nil, ch, c, []string{reason})
	}
}

// SetHost changes user and host of a client (chghost; clients without it see
// the user leave and come back).
func (s *Server) SetHost(nick, user, host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.nicks[s.fold(nick)]
	if c == nil {
		return
	}
	if c.caps["chghost"] {
		c.tell(c, "CHGHOST", user, host)
	}
	c.tellPeers("chghost", "CHGHOST", user, host)
	var old []*Client
	for _, p := range c.peers() {
		if !p.caps["chghost"] {
			p.tell(c, "QUIT", "Changing host")
			old = append(old, p)
		}
	}
	c.user, c.host = user, host
	for _, p := range old {
		for ch := range c.channels {
			if ch.find(p) != nil {
				p.tell(c, "JOIN", ch.name)
			}
		}
	}
	c.numeric("396", host, "is now your displayed host")
}

// SetAccount logs a client in, with "" out, as services do.
func (s *Server) SetAccount(nick, account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.nicks[s.fold(nick)]; c != nil {
		s.setAccount(c, account)
	}
}

// Split lets nicks leave in a netsplit; where is "here.example there.example".
// Clients with the batch capability see it as one batch.
func (s *Server) Split(where string, nicks ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here, there, _ := strings.Cut(where, " ")
	id := s.newID()
	told := make(map[*Client]bool)
	for _, nick := range nicks {
		c := s.nicks[s.fold(nick)]
		if c == nil || c.gone {
			continue
		}
		c.gone = true
		for _, p := range c.peers() {
			l := outLine{text: line(c.mask(), "QUIT", where), from: c}
			if p.caps["batch"] {
				if !told[p] {
					told[p] = true
					p.send(outLine{text: line(s.cfg.Name, "BATCH", "+"+id, "netsplit", here, there)})
				}
				l.batch = id
			}
			p.send(l)
		}
		s.remove(c)
		c.finish()
	}
	for p := range told {
		p.send(outLine{text: line(s.cfg.Name, "BATCH", "-"+id)})
	}
}

// SetCap offers a capability ("name" or "name=value") from now on and tells
// those who want to know (cap-notify).
func (s *Server) SetCap(capability string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, _ := strings.Cut(capability, "=")
	s.dropCap(name)
	s.caps = append(s.caps, capability)
	s.capNotify("NEW", capability)
}

// DelCap takes a capability away.
func (s *Server) DelCap(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropCap(name)
	s.capNotify("DEL", name)
	for c := range s.clients {
		delete(c.caps, name)
	}
}

func (s *Server) dropCap(name string) {
	s.caps = slices.DeleteFunc(s.caps, func(have string) bool { n, _, _ := strings.Cut(have, "="); return n == name })
}

func (s *Server) capNotify(what, capability string) {
	for c := range s.clients {
		if c.registered && c.caps["cap-notify"] {
			c.capLine(c.nick, what+" ", []string{capability})
		}
	}
}

// SetISupport changes tokens ("-NAME" removes one) and tells every client.
func (s *Server) SetISupport(tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.support = mergeTokens(s.support, tokens)
	for c := range s.clients {
		if c.registered {
			s.sendSupport(c, tokens)
		}
	}
}

// Notice sends a server notice to everybody.
func (s *Server) Notice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		if c.registered {
			c.send(outLine{text: ":" + s.cfg.Name + " NOTICE " + c.nick + " :" + text})
		}
	}
}

// service lets NickServ answer: IDENTIFY, and GHOST, RECOVER, REGAIN, RELEASE.
func (s *Server) service(c *Client, target string, m Msg) bool {
	if s.fold(target) != "nickserv" {
		return false
	}
	words := strings.Fields(m.Params[len(m.Params)-1])
	if len(words) == 0 || m.Command != "PRIVMSG" {
		return true
	}
	say := func(text string) {
		c.send(outLine{text: ":NickServ!services@services.test NOTICE " + c.nick + " :" + text})
	}
	account, password := c.nick, words[len(words)-1]
	switch command := strings.ToUpper(words[0]); {
	case len(words) < 2:
		say("Insufficient parameters.")
	case command == "IDENTIFY":
		if len(words) > 2 {
			account = words[1]
		}
		if want := s.cfg.Accounts[account]; want == "" || want != password {
			say("Password incorrect.")
			return true
		}
		s.setAccount(c, account)
		say("Password accepted - you are now recognized.")
	case slices.Contains([]string{"GHOST", "RECOVER", "REGAIN", "RELEASE"}, command):
		s.regain(c, command, words[1:], say)
	default:
		say("Unknown command " + command + ".")
	}
	return true
}

// regain takes a nick from its ghost: by password, or as the account of that name.
func (s *Server) regain(c *Client, command string, words []string, say func(string)) {
	nick := words[0]
	want := s.cfg.Accounts[nick]
	if allowed := want != "" && (c.account == nick || len(words) > 1 && words[1] == want); !allowed {
		say("Access denied.")
		return
	}
	if ghost := s.nicks[s.fold(nick)]; ghost != nil && ghost != c {
		ghost.kill("Killed (NickServ (" + command + " command used by " + c.nick + "))")
	}
	say("Ghost with your nick has been killed.")
	if command == "REGAIN" {
		s.setNick(c, nick)
	}
}
