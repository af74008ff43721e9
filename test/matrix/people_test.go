package matrix

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"image"
	"image/png"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// tablet is another client of ben's on Matrix.
func (p *pair) tablet() *MatrixClient {
	p.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(p.benID, "@"), ":")
	return must[*MatrixClient](p)(shared.matrix.Login(p.wait(), shared.homeserver, name, "tablet"))
}

// asSent is for a copy of what ben says to somebody (XEP-0280 section 7).
func asSent(to string, ms ...Match) Match {
	return All(Has("urn:xmpp:carbons:2", "sent"), Where("a copy", func(n *Node) bool {
		inner := n.First("forwarded").First("message")
		return inner != nil && inner.Attr("to") == to && All(ms...).Holds(inner)
	}))
}

// copies has ben's client ask for copies.
func (p *pair) copies() {
	p.Helper()
	must[Stanza](p)(p.xmpp.Request(p.wait(), "set", p.xmpp.Bare, `<enable xmlns='urn:xmpp:carbons:2'/>`))
}

// TestOwnLines: what ben writes to anna with another client of Matrix is shown to him as
// his, where the server lets it; where it does not he may be told of it.
func TestOwnLines(t *testing.T) {
	everywhere(t, "own", func(p *pair) {
		chat := p.chat()
		p.copies()
		tablet := p.tablet()
		if !p.privileged {
			p.id(tablet.Say(p.wait(), chat, "not shown"))
			p.hears(Sender(p.benID), Text("not shown"))
			p.id(p.anna.Say(p.wait(), chat, "and then"))
			p.expect(Message(FromBare(p.annaAddress), Body("and then")))
			if got := p.xmpp.Received(Where("not shown", func(n *Node) bool { return strings.Contains(n.String(), "not shown") })); len(got) != 0 {
				p.Errorf("shown without a privilege: %s", got)
			}
			p.send(`<message to='%s' type='chat'><body>defaults default default true</body></message>`, domain)
			p.expect(Message(From(domain), BodyLike(`settings are stored`)))
			p.id(tablet.Say(p.wait(), chat, "noted"))
			p.expect(Message(FromBare(p.annaAddress), Body("You, elsewhere: noted")))
			return
		}
		first := p.id(tablet.Say(p.wait(), chat, "from the tablet"))
		p.expect(asSent(p.annaAddress, Body("from the tablet"), ID("own-"+first)))
		p.id(tablet.Edit(p.wait(), chat, first, "from my tablet"))
		p.expect(asSent(p.annaAddress, Body("from my tablet"), hasAttr("urn:xmpp:message-correct:0", "replace", "id", "own-"+first)))
		p.id(p.anna.React(p.wait(), chat, first, "👍"))
		p.expect(Message(FromBare(p.annaAddress), hasAttr("urn:xmpp:reactions:0", "reactions", "id", "own-"+first)))

		// What was written while transportd was down comes with its time, once.
		p.gateway.Kill9()
		p.id(tablet.Say(p.wait(), chat, "while it was down"))
		p.try(p.gateway.Start(p.wait()))
		p.expect(asSent(p.annaAddress, Body("while it was down"), Delayed()))
		p.id(p.anna.Say(p.wait(), chat, "the end"))
		p.expect(Message(FromBare(p.annaAddress), Body("the end")))
		for _, text := range []string{"from the tablet", "while it was down"} {
			if got := p.xmpp.Received(asSent(p.annaAddress, Body(text))); len(got) != 1 {
				p.Errorf("%q was shown %d times", text, len(got))
			}
			if got := p.anna.Received(InRoom(chat), Sender(p.benID), Text(text)); len(got) != 1 {
				p.Errorf("%q was said %d times", text, len(got))
			}
		}
	})
}

// roster is ben's contact list.
func (p *pair) roster() Stanza {
	p.Helper()
	id := p.xmpp.NewID()
	p.send(`<iq type='get' id='%s'><query xmlns='jabber:iq:roster'/></iq>`, id)
	return p.expect(IQ(ID(id), Type("result")))
}

// listed is what ben's contact list has of anna; nil: nothing.
func (p *pair) listed() *Node {
	p.Helper()
	for _, item := range p.roster().All("item") {
		if item.Attr("jid") == p.annaAddress {
			return item
		}
	}
	return nil
}

