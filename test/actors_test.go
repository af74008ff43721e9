package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// user is an XMPP client in a scenario. Whatever goes wrong ends the scenario.
type user struct {
	*XMPPClient
	t    *testing.T
	name string // account, and the nick it takes on IRC
	site *site
}

// user logs a new account in.
func (s *site) user(t *testing.T, name string) *user {
	t.Helper()
	name = unique(name)
	if err := s.server.AddUsers(wait(t), name); err != nil {
		t.Fatal(err)
	}
	return s.resource(t, name, "phone")
}

// resource logs in one more client of an account.
func (s *site) resource(t *testing.T, name, resource string) *user {
	t.Helper()
	c, err := s.clients.Connect(wait(t), s.server, name, resource)
	if err != nil {
		t.Fatal(err)
	}
	u := &user{XMPPClient: c, t: t, name: name, site: s}
	t.Cleanup(func() { _ = c.Disconnect() })
	u.send(`<presence/>`)
	return u
}

func (u *user) send(format string, args ...any) {
	u.t.Helper()
	if err := u.Send(format, args...); err != nil {
		u.t.Fatal(err)
	}
}

// expect waits for one stanza.
func (u *user) expect(ms ...Match) Stanza {
	u.t.Helper()
	s, err := u.Expect(wait(u.t), ms...)
	if err != nil {
		u.t.Fatal(err)
	}
	return s
}

// inOrder waits for one stanza per condition, arriving in this order.
func (u *user) inOrder(ms ...Match) []Stanza {
	u.t.Helper()
	got, err := u.ExpectOrder(wait(u.t), ms...)
	if err != nil {
		u.t.Fatal(err)
	}
	return got
}

// none fails when such a stanza has come. What it would have come before must
// have been waited for.
func (u *user) none(ms ...Match) {
	u.t.Helper()
	if s, seen := u.Seen(ms...); seen {
		u.t.Fatalf("%s got what it should not: %s", u.JID, s)
	}
}

// request sends an iq and returns its answer, result or error.
func (u *user) request(typ, to, payload string) Stanza {
	u.t.Helper()
	s, err := u.Request(wait(u.t), typ, to, payload)
	if err != nil {
		u.t.Fatal(err)
	}
	return s
}

// result is request for those that must succeed.
func (u *user) result(typ, to, payload string) Stanza {
	u.t.Helper()
	s := u.request(typ, to, payload)
	if s.Attr("type") != "result" {
		u.t.Fatalf("%s to %s: %s", payload, to, s)
	}
	return s
}

// refused is request for those that must fail.
func (u *user) refused(typ, to, payload, errorType, condition string) Stanza {
	u.t.Helper()
	s := u.request(typ, to, payload)
	u.check(s, Error(errorType, condition))
	return s
}

func (u *user) check(s Stanza, ms ...Match) {
	u.t.Helper()
	if want := All(ms...); !want.Holds(s.Node) {
		u.t.Fatalf("got  %s\nwant %s", s, want)
	}
}

// close ends the client's session with its server.
func (u *user) close() {
	u.t.Helper()
	if err := u.Disconnect(); err != nil {
		u.t.Fatal(err)
	}
	if err := u.AwaitDown(wait(u.t)); err != nil {
		u.t.Fatal(err)
	}
}

// join asks to enter a room; extra goes into the <x/>.
func (u *user) join(room, nick, extra string) {
	u.t.Helper()
	u.send(`<presence to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'>`+extra+`</x></presence>`, room, nick)
}

// enter joins a channel under the account's name and waits until it is in: its
// own presence, and the subject that ends the join.
func (u *user) enter(channel string) (room string) {
	u.t.Helper()
	room = u.site.room(channel)
	u.join(room, u.name, "")
	u.expect(Presence(From(room+"/"+u.name), Status("110")))
	u.expect(Message(FromBare(room), Type("groupchat"), Has("jabber:client", "subject")))
	return room
}

// say sends a line to a room and returns its id.
func (u *user) say(room, text string) string {
	u.t.Helper()
	id := u.NewID()
	u.send(`<message to='%s' type='groupchat' id='%s'><body>%s</body></message>`, room, id, text)
	return id
}

// chat sends a line to one person and returns its id.
func (u *user) chat(to, text string) string {
	u.t.Helper()
	id := u.NewID()
	u.send(`<message to='%s' type='chat' id='%s'><body>%s</body></message>`, to, id, text)
	return id
}

// leave leaves a room and waits for the room to say so.
func (u *user) leave(room, reason string) Stanza {
	u.t.Helper()
	u.send(`<presence type='unavailable' to='%s/%s'><status>%s</status></presence>`, room, u.name, reason)
	return u.expect(Presence(From(room+"/"+u.name), Type("unavailable"), Status("110")))
}

// fence returns when the user's session has dealt with what was sent to it
// before: the answer to a self-ping comes from there, in order.
func (u *user) fence(room string) {
	u.t.Helper()
	u.result("get", room+"/"+u.name, `<ping xmlns='urn:xmpp:ping'/>`)
}

// stanzaID is the id a room gave a message (XEP-0359); servers add their own.
func stanzaID(s Stanza, room string) string {
	for _, id := range s.All("stanza-id") {
		if id.Attr("by") == room {
			return id.Attr("id")
		}
	}
	return ""
}

// person is an IRC client in a scenario.
type person struct {
	*IRCClient
	t    *testing.T
	site *site
}

// irc connects a new nick.
func (s *site) irc(t *testing.T, name string) *person {
	t.Helper()
	c, err := DialIRC(wait(t), s.ircd.Address(), unique(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &person{IRCClient: c, t: t, site: s}
}

// host connects a nick and lets it make a new channel, where it is operator.
func (s *site) host(t *testing.T, name, channel string) (*person, string) {
	t.Helper()
	p := s.irc(t, name)
	channel = "#" + unique(channel)
	p.join(channel)
	p.Forget()
	return p, channel
}

func (p *person) join(channel string) {
	p.t.Helper()
	if err := p.Join(wait(p.t), channel); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits for a line.
func (p *person) expect(format string, args ...any) string {
	p.t.Helper()
	line, err := p.Expect(wait(p.t), pattern(format, args))
	if err != nil {
		p.t.Fatal(err)
	}
	return line
}

// none fails when such a line has come by the time the server has answered
// everything sent before.
func (p *person) none(format string, args ...any) {
	p.t.Helper()
	if err := p.Fence(wait(p.t)); err != nil {
		p.t.Fatal(err)
	}
	if line, seen := p.Seen(pattern(format, args)); seen {
		p.t.Fatalf("%s got what it should not: %s", p.Nick, line)
	}
}

// pattern fills literal text into a regular expression.
func pattern(format string, args []any) string {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = regexp.QuoteMeta(s)
		}
	}
	return fmt.Sprintf(format, args...)
}

// says sends a line to a channel or a nick.
func (p *person) says(target, text string) { p.Sendf("PRIVMSG %s :%s", target, text) }

// mode changes a mode and waits until the server shows it.
func (p *person) mode(channel, change string) {
	p.t.Helper()
	p.Sendf("MODE %s %s", channel, change)
	letters, _, _ := strings.Cut(change, " ")
	p.expect(`MODE %s :?%s`, channel, letters)
}

// meets waits for somebody else to come into a channel.
func (p *person) meets(nick, channel string) {
	p.t.Helper()
	p.expect(`(?i)^:%s!\S+ JOIN :?%s`, nick, channel)
}
