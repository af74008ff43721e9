package ircconn

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergochat/irc-go/ircutils"
	"github.com/xdg-go/scram"
)

// exchange is a SASL login under way (IRCv3 sasl 3.1 and 3.2).
type exchange struct {
	mechanisms []string // still to try, the current one first
	buffer     ircutils.SASLBuffer
	step       func(challenge []byte) (response []byte, err error)
	distrusted bool // the server failed to prove that it knows the password
	started    bool // the server has asked for our first response
}

const maxSASLData = 16 << 10

// mechanisms returns what we can do of what the server announces, best first.
func (c *Conn) mechanisms() []string {
	o := c.opt.sasl
	wanted := o.Mechanisms
	if wanted == nil {
		wanted = []string{External, ScramSHA256, Plain}
	}
	announced, _ := c.Caps().Offered("sasl")
	var usable []string
	for _, m := range wanted {
		m = strings.ToUpper(m)
		switch m {
		case External:
			if !c.opt.certificate || c.info.TLS == nil {
				continue
			}
		case ScramSHA256, Plain:
			if o.Account == "" || o.Password == "" {
				continue
			}
		default:
			continue
		}
		if announced == "" || slices.Contains(strings.Split(strings.ToUpper(announced), ","), m) {
			usable = append(usable, m)
		}
	}
	return usable
}

// startSASL begins a login once the capability is on.
func (c *Conn) startSASL() {
	if c.opt.sasl == nil || c.sasl != nil || c.account != "" {
		return
	}
	usable := c.mechanisms()
	if len(usable) == 0 {
		c.setLogin("", c.saslUnavailable("it offers no way of logging in that fits"))
		return
	}
	c.sasl = &exchange{mechanisms: usable}
	c.tryMechanism()
}

func (c *Conn) saslUnavailable(why string) *Failure {
	return &Failure{
		Reason: SASLUnavailable, Permanent: false,
		Text: fmt.Sprintf("%s does not let anybody log in at the moment: %s.", c.info.Endpoint.Host, why),
	}
}

// tryMechanism starts the first of the mechanisms that are left.
func (c *Conn) tryMechanism() {
	x := c.sasl
	x.buffer.Initialize(maxSASLData)
	x.buffer.Clear()
	x.started = false
	mechanism := x.mechanisms[0]
	o := c.opt.sasl
	switch mechanism {
	case External:
		x.step = func([]byte) ([]byte, error) { return []byte(o.Identity), nil }
	case Plain:
		x.step = func([]byte) ([]byte, error) {
			return []byte("\x00" + o.Account + "\x00" + o.Password), nil
		}
	case ScramSHA256:
		step, err := x.scram(o)
		if err != nil { // not expressible (SASLprep)
			c.nextMechanism(refusal(SASLFailed, c.info.Endpoint.Host, "", "the password holds characters that cannot be used"))
			return
		}
		x.step = step
	}
	c.control(Line{Command: "AUTHENTICATE", Params: []string{mechanism}})
}

// maxIterations bounds the work a server may ask for with its first challenge: some
// tenths of a second, in which the connection's reader does nothing else. Services
// ask for 4096 to 64000.
const maxIterations = 1_000_000

var errIterations = errors.New("the server asks for too much work")

// iterations reads the i= of a first challenge (RFC 5802 section 7), 0 when there is none.
func iterations(challenge []byte) int {
	for field := range strings.SplitSeq(string(challenge), ",") {
		if n, ok := strings.CutPrefix(field, "i="); ok {
			count, err := strconv.Atoi(n)
			if errors.Is(err, strconv.ErrRange) {
				return math.MaxInt
			}
			return count
		}
	}
	return 0
}

// scram is RFC 7677; the first challenge is empty.
func (x *exchange) scram(o *SASL) (func([]byte) ([]byte, error), error) {
	client, err := scram.SHA256.NewClient(o.Account, o.Password, "")
	if err != nil {
		return nil, err
	}
	talk := client.NewConversation()
	return func(challenge []byte) ([]byte, error) {
		if iterations(challenge) > maxIterations {
			return nil, errIterations
		}
		response, err := talk.Step(string(challenge))
		if err != nil {
			x.distrusted = talk.Done() || strings.HasPrefix(string(challenge), "v=")
			return nil, err
		}
		return []byte(response), nil
	}, nil
}

