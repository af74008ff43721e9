package matrix

import (
	"net/url"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

const (
	nsReactions = "urn:xmpp:reactions:0"
	nsRetract   = "urn:xmpp:message-retract:1"
	nsModerate  = "urn:xmpp:message-moderate:1"
	nsReplace   = "urn:xmpp:message-correct:0"
	nsReply     = "urn:xmpp:reply:0"
	nsXHTML     = "http://jabber.org/protocol/xhtml-im"
)

// reactions are what a sender has put to a line: all of it.
func reactions(line string, keys ...string) Match {
	return Message(Where("reactions to "+line+": "+strings.Join(keys, " "), func(n *Node) bool {
		r := n.Child(nsReactions, "reactions")
		if r == nil || r.Attr("id") != line {
			return false
		}
		var got []string
		for _, c := range r.All("reaction") {
			got = append(got, strings.TrimSpace(c.Text))
		}
		return strings.Join(got, " ") == strings.Join(keys, " ")
	}))
}

// about is a child that names a line.
func about(space, name, line string) Match { return hasAttr(space, name, "id", line) }

// thread is a line of the thread that begins with another (XEP-0201).
func thread(root string) Match {
	return Where("thread "+root, func(n *Node) bool { return n.Child("jabber:client", "thread").Content() == root })
}

func TestFormatted(t *testing.T) {
	sideBySide(t, "formatted", func(p *pair) {
		garden, room := p.public()
		p.id(p.anna.Notice(p.wait(), garden, "from a program"))
		p.expect(Message(FromBare(room), Body("from a program")))

		p.id(p.anna.SayHTML(p.wait(), garden, "bold, then code", `<strong>bold</strong>, then <code>code</code><script>evil()</script><ul><li>one</li></ul>`))
		heard := p.expect(Message(FromBare(room), BodyLike("^\\*bold\\*, then `code`"), Has(nsXHTML, "html")))
		if heard.First("strong").Content() != "bold" || heard.First("script") != nil || strings.Contains(heard.First("body").Content(), "evil") {
			p.Errorf("the looks are %s", heard)
		}
		own := "ben" + p.alias
		p.id(p.anna.SayHTML(p.wait(), garden, own+": hi", `<a href="https://matrix.to/#/`+p.benID+`">`+own+`</a>: hi`))
		p.expect(Message(FromBare(room), Body(own+": hi"), hasAttr("urn:xmpp:reference:0", "reference", "uri", "xmpp:"+url.PathEscape("#"+p.alias+"%"+MatrixDomain)+"@"+domain+"/"+own)))

		p.say(room, "*much* and _more_", "")
		ev := p.hears(Sender(p.benID), TextLike("much"))
		if got := ev.Value("formatted_body"); got != "<strong>much</strong> and <em>more</em>" {
			p.Errorf("styled text is %v", got)
		}
		p.say(room, "looks", `<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p><em>looks</em></p></body></html>`)
		ev = p.hears(Sender(p.benID), Text("looks"))
		if got, _ := ev.Value("formatted_body").(string); !strings.Contains(got, "<em>looks</em>") {
			p.Errorf("XHTML is %v", got)
		}

		// Whom one names is told, by the nick a line begins with and by reference.
		nick := "anna" + p.alias
		p.say(room, nick+": look", "")
		ev = p.hears(Sender(p.benID), TextLike(": look$"))
		p.names(ev)
		if got, _ := ev.Value("formatted_body").(string); !strings.Contains(got, "https://matrix.to/#/"+p.annaID) && !strings.Contains(got, "matrix.to/#/%40") {
			p.Errorf("the one named is shown as %q", got)
		}
		p.say(room, "hello "+nick, `<reference xmlns='urn:xmpp:reference:0' type='mention' begin='6' end='99' uri='xmpp:`+Escape(room+"/"+nick)+`'/>`)
		p.names(p.hears(Sender(p.benID), TextLike("^hello ")))
		p.say(room, "bye "+nick, `<reference xmlns='urn:xmpp:reference:0' type='mention' begin='4' end='99' uri='xmpp:`+url.PathEscape(room)+"/"+nick+`'/>`)
		p.names(p.hears(Sender(p.benID), TextLike("^bye ")))
		p.say(room, "nobody", "")
		if users := p.hears(Sender(p.benID), Text("nobody")).Value("m.mentions", "user_ids"); users != nil {
			p.Errorf("%v are named where nobody is", users)
		}
	})
}

// names fails unless an event names anna.
func (p *pair) names(ev MatrixEvent) {
	p.Helper()
	users, _ := ev.Value("m.mentions", "user_ids").([]any)
	if len(users) != 1 || users[0] != p.annaID {
		p.Errorf("named are %v: %s", users, ev)
	}
}

func TestReferences(t *testing.T) {
	sideBySide(t, "references", func(p *pair) {
		garden, room := p.public()
		annas := p.id(p.anna.Say(p.wait(), garden, "the root"))
		heard := stanzaIDOf(p.expect(Message(FromBare(room), Body("the root"))))

		// Reactions come and go, one by one and all of them.
		first := p.id(p.anna.React(p.wait(), garden, annas, "👍"))
		p.expect(reactions(heard, "👍"))
		second := p.id(p.anna.React(p.wait(), garden, annas, "🎉"))
		p.expect(Any(reactions(heard, "🎉", "👍"), reactions(heard, "👍", "🎉")))
		p.id(p.anna.Redact(p.wait(), garden, first, ""))
		p.expect(reactions(heard, "🎉"))
		p.id(p.anna.Redact(p.wait(), garden, second, ""))
		p.expect(reactions(heard))
		react := func(keys string) {
			p.send(`<message to='%s' type='groupchat' id='%s'><reactions xmlns='urn:xmpp:reactions:0' id='%s'>`+keys+`</reactions></message>`, room, p.xmpp.NewID(), heard)
		}
		react(`<reaction>👍</reaction><reaction>🌱</reaction>`)
		thumb := p.hears(Sender(p.benID), Reacts(annas, "👍"))
		leaf := p.hears(Sender(p.benID), Reacts(annas, "🌱"))
		react(`<reaction>🌱</reaction>`)
		p.hears(Sender(p.benID), Redaction(thumb.ID))
		react(``)
		p.hears(Sender(p.benID), Redaction(leaf.ID))

		// Threads, begun by anna.
		last := p.id(p.anna.InThread(p.wait(), garden, annas, annas, "aside"))
		aside := p.expect(Message(FromBare(room), BodyLike("aside$"), thread(annas)))
		p.say(room, "aside too", `<thread>`+aside.Child("jabber:client", "thread").Content()+`</thread>`)
		p.hears(Sender(p.benID), Text("aside too"), InThread(annas), Content(true, "m.relates_to", "is_falling_back"), RepliesTo(last))

		// Replies, each to the other's reply.
		reply := p.id(p.anna.Reply(p.wait(), garden, annas, "a reply"))
		answer := stanzaIDOf(p.expect(Message(FromBare(room), BodyLike(`^> .*the root\na reply$`), about(nsReply, "reply", heard))))
		_, mineSID := p.say(room, "and mine", `<reply xmlns='urn:xmpp:reply:0' id='`+answer+`' to='`+Escape(room)+`/x'/>`)
		mine := p.hears(Sender(p.benID), Text("and mine"), RepliesTo(reply))
		p.id(p.anna.Reply(p.wait(), garden, mine.ID, "mine again"))
		p.expect(Message(FromBare(room), BodyLike(`(?s)^> .*and mine\nmine again$`), about(nsReply, "reply", mineSID)))
	})
}

func TestModeration(t *testing.T) {
	sideBySide(t, "moderation", func(p *pair) {
		garden, room := p.public()
		annas := p.id(p.anna.Say(p.wait(), garden, "rude"))
		heard := stanzaIDOf(p.expect(Message(FromBare(room), Body("rude"))))
		moderate := `<moderate xmlns='urn:xmpp:message-moderate:1' id='` + heard + `'><retract xmlns='urn:xmpp:message-retract:1'/><reason>manners</reason></moderate>`
		if e := must[Stanza](p)(p.xmpp.Request(p.wait(), "set", room, moderate)); !Error("auth", "forbidden").Holds(e.Node) {
			p.Errorf("who may not moderate is answered by %s", e)
		}
		p.try(p.anna.SetPower(p.wait(), garden, p.benID, 50))
		p.expect(Presence(FromBare(room), Status("110"), Role("moderator")))
		p.ask("set", room, moderate)
		p.hears(Sender(p.benID), Redaction(annas), Content("manners", "reason"))
		p.expect(Message(From(room), about(nsRetract, "retract", heard), Has(nsModerate, "moderated"), Where("manners", func(n *Node) bool { return n.First("reason").Content() == "manners" })))

		// By others: carl moderates, anna takes back what she said herself.
		_, bens := p.say(room, "sorry", "")
		his := p.hears(Sender(p.benID), Text("sorry"))
		p.id(p.anna.Redact(p.wait(), garden, his.ID, "enough"))
		p.expect(Message(From(room), about(nsRetract, "retract", bens), Has(nsModerate, "moderated"), Where("enough", func(n *Node) bool { return n.First("reason").Content() == "enough" })))
		own := p.id(p.anna.Say(p.wait(), garden, "mine"))
		heard = stanzaIDOf(p.expect(Message(FromBare(room), Body("mine"))))
		p.id(p.anna.Redact(p.wait(), garden, own, ""))
		p.expect(Message(FromBare(room), Not(From(room)), about(nsRetract, "retract", heard), Not(Has(nsModerate, "moderated"))))

		// ben takes back what he said himself.
		_, bens = p.say(room, "never mind", "")
		his = p.hears(Sender(p.benID), Text("never mind"))
		p.send(`<message to='%s' type='groupchat' id='%s'><retract xmlns='urn:xmpp:message-retract:1' id='%s'/><body>gone</body></message>`, room, p.xmpp.NewID(), bens)
		p.hears(Sender(p.benID), Redaction(his.ID))
	})
}

func TestChatLines(t *testing.T) {
	sideBySide(t, "lines", func(p *pair) {
		chat := p.chat()
		from := FromBare(p.annaAddress)

		annas := p.id(p.anna.Say(p.wait(), chat, "one"))
		heard := p.expect(Message(from, Body("one")))
		p.id(p.anna.Edit(p.wait(), chat, annas, "two"))
		p.expect(Message(from, Body("two"), about(nsReplace, "replace", heard.Attr("id"))))
		p.id(p.anna.React(p.wait(), chat, annas, "👍"))
		p.expect(Message(from), reactions(heard.Attr("id"), "👍"))
		p.id(p.anna.Redact(p.wait(), chat, annas, "no"))
		p.expect(Message(from, about(nsRetract, "retract", heard.Attr("id"))))

		id := p.tell(p.annaAddress, "three", "<request xmlns='urn:xmpp:receipts'/>")
		his := p.hears(InRoom(chat), Sender(p.benID), Text("three"))
		p.expect(Message(from, about("urn:xmpp:receipts", "received", id)))
		p.tell(p.annaAddress, "four", `<replace xmlns='urn:xmpp:message-correct:0' id='`+id+`'/>`)
		p.hears(Sender(p.benID), Replaces(his.ID, "four"))
		p.id(p.anna.Reply(p.wait(), chat, his.ID, "yes"))
		p.expect(Message(from, BodyLike(`yes$`), about(nsReply, "reply", id)))
		p.id(p.anna.React(p.wait(), chat, his.ID, "🌱"))
		p.expect(Message(from), reactions(id, "🌱"))
		p.send(`<message to='%s' type='chat' id='%s'><reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>🎉</reaction></reactions></message>`, p.annaAddress, p.xmpp.NewID(), id)
		p.hears(Sender(p.benID), Reacts(his.ID, "🎉"))
		p.send(`<message to='%s' type='chat' id='%s'><retract xmlns='urn:xmpp:message-retract:1' id='%s'/><body>gone</body></message>`, p.annaAddress, p.xmpp.NewID(), id)
		p.hears(Sender(p.benID), Redaction(his.ID))

		p.id(p.anna.Notice(p.wait(), chat, "told by a program"))
		p.expect(Message(from, Body("told by a program")))
		p.id(p.anna.Emote(p.wait(), chat, "waves"))
		p.expect(Message(from, Body("/me waves")))
		p.tell(p.annaAddress, "/me nods", "")
		p.hears(Sender(p.benID), Emote("nods"))
	})
}
