package session

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

func TestLeavingAResidentRoomOnlyEndsTheReports(t *testing.T) {
	capable(t, bridges.Caps{Resident: true}, func(w *world) {
		w.join("a", "alice")
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
		w.called("leave #room")
		w.wantAsked("quit")
		w.net().TrySay(&bridges.Left{Room: "#room", Member: bridgetest.Person("alice"), Self: true}) // later, on the network
		w.news()
	})
}

// shownOut checks that each of the clients was shown once that it is out of #room.
func (w *world) shownOut(clients ...string) {
	w.t.Helper()
	for _, c := range clients {
		n := 0
		for _, s := range w.stream.sent {
			if strings.Contains(s, `type="unavailable"`) && strings.Contains(s, `from="#room%net@gw.example/alice" to="alice@home.example/`+c+`"`) && strings.Contains(s, `code="110"`) {
				n++
			}
		}
		if n != 1 {
			w.t.Errorf("%s was shown out %d times", c, n)
		}
	}
}

func TestQuitCommand(t *testing.T) {
	capable(t, bridges.Caps{Resident: true}, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.keep()
		out := w.command(component.AddressRoom, "#room%net@"+domain, "quit", "")
		if !strings.Contains(out, "for good") || !strings.Contains(out, `status="completed"`) {
			t.Errorf("the command says %s", out)
		}
		w.wantAsked("quit", "quit #room")
		w.shownOut("a", "b")
		if rooms := w.stored(); len(rooms) != 0 {
			t.Errorf("stored: %+v", rooms)
		}
		if n := w.m.Stats().Rooms; n != 0 {
			t.Errorf("%d rooms are left", n)
		}
		// Also where no client is in.
		out = w.command(component.AddressHost, domain, "quit", "<field var='room'><value>#other%net</value></field>")
		if !strings.Contains(out, "for good") {
			t.Errorf("the command says %s", out)
		}
		w.wantAsked("quit", "quit #other")
		out = w.command(component.AddressNetwork, "net@"+domain, "quit", "<field var='room'><value>#prison</value></field>")
		if !strings.Contains(out, "Nobody leaves.") {
			t.Errorf("the command says %s", out)
		}
	})
}

func TestQuitRefused(t *testing.T) {
	capable(t, bridges.Caps{Resident: true}, func(w *world) {
		w.from("<presence from='ALICE/a' to='#prison%net@GW/alice'>" + muc + "</presence>")
		w.from(ownerSet("#prison", fieldPersistent, "true"))
		w.news()
		out := w.command(component.AddressRoom, "#prison%net@"+domain, "quit", "")
		if !strings.Contains(out, "Nobody leaves.") {
			t.Errorf("the command says %s", out)
		}
		w.expect()
		if rooms := w.stored(); len(rooms) != 1 || !rooms[0].Persistent {
			t.Errorf("stored: %+v", rooms)
		}
	})
}

func TestQuitOfAKeptRoomWithoutAClientSaysNothingMore(t *testing.T) {
	capable(t, bridges.Caps{Resident: true}, func(w *world) {
		w.join("a", "alice")
		w.keep()
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
		w.news()
		w.command(component.AddressRoom, "#room%net@"+domain, "quit", "")
		w.wantAsked("quit", "quit #room")
		w.expect()
		if all := strings.Join(w.stream.sent, ""); strings.Contains(all, "You are not in") {
			t.Errorf("the user, who wanted it, is told: %s", all)
		}
		if rooms := w.stored(); len(rooms) != 0 {
			t.Errorf("stored: %+v", rooms)
		}
	})
}

func TestQuitOnANetworkThatKeepsNobody(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.keep()
		out := w.command(component.AddressRoom, "#room%net@"+domain, "quit", "")
		if !strings.Contains(out, "for good") {
			t.Errorf("the command says %s", out)
		}
		w.called("leave #room")
		w.wantAsked("quit")
		w.shownOut("a")
		if rooms := w.stored(); len(rooms) != 0 {
			t.Errorf("stored: %+v", rooms)
		}
		out = w.command(component.AddressRoom, "#room%net@"+domain, "quit", "")
		if !strings.Contains(out, `type="error"`) && !strings.Contains(out, "not in that room") {
			t.Errorf("the command says %s", out)
		}
	})
}

const declines = "<message id='d' from='ALICE/a' to='%s'><x xmlns='http://jabber.org/protocol/muc#user'><decline to='bob%%net@GW'><reason>no time</reason></decline></x></message>"

func decline(room string) string {
	return strings.NewReplacer("%s", room, "%%", "%").Replace(declines)
}

func TestInvitationDeclined(t *testing.T) {
	scenario(t, func(w *world) {
		w.from(decline("#party%net@GW")) // nothing there
		w.expect()
		w.join("a", "alice")
		w.say(&bridges.Invited{Name: "#Party", By: bridgetest.Person("Bob")})
		w.expect(`from="#party%net@gw.example" & <invite from="bob%net@gw.example"`)
		w.from(decline("#party%net@GW"))
		w.wantAsked("decline", "decline #Party no time")
		w.expect()
		w.from(decline("#elsewhere%net@GW"))
		w.expect(`type="error" & id="d" & item-not-found & no such invitation`)
		w.from(decline("#room%net@GW")) // in it
		w.wantAsked("decline", "decline #elsewhere no time")

		w.say(&bridges.Invited{Name: "#Two", By: bridgetest.Person("Bob")})
		w.news()
		w.from("<presence from='ALICE/a' to='#two%net@GW/alice'>" + muc + "</presence>")
		w.news()
		w.from(decline("#two%net@GW"))
		w.wantAsked("decline")
		for i := range 3 * maxInvitations {
			w.say(&bridges.Invited{Name: "#p" + strings.Repeat("x", i), By: bridgetest.Person("Bob")})
		}
		if n := len(w.m.peek(w.user()).links[0].invited); n > maxInvitations {
			t.Errorf("%d invitations are remembered", n)
		}
	})
}
