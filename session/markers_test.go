package session

import (
	"fmt"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// displayed is a client's marker.
func (w *world) displayed(client, typ, to, id string) {
	w.t.Helper()
	w.from(fmt.Sprintf("<message type='%s' from='ALICE/%s' to='%s'><displayed xmlns='urn:xmpp:chat-markers:0' id='%s'/></message>", typ, client, to, id))
}

func (w *world) named(nick, id, text string) {
	w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person(nick), Body: text, ID: bridges.MessageID(id)})
}

func TestUserHasReadARoom(t *testing.T) {
	capable(t, bridges.Caps{Read: true}, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.named("Bob", "$b1", "one")
		w.expect(`/a" & <markable xmlns="urn:xmpp:chat-markers:0"`, `/b" & <markable`)
		w.displayed("a", "groupchat", theRoom, "$b1")
		w.displayed("b", "groupchat", theRoom, "$b1")
		w.displayed("a", "groupchat", theRoom, "nothing")
		w.displayed("stranger", "groupchat", theRoom, "$b1")
		w.wantAsked("read", "read #room $b1")
		w.news()
		w.chatState("a", "groupchat", theRoom, "composing") // says nothing that is sent
		w.wantAsked("say")
		w.expect()
		w.named("Bob", "$b2", "two")
		w.displayed("b", "groupchat", theRoom, "$b2")
		w.wantAsked("read", "read #room $b2")
	})
	capable(t, bridges.Caps{}, func(w *world) {
		w.join("a", "alice")
		w.named("Bob", "b1", "one")
		w.expect(`<body>one & !markable`)
		w.displayed("a", "groupchat", theRoom, "b1")
		w.wantAsked("read")
		w.expect()
	})
}

// recordedOf is recorded on a network that can do more.
func recordedOf(t *testing.T, caps bridges.Caps, f func(w *world)) {
	t.Helper()
	recorded(t, func(w *world) {
		w.driver.Caps = caps
		f(w)
	})
}

func TestUserHasReadALineOnlyTheArchiveKnows(t *testing.T) {
	recordedOf(t, bridges.Caps{Read: true}, func(w *world) {
		w.join("a", "alice")
		w.named("Bob", "$first", "one")
		for i := range 2 * historyLines {
			w.line("Bob", fmt.Sprint(i))
		}
		w.displayed("a", "groupchat", theRoom, "$first")
		w.wantAsked("read", "read #room $first")
	})
}

func TestMarkerOfALineThatIsStillLookedUp(t *testing.T) {
	recordedOf(t, bridges.Caps{Read: true, Reply: true}, func(w *world) {
		w.join("a", "alice")
		room := bridges.Place{Room: "#room"}
		w.net().Say(&bridges.Message{Place: room, From: bridgetest.Person("Bob"), Body: "yes", ID: "$r", ReplyTo: &bridges.Reply{ID: "$long-ago"}})
		w.net().Say(&bridges.Read{Place: room, From: bridgetest.Person("Carol"), ID: "$r"})
		w.expect(`/Bob" & yes</body>`, `/Carol" & <displayed`)
	})
}

func TestLinesOfTheArchiveAskForMarkers(t *testing.T) {
	recordedOf(t, bridges.Caps{Read: true}, func(w *world) {
		w.join("a", "alice")
		w.named("Bob", "$first", "one")
		w.news()
		w.from("<iq type='set' id='m' from='ALICE/a' to='#room%net@GW'><query xmlns='urn:xmpp:mam:2'/></iq>")
		w.expect(`<result & <body>one</body> & <markable`, `type="result" & id="m"`)
	})
}

func TestUserHasReadAPerson(t *testing.T) {
	capable(t, bridges.Caps{Read: true}, func(w *world) {
		w.displayed("a", "chat", "bob%net@GW", "$b1") // no link
		w.expect()
		w.join("a", "alice")
		w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("Bob"), Body: "hi", ID: "$b1"})
		w.expect(`from="bob%net@gw.example" & <markable`)
		w.displayed("a", "chat", "bob%net@GW", "$b1")
		w.displayed("b", "chat", "bob%net@GW", "$b1")
		w.displayed("b", "chat", "carol%net@GW", "$b1") // not hers
		w.wantAsked("read", "read bob $b1")
		w.expect()
	})
}

func (w *world) read(nick string, place bridges.Place, id string) {
	w.say(&bridges.Read{Place: place, From: bridgetest.Person(nick), ID: bridges.MessageID(id)})
}

func TestOthersRead(t *testing.T) {
	capable(t, bridges.Caps{Read: true}, func(w *world) {
		room := bridges.Place{Room: "#room"}
		w.join("a", "alice")
		w.join("b", "alice")
		w.net().SetMembers("#room", bridgetest.Person("Bob"))
		w.from("<message type='groupchat' id='mine' from='ALICE/a' to='#room%net@GW'><body>hello</body></message>")
		shown := sid(w.t, w.news()[0])
		w.read("Bob", room, "$1")
		w.expect(`type="groupchat" from="#room%net@gw.example/Bob" to="alice@home.example/a" & <displayed xmlns="urn:xmpp:chat-markers:0" id="`+shown+`"`, `/b" & <displayed`)
		w.read("Bob", room, "$unknown")
		w.read("Bob", room, "")
		w.read("Bob", bridges.Place{Room: "#elsewhere"}, "$1")
		w.expect()
		w.read("alice", room, "$1") // through another client of the network's
		w.expect(`from="#room%net@gw.example/alice" & /a" & <displayed`, `/b" & <displayed`)
		w.say(&bridges.Read{Place: room, From: bridges.Member{ID: "bob"}, ID: "$1"}) // by id alone
		w.expect(`from="#room%net@gw.example/Bob"`, `/b"`)
		w.say(&bridges.Read{Place: room, From: bridges.Member{ID: "nobody"}, ID: "$1"})
		w.expect()

		var crowd []bridges.Member
		for i := range maxReaders + 1 {
			crowd = append(crowd, bridgetest.Person(fmt.Sprint("p", i)))
		}
		w.net().SetMembers("#room", crowd...)
		time.Sleep(2 * recount)
		w.read("p1", room, "$1")
		w.expect()
		w.cut()
		w.read("p1", room, "$1")
		w.mend()
	})
}

func TestSomebodyHasReadTheUsersLine(t *testing.T) {
	capable(t, bridges.Caps{Read: true}, func(w *world) {
		place := bridges.Place{User: "bob"}
		w.from("<message type='chat' id='mine' from='ALICE/a' to='bob%net@GW'><body>hello</body></message>")
		w.say(&bridges.Message{Place: place, From: bridgetest.Person("Bob"), Body: "hi", ID: "$b1"})
		w.news()
		w.read("Bob", place, "$1")
		w.expect(`type="chat" from="bob%net@gw.example" to="alice@home.example" & <displayed xmlns="urn:xmpp:chat-markers:0" id="mine" & <store xmlns="urn:xmpp:hints"`)
		w.read("Bob", place, "$b1") // Bob's own line
		w.read("Bob", place, "$unknown")
		w.read("alice", place, "$1")
		w.expect()
	})
}
