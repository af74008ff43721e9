package ircconn

import (
	"context"
	"strings"
	"time"
)

// registration is the state between connecting and 001.
type registration struct {
	o          *Options
	nick       string
	tries      int  // nicks refused
	listed     bool // CAP LS is complete
	unanswered int  // CAP REQ lines
	ended      bool // CAP END is sent
	deadline   time.Time
	saslBy     time.Time // when an unanswered login is given up; zero: none has begun
}

const (
	maxNicks = 20 // refused nicks after which we give up
	maxEarly = 32 // notices before 001 kept for Read
)

// saslTimeout is for a login: services may be away. A variable for tests.
var saslTimeout = 20 * time.Second

// upgrade is the wish of a server to be spoken to with TLS on another port.
type upgrade struct{ port uint16 }

func (upgrade) Error() string { return "strict transport security" }

// register speaks until the server has welcomed us. The error is *Failure,
// upgrade, or of ctx.
func (c *Conn) register(ctx context.Context, o *Options) error {
	c.watch(ctx)
	r := &registration{o: o, nick: o.Nick, deadline: time.Now().Add(o.RegisterTimeout)}
	c.reg = r
	if f := c.introduce(o); f != nil {
		return c.over(f)
	}
	if err := r.expired(c); err != nil { // sets the first deadline
		return c.over(err)
	}
	for c.welcome == "" {
		m, err := c.next()
		if err != nil {
			return c.over(err)
		}
		deliver := c.apply(m)
		if err := r.handle(c, m); err != nil {
			return c.over(err)
		}
		if deliver && (c.welcome != "" || len(c.early) < maxEarly && keepsEarly(m)) {
			c.early = append(c.early, m)
		}
	}
	c.reg = nil
	c.unwatch()
	if err := c.silence(); err != nil { // from now on the deadline is for keepalive
		return c.over(err)
	}
	return nil
}

// keepsEarly chooses what Read returns of the time before 001. Refused nicks and
// the like are dealt with, and nobody's errors afterwards.
func keepsEarly(m *Message) bool {
	_, login := saslNumerics[m.Command]
	return login || m.Command == "NOTICE"
}

// introduce sends what opens every connection.
func (c *Conn) introduce(o *Options) *Failure {
	c.control(Line{Command: "CAP", Params: []string{"LS", "302"}})
	if o.Password != "" && !c.control(Line{Command: "PASS", Params: []string{o.Password}}) {
		return &Failure{Reason: BadPassword, Permanent: true, Text: "The server password holds characters that IRC cannot carry."}
	}
	user, name := o.User, o.RealName
	if user == "" {
		user = o.Nick
	}
	if name == "" {
		name = o.Nick
	}
	if !c.sendNick(o.Nick) {
		return &Failure{Reason: NickInvalid, Permanent: true, Text: "This nick holds characters that IRC cannot carry."}
	}
	c.control(Line{Command: "USER", Params: []string{cleanUser(user), "0", "*", cleanText(name)}})
	return nil
}

func (c *Conn) sendNick(nick string) bool {
	if nick == "" || strings.ContainsAny(nick, " ,:@!") {
		return false
	}
	return c.control(Line{Command: "NICK", Params: []string{nick}})
}

// cleanUser makes a user name that the grammar of RFC 2812 allows.
func cleanUser(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == '@' || r == '!' || r == ':' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "user"
	}
	return s
}

// cleanText makes one line of a text.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s)
}

// registrationHandlers decide about registration; an error ends it.
var registrationHandlers = map[string]func(r *registration, c *Conn, m *Message) error{
	"001": (*registration).welcomed,
	"431": func(r *registration, c *Conn, m *Message) error { return r.refused(c, m, NickInvalid) },
	"432": func(r *registration, c *Conn, m *Message) error { return r.refused(c, m, NickInvalid) },
	"433": func(r *registration, c *Conn, m *Message) error { return r.refused(c, m, NickInUse) },
	"436": func(r *registration, c *Conn, m *Message) error { return r.refused(c, m, NickInUse) },
	"437": func(r *registration, c *Conn, m *Message) error { return r.refused(c, m, NickInUse) },
	"463": numericRefusal(Banned),
	"464": numericRefusal(BadPassword),
	"465": numericRefusal(Banned),
	"010": numericRefusal(ServerFull), // go elsewhere
	"468": func(_ *registration, c *Conn, m *Message) error {
		return &Failure{Reason: Protocol, Code: "468", Words: m.Last(), Permanent: true,
			Text: c.info.Endpoint.Host + " does not take this user name: " + m.Last()}
	},
	"513":  answerBadPing,
	"FAIL": failReply,
}

