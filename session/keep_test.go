package session

import (
	"context"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

func TestDrop(t *testing.T) {
	scenario(t, func(w *world) {
		ctx := context.Background()
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		jid := w.m.jid(addr)
		w.join("a", "Alice")
		w.keep()
		w.join("b", "Alice")
		if err := w.m.dropRoom(ctx, w.user(), jid, addr); err != nil {
			t.Fatal(err)
		}
		w.expect(`to="alice@home.example/a" & unavailable & code="110"`, `to="alice@home.example/b" & unavailable & code="110"`)
		w.called("leave #room")
		if len(w.stored()) != 0 || w.m.Stats().Rooms != 0 {
			t.Errorf("stored is %+v", w.stored())
		}
		if err := w.m.dropRoom(ctx, w.user(), jid, addr); err == nil {
			t.Error("dropped twice")
		}
	})
	scenario(t, func(w *world) {
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		w.account(map[string]string{settingChannels: "#room"})
		w.join("a", "Alice")
		for _, err := range []error{
			w.m.dropRoom(context.Background(), w.user(), w.m.jid(addr), addr),
			w.m.setRoom(context.Background(), w.user(), w.m.jid(addr), addr, roomChange{persistent: new(bool)}),
		} {
			if err == nil || !strings.Contains(err.Error(), "list of channels") {
				t.Errorf("a room of the account's list was dropped: %v", err)
			}
		}
		w.from(ownerSet("#room", fieldPersistent, "false"))
		w.expect(`type="error" & id="c2" & not-acceptable & list of channels`)
	})
}

func TestDropUnderAnotherName(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
			n.Doors["#alias"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) { n.Enter(ref, "#room") }
			return nil
		}
		w.from("<presence from='ALICE/a' to='#alias%net@GW/Alice'>" + muc + "</presence>")
		w.from(ownerSet("#alias", fieldPersistent, "true"))
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		if err := w.m.dropRoom(context.Background(), w.user(), w.m.jid(addr), addr); err != nil {
			t.Fatal(err)
		}
		w.called("leave #room")
	})
}

// A room that is about to be left for its last client has gone is kept all the same
// when the user says so in time.
func TestKeptInTheLastMoment(t *testing.T) {
	addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'/>")
		w.join("a", "Alice")
		w.from("<presence type='unavailable' from='ALICE/a' to='GW'/>")
		w.from(goAway)
		time.Sleep(partGrace / 2)
		if err := w.m.keepRoom(context.Background(), w.user(), w.m.jid(addr), addr); err != nil {
			t.Fatal(err)
		}
		time.Sleep(partGrace)
		if w.calls(0, "leave #room") != 0 {
			t.Error("the room was left")
		}
	})
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.net().Hold = true
		w.from(goAway)
		time.Sleep(2 * offlineSettles)
		w.called("leave #room")
		if err := w.m.keepRoom(context.Background(), w.user(), w.m.jid(addr), addr); err != nil {
			t.Fatal(err)
		}
		w.net().Take()
		if w.calls(0, "join #room") != 2 || w.state().State != "In it as Alice, without a client." {
			t.Errorf("%q, %+v", w.net().Calls(), w.state())
		}
	})
}

func TestKeepJoins(t *testing.T) {
	scenario(t, func(w *world) {
		if err := w.m.Logout(context.Background(), w.user(), "", "by an administrator"); err != nil {
			t.Fatal(err)
		}
		addr := bridges.Address{Kind: bridges.AddressRoom, Network: "net", Name: "#room"}
		if err := w.m.keepRoom(context.Background(), w.user(), w.m.jid(addr), addr); err != nil {
			t.Fatal(err)
		}
		w.called("join #room")
		w.expect()
		if s := w.state(); !s.Persistent || s.State != "In it as alice, without a client." {
			t.Errorf("the list says %+v", s)
		}
	})
}
