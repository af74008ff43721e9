package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// What people may type and where they find rooms and people.
func TestFinding(t *testing.T) {
	sideBySide(t, "finding", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Finding " + p.alias, Alias: p.alias, Public: true}))
		p.id(p.anna.SetState(p.wait(), garden, "m.room.topic", "", map[string]any{"topic": "lost things"}))
		for typed, want := range map[string]string{
			"https://matrix.to/#/%23" + p.alias + "%3A" + MatrixDomain: p.room(),
			"https://matrix.to/#/" + p.annaID:                          p.annaAddress,
			"matrix:r/" + p.alias + ":" + MatrixDomain:                 p.room(),
			"#" + p.alias + ":" + MatrixDomain:                         p.room(),
			p.annaID:                                                   p.annaAddress,
		} {
			answer := p.ask("set", domain, `<query xmlns='jabber:iq:gateway'><prompt>`+Escape(typed)+`</prompt></query>`)
			if got := answer.First("jid").Content(); got != want {
				p.Errorf("%s is %q, want %q", typed, got, want)
			}
		}
		// By the id of the room, as a link names it, one gets into the same one.
		link := p.ask("set", domain, `<query xmlns='jabber:iq:gateway'><prompt>`+Escape("https://matrix.to/#/"+garden+"?via="+MatrixDomain)+`</prompt></query>`)
		byID := link.First("jid").Content()
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, byID)
		p.expect(Presence(FromBare(byID), Status("110")))
		p.send(`<presence to='%s/me' type='unavailable'/>`, byID)
		p.expect(Presence(FromBare(byID), Type("unavailable"), Status("110")))

		search := func(fields string) []string {
			p.Helper()
			answer := p.ask("set", domain, `<query xmlns='jabber:iq:search'><x xmlns='jabber:x:data' type='submit'>`+
				field("FORM_TYPE", "jabber:iq:search")+fields+`</x></query>`)
			var jids []string
			for _, item := range answer.All("item") {
				for _, f := range item.All("field") {
					if f.Attr("var") == "jid" {
						jids = append(jids, f.First("value").Content())
					}
				}
			}
			return jids
		}
		if found := search(field("words", "finding "+p.alias)); len(found) != 1 || found[0] != p.room() {
			p.Errorf("the room is found as %q", found)
		}
		if found := search(field("words", "things "+p.alias)); len(found) != 1 || found[0] != p.room() {
			p.Errorf("by its topic the room is found as %q", found)
		}
		p.try(p.anna.SetDisplayName(p.wait(), "Wanda of "+p.alias))
		if found := search(field("nick", "Wanda of "+p.alias)); !slices.Contains(found, p.annaAddress) {
			p.Errorf("somebody is found by name as %q", found)
		}
		if found := search(field("nick", p.annaID)); len(found) != 1 || found[0] != p.annaAddress {
			p.Errorf("somebody is found by Matrix ID as %q", found)
		}
		card := p.ask("get", p.annaAddress, `<vCard xmlns='vcard-temp'/>`)
		if card.First("FN").Content() != "Wanda of "+p.alias {
			p.Errorf("the card is %s", card)
		}
	})
}

// page is one page of a room's archive.
type page struct {
	bodies      []string // oldest first
	ids         []string
	first       string
	complete    bool
	froms, msgs []string
}

// archive asks a room's archive for the lines before one, empty: the last.
func (p *pair) archive(room, before string, limit int) (pg page) {
	p.Helper()
	query := p.xmpp.NewID()
	fin := p.ask("set", room, fmt.Sprintf(`<query xmlns='urn:xmpp:mam:2' queryid='%s'><set xmlns='http://jabber.org/protocol/rsm'><max>%d</max><before>%s</before></set></query>`, query, limit, before))
	for _, m := range p.xmpp.Received(Message(Where("result of "+query, func(n *Node) bool {
		return n.Child("urn:xmpp:mam:2", "result").Attr("queryid") == query
	}))) {
		line := m.First("message")
		pg.bodies = append(pg.bodies, line.Child("jabber:client", "body").Content())
		pg.ids = append(pg.ids, m.First("result").Attr("id"))
		pg.froms, pg.msgs = append(pg.froms, line.Attr("from")), append(pg.msgs, line.Attr("id"))
	}
	pg.first = fin.First("first").Content()
	pg.complete = fin.First("fin").Attr("complete") == "true"
	return pg
}

