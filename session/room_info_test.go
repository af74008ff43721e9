package session

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// infoOf asks what an address is.
func (w *world) infoOf(to string) string {
	w.t.Helper()
	w.news()
	w.from("<iq type='get' id='d' from='ALICE/a' to='" + to + "'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
	got := w.news()
	if len(got) != 1 || !strings.Contains(got[0], `type="result"`) {
		w.t.Fatalf("%s is %q", to, got)
	}
	return got[0]
}

func (w *world) about(change func(*bridges.RoomInfo)) {
	info := &bridges.RoomInfo{Room: "#room", Name: "The Room", Description: "where <we> meet"}
	change(info)
	w.say(info)
}

func TestRoomIsDescribed(t *testing.T) {
	capable(t, bridges.Caps{}, func(w *world) {
		w.driver.About = map[string]*bridges.RoomInfo{"#room": {Room: "#room", Name: "The Room", Public: true, Open: true}}
		w.join("a", "alice")
		w.from("<presence from='ALICE/b' to='#room%net@GW/alice'>" + muc + "</presence>")
		for _, s := range w.news() {
			if strings.Contains(s, `code="104"`) {
				t.Errorf("what a client enters has changed for it: %s", s)
			}
		}
		got := w.infoOf(theRoom)
		for _, want := range []string{`type="text" name="The Room"`, "muc_public", "muc_open", "muc#roominfo_occupants"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
		w.about(func(i *bridges.RoomInfo) { i.Public, i.Open = true, true; i.Description = "" })
		w.expect() // as it was
		w.about(func(i *bridges.RoomInfo) { i.Name = "Our Room" })
		w.expect(`type="groupchat" & from="#room%net@gw.example" to="alice@home.example/a" & <status code="104" & !<body`, `/b" & code="104"`)
		got = w.infoOf(theRoom)
		for _, want := range []string{`name="Our Room"`, "muc_hidden", "muc_membersonly", "muc#roominfo_description", "where &lt;we&gt; meet"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
		for _, not := range []string{"muc_public", "muc_open"} {
			if strings.Contains(got, not) {
				t.Errorf("%s in %s", not, got)
			}
		}
		w.say(&bridges.RoomInfo{Room: "#elsewhere", Name: "Elsewhere"})
		w.expect()
	})
}

func TestRoomSaysOnlyWhatWorks(t *testing.T) {
	all := []string{"urn:xmpp:message-correct:0", "urn:xmpp:reply:0", "urn:xmpp:reactions:0", "urn:xmpp:message-retract:1",
		"urn:xmpp:message-moderate:1", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0"}
	for _, c := range []struct {
		caps bridges.Caps
		want []string
	}{
		{bridges.Caps{}, nil},
		{bridges.Caps{React: true, Reply: true, Edit: true, Retract: true, Typing: true, Read: true}, all},
		{bridges.Caps{Typing: true}, all[5:6]},
	} {
		capable(t, c.caps, func(w *world) {
			w.net0()
			check := func(to string, want []string) {
				w.t.Helper()
				got := w.infoOf(to)
				for _, f := range all {
					wanted := strings.Contains(strings.Join(want, " "), f)
					if strings.Contains(got, `"`+f+`"`) != wanted {
						w.t.Errorf("%s: %s is there: %v", to, f, !wanted)
					}
				}
			}
			check("#other%net@GW", c.want) // not in it, on the same network
			check(theRoom, c.want)
			var private []string
			for _, f := range c.want {
				if !strings.Contains(f, "moderate") {
					private = append(private, f)
				}
			}
			check(theRoom+"/Bob", private)
			check("bob%net@GW", private)
			check("#room%nowhere@GW", nil)
		})
	}
}

// net0 brings the user into #room, where Bob is.
func (w *world) net0() {
	w.t.Helper()
	w.join("a", "alice")
	w.net().SetMembers("#room", bridgetest.Person("Bob"))
}

func TestRoomsOfTheNetworkHaveNames(t *testing.T) {
	account(t, func(w *world) {
		w.driver.Directory = []bridges.DirectoryEntry{{Name: "#One", Title: "Number One"}, {Name: "#room", Title: "old"}, {Name: "#two"}}
		w.join("a", "alice")
		w.about(func(i *bridges.RoomInfo) { i.Name = "Our Room" })
		w.news()
		w.from("<iq type='get' id='i' from='ALICE/a' to='net@GW'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>")
		w.expect(`jid="#one%net@gw.example" name="Number One" & jid="#room%net@gw.example" name="Our Room" & jid="#two%net@gw.example" name="#two"`)
		found, err := w.m.Search(w.t.Context(), w.user(), "net", Query{Words: "number"})
		if err != nil || len(found) != 1 || found[0].Name != "Number One" || found[0].JID.Local != "#one%net" {
			t.Errorf("found %+v, %v", found, err)
		}
	})
}

func TestAdministrationByAddress(t *testing.T) {
	bob := bridgetest.Person("Bob (away)") // whom the network calls bob
	bob.ID, bob.Address = "bob", "bob"
	for _, c := range []struct{ item, call, want string }{
		{"<item jid='bob%net@GW' role='none'/>", "role #room Bob (away) 0", `type="result"`},
		{"<item jid='bob%net@GW/user@host' role='none'/>", "role #room Bob (away) 0", `type="result"`},
		{"<item jid='bob%net@GW' affiliation='admin'/>", "affiliation #room Bob (away) 4", `type="result"`},
		{"<item nick='Bob (away)' affiliation='admin'/>", "affiliation #room Bob (away) 4", `type="result"`},
		{"<item jid='carol%net@GW' affiliation='outcast'/>", "affiliation #room carol 1", `type="result"`},
		{"<item jid='net@GW/*!*@evil.example' affiliation='none'/>", "affiliation #room *!*@evil.example 2", `type="result"`},
		{"<item jid='bob%other@GW' affiliation='outcast'/>", "", `type="error" & another network`},
		{"<item jid='#room%net@GW' affiliation='outcast'/>", "", `type="error" & bad-request`},
		{"<item jid='net@GW' affiliation='outcast'/>", "", `type="error" & bad-request`},
	} {
		scenario(t, func(w *world) {
			w.join("a", "alice")
			w.net().SetMembers("#room", bob)
			w.from("<iq type='set' id='q' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/muc#admin'>" + c.item + "</query></iq>")
			w.expect(`^<iq & id="q" & ` + c.want)
			if c.call != "" {
				w.called(c.call)
			} else if got := append(w.asked("affiliation"), w.asked("role")...); len(got) > 0 {
				t.Errorf("%s: the network was asked %q", c.item, got)
			}
		})
	}
}

func TestRoomWherePeopleAreKnown(t *testing.T) {
	account(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`/alice" & code="100" & code="110"`, `<subject`)
		if got := w.infoOf(theRoom); !strings.Contains(got, "muc_nonanonymous") || strings.Contains(got, "muc_semianonymous") {
			t.Error(got)
		}
	})
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`/alice" & !code="100" & code="110"`, `<subject`)
		if got := w.infoOf(theRoom); strings.Contains(got, "muc_nonanonymous") || !strings.Contains(got, "muc_semianonymous") {
			t.Error(got)
		}
	})
}

func TestOutcastsByAddress(t *testing.T) {
	account(t, func(w *world) {
		w.driver.Outcasts = []bridges.ListEntry{{Mask: "@eve:net", Address: "eve", Reason: "spam"}, {Mask: "*!*@evil.example"}}
		w.join("a", "alice")
		w.from("<iq type='get' id='q' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='outcast'/></query></iq>")
		w.expect(`<item affiliation="outcast" jid="eve%net@gw.example"><reason>spam & jid="net@gw.example/\*!\*@evil.example"`)
		w.from("<iq type='set' id='q' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='none' jid='eve%net@GW'/></query></iq>")
		w.expect(`type="result"`)
		w.called("affiliation #room eve 2")
	})
}
