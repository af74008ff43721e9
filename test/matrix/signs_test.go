package matrix

import (
	"testing"

	. "transportd/internal/testenv"
)

const (
	nsChatStates = "http://jabber.org/protocol/chatstates"
	nsMarkers    = "urn:xmpp:chat-markers:0"
)

// Who writes, and who has read what, in a room.
func TestSignsInRoom(t *testing.T) {
	sideBySide(t, "signs", func(p *pair) {
		garden, room := p.public()
		p.try(p.anna.Typing(p.wait(), garden, true))
		p.expect(Message(FromBare(room), Type("groupchat"), Has(nsChatStates, "composing")))
		p.try(p.anna.Typing(p.wait(), garden, false))
		p.expect(Message(FromBare(room), Has(nsChatStates, "paused")))
		p.send(`<message to='%s' type='groupchat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`, room)
		p.hears(InRoom(garden), Typing(p.benID, true))
		p.send(`<message to='%s' type='groupchat'><paused xmlns='http://jabber.org/protocol/chatstates'/></message>`, room)
		p.hears(InRoom(garden), Typing(p.benID, false))

		_, sid := p.say(room, "read me", "")
		his := p.hears(Sender(p.benID), Text("read me"))
		p.try(p.anna.Read(p.wait(), garden, his.ID))
		p.expect(Message(FromBare(room), about(nsMarkers, "displayed", sid)))
		annas := p.id(p.anna.Say(p.wait(), garden, "and me"))
		heard := p.expect(Message(FromBare(room), Body("and me"), Has(nsMarkers, "markable")))
		p.send(`<message to='%s' type='groupchat'><displayed xmlns='urn:xmpp:chat-markers:0' id='%s'/></message>`, room, stanzaIDOf(heard))
		p.hears(InRoom(garden), Read(p.benID, annas))
	})
}

// The same, and presence, in a chat.
func TestSignsInChat(t *testing.T) {
	sideBySide(t, "chatsigns", func(p *pair) {
		chat := p.chat()
		from := FromBare(p.annaAddress)
		p.try(p.anna.Typing(p.wait(), chat, true))
		p.expect(Message(from, Has(nsChatStates, "composing")))
		p.try(p.anna.Typing(p.wait(), chat, false))
		p.expect(Message(from, Has(nsChatStates, "paused")))
		p.send(`<message to='%s' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`, p.annaAddress)
		p.hears(InRoom(chat), Typing(p.benID, true))
		p.send(`<message to='%s' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>`, p.annaAddress)
		p.hears(InRoom(chat), Typing(p.benID, false))

		id := p.tell(p.annaAddress, "read me", "")
		his := p.hears(Sender(p.benID), Text("read me"))
		p.try(p.anna.Read(p.wait(), chat, his.ID))
		p.expect(Message(from, about(nsMarkers, "displayed", id)))
		annas := p.id(p.anna.Say(p.wait(), chat, "and me"))
		heard := p.expect(Message(from, Body("and me"), Has(nsMarkers, "markable")))
		p.send(`<message to='%s' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='%s'/></message>`, p.annaAddress, heard.Attr("id"))
		p.hears(InRoom(chat), Read(p.benID, annas))

		p.expect(Presence(from, Type("subscribed")))
		p.try(p.anna.SetPresence(p.wait(), "unavailable", "at lunch"))
		p.expect(Presence(from, Type(""), Where("away", func(n *Node) bool { return n.First("show").Content() == "away" }), StatusText("at lunch")))
		p.try(p.anna.SetPresence(p.wait(), "online", "back"))
		p.expect(Presence(from, Type(""), Where("there", func(n *Node) bool { return n.First("show") == nil }), StatusText("back")))
		p.send(`<presence><show>away</show><status>in the garden</status></presence>`)
		p.send(`<presence to='%s'><show>away</show><status>in the garden</status></presence>`, domain)
		p.hears(Kind("presence"), Sender(p.benID), Content("unavailable", "presence"))
	})
}
