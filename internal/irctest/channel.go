package irctest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

type channel struct {
	name    string
	created time.Time
	topic   string
	topicBy string
	topicAt time.Time
	members []*member
	modes   map[byte]string // flags and their parameters
	lists   map[byte][]listEntry
	invited map[string]bool // folded nicks
}

type member struct {
	c     *Client
	modes string // mode letters, highest first
}

type listEntry struct {
	mask, by string
	at       time.Time
}

func (ch *channel) find(c *Client) *member {
	for _, m := range ch.members {
		if m.c == c {
			return m
		}
	}
	return nil
}

// rank is the place of a member's best mode in PREFIX; those without have the last.
func (s *Server) rank(m *member) int {
	modes, _ := s.prefix()
	for i := range modes {
		if m != nil && strings.IndexByte(m.modes, modes[i]) >= 0 {
			return i
		}
	}
	return len(modes)
}

// isOp tells whether a member may do what operators may (half-operators included).
func (s *Server) isOp(m *member) bool {
	modes, _ := s.prefix()
	limit := strings.IndexAny(modes, "ho")
	if h := strings.IndexByte(modes, 'h'); h >= 0 {
		limit = h
	}
	return m != nil && s.rank(m) <= limit
}

// prefix returns PREFIX as two strings of equal length.
func (s *Server) prefix() (modes, symbols string) {
	modes, symbols, _ = strings.Cut(strings.TrimPrefix(s.token("PREFIX"), "("), ")")
	return modes, symbols
}

// symbols are a member's prefixes in NAMES and WHO: all or the highest.
func (s *Server) symbols(m *member, all bool) string {
	modes, symbols := s.prefix()
	var b strings.Builder
	for i := range modes {
		if strings.IndexByte(m.modes, modes[i]) >= 0 {
			b.WriteByte(symbols[i])
			if !all {
				break
			}
		}
	}
	return b.String()
}

// token is a value of ISUPPORT, "" when it is not set.
func (s *Server) token(name string) string {
	for _, t := range s.support {
		if n, v, _ := strings.Cut(t, "="); n == name {
			return v
		}
	}
	return ""
}

func (s *Server) isChannel(name string) bool {
	return name != "" && strings.IndexByte(s.token("CHANTYPES"), name[0]) >= 0
}

// fold compares names as CASEMAPPING says.
func (s *Server) fold(name string) string {
	last := byte('Z')
	switch s.token("CASEMAPPING") {
	case "rfc1459", "":
		last = '^'
	case "rfc1459-strict":
		last = ']'
	}
	b := []byte(name)
	for i, x := range b {
		if x >= 'A' && x <= last {
			b[i] = x + 32
		}
	}
	return string(b)
}

// join puts a client into a channel without asking anything.
func (s *Server) join(c *Client, name string) {
	ch := s.channels[s.fold(name)]
	mode := ""
	if ch == nil {
		ch = &channel{name: name, created: time.Now(), modes: map[byte]string{'n': "", 't': ""}, lists: make(map[byte][]listEntry), invited: make(map[string]bool)}
		s.channels[s.fold(name)] = ch
		mode = "o"
	}
	if ch.find(c) != nil {
		return
	}
	ch.members = append(ch.members, &member{c: c, modes: mode})
	c.channels[ch] = true
	delete(ch.invited, s.fold(c.nick))
	account := c.account
	if account == "" {
		account = "*"
	}
	for _, m := range ch.members {
		if m.c.caps["extended-join"] {
			m.c.tell(c, "JOIN", ch.name, account, c.real)
		} else {
			m.c.tell(c, "JOIN", ch.name)
		}
		if c.away != "" && m.c != c && m.c.caps["away-notify"] {
			m.c.tell(c, "AWAY", c.away)
		}
	}
	if ch.topic != "" {
		c.sendTopic(ch)
	}
	s.names(c, ch)
}

func (c *Client) sendTopic(ch *channel) {
	if ch.topic == "" {
		c.numeric("331", ch.name, "No topic is set")
		return
	}
	c.numeric("332", ch.name, ch.topic)
	c.numeric("333", ch.name, ch.topicBy, strconv.FormatInt(ch.topicAt.Unix(), 10))
}

// names sends 353 in lines of bearable length, then 366.
func (s *Server) names(c *Client, ch *channel) {
	const perLine = 400
	var list []string
	size := 0
	flush := func() {
		if len(list) > 0 {
			c.numeric("353", "=", ch.name, strings.Join(list, " "))
		}
		list, size = nil, 0
	}
	for _, m := range ch.members {
		name := m.c.nick
		if c.caps["userhost-in-names"] {
			name = m.c.mask()
		}
		name = s.symbols(m, c.caps["multi-prefix"]) + name
		if size+len(name) > perLine {
			flush()
		}
		list, size = append(list, name), size+len(name)+1
	}
	flush()
	c.numeric("366", ch.name, "End of /NAMES list.")
}

// leave takes a client out of a channel without telling anybody.
func (s *Server) leave(c *Client, ch *channel) {
	ch.members = slices.DeleteFunc(ch.members, func(m *member) bool { return m.c == c })
	delete(c.channels, ch)
	if len(ch.members) == 0 {
		delete(s.channels, s.fold(ch.name))
	}
}

// quit removes a client and tells its peers. It may be called twice.
func (s *Server) quit(c *Client, reason string) {
	if c.gone {
		return
	}
	c.gone = true
	if c.registered {
		c.tellPeers("", "QUIT", reason)
	}
	s.remove(c)
}

// remove takes a client out of all tables.
func (s *Server) remove(c *Client) {
	for ch := range c.channels {
		s.leave(c, ch)
	}
	if s.nicks[s.fold(c.nick)] == c {
		delete(s.nicks, s.fold(c.nick))
	}
	s.notify()
}