// What was said before one came is there: the last of it with the join, as much as was
// asked for, and all of it in the archive, which is filled from the homeserver.
func TestHistory(t *testing.T) {
	sideBySide(t, "history", func(p *pair) {
		const said = 75
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		// What was edited and what was taken back is so in the archive, too.
		p.id(p.anna.Edit(p.wait(), garden, p.id(p.anna.Say(p.wait(), garden, "tpyo")), "typo"))
		p.id(p.anna.Redact(p.wait(), garden, p.id(p.anna.Say(p.wait(), garden, "a secret")), ""))
		want := []string{"typo"}
		for i := range said {
			want = append(want, fmt.Sprintf("line %d", i))
			p.id(p.anna.Say(p.wait(), garden, want[i+1]))
		}
		room := p.room()
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='5'/></x></presence>`, room)
		p.expect(Message(FromBare(room), Type("groupchat"), Subject("")))
		var joined []string
		for _, m := range p.xmpp.Received(Message(FromBare(room), Delayed(), BodyLike("."))) {
			joined = append(joined, m.First("body").Content())
		}
		if !slices.Equal(joined, want[len(want)-5:]) {
			p.Errorf("with the join came %q", joined)
		}
		var got []string
		before := ""
		for range said {
			pg := p.archive(room, before, 20)
			got = append(slices.Clone(pg.bodies), got...)
			if pg.complete || pg.first == "" {
				break
			}
			before = pg.first
		}
		if got = slices.DeleteFunc(got, func(s string) bool { return s == "" }); !slices.Equal(got, want) {
			p.Errorf("the archive has %d lines: %q", len(got), got)
		}
		// A line of now stands at its end, with the id it was shown with.
		mark := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		_, sid := p.say(room, "the last", "")
		if pg := p.archive(room, "", 1); len(pg.bodies) != 1 || pg.bodies[0] != "the last" || pg.ids[0] != sid {
			p.Errorf("the end of the archive is %+v, want %s", pg, sid)
		}
		// Other amounts: nothing at all, and what is newer than a time.
		for _, c := range []struct {
			limit string
			want  []string
		}{{"maxstanzas='0'", nil}, {"since='" + mark + "'", []string{"the last"}}, {"seconds='3600' maxstanzas='2'", []string{want[said], "the last"}}} {
			p.send(`<presence to='%s/me' type='unavailable'/>`, room)
			p.expect(Presence(FromBare(room), Type("unavailable"), Status("110")))
			before := len(p.xmpp.Received(Message(FromBare(room), Delayed(), BodyLike("."))))
			p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'><history %s/></x></presence>`, room, Raw(c.limit))
			p.expect(Message(FromBare(room), Type("groupchat"), Subject("")))
			var told []string
			for _, m := range p.xmpp.Received(Message(FromBare(room), Delayed(), BodyLike(".")))[before:] {
				told = append(told, m.First("body").Content())
			}
			if !slices.Equal(told, c.want) {
				p.Errorf("with %s come %q", c.limit, told)
			}
		}
	})
}

// What the user does with another client of theirs on Matrix shows in rooms.
func TestOtherClient(t *testing.T) {
	sideBySide(t, "tablet", func(p *pair) {
		garden, room := p.public()
		own := room + "/ben" + p.alias
		tablet := must[*MatrixClient](p)(shared.matrix.Login(p.wait(), shared.homeserver, "ben"+p.alias, "tablet"))
		line := p.id(tablet.Say(p.wait(), garden, "from the tablet"))
		heard := p.expect(Message(From(own), Type("groupchat"), Body("from the tablet"), Not(Delayed())))
		p.id(tablet.Edit(p.wait(), garden, line, "from the tablet, corrected"))
		p.expect(Message(From(own), Body("from the tablet, corrected"), about(nsReplace, "replace", heard.Attr("id"))))
		p.id(tablet.React(p.wait(), garden, line, "👍"))
		p.expect(Message(From(own)), reactions(stanzaIDOf(heard), "👍"))
		p.try(tablet.Read(p.wait(), garden, line))
		p.id(tablet.Redact(p.wait(), garden, line, ""))
		p.expect(Message(From(own), about(nsRetract, "retract", stanzaIDOf(heard))))
		// A nick of one's own changes in all rooms.
		p.try(tablet.SetDisplayName(p.wait(), "Benjamin"))
		p.expect(Presence(From(own), Type("unavailable"), NewNick("Benjamin"), Status("110")))
		p.expect(Presence(From(room+"/Benjamin"), Type(""), Status("110")))
		// The room is left there.
		p.try(tablet.Leave(p.wait(), garden))
		p.expect(Presence(From(room+"/Benjamin"), Type("unavailable"), Status("110")))
	})
}

