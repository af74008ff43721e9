package matrix

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// configuration is the room's form, as ben gets it.
func (p *pair) configuration(room string) Stanza {
	p.Helper()
	return must[Stanza](p)(p.xmpp.Request(p.wait(), "get", room, `<query xmlns='http://jabber.org/protocol/muc#owner'/>`))
}

// configure sends the form back with these fields, and returns the answer.
func (p *pair) configure(room string, fields ...string) Stanza {
	p.Helper()
	form := ""
	for i := 0; i < len(fields); i += 2 {
		form += field(fields[i], fields[i+1])
	}
	return must[Stanza](p)(p.xmpp.Request(p.wait(), "set", room, `<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>`+
		field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig")+form+`</x></query>`))
}

// fieldValue is the value of a field of a form; ok is false where it has none of that name.
func fieldValue(s Stanza, name string) (value string, ok bool) {
	for _, f := range s.All("field") {
		if f.Attr("var") == name {
			if v := f.First("value"); v != nil {
				value = v.Text
			}
			return value, true
		}
	}
	return "", false
}

// TestCreatedRoom: ben makes a room by joining it, configures it, and anna finds it so.
func TestCreatedRoom(t *testing.T) {
	everywhere(t, "made", func(p *pair) {
		room := "#" + p.alias + "%" + MatrixDomain + "@" + p.domain
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(FromBare(room), Status("110", "201"), Affiliation("owner")))
		form := p.configuration(room)
		for name, want := range map[string]string{"muc#roomconfig_roomname": "", "x-join_rule": "invite", "x-history": "shared", "x-encryption": "false"} {
			if got, ok := fieldValue(form, name); !ok || got != want {
				p.Errorf("%s is %q: %s", name, got, form)
			}
		}
		if _, err := p.anna.Join(p.wait(), "#"+p.alias+":"+MatrixDomain); err == nil {
			p.Error("anybody gets into a room that was just made")
		}
		answer := p.configure(room, "muc#roomconfig_roomname", "Cellar", "muc#roomconfig_roomdesc", "what is kept", "x-join_rule", "public")
		if answer.Attr("type") != "result" {
			p.Fatalf("refused: %s", answer)
		}
		p.expect(Message(FromBare(room), Type("groupchat"), Status("104")))
		p.expect(Message(FromBare(room), Type("groupchat"), Subject("what is kept")))
		cellar := p.id(p.anna.Join(p.wait(), "#"+p.alias+":"+MatrixDomain))
		for typ, want := range map[string]string{"m.room.name": "name=Cellar", "m.room.topic": "topic=what is kept", "m.room.join_rules": "join_rule=public"} {
			key, value, _ := strings.Cut(want, "=")
			if got := must[map[string]any](p)(p.anna.GetState(p.wait(), cellar, typ, "")); got[key] != value {
				p.Errorf("%s is %v", typ, got)
			}
		}
		info := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", room, `<query xmlns='http://jabber.org/protocol/disco#info'/>`))
		if id := info.First("identity"); id == nil || id.Attr("name") != "Cellar" || !strings.Contains(info.String(), "muc_open") {
			p.Errorf("the room is %s", info)
		}
		// What Matrix does not allow is refused in words.
		if answer := p.configure(room, "x-encryption", "1"); answer.Attr("type") != "result" {
			p.Fatalf("refused: %s", answer)
		}
		p.expect(Message(FromBare(room), BodyLike("encrypted")))
		answer = p.configure(room, "x-encryption", "0")
		if !All(Error("auth", "forbidden"), ErrorText("switched off")).Holds(answer.Node) {
			p.Errorf("encryption is switched off: %s", answer)
		}
	})
}

// TestOthersRoom: who has no power in a room sees only their own settings of it.
func TestOthersRoom(t *testing.T) {
	everywhere(t, "others", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Alias: p.alias, Public: true}))
		room := p.enter("")
		if form := p.configuration(room); strings.Contains(form.String(), "roomname") || !strings.Contains(form.String(), "persistentroom") {
			p.Errorf("the form is %s", form)
		}
		p.try(p.anna.SetPower(p.wait(), garden, p.benID, 50))
		p.expect(Presence(FromBare(room), Status("110"), Role("moderator")))
		answer := p.configure(room, "muc#roomconfig_roomname", "Orchard")
		if answer.Attr("type") != "result" {
			p.Fatalf("refused: %s", answer)
		}
		p.hears(InRoom(garden), State("m.room.name", ""), Content("Orchard", "name"))
		answer = p.configure(room, "muc#roomconfig_roomname", "Field", "x-history", "joined")
		if !All(Error("auth", "forbidden"), ErrorText("may not change")).Holds(answer.Node) {
			p.Errorf("the history: %s", answer)
		}
	})
}

