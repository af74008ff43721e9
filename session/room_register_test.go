package session

import (
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// knocking is a network with accounts whose room #fort takes who is invited.
func knocking(t *testing.T, f func(w *world)) {
	t.Helper()
	scenario(t, func(w *world) {
		w.driver.Contacts = true
		w.join("a", "alice")
		n := w.net()
		for _, room := range []string{"#hall", "#fort"} {
			n.Doors[room] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
				n.TrySay(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.MembersOnly, "Members only")})
			}
		}
		f(w)
	})
}

func registerAt(typ, room, more string) string {
	return "<iq type='" + typ + "' id='r1' from='ALICE/a' to='" + room + "%net@GW'><query xmlns='jabber:iq:register'>" + more + "</query></iq>"
}

// Who is not let in is told that one can ask, asks with a reason in one of two ways, or
// by the command, and is told what comes of it.
func TestKnocking(t *testing.T) {
	knocking(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='#hall%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & <registration-required & Members only. You can ask to be let in & register`)
		if info := w.infoOf("#hall%net@GW"); !strings.Contains(info, `var="jabber:iq:register"`) {
			t.Errorf("the room is %s", info)
		}
		w.from(registerAt("get", "#hall", ""))
		w.expect(`type="result" & <instructions> & <text & muc#register & var="x-reason"`)
		w.from(registerAt("set", "#hall", "<x xmlns='jabber:x:data' type='submit'><field var='x-reason'><value>it rains</value></field></x>"))
		w.expect(`<iq type="result" id="r1"`)
		w.called("knock #hall it rains")
		w.from(registerAt("set", "#hall", "<text>it pours</text>"))
		w.expect(`<iq type="result" id="r1"`)
		w.called("knock #hall it pours")
		w.from(registerAt("set", "#fort", ""))
		w.expect(`<iq type="error" id="r1" & <forbidden & Nobody may ask here`)
		w.from(registerAt("set", "#hall", "<x xmlns='jabber:x:data' type='cancel'/>"))
		w.expect(`<iq type="result" id="r1"`)
		w.from(registerAt("set", "#hall", "<text>"+strings.Repeat("x", maxReason+1)+"</text>"))
		w.expect(`<iq type="error" id="r1" & <policy-violation`)
		out := w.command(component.AddressHost, domain, "knock", "<field var='room'><value>#hall%net</value></field><field var='x-reason'><value>it snows</value></field>")
		if !strings.Contains(out, "You have asked to be let into #hall%net@") {
			t.Errorf("the command says %s", out)
		}
		w.called("knock #hall it snows")
		knocks := 0
		for _, c := range w.net().Calls() {
			if strings.HasPrefix(c, "knock") {
				knocks++
			}
		}
		if knocks != 4 {
			t.Errorf("asked %d times", knocks)
		}
	})
}

// Who is in a room is registered with it; where a network has no such thing there is
// nothing to register with.
func TestRegisteredWithARoom(t *testing.T) {
	knocking(t, func(w *world) {
		w.from(registerAt("get", "#room", ""))
		w.expect(`type="result" & <registered & <username>alice`)
		w.from(registerAt("set", "#room", ""))
		w.expect(`type="error" & <not-allowed`)
	})
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from(registerAt("get", "#hall", ""))
		w.expect(`type="error" & <service-unavailable`)
		n := w.net()
		n.Doors["#hall"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
			n.TrySay(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.MembersOnly, "Members only")})
		}
		w.from("<presence from='ALICE/a' to='#hall%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & <registration-required & Members only & !ask`)
	})
}

// A room that the join has made is told with status 201, to the first client alone; who
// comes back by itself does not have one made.
func TestRoomIsCreated(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Creates = true
		w.join("x", "alice")
		n := w.net()
		n.Doors["#new"] = func(ref bridges.Ref, room string, opt bridges.JoinOptions) {
			n.TrySay(&bridges.Entered{Ref: ref, Asked: room, Room: "#new", Name: room, Self: bridges.Member{ID: "alice", Nick: "alice", Affiliation: bridges.AffiliationOwner, Role: bridges.RoleModerator}, Created: opt.Create})
		}
		w.net().Room("#new").In = true
		w.from("<presence from='ALICE/a' to='#new%net@GW/alice'>" + muc + "</presence>")
		w.called("join #new creating")
		w.expect(`<presence & code="110" & code="201"`, `<subject`)
		w.from("<presence from='ALICE/b' to='#new%net@GW/alice'>" + muc + "</presence>")
		w.expect(`<presence & code="110" & !code="201"`, `<subject`)
		w.from(ownerForm("#new")) // an instant room
		w.expect(`<iq type="result" id="c2"`)
		w.net().End(bridges.NewError(bridges.Offline, "cut"))
		time.Sleep(2 * retryMin)
		w.called("join #new")
	})
}
