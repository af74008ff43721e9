package irctest

import (
	"crypto/tls"
	"slices"
	"strconv"
	"strings"

	"github.com/ergochat/irc-go/ircutils"
	"github.com/xdg-go/scram"
)

func (s *Server) cmdPass(c *Client, m Msg) { c.passed = m.Param(0) == s.cfg.Password }

func (s *Server) cmdUser(c *Client, m Msg) {
	if c.registered {
		c.numeric("462", "You may not reregister")
		return
	}
	c.user, c.real = "~"+m.Param(0), m.Param(3)
	s.welcome(c)
}

// validNick is the grammar of RFC 2812 section 2.3.1, with UTF-8 let in.
func validNick(nick string) bool {
	const special = "[]\\`_^{|}"
	for i := range len(nick) {
		b := nick[i]
		letter := b|0x20 >= 'a' && b|0x20 <= 'z' || strings.IndexByte(special, b) >= 0 || b >= 0x80
		if !letter && (i == 0 || b != '-' && (b < '0' || b > '9')) {
			return false
		}
	}
	return nick != ""
}

func (s *Server) cmdNick(c *Client, m Msg) {
	nick := m.Param(0)
	most, _ := strconv.Atoi(s.token("NICKLEN"))
	if nick == "" {
		c.numeric("431", "No nickname given")
		return
	}
	if !validNick(nick) || most > 0 && len(nick) > most {
		c.numeric("432", nick, "Erroneous nickname")
		return
	}
	if other := s.nicks[s.fold(nick)]; other != nil && other != c || s.fold(nick) == "nickserv" {
		c.numeric("433", nick, "Nickname is already in use")
		return
	}
	s.setNick(c, nick)
	s.welcome(c)
}

// setNick changes a nick and tells everybody concerned.
func (s *Server) setNick(c *Client, nick string) {
	if c.registered && nick != c.nick {
		c.tell(c, "NICK", nick)
		c.tellPeers("", "NICK", nick)
	}
	if s.nicks[s.fold(c.nick)] == c {
		delete(s.nicks, s.fold(c.nick))
	}
	c.nick = nick
	s.nicks[s.fold(nick)] = c
	s.notify()
}

// welcome ends the registration when everything needed is there.
func (s *Server) welcome(c *Client) {
	if c.registered || c.nick == "" || c.user == "" || c.capOpen {
		return
	}
	if s.cfg.Password != "" && !c.passed {
		c.numeric("464", "Password incorrect")
		c.kill("Bad Password")
		return
	}
	c.registered = true
	s.counters.Registered++
	c.numeric("001", "Welcome to "+s.cfg.Network+" "+c.mask())
	c.numeric("002", "Your host is "+s.cfg.Name)
	c.numeric("003", "This server was created for a test")
	c.numeric("004", s.cfg.Name, "irctest-1", "Biw", "beIiklmnopqstv")
	s.sendSupport(c, s.support)
	s.lusers(c)
	s.motd(c)
	s.notify()
}

// sendSupport sends tokens as 005, 13 in a line.
func (s *Server) sendSupport(c *Client, tokens []string) {
	for part := range slices.Chunk(tokens, 13) {
		c.numeric("005", append(slices.Clone(part), "are supported by this server")...)
	}
}

func (s *Server) cmdCap(c *Client, m Msg) {
	nick := "*"
	if c.registered {
		nick = c.nick
	}
	switch strings.ToUpper(m.Param(0)) {
	case "LS":
		if !c.registered {
			c.capOpen = true
		}
		if version, err := strconv.Atoi(m.Param(1)); err == nil && version > c.capVersion {
			c.capVersion = version
			if version >= 302 {
				c.caps["cap-notify"] = true
			}
		}
		s.listCaps(c, nick)
	case "LIST":
		var on []string
		for name := range c.caps {
			on = append(on, name)
		}
		slices.Sort(on)
		c.tell(nil, "CAP", nick, "LIST", strings.Join(on, " "))
	case "REQ":
		s.requestCaps(c, nick, m.Param(1))
	case "END":
		c.capOpen = false
		s.welcome(c)
	default:
		c.numeric("410", m.Param(0), "Invalid CAP command")
	}
}

// listCaps sends the list, in several lines when it is long.
func (s *Server) listCaps(c *Client, nick string) {
	var line []string
	size := 0
	for _, cap := range s.caps {
		if c.capVersion < 302 {
			cap, _, _ = strings.Cut(cap, "=")
		}
		if size+len(cap) > 300 && c.capVersion >= 302 {
			c.capLine(nick, "LS * ", line)
			line, size = nil, 0
		}
		line, size = append(line, cap), size+len(cap)+1
	}
	c.capLine(nick, "LS ", line)
}

func (c *Client) capLine(nick, what string, caps []string) {
	c.send(outLine{text: ":" + c.s.cfg.Name + " CAP " + nick + " " + what + ":" + strings.Join(caps, " ")})
}