// bookmarks are the rooms in ben's list, with what is in the entries.
func (p *pair) bookmarks() map[string]*Node {
	p.Helper()
	answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", p.xmpp.Bare, `<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>`))
	out := map[string]*Node{}
	for _, item := range answer.All("item") {
		if c := item.First("conference"); c != nil {
			out[item.Attr("id")] = c
		}
	}
	return out
}

// bookmarked waits for a room to be in ben's list of rooms, and returns that.
func (p *pair) bookmarked(room string) map[string]*Node {
	p.Helper()
	for ctx := p.wait(); ctx.Err() == nil; {
		if all := p.bookmarks(); all[room] != nil {
			return all
		}
	}
	p.Fatalf("%s is not in the list of rooms: %v", room, p.bookmarks())
	return nil
}

// invitesTo is for an invitation to a room (XEP-0249).
func invitesTo(room string) Match {
	return Where("an invitation to "+room, func(n *Node) bool {
		for _, x := range n.All("x") {
			if x.Space == "jabber:x:conference" && x.Attr("jid") == room {
				return true
			}
		}
		return false
	})
}

// TestRoomMoves: where a room goes on in another, ben's client is told, and ben's
// bookmark moves or he is invited.
func TestRoomMoves(t *testing.T) {
	everywhere(t, "moves", func(p *pair) {
		old := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Alias: p.alias, Public: true}))
		room := p.enter("")
		if p.privileged {
			must[Stanza](p)(p.xmpp.Request(p.wait(), "set", p.xmpp.Bare, `<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'>`+
				`<item id='`+Escape(room)+`'><conference xmlns='urn:xmpp:bookmarks:1' name='My garden' autojoin='true'><nick>me</nick></conference></item></publish></pubsub>`))
		}
		next := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Meadow", Alias: p.alias + "next", Public: true}))
		to := "#" + p.alias + "next%" + MatrixDomain + "@" + p.domain
		p.id(p.anna.SetState(p.wait(), old, "m.room.tombstone", "", map[string]any{"body": "It was full", "replacement_room": next}))
		p.hears(InRoom(next), Membership(p.benID, "join"))
		p.expect(Presence(FromBare(room), Type("unavailable"), Status("110"), hasAttr("http://jabber.org/protocol/muc#user", "destroy", "jid", to)))
		if p.privileged {
			all := p.bookmarked(to)
			for all[room] != nil {
				all = p.bookmarked(to)
			}
			if c := all[to]; c.Attr("name") != "My garden" || c.First("nick") == nil {
				p.Errorf("the bookmarks are %v", all)
			}
		} else {
			p.expect(Message(invitesTo(to)))
		}
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(FromBare(room), Error("cancel", "gone")))
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, to)
		p.expect(Presence(FromBare(to), Status("110")))
		p.id(p.anna.Say(p.wait(), next, "here we are"))
		p.expect(Message(FromBare(to), Body("here we are")))
	})
}

// TestRoomIsUpgraded: the homeserver makes the successor, and the alias leads there: ben
// stays at the address he is at.
func TestRoomIsUpgraded(t *testing.T) {
	everywhere(t, "upgrade", func(p *pair) {
		old := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Alias: p.alias, Public: true, Version: "10"}))
		room := p.enter("")
		p.id(p.anna.Say(p.wait(), old, "before"))
		p.expect(Message(FromBare(room), Body("before")))
		var made struct {
			Room string `json:"replacement_room"`
		}
		p.try(p.anna.Request(p.wait(), "POST", "/_matrix/client/v3/rooms/"+old+"/upgrade", map[string]any{"new_version": "11"}, &made))
		p.hears(InRoom(made.Room), Membership(p.benID, "join"))
		p.expect(Presence(FromBare(room), Status("110"), Role("participant")))
		p.say(room, "after", "")
		p.hears(InRoom(made.Room), Sender(p.benID), Text("after"))
		if got := p.xmpp.Received(Presence(FromBare(room), Has("http://jabber.org/protocol/muc#user", "destroy"))); len(got) != 0 {
			p.Errorf("ben was put out: %s", got)
		}
	})
}

