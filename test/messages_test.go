package test

import (
	"strings"
	"testing"
	"unicode/utf8"

	. "transportd/internal/testenv"
)

// A line comes back to its sender once, with the id it was sent under, when the
// network has taken it.
func TestGroupchat(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		for _, text := range []string{"hello", "5 < 6 & 'so' \"on\" >", "héllo ☕ 🌱", ":colon first", "/slash"} {
			id := alice.say(room, text)
			bob.expect(`^:%s!\S+ PRIVMSG %s :%s$`, alice.name, garden, text)
			m := alice.expect(Message(ID(id), From(room+"/"+alice.name), Type("groupchat"), Body(text)))
			alice.check(m, Has("urn:xmpp:sid:0", "stanza-id"))
			bob.says(garden, text)
			alice.expect(Message(From(room+"/"+bob.Nick), Type("groupchat"), Body(text), Has("urn:xmpp:sid:0", "stanza-id")))
		}
		alice.fence(room)
		alice.none(Message(FromBare(room)))
	})
}

// What networks write in a line arrives as people would read it.
func TestTextOfTheNetwork(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		for _, c := range []struct{ name, line, want string }{
			{"bold and colours", "\x02bold\x02 \x0304,12red\x03 \x1ditalic\x1d plain", "bold red italic plain"},
			{"an action", "\x01ACTION waves\x01", "/me waves"},
			{"characters XML forbids", "a\x0bb\x01c", "abc"},
			{"markup", "<body>&amp;</body>", "<body>&amp;</body>"},
			{"not UTF-8", "caf\xe9 au lait", "café au lait"},
			{"a noncharacter", "x\uFFFEy", "xy"},
		} {
			bob.says(garden, c.line)
			m := alice.expect(Message(From(room+"/"+bob.Nick), Type("groupchat")))
			if got := m.Child("", "body").Content(); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
	})
}

func TestActionOfTheUser(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		id := alice.say(room, "/me waves")
		bob.expect(`PRIVMSG %s :%s`, garden, "\x01ACTION waves\x01")
		alice.expect(Message(ID(id), Body("/me waves")))
	})
}

// Several lines, or one that is too long, are several lines of the network and
// one message for its sender.
func TestLongMessages(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)

		id := alice.say(room, "first\nsecond\n\nfourth")
		for _, line := range []string{"first", "second", "fourth"} {
			bob.expect(`PRIVMSG %s :%s$`, garden, line)
		}
		alice.expect(Message(ID(id), Body("first\nsecond\n\nfourth")))

		words := strings.TrimSpace(strings.Repeat("Blümchen pflücken ☘ ", 60))
		id = alice.say(room, words)
		alice.say(room, "the end")
		bob.expect(`PRIVMSG %s :the end`, garden)
		var parts []string
		for _, line := range bob.Lines() {
			_, text, found := strings.Cut(line.Text, " PRIVMSG "+garden+" :")
			if !found || !strings.Contains(text, "Bl") {
				continue
			}
			if len(line.Text) > 510 || !utf8.ValidString(text) {
				t.Errorf("a line of %d bytes: %q", len(line.Text), line.Text)
			}
			parts = append(parts, strings.TrimSpace(text))
		}
		if got := strings.Join(parts, " "); got != words || len(parts) < 3 {
			t.Errorf("%d parts:\n%s\nwant\n%s", len(parts), got, words)
		}
		alice.expect(Message(ID(id), Body(words)))
		alice.expect(Message(Body("the end")))
		alice.none(Message(FromBare(room)))
	})
}

// One-to-one chat with nick%network@gateway.
func TestPrivate(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		alice.enter(garden)

		alice.chat(s.person(bob.Nick), "psst")
		bob.expect(`^:%s!\S+ PRIVMSG %s :psst`, alice.name, bob.Nick)
		bob.says(alice.name, "what?")
		alice.expect(Message(FromBare(s.person(bob.Nick)), Type("chat"), Body("what?")))

		// A stranger's first words come the same way.
		carol := s.irc(t, "carol")
		carol.says(alice.name, "do I know you?")
		alice.expect(Message(FromBare(s.person(carol.Nick)), Type("chat"), Body("do I know you?")))

		// Nobody there: the network's words come back with the line's id.
		id := alice.chat(s.person(unique("ghost")), "anybody?")
		alice.expect(Message(ID(id), Error("cancel", "item-not-found"), ErrorText("(?i)no such nick")))
	})
}

