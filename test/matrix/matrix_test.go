package matrix

import (
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// hasAttr is for a stanza with such a child.
func hasAttr(space, name, attr, value string) Match {
	return Where("<"+name+" "+attr+"="+value+">", func(n *Node) bool {
		found := n.First(name)
		return found != nil && found.Attr(attr) == value
	})
}

func TestRoom(t *testing.T) {
	everywhere(t, "room", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Topic: "what grows", Alias: p.alias, Public: true}))
		p.id(p.anna.Say(p.wait(), garden, "before ben"))
		room := p.enter("what grows")
		p.hears(InRoom(garden), Membership(p.benID, "join"))
		p.expect(Presence(FromBare(room), Affiliation("owner"), Role("moderator")))
		p.expect(Message(FromBare(room), Body("before ben"), Delayed()))

		// One line from each side, and what is done to them.
		annas := p.id(p.anna.Say(p.wait(), garden, `5 < 6 & "so"`))
		heard := p.expect(Message(FromBare(room), Type("groupchat"), Body(`5 < 6 & "so"`)))
		if heard.Attr("id") == "" || stanzaIDOf(heard) == "" {
			p.Errorf("a line without ids: %s", heard)
		}
		bens, bensStanza := p.say(room, "seven", "")
		his := p.hears(InRoom(garden), Sender(p.benID), Text("seven"))

		p.id(p.anna.Edit(p.wait(), garden, annas, "5 < 7"))
		p.expect(Message(FromBare(room), Body("5 < 7"), hasAttr("urn:xmpp:message-correct:0", "replace", "id", heard.Attr("id"))))
		p.send(`<message to='%s' type='groupchat' id='%s'><body>eight</body><replace xmlns='urn:xmpp:message-correct:0' id='%s'/></message>`, room, p.xmpp.NewID(), bens)
		p.hears(Sender(p.benID), Replaces(his.ID, "eight"))

		p.id(p.anna.React(p.wait(), garden, his.ID, "👍"))
		p.expect(Message(FromBare(room), hasAttr("urn:xmpp:reactions:0", "reactions", "id", bensStanza), Where("👍", func(n *Node) bool {
			r := n.First("reaction")
			return r != nil && strings.TrimSpace(r.Text) == "👍"
		})))
		p.send(`<message to='%s' type='groupchat' id='%s'><reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>🎉</reaction></reactions><store xmlns='urn:xmpp:hints'/></message>`,
			room, p.xmpp.NewID(), stanzaIDOf(heard))
		p.hears(Sender(p.benID), Reacts(annas, "🎉"))

		p.id(p.anna.Reply(p.wait(), garden, his.ID, "really?"))
		p.expect(Message(FromBare(room), BodyLike(`^> .*seven\nreally\?$`), Has("urn:xmpp:fallback:0", "fallback"), hasAttr("urn:xmpp:reply:0", "reply", "id", bensStanza)))
		p.say(room, "yes", `<reply xmlns='urn:xmpp:reply:0' id='`+stanzaIDOf(heard)+`' to='`+room+`/x'/>`)
		p.hears(Sender(p.benID), RepliesTo(annas), Text("yes"))

		p.say(room, "/me waves", "")
		p.hears(Sender(p.benID), Emote("waves"))
		p.id(p.anna.Emote(p.wait(), garden, "nods"))
		p.expect(Message(FromBare(room), Body("/me nods")))

		p.id(p.anna.Redact(p.wait(), garden, annas, "wrong"))
		p.expect(Message(FromBare(room), hasAttr("urn:xmpp:message-retract:1", "retract", "id", stanzaIDOf(heard))))

		// The archive tells who said what, and can be asked by that.
		p.send(`<iq type='set' id='%s' to='%s'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>`+
			`<field var='with'><value>%s</value></field></x></query></iq>`, p.xmpp.NewID(), room, p.annaAddress)
		ofAnna := hasAttr("http://jabber.org/protocol/muc#user", "item", "jid", p.annaAddress)
		p.expect(Message(Has("urn:xmpp:mam:2", "result"), Has("jabber:client", "subject"), ofAnna))
		p.expect(Message(Has("urn:xmpp:mam:2", "result"), Where("before ben", func(n *Node) bool { return n.First("body") != nil && n.First("body").Text == "before ben" }), ofAnna))
		p.expect(IQ(Has("urn:xmpp:mam:2", "fin")))
		if s, seen := p.xmpp.Seen(Message(Has("urn:xmpp:mam:2", "result"), Not(ofAnna))); seen {
			p.Errorf("asked for what anna said, the archive told %s", s)
		}

		p.try(p.anna.Kick(p.wait(), garden, p.benID, "enough"))
		p.expect(Presence(FromBare(room), Type("unavailable"), Status("110", "307")))
	})
}

