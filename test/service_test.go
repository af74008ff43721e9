package test

import (
	"slices"
	"testing"

	. "transportd/internal/testenv"
)

const discoInfo = `<query xmlns='http://jabber.org/protocol/disco#info'/>`

// What clients look at to know a gateway and its rooms.
func TestDisco(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		_, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		for _, c := range []struct {
			jid                string
			category, typ      string
			features, unwanted []string
		}{
			{domain, "gateway", "irc",
				[]string{"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "jabber:iq:register",
					"jabber:iq:gateway", "http://jabber.org/protocol/commands", "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time",
					"vcard-temp", `jid\20escaping`},
				[]string{"urn:xmpp:http:upload:0"}},
			{room, "conference", "text", // and irc behind it
				[]string{"http://jabber.org/protocol/muc", "urn:xmpp:sid:0", "http://jabber.org/protocol/muc#self-ping-optimization"},
				nil},
		} {
			info := alice.result("get", c.jid, discoInfo)
			first := info.First("identity")
			if first.Attr("category") != c.category || first.Attr("type") != c.typ {
				t.Errorf("%s: the first identity is %s", c.jid, first)
			}
			var features []string
			for _, f := range info.All("feature") {
				features = append(features, f.Attr("var"))
			}
			for _, want := range c.features {
				if !slices.Contains(features, want) {
					t.Errorf("%s: no feature %s among %v", c.jid, want, features)
				}
			}
			for _, no := range c.unwanted {
				if slices.Contains(features, no) {
					t.Errorf("%s: feature %s", c.jid, no)
				}
			}
		}
		items := alice.result("get", domain, `<query xmlns='http://jabber.org/protocol/disco#items'/>`)
		if !slices.ContainsFunc(items.All("item"), func(n *Node) bool { return n.Attr("jid") == s.console() }) {
			t.Errorf("the network %s is not among the gateway's items: %s", s.console(), items)
		}
	})
}

func TestServices(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		alice := s.user(t, "alice")
		for _, c := range []struct{ payload, want string }{
			{`<query xmlns='jabber:iq:version'/>`, "version"},
			{`<time xmlns='urn:xmpp:time'/>`, "utc"},
			{`<query xmlns='jabber:iq:last'/>`, "query"},
			{`<vCard xmlns='vcard-temp'/>`, "FN"},
			{`<query xmlns='jabber:iq:gateway'/>`, "prompt"},
			{`<query xmlns='jabber:iq:register'/>`, "instructions"},
			{`<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>`, "item"},
		} {
			if r := alice.result("get", domain, c.payload); r.First(c.want) == nil {
				t.Errorf("%s: no <%s> in %s", c.payload, c.want, r)
			}
		}
		alice.result("get", domain, `<ping xmlns='urn:xmpp:ping'/>`)
		r := alice.result("set", domain, `<query xmlns='jabber:iq:gateway'><prompt>#linux on ng</prompt></query>`)
		if got := r.First("jid").Content(); got != "#linux%ng@"+domain {
			t.Errorf("the prompt's answer is %q", got)
		}
		alice.refused("get", domain, `<query xmlns='urn:example:unknown'/>`, "cancel", "service-unavailable")
	})
}

// The network's own address is a console: raw lines go out, what the server says
// comes back.
func TestConsole(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		_, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		alice.enter(garden)
		alice.chat(s.console(), "TIME")
		alice.expect(Message(FromBare(s.console()), BodyLike(`20\d\d`)))
		alice.chat(s.console(), "MOTD")
		alice.expect(Message(FromBare(s.console()), BodyLike(`Welcome to the test network`)))
	})
}

// The list of channels (XEP-0030 items of the network).
func TestChannelList(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		_, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		alice.enter(garden)
		items := alice.result("get", s.console(), `<query xmlns='http://jabber.org/protocol/disco#items'/>`)
		if !slices.ContainsFunc(items.All("item"), func(n *Node) bool { return n.Attr("jid") == s.room(garden) }) {
			t.Errorf("%s is not among the network's channels: %s", s.room(garden), items)
		}
	})
}
