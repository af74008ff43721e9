package matrix

import (
	"fmt"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// items asks what an address lists under a node: the names of rooms by their address,
// and of groups by their node.
func (p *pair) items(node string) map[string]string {
	p.Helper()
	answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", domain, `<query xmlns='http://jabber.org/protocol/disco#items' node='`+Escape(node)+`'/>`))
	if answer.Attr("type") != "result" {
		p.Fatalf("what is under %q is answered by %s", node, answer)
	}
	out := map[string]string{}
	for _, item := range answer.All("item") {
		key := item.Attr("node")
		if key == "" {
			key = item.Attr("jid")
		} else if item.Attr("jid") != domain {
			p.Errorf("a group is at %s", item.Attr("jid"))
		}
		out[key] = item.Attr("name")
	}
	return out
}

// identity is the category and the name of what is at an address under a node.
func (p *pair) identity(to, node string) (category, name string) {
	p.Helper()
	answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", to, `<query xmlns='http://jabber.org/protocol/disco#info' node='`+Escape(node)+`'/>`))
	id := answer.First("identity")
	if id == nil {
		p.Fatalf("%s at %s is answered by %s", node, to, answer)
	}
	return id.Attr("category"), id.Attr("name")
}

// TestSpaces: a space is no room but a tree in disco#items, and a room that is in one
// space is called after it.
func TestSpaces(t *testing.T) {
	everywhere(t, "space", func(p *pair) {
		at := func(alias string) string { return "#" + alias + "%" + MatrixDomain + "@" + domain }
		named := func(alias string) string { return "group/#" + alias + ":" + MatrixDomain }
		house, cellar, shed := p.alias+"house", p.alias+"cellar", p.alias+"shed"
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Garden", Topic: "what grows", Alias: p.alias, Public: true}))
		shedID := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Shed", Alias: shed, Public: true}))
		cellarID := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "Cellar", Alias: cellar, Public: true, Space: true}))
		houseID := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Name: "House", Alias: house, Public: true, Space: true}))
		put := func(space, room, order string) {
			t.Helper()
			p.id(p.anna.SetState(p.wait(), space, "m.space.child", room, map[string]any{"via": []string{MatrixDomain}, "order": order}))
		}
		put(houseID, garden, "a")
		put(houseID, cellarID, "b")
		put(cellarID, shedID, "a")
		put(cellarID, houseID, "b") // a circle

		room := p.enter("what grows")
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, at(house))
		p.expect(Presence(FromBare(at(house)), Type("error"), Has("urn:ietf:params:xml:ns:xmpp-stanzas", "feature-not-implemented")))
		p.hears(InRoom(houseID), Membership(p.benID, "join"))
		p.expect(Message(FromBare(room), Status("104")))
		if category, name := p.identity(room, ""); category != "conference" || name != "House/Garden" {
			p.Errorf("the room is a %s called %q", category, name)
		}
		for _, to := range [][2]string{{at(house), ""}, {domain, named(house)}} {
			if category, _ := p.identity(to[0], to[1]); category != "hierarchy" {
				p.Errorf("%s at %s is a %s", to[1], to[0], category)
			}
		}
		if top := p.items(""); top[named(house)] != "House" {
			p.Errorf("on top are %q", top)
		}
		want := fmt.Sprint(map[string]string{at(p.alias): "Garden", named(cellar): "Cellar"})
		if in := fmt.Sprint(p.items(named(house))); in != want {
			p.Errorf("in the space are %s, want %s", in, want)
		}
		// Dendrite says what is in a public space to those who are in it.
		answer := must[Stanza](p)(p.xmpp.Request(p.wait(), "get", domain, `<query xmlns='http://jabber.org/protocol/disco#items' node='`+named(cellar)+`'/>`))
		if !Error("auth", "forbidden").Holds(answer.Node) {
			p.Errorf("a space that ben is not in is answered by %s", answer)
		}
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, at(cellar))
		p.expect(Presence(FromBare(at(cellar)), Type("error"), Has("urn:ietf:params:xml:ns:xmpp-stanzas", "feature-not-implemented")))
		below := p.items(named(cellar))
		if below[at(shed)] != "Shed" || below[named(house)] != "House" {
			p.Errorf("in the space below are %q", below)
		}
		// What is listed can be entered.
		p.send(`<presence to='%s/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, at(shed))
		p.expect(Presence(FromBare(at(shed)), Status("110")))
		if strings.Contains(fmt.Sprint(p.items("")), at(house)) {
			p.Error("a space is listed as a room")
		}
	})
}