func TestChat(t *testing.T) {
	everywhere(t, "chat", func(p *pair) {
		chat := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Direct: true, Invite: []string{p.benID}}))
		p.expect(Presence(From(p.annaAddress), Type("subscribe")))
		p.send(`<presence to='%s' type='subscribed'/>`, p.annaAddress)
		p.hears(InRoom(chat), Membership(p.benID, "join"))
		p.id(p.anna.Say(p.wait(), chat, "are you there?"))
		p.expect(Message(FromBare(p.annaAddress), Type("chat"), Body("are you there?")))
		p.send(`<message to='%s' type='chat' id='%s'><body>*certainly*</body></message>`, p.annaAddress, p.xmpp.NewID())
		answer := p.hears(InRoom(chat), Sender(p.benID), TextLike("certainly"))
		if html, _ := answer.Value("formatted_body").(string); html != "<strong>certainly</strong>" {
			p.Errorf("styled text is %q", html)
		}
		p.try(p.anna.Typing(p.wait(), chat, true))
		p.expect(Message(FromBare(p.annaAddress), Has("http://jabber.org/protocol/chatstates", "composing")))
	})
}

// TestEncrypted: the room is encrypted for everybody but its members, and transportd's
// user is one of them.
func TestEncrypted(t *testing.T) {
	everywhere(t, "sealed", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true, Encrypted: true}))
		room := p.enter("")
		p.hears(InRoom(garden), Membership(p.benID, "join"))
		must[[]string](p)(p.anna.AwaitDevices(p.wait(), p.benID, 1))
		p.id(p.anna.Say(p.wait(), garden, "a secret"))
		p.expect(Message(FromBare(room), Body("a secret")))
		p.say(room, "kept", "")
		p.hears(InRoom(garden), Sender(p.benID), Text("kept"), Encrypted())
	})
}

// TestKilled: what is said while transportd is dead comes when it is back, once, and
// the user is still there.
func TestKilled(t *testing.T) {
	everywhere(t, "killed", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		room := p.enter("")
		p.id(p.anna.Say(p.wait(), garden, "one"))
		p.expect(Message(FromBare(room), Body("one")))
		p.say(room, "two", "")
		p.hears(Sender(p.benID), Text("two"))
		p.gateway.Kill9()
		p.id(p.anna.Say(p.wait(), garden, "three"))
		p.id(p.anna.Say(p.wait(), garden, "four"))
		p.try(p.gateway.Start(p.wait()))
		p.expect(Message(FromBare(room), Body("three")))
		p.expect(Message(FromBare(room), Body("four")))
		p.id(p.anna.Say(p.wait(), garden, "five"))
		p.expect(Message(FromBare(room), Body("five")))
		p.say(room, "six", "")
		p.hears(Sender(p.benID), Text("six"))
		for _, text := range []string{"one", "two", "three", "four", "five", "six"} {
			got := p.xmpp.Received(Message(FromBare(room), Body(text)))
			// Who is brought back in is told the room's last lines: again they are the same.
			again := len(got) == 2 && (text == "one" || text == "two") &&
				got[0].Attr("id") == got[1].Attr("id") && stanzaIDOf(got[0]) == stanzaIDOf(got[1]) && Delayed().Holds(got[1].Node)
			if len(got) != 1 && !again {
				p.Errorf("%q came %d times: %s", text, len(got), got)
			}
		}
		if got := p.anna.Received(InRoom(garden), Sender(p.benID), Text("six")); len(got) != 1 {
			p.Errorf("the last line went out %d times", len(got))
		}
	})
}