// requestCaps answers REQ: all or nothing.
func (s *Server) requestCaps(c *Client, nick, list string) {
	names := strings.Fields(list)
	for _, name := range names {
		if name = strings.TrimPrefix(name, "-"); !slices.ContainsFunc(s.caps, func(have string) bool { n, _, _ := strings.Cut(have, "="); return n == name }) {
			c.capLine(nick, "NAK ", names)
			return
		}
	}
	for _, name := range names {
		if off, found := strings.CutPrefix(name, "-"); found {
			delete(c.caps, off)
		} else {
			c.caps[name] = true
		}
	}
	c.capLine(nick, "ACK ", names)
}

// saslState is a login under way.
type saslState struct {
	mechanism string
	buffer    *ircutils.SASLBuffer
	scram     *scram.ServerConversation
}

func (s *Server) cmdAuthenticate(c *Client, m Msg) {
	param := m.Param(0)
	switch {
	case !c.caps["sasl"]:
		c.numeric("904", "SASL authentication failed")
	case param == "*":
		c.sasl = saslState{}
		c.numeric("906", "SASL authentication aborted")
	case c.sasl.mechanism == "":
		s.startSASL(c, strings.ToUpper(param))
	default:
		done, response, err := c.sasl.buffer.Add(param)
		if err != nil {
			s.saslFailed(c)
		} else if done {
			s.stepSASL(c, response)
		}
	}
}

func (s *Server) startSASL(c *Client, mechanism string) {
	if !slices.Contains(s.cfg.SASL, mechanism) {
		c.numeric("908", strings.Join(s.cfg.SASL, ","), "are available SASL mechanisms")
		c.numeric("904", "SASL authentication failed")
		return
	}
	c.sasl = saslState{mechanism: mechanism, buffer: ircutils.NewSASLBuffer(16 << 10)}
	if mechanism == "SCRAM-SHA-256" {
		server, err := scram.SHA256.NewServer(s.scramCredentials)
		if err != nil {
			s.saslFailed(c)
			return
		}
		c.sasl.scram = server.NewConversation()
	}
	c.send(outLine{text: "AUTHENTICATE +"})
}

// scramCredentials derives what a server would have stored.
func (s *Server) scramCredentials(account string) (scram.StoredCredentials, error) {
	client, err := scram.SHA256.NewClient(account, s.cfg.Accounts[account], "")
	if err != nil || s.cfg.Accounts[account] == "" {
		return scram.StoredCredentials{}, errNoAccount
	}
	return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "irctest-salt-irctest", Iters: 4096})
}

func (s *Server) stepSASL(c *Client, response []byte) {
	switch c.sasl.mechanism {
	case "PLAIN":
		parts := strings.Split(string(response), "\x00")
		if len(parts) == 3 && s.cfg.Accounts[parts[1]] != "" && s.cfg.Accounts[parts[1]] == parts[2] {
			s.saslDone(c, parts[1])
			return
		}
	case "EXTERNAL":
		account := s.cfg.Certs[c.fingerprint()]
		if asked := string(response); account != "" && (asked == "" || asked == account) {
			s.saslDone(c, account)
			return
		}
	case "SCRAM-SHA-256":
		s.stepScram(c, response)
		return
	}
	s.saslFailed(c)
}

func (s *Server) stepScram(c *Client, response []byte) {
	talk := c.sasl.scram
	if talk.Done() { // the client's empty answer to our proof
		if talk.Valid() {
			s.saslDone(c, talk.Username())
		} else {
			s.saslFailed(c)
		}
		return
	}
	challenge, err := talk.Step(string(response))
	if err != nil {
		s.saslFailed(c)
		return
	}
	for _, chunk := range ircutils.EncodeSASLResponse([]byte(challenge)) {
		c.send(outLine{text: "AUTHENTICATE " + chunk})
	}
}

func (s *Server) saslDone(c *Client, account string) {
	c.sasl = saslState{}
	s.setAccount(c, account)
	c.numeric("903", "SASL authentication successful")
}

func (s *Server) saslFailed(c *Client) {
	c.sasl = saslState{}
	c.numeric("904", "SASL authentication failed")
}

// setAccount logs a client in or, with "", out.
func (s *Server) setAccount(c *Client, account string) {
	c.account = account
	if account == "" {
		c.numeric("901", c.mask(), "You are now logged out")
		c.tellPeers("account-notify", "ACCOUNT", "*")
		return
	}
	c.numeric("900", c.mask(), account, "You are now logged in as "+account)
	if c.registered && c.caps["account-notify"] {
		c.tell(c, "ACCOUNT", account)
	}
	c.tellPeers("account-notify", "ACCOUNT", account)
}

// fingerprint is the digest of the certificate the client has shown.
func (c *Client) fingerprint() string {
	t, ok := c.sock.(*tls.Conn)
	if !ok || len(t.ConnectionState().PeerCertificates) == 0 {
		return ""
	}
	return fingerprint(t.ConnectionState().PeerCertificates[0])
}