// TestRoomPicture: a room's picture is shown, and another takes its place.
func TestRoomPicture(t *testing.T) {
	everywhere(t, "painted", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Alias: p.alias, Public: true}))
		paint := func(c color.Color) {
			p.Helper()
			m := image.NewRGBA(image.Rect(0, 0, 8, 8))
			for i := range 64 {
				m.Set(i%8, i/8, c)
			}
			var b bytes.Buffer
			p.try(png.Encode(&b, m))
			uri := p.id(p.anna.Upload(p.wait(), b.Bytes(), "image/png", "door.png"))
			p.id(p.anna.SetState(p.wait(), garden, "m.room.avatar", "", map[string]any{"url": uri}))
		}
		shown := func(but string) string {
			p.Helper()
			s := p.expect(Presence(From(p.room()), Has("vcard-temp:x:update", "photo"), Where("another picture", func(n *Node) bool {
				return n.First("photo").Text != but
			})))
			return s.First("photo").Text
		}
		paint(color.RGBA{200, 0, 0, 255})
		room := p.enter("")
		first := shown("")
		info := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", room, `<query xmlns='http://jabber.org/protocol/disco#info'/>`))
		if got, _ := fieldValue(info, "muc#roominfo_avatarhash"); got != first {
			p.Errorf("disco says %q, presence %q", got, first)
		}
		card := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", room, `<vCard xmlns='vcard-temp'/>`))
		if b := card.First("BINVAL"); b == nil || len(b.Text) < 50 {
			p.Errorf("the card is %s", card)
		}
		paint(color.RGBA{0, 200, 0, 255})
		shown(first)
	})
}

// TestRoomOfAnotherClient: a room that ben enters with another client of Matrix comes
// into his list of rooms, or he is invited.
func TestRoomOfAnotherClient(t *testing.T) {
	everywhere(t, "elsewhere", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Alias: p.alias, Public: true}))
		tablet := p.tablet()
		p.id(tablet.Join(p.wait(), garden))
		p.hears(InRoom(garden), Membership(p.benID, "join"))
		chat := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Direct: true, Invite: []string{p.benID}})) // so that the homeserver has news
		p.expect(Presence(From(p.annaAddress), Type("subscribe")))
		p.send(`<presence to='%s' type='subscribed'/>`, p.annaAddress)
		p.hears(InRoom(chat), Membership(p.benID, "join"))
		if !p.privileged {
			p.expect(Message(invitesTo(p.room())))
			return
		}
		if c := p.bookmarked(p.room())[p.room()]; c.Attr("name") != "Garden" || c.Attr("autojoin") != "true" {
			p.Errorf("the bookmark is %s", c)
		}
	})
}

// TestKnock: ben is told that one can ask to be let in, and that this homeserver does
// not let anybody do so.
func TestKnock(t *testing.T) {
	everywhere(t, "knock", func(p *pair) {
		hall := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Hall", Alias: p.alias, Version: "10"}))
		p.id(p.anna.SetState(p.wait(), hall, "m.room.join_rules", "", map[string]any{"join_rule": "knock"}))
		room := p.room()
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(FromBare(room), Error("auth", "registration-required"), ErrorText("ask to be let in")))
		form := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", room, `<query xmlns='jabber:iq:register'/>`))
		if _, ok := fieldValue(form, "x-reason"); !ok {
			p.Fatalf("the form is %s", form)
		}
		answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "set", room, `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>`+
			field("FORM_TYPE", "http://jabber.org/protocol/muc#register")+field("x-reason", "I have a key")+`</x></query>`))
		if !All(Error("cancel", "feature-not-implemented"), ErrorText("homeserver")).Holds(answer.Node) {
			p.Errorf("the answer is %s", answer)
		}
		p.try(p.anna.Invite(p.wait(), hall, p.benID))
		p.expect(Message(invitesTo(room)))
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
		p.expect(Presence(FromBare(room), Status("110")))
	})
}