// Who unregisters is logged out at the homeserver, and nothing of them stays.
func TestUnregister(t *testing.T) {
	sideBySide(t, "unregister", func(p *pair) {
		_, room := p.public()
		p.say(room, "goodbye", "")
		tablet := must[*MatrixClient](p)(shared.matrix.Login(p.wait(), shared.homeserver, "ben"+p.alias, "tablet"))
		devices := func() (names []string) {
			p.Helper()
			var told struct {
				Devices []struct {
					Name string `json:"display_name"`
				}
			}
			p.try(tablet.Request(p.wait(), "GET", "/_matrix/client/v3/devices", nil, &told))
			for _, d := range told.Devices {
				names = append(names, d.Name)
			}
			slices.Sort(names)
			return names
		}
		if got := devices(); !slices.Equal(got, []string{"XMPP gateway", "tablet"}) {
			p.Errorf("the devices are %q", got)
		}
		user := "ben" + p.alias + "@" + Domain
		if kept := must[string](p)(p.gateway.Export(p.wait(), user)); !strings.Contains(kept, p.benID) {
			p.Errorf("stored is %s", kept)
		}
		p.ask("set", domain, `<query xmlns='jabber:iq:register'><remove/></query>`)
		p.expect(Presence(FromBare(room), Type("unavailable"), Status("110")))
		if got := devices(); !slices.Equal(got, []string{"tablet"}) {
			p.Errorf("afterwards the devices are %q", got)
		}
		if kept, err := p.gateway.Export(p.wait(), user); err == nil || !strings.Contains(err.Error(), "nothing is stored of "+user) {
			p.Errorf("stored is still %s, %v", kept, err)
		}
	})
}

// What was said before transportd was killed can be edited, answered, reacted to and
// taken back afterwards, from either side.
func TestLinesOfBefore(t *testing.T) {
	everywhere(t, "before", func(p *pair) {
		garden, room := p.public()
		annas := p.id(p.anna.Say(p.wait(), garden, "hers"))
		heard := p.expect(Message(FromBare(room), Body("hers")))
		bens, bensSID := p.say(room, "his", "")
		his := p.hears(Sender(p.benID), Text("his"))
		chat := p.chat()
		aside := p.tell(p.annaAddress, "aside", "<request xmlns='urn:xmpp:receipts'/>")
		hisAside := p.hears(InRoom(chat), Sender(p.benID), Text("aside"))
		p.expect(Message(FromBare(p.annaAddress), about("urn:xmpp:receipts", "received", aside)))
		p.id(p.anna.React(p.wait(), garden, his.ID, "👍"))
		p.expect(reactions(bensSID, "👍"))
		p.try(p.gateway.Restart(p.wait()))
		p.expect(Presence(From(domain), StatusText(`Connected as`)))
		p.id(p.anna.Say(p.wait(), garden, "back?"))
		p.expect(Message(FromBare(room), Body("back?")))

		p.id(p.anna.Edit(p.wait(), garden, annas, "hers, edited"))
		p.expect(Message(FromBare(room), Body("hers, edited"), about(nsReplace, "replace", heard.Attr("id"))))
		p.id(p.anna.React(p.wait(), garden, his.ID, "🌱"))
		p.expect(Any(reactions(bensSID, "👍", "🌱"), reactions(bensSID, "🌱", "👍")))
		p.id(p.anna.Reply(p.wait(), garden, his.ID, "to his"))
		p.expect(Message(FromBare(room), BodyLike(`(?s)^> .*his\nto his$`), about(nsReply, "reply", bensSID)))

		p.say(room, "his, edited", `<replace xmlns='urn:xmpp:message-correct:0' id='`+bens+`'/>`)
		p.hears(Sender(p.benID), Replaces(his.ID, "his, edited"))
		p.send(`<message to='%s' type='groupchat' id='%s'><reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>🎉</reaction></reactions></message>`, room, p.xmpp.NewID(), stanzaIDOf(heard))
		p.hears(Sender(p.benID), Reacts(annas, "🎉"))
		p.say(room, "to hers", `<reply xmlns='urn:xmpp:reply:0' id='`+stanzaIDOf(heard)+`' to='`+room+`/x'/>`)
		p.hears(Sender(p.benID), Text("to hers"), RepliesTo(annas))
		p.send(`<message to='%s' type='groupchat' id='%s'><retract xmlns='urn:xmpp:message-retract:1' id='%s'/><body>gone</body></message>`, room, p.xmpp.NewID(), bensSID)
		p.hears(Sender(p.benID), Redaction(his.ID))
		p.id(p.anna.Redact(p.wait(), garden, annas, ""))
		p.expect(Message(FromBare(room), about(nsRetract, "retract", stanzaIDOf(heard))))

		p.tell(p.annaAddress, "aside, edited", `<replace xmlns='urn:xmpp:message-correct:0' id='`+aside+`'/>`)
		p.hears(Sender(p.benID), Replaces(hisAside.ID, "aside, edited"))
		p.id(p.anna.React(p.wait(), chat, hisAside.ID, "👍"))
		p.expect(Message(FromBare(p.annaAddress)), reactions(aside, "👍"))
	})
}