func (r *registration) handle(c *Conn, m *Message) error {
	if h := registrationHandlers[m.Command]; h != nil {
		if err := h(r, c, m); err != nil {
			return err
		}
	}
	return r.proceed(c)
}

// proceed ends the capability negotiation when nothing is open any more.
func (r *registration) proceed(c *Conn) error {
	if !r.listed || r.ended || c.welcome != "" {
		return nil
	}
	if value, ok := c.Caps().Offered("sts"); ok && c.info.TLS == nil {
		if port, ok := stsPort(value); ok {
			c.partWays()
			return upgrade{port}
		}
	}
	if c.sasl != nil && r.saslBy.IsZero() {
		r.saslBy = time.Now().Add(saslTimeout)
		if err := r.expired(c); err != nil {
			return err
		}
	}
	if r.unanswered > 0 || c.sasl != nil {
		return nil
	}
	if f := r.loginMissing(c); f != nil {
		return f
	}
	r.ended = true
	c.control(Line{Command: "CAP", Params: []string{"END"}})
	return nil
}

// loginMissing is the failure of a login that is required.
func (r *registration) loginMissing(c *Conn) *Failure {
	if c.opt.sasl == nil || !c.opt.sasl.Required {
		return nil
	}
	account, why := c.Login()
	switch {
	case account != "":
		return nil
	case why != nil:
		return why
	}
	return &Failure{Reason: SASLUnavailable, Text: c.info.Endpoint.Host + " offers no login (SASL), which is required here."}
}

// expired is called at the read deadline and sets the next one.
func (r *registration) expired(c *Conn) error {
	now := time.Now()
	if !now.Before(r.deadline) {
		return &Failure{Reason: Timeout, Text: c.info.Endpoint.Host + " did not finish the registration in time."}
	}
	next := r.deadline
	if c.sasl != nil && !r.saslBy.IsZero() {
		if !now.Before(r.saslBy) {
			c.control(Line{Command: "AUTHENTICATE", Params: []string{"*"}})
			c.sasl = nil
			c.setLogin("", c.saslUnavailable("it does not answer"))
			if err := r.proceed(c); err != nil {
				return err
			}
		} else if r.saslBy.Before(next) {
			next = r.saslBy
		}
	}
	return c.sock.SetReadDeadline(next)
}

func (r *registration) welcomed(c *Conn, m *Message) error {
	if f := r.loginMissing(c); f != nil { // a server without CAP
		return f
	}
	nick := m.Param(0)
	if nick == "" {
		nick = r.nick
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.welcome = strings.Clone(nick)
	return nil
}

// refused asks for another nick.
func (r *registration) refused(c *Conn, m *Message, reason Reason) error {
	why := refusal(reason, c.info.Endpoint.Host, m.Command, m.Last())
	r.tries++
	if r.o.Nicks == nil || r.tries > maxNicks {
		return why
	}
	next, ok := r.o.Nicks(r.nick, why)
	if !ok {
		return why
	}
	r.nick = next
	if !c.sendNick(next) {
		return why
	}
	return nil
}

func numericRefusal(reason Reason) func(*registration, *Conn, *Message) error {
	return func(_ *registration, c *Conn, m *Message) error {
		if hint := classify(m.Last()); reason == Banned && (hint == Throttled || hint == ServerFull) {
			return refusal(hint, c.info.Endpoint.Host, m.Command, m.Last())
		}
		return refusal(reason, c.info.Endpoint.Host, m.Command, m.Last())
	}
}

// answerBadPing is 513: some servers want their cookie by hand ("To connect,
// type /QUOTE PONG 12345").
func answerBadPing(_ *registration, c *Conn, m *Message) error {
	words := strings.Fields(m.Last())
	if n := len(words); n > 1 && strings.EqualFold(words[n-2], "PONG") {
		c.control(Line{Command: "PONG", Params: []string{words[n-1]}})
	}
	return nil
}

// failReply is a standard reply (IRCv3): only what cannot be got over ends registration.
func failReply(_ *registration, c *Conn, m *Message) error {
	if strings.HasPrefix(m.Param(1), "ACCOUNT_REQUIRED") {
		return refusal(SASLUnavailable, c.info.Endpoint.Host, m.Param(1), m.Last())
	}
	return nil
}
