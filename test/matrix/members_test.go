package matrix

import (
	"testing"

	. "transportd/internal/testenv"
)

const nsAdmin = "http://jabber.org/protocol/muc#admin"

func TestMembers(t *testing.T) {
	sideBySide(t, "members", func(p *pair) {
		garden, room := p.public()
		carl, carlAddress := p.another("carl")
		nick := "carl" + p.alias
		occupant := From(room + "/" + nick)
		enter := func() {
			p.Helper()
			p.id(carl.Join(p.wait(), garden))
			p.expect(Presence(occupant, Type(""), Role("participant"), Affiliation("none"), Where(carlAddress, func(n *Node) bool {
				return n.Child(NSMUCUser, "x").First("item").Attr("jid") == carlAddress
			})))
		}
		gone := func(ms ...Match) {
			p.Helper()
			p.expect(Presence(append(ms, occupant, Type("unavailable"))...))
		}
		enter()
		p.try(carl.Leave(p.wait(), garden))
		gone(Not(Status("307")), Not(Status("301")))
		enter()
		p.try(p.anna.Kick(p.wait(), garden, carl.UserID, "too loud"))
		gone(Status("307"), StatusText("too loud"))
		enter()
		p.try(p.anna.Ban(p.wait(), garden, carl.UserID, "for good"))
		gone(Status("301"), Affiliation("outcast"), StatusText("for good"))
		p.try(p.anna.Unban(p.wait(), garden, carl.UserID))
		enter()

		// Names: another one, one that somebody has, and that one's end.
		p.try(carl.SetDisplayName(p.wait(), "Charles"))
		gone(NewNick("Charles"))
		p.expect(Presence(From(room+"/Charles"), Type("")))
		p.try(p.anna.SetDisplayName(p.wait(), "Charles"))
		both := "Charles (" + carl.UserID + ")"
		p.expect(Presence(From(room+"/Charles"), Type("unavailable"), NewNick(both)))
		p.expect(Presence(From(room+"/Charles ("+p.annaID+")"), Type(""), Affiliation("owner")))
		p.try(p.anna.SetDisplayName(p.wait(), "Anna"))
		p.expect(Presence(From(room+"/"+both), Type("unavailable"), NewNick("Charles")))
		p.expect(Presence(From(room+"/Anna"), Type("")))

		// The room's name and topic.
		p.id(p.anna.SetState(p.wait(), garden, "m.room.name", "", map[string]any{"name": "The garden"}))
		p.expect(Message(From(room), Status("104")))
		info := p.ask("get", room, `<query xmlns='http://jabber.org/protocol/disco#info'/>`)
		if info.First("identity").Attr("name") != "The garden" {
			p.Errorf("the room is called %s", info)
		}
		p.id(p.anna.SetState(p.wait(), garden, "m.room.topic", "", map[string]any{"topic": "grass"}))
		p.expect(Message(From(room+"/Anna"), Subject("grass")))
	})
}