// handleAuthenticate answers a challenge.
func (c *Conn) handleAuthenticate(m *Message) {
	x := c.sasl
	if x == nil || len(m.Params) == 0 {
		return
	}
	done, challenge, err := x.buffer.Add(m.Params[0])
	if err == nil && !done {
		return
	}
	var response []byte
	if err == nil {
		x.started = true
		response, err = x.step(challenge)
	}
	if err != nil {
		c.control(Line{Command: "AUTHENTICATE", Params: []string{"*"}})
		return // 906 or 904 follows
	}
	for _, chunk := range ircutils.EncodeSASLResponse(response) {
		c.control(Line{Command: "AUTHENTICATE", Params: []string{chunk}})
	}
}

// saslNumerics apply 900 to 908.
var saslNumerics = map[string]func(c *Conn, m *Message){
	"900": func(c *Conn, m *Message) { c.setLogin(strings.Clone(m.Param(2)), nil) },
	"901": func(c *Conn, _ *Message) { c.setLogin("", nil) },
	"902": func(c *Conn, m *Message) { c.nextMechanism(refusal(SASLFailed, c.info.Endpoint.Host, "902", m.Last())) },
	"903": func(c *Conn, _ *Message) { c.loggedIn() },
	"904": func(c *Conn, m *Message) { c.nextMechanism(refusal(SASLFailed, c.info.Endpoint.Host, "904", m.Last())) },
	"905": func(c *Conn, m *Message) { c.nextMechanism(refusal(SASLFailed, c.info.Endpoint.Host, "905", m.Last())) },
	"906": func(c *Conn, m *Message) { c.nextMechanism(c.aborted(m)) },
	"907": func(c *Conn, _ *Message) { c.loggedIn() },
	"908": (*Conn).otherMechanisms,
}

// loggedIn ends an exchange that went well; 900 has told the account, or else it is the one we gave.
func (c *Conn) loggedIn() {
	if c.sasl == nil {
		return
	}
	c.sasl = nil
	if account, _ := c.Login(); account == "" {
		c.setLogin(c.opt.sasl.Account, nil)
	}
}

// aborted is the failure behind 906.
func (c *Conn) aborted(m *Message) *Failure {
	if c.sasl != nil && c.sasl.distrusted {
		return &Failure{Reason: SASLFailed, Code: "906", Permanent: true,
			Text: c.info.Endpoint.Host + " could not prove that it knows the account's password."}
	}
	return refusal(SASLFailed, c.info.Endpoint.Host, "906", m.Last())
}

// otherMechanisms is 908: what the server can do after all. 904 follows.
func (c *Conn) otherMechanisms(m *Message) {
	if c.sasl == nil || len(c.sasl.mechanisms) == 0 {
		return
	}
	announced := strings.Split(strings.ToUpper(m.Param(1)), ",")
	rest := slices.DeleteFunc(slices.Clone(c.sasl.mechanisms[1:]), func(name string) bool { return !slices.Contains(announced, name) })
	c.sasl.mechanisms = append(c.sasl.mechanisms[:1:1], rest...)
}

// nextMechanism goes on after a refusal, or ends the login with it. A password
// is not sent in the clear to a server that refused it hashed, unless the connection
// is encrypted, and never to one that failed to prove itself.
func (c *Conn) nextMechanism(why *Failure) {
	x := c.sasl
	if x == nil {
		return
	}
	left := x.mechanisms[1:]
	if x.mechanisms[0] == ScramSHA256 && (x.distrusted || c.info.TLS == nil) {
		left = slices.DeleteFunc(slices.Clone(left), func(name string) bool { return name == Plain })
	}
	if len(left) == 0 {
		c.sasl = nil
		c.setLogin("", why)
		return
	}
	x.mechanisms = left
	c.tryMechanism()
}

// saslGone: services have left, or the capability was refused.
func (c *Conn) saslGone() {
	if c.sasl != nil || c.account == "" && c.opt.sasl != nil {
		c.sasl = nil
		c.setLogin("", c.saslUnavailable("its account service is away"))
	}
}

func (c *Conn) setLogin(account string, why *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account, c.loginFailure = account, why
}
