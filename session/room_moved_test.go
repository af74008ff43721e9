package session

import (
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// A room that ends and goes on in another is shown as that, and what the user chose for
// it goes with it; the user is invited once.
func TestRoomMoves(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.keep()
		w.news()
		moved := &bridges.Moved{Room: "#room", Name: "#other", Reason: "It was full", In: true}
		w.say(moved)
		w.expect(`type="unavailable" & to="alice@home.example/a" & <destroy jid="#other%net@gw.example"><reason>It was full</reason> & code="110"`,
			`type="unavailable" & to="alice@home.example/b" & <destroy`,
			`<message & from="#other%net@gw.example" & <invite & jabber:x:conference & jid="#other%net@gw.example" & It was full. The room #room%net@gw.example goes on here.`)
		w.called("leave #room")
		w.called("join #other")
		set := w.stored()
		if len(set) != 1 || set[0].Room != "#other%net@gw.example" || !set[0].Persistent {
			t.Errorf("stored is %+v", set)
		}
		w.say(moved)
		w.expect()
		w.from("<presence from='ALICE/a' to='#other%net@GW/alice'>" + muc + "</presence>")
		w.expect(`<presence & code="110"`, `<subject`)
	})
}

// Where the other room has the same address, the user stays there and sees what differs.
func TestRoomMovesUnderItsAddress(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("a", "alice")
		n := w.net()
		n.SetMembers("#room", bridgetest.Person("bob"), bridgetest.Person("carol"))
		w.lineIn("#room", "before")
		n.Doors["#room"] = func(ref bridges.Ref, room string, _ bridges.JoinOptions) {
			n.Room("#next").In = true
			n.TrySay(&bridges.Entered{Ref: ref, Asked: room, Room: "#next", Name: room, Self: bridgetest.Person("alice"), Members: []bridges.Member{bridgetest.Person("bob")}})
		}
		n.SetMembers("#next", bridgetest.Person("bob"))
		w.news()
		time.Sleep(time.Second)
		w.say(&bridges.Moved{Room: "#room", Name: "#room", In: true})
		w.expect(`<presence & from="#room%net@gw.example/bob" & !unavailable`, `type="unavailable" & from="#room%net@gw.example/carol"`, `code="110" & !unavailable`)
		w.lineIn("#room", "nobody hears this")
		w.expect()
		w.lineIn("#next", "after")
		w.expect(`type="groupchat" & <body>after`)
		w.from("<message type='groupchat' id='m' from='ALICE/a' to='#room%net@GW'><body>here</body></message>")
		w.called("say #next here")
		w.news()
		if got := w.kept("#room"); got != "before|after|here" {
			t.Errorf("the archive has %q", got)
		}
	})
}

// Who wants to enter a room that has moved is told where to; a room that is kept goes
// there by itself.
func TestJoiningARoomThatHasMoved(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		n := w.net()
		n.Doors["#old"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
			n.TrySay(&bridges.Failed{Ref: ref, Err: &bridges.Error{Kind: bridges.RoomMoved, Text: "It was full", Instead: "#new"}})
		}
		w.from("<presence from='ALICE/a' to='#old%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & <error type="cancel" & <gone xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">xmpp:%23new%25net@gw.example\?join</gone> & It was full. This room goes on under the address #new%net@gw.example`)
		w.from(ownerSet("#old", fieldPersistent, "true"))
		w.news()
		time.Sleep(time.Second)
		w.called("join #new")
		if set := w.stored(); len(set) != 1 || !strings.HasPrefix(set[0].Room, "#new%") {
			t.Errorf("stored is %+v", set)
		}
		n.Doors["#round"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
			n.TrySay(&bridges.Failed{Ref: ref, Err: &bridges.Error{Kind: bridges.RoomMoved, Instead: "#round"}})
		}
		w.from("<presence from='ALICE/a' to='#round%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & <gone`)
	})
}