// A receipt (XEP-0184) says that the network has taken the line.
func TestReceipts(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		alice.enter(garden)
		ask := func(nick string) string {
			id := alice.NewID()
			alice.send(`<message to='%s' type='chat' id='%s'><body>hm</body><request xmlns='urn:xmpp:receipts'/></message>`, s.person(nick), id)
			return id
		}
		id := ask(bob.Nick)
		bob.expect(`PRIVMSG %s :hm`, bob.Nick)
		m := alice.expect(Message(FromBare(s.person(bob.Nick)), Has("urn:xmpp:receipts", "received")))
		if got := m.Child("urn:xmpp:receipts", "received").Attr("id"); got != id {
			t.Errorf("a receipt for %q, want %q", got, id)
		}
		id = ask(unique("ghost"))
		alice.expect(Message(ID(id), Type("error")))
		alice.none(Message(Has("urn:xmpp:receipts", "received")))
	})
}

// Private messages in a room are to and from its occupants (XEP-0045 section 7.5).
func TestPrivateToOccupant(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		alice.chat(room+"/"+bob.Nick, "psst")
		bob.expect(`^:%s!\S+ PRIVMSG %s :psst`, alice.name, bob.Nick)
		bob.says(alice.name, "what?")
		m := alice.expect(Message(From(room+"/"+bob.Nick), Type("chat"), Body("what?")))
		alice.check(m, Has(NSMUCUser, "x"))

		id := alice.chat(room+"/"+unique("ghost"), "anybody?")
		alice.expect(Message(ID(id), Error("cancel", "item-not-found")))
	})
}

// What IRC cannot do arrives as text that can be read, once.
func TestFallbacks(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.says(garden, "who comes along?")
		question := alice.expect(Message(Body("who comes along?")))
		stanzaID := stanzaID(question, room)
		first := alice.say(room, "me tow")
		alice.expect(Message(ID(first)))
		bob.expect(`PRIVMSG %s :me tow`, garden)

		send := func(payload string) {
			alice.send(`<message to='%s' type='groupchat' id='%s'>`+payload+`</message>`, room, alice.NewID())
		}
		send(`<body>me too</body><replace id='` + first + `' xmlns='urn:xmpp:message-correct:0'/>`)
		bob.expect(`PRIVMSG %s :.*me too`, garden)
		send(`<body>&gt; who comes along?
all of us</body><reply to='` + Escape(room+"/"+bob.Nick) + `' id='` + stanzaID + `' xmlns='urn:xmpp:reply:0'/>` +
			`<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='19'/></fallback>`)
		bob.expect(`PRIVMSG %s :.*all of us`, garden)
		send(`<reactions id='` + stanzaID + `' xmlns='urn:xmpp:reactions:0'><reaction>👍</reaction></reactions>`)
		bob.expect(`PRIVMSG %s :.*👍`, garden)
		send(`<retract id='` + first + `' xmlns='urn:xmpp:message-retract:1'/><body>I take it back</body>` +
			`<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>`)
		alice.say(room, "the end")
		bob.expect(`PRIVMSG %s :the end`, garden)
		bob.none(`PRIVMSG %s :.*(me too|all of us|👍)`, garden)
	})
}

// A line the channel does not take is an error for its sender, in the server's
// words, and is not shown.
func TestCannotSend(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		bob.mode(garden, "+m")
		id := alice.say(room, "may I?")
		alice.expect(Message(ID(id), Error("auth", "forbidden"), ErrorText("(?i)cannot send|moderated|not have")))
		bob.mode(garden, "+v "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("participant"), Affiliation("member")))
		id = alice.say(room, "thank you")
		alice.expect(Message(ID(id), Type("groupchat")))
		bob.expect(`PRIVMSG %s :thank you`, garden)
		bob.none(`PRIVMSG %s :may I`, garden)
	})
}

// Who is not in a room cannot speak there.
func TestNotJoined(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		id := alice.say(s.room(garden), "hello?")
		alice.expect(Message(ID(id), Error("modify", "not-acceptable")))
		bob.none(`PRIVMSG %s`, garden)
	})
}
