package matrix

import (
	"testing"

	. "transportd/internal/testenv"
)

const nsConference = "jabber:x:conference"

// Invitations into rooms, both ways.
func TestInvitations(t *testing.T) {
	sideBySide(t, "invites", func(p *pair) {
		// A private room: ben is asked, declines, is asked again and comes.
		closed := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Closed"}))
		invited := func() string {
			p.Helper()
			p.try(p.anna.Invite(p.wait(), closed, p.benID))
			inv := p.expect(Message(Has(nsConference, "x"), Has(NSMUCUser, "invite")))
			if from := inv.First("invite").Attr("from"); from != p.annaAddress {
				p.Errorf("the invitation is from %q", from)
			}
			return inv.Child(nsConference, "x").Attr("jid")
		}
		room := invited()
		p.send(`<message to='%s'><x xmlns='http://jabber.org/protocol/muc#user'><decline to='%s'><reason>later</reason></decline></x></message>`, room, p.annaAddress)
		p.hears(InRoom(closed), Membership(p.benID, "leave"))
		if again := invited(); again != room {
			p.Errorf("the room was %s and is %s", room, again)
		}
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(FromBare(room), Status("110"), Affiliation("member")))
		p.hears(InRoom(closed), Membership(p.benID, "join"))

		// ben asks others, in either form.
		carl, carlAddress := p.another("carl")
		dora, doraAddress := p.another("dora")
		p.try(p.anna.SetPower(p.wait(), closed, p.benID, 50))
		p.expect(Presence(FromBare(room), Status("110"), Role("moderator")))
		p.send(`<message to='%s'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='%s'><reason>come in</reason></invite></x></message>`, room, carlAddress)
		asked := func(c *MatrixClient) {
			p.Helper()
			must[MatrixEvent](p)(c.Expect(p.wait(), Kind("invite"), InRoom(closed), Membership(c.UserID, "invite"), Sender(p.benID)))
		}
		asked(carl)
		p.send(`<message to='%s'><x xmlns='jabber:x:conference' jid='%s' reason='you too'/></message>`, doraAddress, room)
		asked(dora)
		p.id(dora.Join(p.wait(), closed))
		p.expect(Presence(From(room+"/dora"+p.alias), Type(""), Affiliation("member")))

		// A member of such a room is who is invited, and none who is not.
		affiliate := func(address, affiliation string) {
			p.Helper()
			p.ask("set", room, `<query xmlns='`+nsAdmin+`'><item jid='`+address+`' affiliation='`+affiliation+`'/></query>`)
		}
		affiliate(carlAddress, "none")
		must[MatrixEvent](p)(carl.Expect(p.wait(), Kind("left"), InRoom(closed), Membership(carl.UserID, "leave")))
		affiliate(carlAddress, "member")
		asked(carl)
		affiliate(doraAddress, "none")
		p.expect(Presence(From(room+"/dora"+p.alias), Type("unavailable"), Status("307")))
	})
}

// Contacts: who wants to speak to ben, whom ben wants to speak to.
func TestContacts(t *testing.T) {
	sideBySide(t, "contacts", func(p *pair) {
		// anna asks and is declined; she asks again and is accepted.
		first := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Direct: true, Invite: []string{p.benID}}))
		p.expect(Presence(From(p.annaAddress), Type("subscribe")))
		p.send(`<presence to='%s' type='unsubscribed'/>`, p.annaAddress)
		p.hears(InRoom(first), Membership(p.benID, "leave"))
		chat := p.chat()
		p.expect(Presence(From(p.annaAddress), Type("subscribed")))
		p.id(p.anna.Say(p.wait(), chat, "hello"))
		p.expect(Message(FromBare(p.annaAddress), Body("hello")))

		// ben writes to somebody new: the room is made, and noted as a direct one.
		carl, carlAddress := p.another("carl")
		id := p.tell(carlAddress, "good morning", "<request xmlns='urn:xmpp:receipts'/>")
		asked := must[MatrixEvent](p)(carl.Expect(p.wait(), Kind("invite"), Membership(carl.UserID, "invite"), Content(true, "is_direct")))
		p.expect(Message(FromBare(carlAddress), about("urn:xmpp:receipts", "received", id)))
		p.id(carl.Join(p.wait(), asked.Room))
		must[MatrixEvent](p)(carl.Expect(p.wait(), InRoom(asked.Room), Sender(p.benID), Text("good morning")))
		p.tell(carlAddress, "still there?", "")
		must[MatrixEvent](p)(carl.Expect(p.wait(), InRoom(asked.Room), Sender(p.benID), Text("still there?")))
		p.id(carl.Say(p.wait(), asked.Room, "yes"))
		p.expect(Message(FromBare(carlAddress), Type("chat"), Body("yes")))

		// ben adds somebody to his contacts.
		dora, doraAddress := p.another("dora")
		p.send(`<presence to='%s' type='subscribe'/>`, doraAddress)
		second := must[MatrixEvent](p)(dora.Expect(p.wait(), Kind("invite"), Membership(dora.UserID, "invite"), Content(true, "is_direct")))
		p.expect(Presence(FromBare(doraAddress), Type("subscribed")))

		// What his other clients see as direct rooms.
		other := must[*MatrixClient](p)(shared.matrix.Login(p.wait(), shared.homeserver, "ben"+p.alias, "tablet"))
		var direct map[string][]string
		p.try(other.Request(p.wait(), "GET", "/_matrix/client/v3/user/"+p.benID+"/account_data/m.direct", nil, &direct))
		for user, want := range map[string]string{p.annaID: chat, carl.UserID: asked.Room, dora.UserID: second.Room} {
			if rooms := direct[user]; len(rooms) != 1 || rooms[0] != want {
				p.Errorf("the direct rooms with %s are %v, want %s", user, rooms, want)
			}
		}

		// What is no Matrix ID: an error, and no room.
		id = p.tell("not an id%"+MatrixDomain+"@"+domain, "hello?", "")
		p.expect(Message(ID(id), Type("error")))
	})
}

// A room with two others is a room, and not a contact.
func TestGroupChat(t *testing.T) {
	sideBySide(t, "group", func(p *pair) {
		carl, _ := p.another("carl")
		group := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Invite: []string{p.benID, carl.UserID}}))
		inv := p.expect(Message(Has(nsConference, "x")))
		room := inv.Child(nsConference, "x").Attr("jid")
		p.id(carl.Join(p.wait(), group))
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(From(room+"/carl"+p.alias), Affiliation("member")))
		p.expect(Presence(FromBare(room), Status("110")))
		info := p.ask("get", room, `<query xmlns='http://jabber.org/protocol/disco#info'/>`)
		for _, feature := range []string{"muc_membersonly", "muc_nonanonymous", "muc_hidden"} {
			if !hasFeature(info, feature) {
				p.Errorf("%s is missing in %s", feature, info)
			}
		}
		p.id(carl.Say(p.wait(), group, "we are three"))
		p.expect(Message(From(room+"/carl"+p.alias), Type("groupchat"), Body("we are three")))
		p.say(room, "indeed", "")
		must[MatrixEvent](p)(carl.Expect(p.wait(), InRoom(group), Sender(p.benID), Text("indeed")))
	})
}

func hasFeature(s Stanza, name string) bool {
	for _, f := range s.All("feature") {
		if f.Attr("var") == name {
			return true
		}
	}
	return false
}
