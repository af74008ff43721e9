package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"transportd/internal/testenv"
)

// room is the channel's address on XMPP.
const room = channel + "%" + network + "@" + domain

// cast is who plays in the conversation: alice on XMPP, bob and carol on IRC.
type cast struct {
	alice *testenv.XMPPClient
	bob   *testenv.IRCClient
	carol *testenv.IRCClient
	id    string // of alice's last line
}

// A step is something one side does and the other side gets to see.
type step struct {
	who  string // alice is on XMPP, the others are on IRC
	does string
	sees string // what arrives on the other side
	do   func(c *cast) error
	see  func(ctx context.Context, c *cast) (time.Time, error) // when it arrived
}

// onIRC waits for a line on bob's connection.
func onIRC(pattern string) func(context.Context, *cast) (time.Time, error) {
	return func(ctx context.Context, c *cast) (time.Time, error) {
		l, err := c.bob.ExpectLine(ctx, pattern)
		return l.At, err
	}
}

// onXMPP waits for a stanza of alice's.
func onXMPP(ms ...testenv.Match) func(context.Context, *cast) (time.Time, error) {
	return func(ctx context.Context, c *cast) (time.Time, error) {
		s, err := c.alice.Expect(ctx, ms...)
		return s.At, err
	}
}

// sends has alice send a stanza.
func sends(xml string) func(*cast) error {
	return func(c *cast) error { return c.alice.Send("%s", testenv.Raw(xml)) }
}

// says has alice send a line, with an id that its reflection must carry.
func says(text string) func(*cast) error {
	return func(c *cast) error {
		c.id = c.alice.NewID()
		return c.alice.Send(`<message to='%s' type='groupchat' id='%s'><body>%s</body></message>`, room, c.id, text)
	}
}

func bob(line string) func(*cast) error {
	return func(c *cast) error { c.bob.Send(line); return nil }
}

func carol(line string) func(*cast) error {
	return func(c *cast) error { c.carol.Send(line); return nil }
}

// script is the conversation.
var script = []step{
	{"alice", "joins " + channel, "alice comes into the channel",
		sends(`<presence to='` + room + `/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>`),
		onIRC(`^:alice!\S+ JOIN :?` + channel)},
	{"bob", "was there before", "bob is in the room, a moderator", nil,
		onXMPP(testenv.Presence(testenv.From(room+"/bob"), testenv.Role("moderator")))},
	{"alice", "asked to come in", "alice is in the room, and knows it", nil,
		onXMPP(testenv.Presence(testenv.From(room+"/alice"), testenv.Status("110")))},
	{"carol", "joins " + channel, "carol comes into the room",
		carol("JOIN " + channel), onXMPP(testenv.Presence(testenv.From(room+"/carol"), testenv.Type("")))},
	{"alice", "says “Hello from XMPP ☕”", "alice: Hello from XMPP ☕",
		says("Hello from XMPP ☕"), onIRC(`^:alice!\S+ PRIVMSG ` + channel + ` :Hello from XMPP ☕$`)},
	{"alice", "said it", "her own line comes back, once IRC has it", nil,
		func(ctx context.Context, c *cast) (time.Time, error) {
			return onXMPP(testenv.Message(testenv.ID(c.id), testenv.From(room+"/alice")))(ctx, c)
		}},
	{"bob", "says “Hello from IRC”", "bob: Hello from IRC",
		bob("PRIVMSG " + channel + " :Hello from \x02IRC\x02"),
		onXMPP(testenv.Message(testenv.From(room+"/bob"), testenv.Body("Hello from IRC")))},
	{"alice", "“/me waves”", "* alice waves",
		says("/me waves"), onIRC(`PRIVMSG ` + channel + ` :` + "\x01ACTION waves")},
	{"alice", "to bob alone: “A word?”", "alice, in private: A word?",
		sends(`<message to='bob%` + network + `@` + domain + `' type='chat' id='pm'><body>A word?</body></message>`),
		onIRC(`^:alice!\S+ PRIVMSG bob :A word\?`)},
	{"bob", "to alice alone: “Sure.”", "bob, in private: Sure.",
		bob("PRIVMSG alice :Sure."),
		onXMPP(testenv.Message(testenv.FromBare("bob%"+network+"@"+domain), testenv.Type("chat"), testenv.Body("Sure.")))},
	{"bob", "is robert from now on", "bob is now robert",
		bob("NICK robert"), onXMPP(testenv.Presence(testenv.From(room+"/bob"), testenv.Type("unavailable"), testenv.NewNick("robert")))},
	{"alice", "is alicia from now on", "alice is now alicia",
		sends(`<presence to='` + room + `/alicia'/>`), onIRC(`^:alice!\S+ NICK :?alicia`)},
	{"robert", "sets the topic “Roses”", "the room's subject is Roses",
		bob("TOPIC " + channel + " :Roses"), onXMPP(testenv.Message(testenv.FromBare(room), testenv.Subject("Roses")))},
	{"robert", "makes alicia an operator", "alicia is a moderator",
		bob("MODE " + channel + " +o alicia"), onXMPP(testenv.Presence(testenv.From(room+"/alicia"), testenv.Role("moderator")))},
	{"carol", "leaves: “good night”", "carol has left: good night",
		carol("PART " + channel + " :good night"),
		onXMPP(testenv.Presence(testenv.From(room+"/carol"), testenv.Type("unavailable"), testenv.StatusText("good night")))},
	{"alicia", "leaves: “bye”", "alicia has left the channel",
		sends(`<presence to='` + room + `/alicia' type='unavailable'><status>bye</status></presence>`),
		onIRC(`^:alicia!\S+ (PART|QUIT)`)},
}

