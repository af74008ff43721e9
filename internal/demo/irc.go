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

const (
	ircDomain = "irc.localhost" // the gateway's
	ircName   = "demo"          // the network's
	channel   = "#garden"
	// ircRoom is the channel's address on XMPP.
	ircRoom = channel + "%" + ircName + "@" + ircDomain
)

// ircNetwork is InspIRCd, with bob and carol.
type ircNetwork struct {
	*stage
	server     *testenv.IRCServer
	bob, carol *testenv.IRCClient
}

func (n *ircNetwork) name() string   { return "IRC" }
func (n *ircNetwork) domain() string { return ircDomain }

func (n *ircNetwork) servers(ctx context.Context, s *stage) []server {
	n.stage = s
	return []server{{"InspIRCd, the IRC server, with NickServ", func() (err error) {
		n.server, err = s.env.StartInspIRCd(ctx)
		return err
	}}}
}

func (n *ircNetwork) gateway() testenv.GatewayOptions {
	return testenv.GatewayOptions{Networks: []testenv.Network{{Name: ircName, Server: n.server, TLS: true}}}
}

// enter logs bob and carol in; bob makes the channel.
func (n *ircNetwork) enter(ctx context.Context, _ *stage) error {
	var err1, err2 error
	if n.bob, err1 = testenv.DialIRC(ctx, n.server.Address(), "bob"); err1 == nil {
		err1 = n.bob.Join(ctx, channel)
	}
	n.carol, err2 = testenv.DialIRC(ctx, n.server.Address(), "carol")
	return errors.Join(err1, err2)
}

func (n *ircNetwork) leave() {
	n.bob.Close()
	n.carol.Close()
}

func (n *ircNetwork) title() string {
	return fmt.Sprintf("A conversation in %s on IRC, which is %s on XMPP", channel, ircRoom)
}

// sees waits for a line on bob's connection.
func (n *ircNetwork) sees(pattern string) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		l, err := n.bob.ExpectLine(ctx, pattern)
		return l.At, err
	}
}

func types(c *testenv.IRCClient, line string) func(context.Context) error {
	return func(context.Context) error { c.Send(line); return nil }
}

func (n *ircNetwork) script() []step {
	id := n.alice.NewID()
	return []step{
		{toNetwork, "alice", "joins " + channel, "alice comes into the channel",
			n.joins(ircRoom, "alice"), n.sees(`^:alice!\S+ JOIN :?` + channel)},
		{toXMPP, "bob", "was there before", "bob is in the room, a moderator", nil,
			n.hears(testenv.Presence(testenv.From(ircRoom+"/bob"), testenv.Role("moderator")))},
		{onXMPP, "alice", "asked to come in", "alice is in the room, and knows it", nil,
			n.hears(testenv.Presence(testenv.From(ircRoom+"/alice"), testenv.Status("110")))},
		{toXMPP, "carol", "joins " + channel, "carol comes into the room",
			types(n.carol, "JOIN "+channel), n.hears(testenv.Presence(testenv.From(ircRoom+"/carol"), testenv.Type("")))},
		{toNetwork, "alice", "says “Hello from XMPP ☕”", "alice: Hello from XMPP ☕",
			n.says(ircRoom, id, "Hello from XMPP ☕", ""), n.sees(`^:alice!\S+ PRIVMSG ` + channel + ` :Hello from XMPP ☕$`)},
		{onXMPP, "alice", "said it", "her own line comes back, once IRC has it", nil,
			n.hears(testenv.Message(testenv.ID(id), testenv.From(ircRoom+"/alice")))},
		{toXMPP, "bob", "says “Hello from IRC”", "bob: Hello from IRC",
			types(n.bob, "PRIVMSG "+channel+" :Hello from \x02IRC\x02"),
			n.hears(testenv.Message(testenv.From(ircRoom+"/bob"), testenv.Body("Hello from IRC")))},
		{toNetwork, "alice", "“/me waves”", "* alice waves",
			n.says(ircRoom, n.alice.NewID(), "/me waves", ""), n.sees(`PRIVMSG ` + channel + ` :` + "\x01ACTION waves")},
		{toNetwork, "alice", "to bob alone: “A word?”", "alice, in private: A word?",
			n.sends(`<message to='bob%` + ircName + `@` + ircDomain + `' type='chat' id='pm'><body>A word?</body></message>`),
			n.sees(`^:alice!\S+ PRIVMSG bob :A word\?`)},
		{toXMPP, "bob", "to alice alone: “Sure.”", "bob, in private: Sure.",
			types(n.bob, "PRIVMSG alice :Sure."),
			n.hears(testenv.Message(testenv.FromBare("bob%"+ircName+"@"+ircDomain), testenv.Type("chat"), testenv.Body("Sure.")))},
		{toXMPP, "bob", "is robert from now on", "bob is now robert",
			types(n.bob, "NICK robert"), n.hears(testenv.Presence(testenv.From(ircRoom+"/bob"), testenv.Type("unavailable"), testenv.NewNick("robert")))},
		{toNetwork, "alice", "is alicia from now on", "alice is now alicia",
			n.sends(`<presence to='` + ircRoom + `/alicia'/>`), n.sees(`^:alice!\S+ NICK :?alicia`)},
		{toXMPP, "robert", "sets the topic “Roses”", "the room's subject is Roses",
			types(n.bob, "TOPIC "+channel+" :Roses"), n.hears(testenv.Message(testenv.FromBare(ircRoom), testenv.Subject("Roses")))},
		{toXMPP, "robert", "makes alicia an operator", "alicia is a moderator",
			types(n.bob, "MODE "+channel+" +o alicia"), n.hears(testenv.Presence(testenv.From(ircRoom+"/alicia"), testenv.Role("moderator")))},
		{toXMPP, "carol", "leaves: “good night”", "carol has left: good night",
			types(n.carol, "PART "+channel+" :good night"),
			n.hears(testenv.Presence(testenv.From(ircRoom+"/carol"), testenv.Type("unavailable"), testenv.StatusText("good night")))},
		{toNetwork, "alicia", "leaves: “bye”", "alicia has left the channel",
			n.sends(`<presence to='` + ircRoom + `/alicia' type='unavailable'><status>bye</status></presence>`),
			n.sees(`^:alicia!\S+ (PART|QUIT)`)},
	}
}

func (n *ircNetwork) invite() ([][2]string, string) {
	return [][2]string{
		{"join the room", ircRoom},
		{"talk to bob", "bob%" + ircName + "@" + ircDomain},
		{"register", "write “help” to " + ircDomain},
		{"from IRC", fmt.Sprintf("%s, port %d, or %d with TLS", n.server.Host, n.server.Plain, n.server.TLS)},
	}, "bob waits in " + channel + "."
}

// keepCompany has bob answer whoever speaks.
func (n *ircNetwork) keepCompany(ctx context.Context) {
	bob, err := testenv.DialIRC(ctx, n.server.Address(), "bob")
	if err != nil || bob.Join(ctx, channel) != nil {
		<-ctx.Done()
		return
	}
	defer bob.Close()
	for {
		line, err := bob.Expect(ctx, `^:[^!]+!\S+ (JOIN|PRIVMSG) `)
		if err != nil {
			<-ctx.Done()
			return
		}
		if to, text, ok := answer(line); ok {
			bob.Sendf("PRIVMSG %s :%s", to, text)
		}
	}
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