// What one may do is what the levels of power say, both ways.
func TestPowers(t *testing.T) {
	sideBySide(t, "powers", func(p *pair) {
		garden, room := p.public()
		carl, carlAddress := p.another("carl")
		nick := "carl" + p.alias
		p.id(carl.Join(p.wait(), garden))
		p.expect(Presence(From(room+"/"+nick), Role("participant")))
		admin := func(items string) Stanza {
			p.Helper()
			return must[Stanza](p)(p.xmpp.Request(p.wait(), "set", room, `<query xmlns='`+nsAdmin+`'>`+items+`</query>`))
		}
		change := func(item string) {
			p.Helper()
			if answer := admin(item); answer.Attr("type") != "result" {
				p.Fatalf("%s is answered by %s", item, answer)
			}
		}
		level := func(want any) {
			p.Helper()
			p.hears(InRoom(garden), Sender(p.benID), State("m.room.power_levels", ""), Content(want, "users", carl.UserID))
		}
		if answer := admin(`<item nick='` + nick + `' role='none'/>`); !Error("auth", "forbidden").Holds(answer.Node) {
			p.Errorf("who has no power kicks: %s", answer)
		}
		p.send(`<message to='%s' type='groupchat' id='%s'><subject>mine</subject></message>`, room, p.xmpp.NewID())
		p.expect(Message(FromBare(room), Error("auth", "forbidden")))

		p.try(p.anna.SetPower(p.wait(), garden, p.benID, 100))
		p.expect(Presence(FromBare(room), Status("110"), Role("moderator"), Affiliation("owner")))
		p.send(`<message to='%s' type='groupchat' id='%s'><subject>mine</subject></message>`, room, p.xmpp.NewID())
		p.hears(InRoom(garden), Sender(p.benID), State("m.room.topic", ""), Content("mine", "topic"))
		p.expect(Message(FromBare(room), Subject("mine")))

		change(`<item nick='` + nick + `' role='moderator'/>`)
		level(50.0)
		p.expect(Presence(From(room+"/"+nick), Role("moderator")))
		change(`<item nick='` + nick + `' role='participant'/>`)
		level(nil) // as everybody has
		p.expect(Presence(From(room+"/"+nick), Role("participant")))
		change(`<item jid='` + carlAddress + `' affiliation='owner'/>`)
		level(100.0)
		p.expect(Presence(From(room+"/"+nick), Affiliation("owner"), Role("moderator")))
		// Nobody takes power from whom has as much.
		if answer := admin(`<item jid='` + carlAddress + `' affiliation='none'/>`); !Error("auth", "forbidden").Holds(answer.Node) {
			p.Errorf("an equal is put down: %s", answer)
		}
		p.try(carl.SetPower(p.wait(), garden, carl.UserID, 0))
		p.expect(Presence(From(room+"/"+nick), Affiliation("none"), Role("participant")))

		change(`<item nick='` + nick + `' role='none'><reason>out</reason></item>`)
		p.expect(Presence(From(room+"/"+nick), Type("unavailable"), Status("307"), StatusText("out")))
		p.hears(Membership(carl.UserID, "leave"), Sender(p.benID), Content("out", "reason"))
		change(`<item jid='` + carlAddress + `' affiliation='outcast'><reason>never</reason></item>`)
		p.hears(Membership(carl.UserID, "ban"), Sender(p.benID), Content("never", "reason"))
		list := p.ask("get", room, `<query xmlns='`+nsAdmin+`'><item affiliation='outcast'/></query>`)
		if item := list.First("item"); item.Attr("jid") != carlAddress || item.First("reason").Content() != "never" {
			p.Errorf("the outcasts are %s", list)
		}
		change(`<item jid='` + carlAddress + `' affiliation='none'/>`)
		p.hears(Membership(carl.UserID, "leave"), Sender(p.benID))

		// ben gives his power up; then only some may speak.
		change(`<item nick='ben` + p.alias + `' affiliation='none'/>`)
		p.expect(Presence(FromBare(room), Status("110"), Role("participant"), Affiliation("none")))
		p.id(p.anna.SetState(p.wait(), garden, "m.room.power_levels", "", map[string]any{
			"users": map[string]any{p.annaID: 100, p.benID: 0}, "events_default": 10,
		}))
		p.expect(Presence(FromBare(room), Status("110"), Role("visitor")))
		id := p.xmpp.NewID()
		p.send(`<message to='%s' type='groupchat' id='%s'><body>may I?</body></message>`, room, id)
		p.expect(Message(ID(id), Error("auth", "forbidden")))

		// ben is thrown out, comes back, and is banned.
		p.try(p.anna.Ban(p.wait(), garden, p.benID, "bye"))
		p.expect(Presence(FromBare(room), Type("unavailable"), Status("110", "301"), StatusText("bye")))
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(FromBare(room), Error("auth", "forbidden")))
	})
}