// converse plays a script. What does not arrive is shown, and is the error at
// the end.
func (s *stage) converse(ctx context.Context, script []step, patience time.Duration) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.bob.Close()
	defer c.carol.Close()
	s.out.title(fmt.Sprintf("A conversation in %s on IRC, which is %s on XMPP", channel, room))
	missing := 0
	var begun time.Time
	for _, st := range script {
		if st.do != nil {
			begun = time.Now()
			if err := st.do(c); err != nil {
				return err
			}
		}
		wait, cancel := context.WithTimeout(ctx, patience)
		arrived, err := st.see(wait, c)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			missing++
		}
		s.out.step(st, arrived.Sub(begun), err)
	}
	_ = c.alice.Disconnect()
	if missing > 0 {
		return fmt.Errorf("%d of %d things did not arrive; the end of transportd's log:\n%s",
			missing, len(script), testenv.Tail(s.gateway.Log(), 30))
	}
	s.out.line(fmt.Sprintf("\nAll %d arrived.", len(script)))
	return nil
}

// enter logs everybody in; bob makes the channel.
func (s *stage) enter(ctx context.Context) (*cast, error) {
	c := &cast{}
	var err1, err2, err3 error
	if c.bob, err1 = testenv.DialIRC(ctx, s.irc.Address(), "bob"); err1 == nil {
		err1 = c.bob.Join(ctx, channel)
	}
	c.carol, err2 = testenv.DialIRC(ctx, s.irc.Address(), "carol")
	if c.alice, err3 = s.clients.Connect(ctx, s.xmpp, "alice", "demo"); err3 == nil {
		err3 = c.alice.Send("<presence/>")
	}
	return c, errors.Join(err1, err2, err3)
}

var spoken = regexp.MustCompile(`^:([^!]+)!\S+ (JOIN|PRIVMSG) :?(\S+)(?: :(.*))?$`)

// answer is what bob says to a line, and where.
func answer(line string) (to, text string, ok bool) {
	m := spoken.FindStringSubmatch(line)
	if m == nil || m[1] == "bob" {
		return "", "", false
	}
	nick, what, where, said := m[1], m[2], m[3], m[4]
	switch {
	case what == "JOIN":
		return channel, "Hello " + nick + "!", true
	case strings.HasPrefix(said, "\x01"):
		return "", "", false
	case strings.EqualFold(where, channel):
		return channel, nick + ": “" + said + "”, you say?", true
	}
	return nick, "Between you and me: " + said, true
}
