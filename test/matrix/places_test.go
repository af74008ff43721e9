package matrix

import (
	"testing"

	. "transportd/internal/testenv"
)

// place is for a stanza with this place (XEP-0080).
func place(lat, lon string) Match {
	return Where("at "+lat+", "+lon, func(n *Node) bool {
		g := n.Child("http://jabber.org/protocol/geoloc", "geoloc")
		return g != nil && g.First("lat").Content() == lat && g.First("lon").Content() == lon
	})
}

func TestPlaces(t *testing.T) {
	everywhere(t, "places", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		room := p.enter("")
		p.id(p.anna.SendEvent(p.wait(), garden, "m.room.message", map[string]any{"msgtype": "m.location", "body": "The well", "geo_uri": "geo:51.5,-0.12;u=35"}))
		p.expect(Message(FromBare(room), Body("The well\ngeo:51.5,-0.12;u=35"), place("51.5", "-0.12")))
		p.say(room, "geo:48.2,16.37", "")
		p.hears(InRoom(garden), Sender(p.benID), Content("m.location", "msgtype"), Content("geo:48.2,16.37", "geo_uri"))
		p.say(room, "the tree, geo:48.5,16.5", "<geoloc xmlns='http://jabber.org/protocol/geoloc'><accuracy>20</accuracy><lat>48.5</lat><lon>16.5</lon></geoloc>")
		p.hears(InRoom(garden), Sender(p.benID), Content("m.location", "msgtype"), Content("geo:48.5,16.5;u=20", "geo_uri"), Content("the tree,", "body"))

		// Live: the first and the last.
		const info, beacon = "org.matrix.msc3672.beacon_info", "org.matrix.msc3672.beacon"
		live := p.id(p.anna.SetState(p.wait(), garden, info, p.annaID, map[string]any{"live": true, "timeout": 60000}))
		for _, uri := range []string{"geo:1,1", "geo:2,2", "geo:3,3"} {
			p.id(p.anna.SendEvent(p.wait(), garden, beacon, map[string]any{
				"m.relates_to": map[string]any{"rel_type": "m.reference", "event_id": live}, "org.matrix.msc3488.location": map[string]any{"uri": uri},
			}))
		}
		p.id(p.anna.SetState(p.wait(), garden, info, p.annaID, map[string]any{"live": false}))
		p.expect(Message(FromBare(room), BodyLike("^/me shares"), place("1", "1")))
		p.expect(Message(FromBare(room), BodyLike("^/me no longer shares"), place("3", "3")))
		if got := p.xmpp.Received(Message(FromBare(room), place("2", "2"))); len(got) != 0 {
			p.Errorf("a place between is told: %s", got)
		}
	})
}

func TestPoll(t *testing.T) {
	everywhere(t, "poll", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true}))
		room := p.enter("")
		text := func(s string) map[string]any { return map[string]any{"org.matrix.msc1767.text": s} }
		answer := func(id, s string) map[string]any {
			return map[string]any{"id": id, "org.matrix.msc1767.text": s}
		}
		poll := p.id(p.anna.SendEvent(p.wait(), garden, "org.matrix.msc3381.poll.start", map[string]any{
			"org.matrix.msc3381.poll.start": map[string]any{
				"kind": "org.matrix.msc3381.poll.disclosed", "max_selections": 1, "question": text("Tea?"), "answers": []any{answer("y", "Yes"), answer("n", "No")},
			}, "org.matrix.msc1767.text": "Tea? 1. Yes 2. No",
		}))
		asked := p.expect(Message(FromBare(room), Body("Poll: Tea?\n1. Yes\n2. No")))
		p.say(room, "2", `<reply xmlns='urn:xmpp:reply:0' id='`+stanzaIDOf(asked)+`' to='`+room+`/x'/>`)
		p.hears(InRoom(garden), Sender(p.benID), EventType("org.matrix.msc3381.poll.response"))
		p.id(p.anna.SendEvent(p.wait(), garden, "org.matrix.msc3381.poll.end", map[string]any{
			"m.relates_to": map[string]any{"rel_type": "m.reference", "event_id": poll}, "org.matrix.msc3381.poll.end": map[string]any{}, "org.matrix.msc1767.text": "Over.",
		}))
		p.expect(Message(FromBare(room), Body("The poll has ended: Tea?\n1. Yes: 0 votes\n2. No: 1 vote\n(1 person voted.)")))
	})
}