// TestContactList: whom ben has a chat with on Matrix comes into his contact list, with
// a name, where the server lets it; else anna asks him.
func TestContactList(t *testing.T) {
	everywhere(t, "list", func(p *pair) {
		p.try(p.anna.SetDisplayName(p.wait(), "Anna"))
		tablet := p.tablet()
		chat := p.id(tablet.CreateRoom(p.wait(), MatrixRoom{Direct: true, Invite: []string{p.annaID}}))
		p.id(p.anna.Join(p.wait(), chat))
		p.roster() // changes are told to clients that have asked for it
		p.try(tablet.SetAccountData(p.wait(), "m.direct", map[string]any{p.annaID: []string{chat}}))
		if !p.privileged {
			p.expect(Presence(From(p.annaAddress), Type("subscribe"), Where("a nick", func(n *Node) bool { return n.First("nick").Content() == "Anna" })))
			return
		}
		push := p.expect(IQ(Type("set"), Where("anna", func(n *Node) bool { i := n.First("item"); return i != nil && i.Attr("jid") == p.annaAddress })))
		if item := push.First("item"); item.Attr("name") != "Anna" || item.Attr("subscription") != "both" {
			p.Errorf("pushed: %s", item)
		}
		p.expect(Presence(From(p.annaAddress), Not(Type("unavailable"))))
		if got := p.xmpp.Received(Presence(From(p.annaAddress), Type("subscribe"))); len(got) != 0 {
			p.Errorf("anna asks, too: %s", got)
		}
		if item := p.listed(); item == nil || item.Attr("name") != "Anna" || item.Attr("subscription") != "both" {
			p.Errorf("listed: %s", item)
		}
		p.send(`<message to='%s' type='chat' id='%s'><body>hello</body></message>`, p.annaAddress, p.xmpp.NewID())
		p.hears(InRoom(chat), Sender(p.benID), Text("hello"))
	})
}

// photo is for presence with the hash of a picture (XEP-0153).
func photo() Match {
	return Where("the hash of a picture", func(n *Node) bool {
		p := n.First("photo")
		return p != nil && len(p.Content()) == 40
	})
}

// TestFaces: anna's presence, as it was before ben's account was there and as it changes,
// and her picture.
func TestFaces(t *testing.T) {
	everywhere(t, "faces", func(p *pair) {
		var drawn bytes.Buffer
		p.try(png.Encode(&drawn, image.NewGray(image.Rect(0, 0, 64, 64))))
		p.try(p.anna.SetAvatar(p.wait(), p.id(p.anna.Upload(p.wait(), drawn.Bytes(), "image/png", "face.png"))))
		p.try(p.anna.SetPresence(p.wait(), "unavailable", "out for lunch"))
		p.chat()
		p.send(`<presence to='%s' type='subscribe'/>`, p.annaAddress)
		away := Where("away", func(n *Node) bool { return n.First("show").Content() == "away" })
		p.expect(Presence(From(p.annaAddress), away, StatusText("out for lunch")))
		shown := p.expect(Presence(From(p.annaAddress), photo()))
		hash := shown.First("photo").Content()
		p.expect(Message(From(p.annaAddress), Type("headline"), hasAttr("urn:xmpp:avatar:metadata", "info", "id", hash)))
		card := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", p.annaAddress, `<vCard xmlns='vcard-temp'/>`))
		for _, data := range []string{
			card.First("BINVAL").Content(),
			must[Stanza](p)(p.xmpp.Request(p.wait(), "get", p.annaAddress, `<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'><item id='`+hash+`'/></items></pubsub>`)).First("data").Content(),
		} {
			raw, err := base64.StdEncoding.DecodeString(data)
			if sum := sha1.Sum(raw); err != nil || hex.EncodeToString(sum[:]) != hash {
				p.Errorf("the picture is not the one of the presence: %v, %.100q", err, data)
			}
		}
		p.try(p.anna.SetPresence(p.wait(), "online", "back"))
		p.expect(Presence(From(p.annaAddress), Not(away), StatusText("back")))

		// Another of ben's clients is told the same when it asks.
		laptop := must[*XMPPClient](p)(shared.xmpp.Connect(p.wait(), p.server, strings.TrimSuffix(p.xmpp.Bare, "@"+Domain), "laptop"))
		p.Cleanup(func() { _ = laptop.Disconnect() })
		p.try(laptop.Send(`<presence/>`))
		must[Stanza](p)(laptop.Expect(p.wait(), Presence(From(p.annaAddress), StatusText("back"), photo())))
	})
}
