package session

import (
	"testing"
	"testing/synctest"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

func TestJoinWithoutANicknameWhileInTheRoom(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<presence from='ALICE/a' to='#room%net@GW'>" + muc + "</presence>")
		w.expect(`type="error" & jid-malformed`)
	})
}

func TestOccupantWhoseNickCannotBeAResource(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		fiona := bridgetest.Person("ﬁona") // with a ligature that no server leaves alone
		w.net().SetMembers("#room", fiona)
		w.say(&bridges.Joined{Room: "#room", Member: fiona})
		w.expect(`from="#room%net@gw.example/fiona"`)
		w.from("<message type='chat' from='ALICE/a' to='#room%net@GW/fiona'><body>psst</body></message>")
		w.called("say ﬁona psst")
		w.private("ﬁona", "yes", bridges.Text)
		w.expect(`from="#room%net@gw.example/fiona"`)
		w.from("<iq type='get' id='v' from='ALICE/a' to='#room%net@GW/fiona'><vCard xmlns='vcard-temp'/></iq>")
		w.expect(`type="result" & ﬁona`)
		w.from("<iq type='set' id='q' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='fiona' role='none'/></query></iq>")
		w.expect(`type="result"`)
		w.called("role #room ﬁona 0")
		w.from("<message from='ALICE/a' to='#room%net@GW'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='#room%net@GW/fiona'/></x></message>")
		w.called("invite #room ﬁona")
		w.say(&bridges.Left{Room: "#room", Member: bridgetest.Person("bob"), Kind: bridges.Kicked, Actor: "ﬁona"})
		w.expect(`<actor nick="fiona"`)
	})
}

func TestInvitationToAPersonOfAnotherNetwork(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<message id='i' from='ALICE/a' to='#room%net@GW'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob%other@GW'/></x></message>")
		w.expect(`type="error" & id="i" & another network`)
	})
}

func TestOutcomeNobodyWaitsForIsNotALine(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.say(&bridges.Message{Ref: 999, Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("alice"), Self: true})
		w.expect()
	})
}

func TestNickChangeWhileTheLinkIsDown(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		synctest.Wait()
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'><show>away</show></presence>")
		w.expect()
		w.from("<presence id='n' from='ALICE/a' to='#room%net@GW/Alicia'/>")
		w.expect(`type="error" & recipient-unavailable`)
	})
}

func TestRoomOfAClientDoesNotBecomeTheNetworks(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
			n.Doors["#room"] = func(_ bridges.Ref, room string, _ bridges.JoinOptions) { n.Enter(0, room) }
			return nil
		}
		w.join("a", "alice")
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
		w.called("leave #room")
	})
}

func TestRoomsTheNetworkPutsTheUserIntoAreBounded(t *testing.T) {
	scenario(t, func(w *world) {
		w.policy.MaxRooms = 2
		w.join("a", "alice")
		for _, room := range []string{"#two", "#three"} {
			w.say(&bridges.Entered{Room: bridges.RoomID(room), Name: room, Self: bridgetest.Person("alice")})
		}
		w.expect(`^<message & from="#two%net@gw.example" & jabber:x:conference`)
		w.called("leave #three")
	})
}

func TestConsoleAnswersOnce(t *testing.T) {
	const lines = "<message type='chat' id='c' from='ALICE/a' to='net@GW'><body>MOTD\nWHOIS bob</body><request xmlns='urn:xmpp:receipts'/></message>"
	scenario(t, func(w *world) {
		w.from(lines)
		w.expect(`answer to MOTD`, `answer to WHOIS bob`, `received & id="c"`)
		w.net().Full = true
		w.from(lines)
		w.expect(`type="error" & id="c" & resource-constraint & !received`)
	})
}

func TestReplyWithNothingInItSaysNothing(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<message type='groupchat' from='ALICE/a' to='#room%net@GW'><reply xmlns='urn:xmpp:reply:0' id='b1' to='#room%net@GW/bob'/></message>")
		w.expect()
		for _, c := range w.net().Calls() {
			if c != "join #room" {
				t.Errorf("the network was asked %q", c)
			}
		}
	})
}

func TestNickOfTheUsersChoiceIsStored(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<presence from='ALICE/a' to='#room%net@GW/Alicia'/>")
		for _, seat := range w.store.seats {
			if seat.Nick != "Alicia" {
				t.Errorf("stored: %+v", seat)
			}
		}
		// One that the network forces upon the user is not.
		w.say(&bridges.Renamed{Room: "#room", OldID: "alicia", OldNick: "Alicia", Member: bridgetest.Person("Guest1"), Self: true})
		w.join("b", "Alicia")
		for _, seat := range w.store.seats {
			if seat.Nick != "Alicia" {
				t.Errorf("stored: %+v", seat)
			}
		}
	})
}
