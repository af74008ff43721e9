package session

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

const (
	ownerGet = "<iq type='get' id='c1' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>"
	goAway   = "<presence type='unavailable' from='ALICE/a' to='#room%net@GW/Alice'/>"
)

// ownerSet is the answer to the form, with one field.
func ownerSet(room, name, value string) string {
	return "<iq type='set' id='c2' from='ALICE/a' to='" + room + "%net@GW'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>" +
		"<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>" +
		"<field var='" + name + "'><value>" + value + "</value></field></x></query></iq>"
}

// keep makes #room persistent as clients do.
func (w *world) keep() {
	w.t.Helper()
	w.from(ownerSet("#room", fieldPersistent, "true"))
	w.expect(`<iq type="result" id="c2"`)
}

// stored is what the store has of alice's rooms.
func (w *world) stored() []RoomSetting {
	rec, _ := w.store.Record(context.Background(), "alice@home.example")
	return rec.Rooms
}

// calls counts what the nth network was asked.
func (w *world) calls(n int, call string) int {
	synctest.Wait()
	net := w.driver.Net(n)
	if net == nil {
		return 0
	}
	count := 0
	for _, c := range net.Calls() {
		if strings.TrimSpace(c) == call {
			count++
		}
	}
	return count
}

// state is what the list of rooms says of #room.
func (w *world) state() RoomState {
	w.t.Helper()
	rooms, err := w.m.Rooms(context.Background(), w.user(), "")
	if err != nil || len(rooms) != 1 {
		w.t.Fatalf("the rooms are %+v, %v", rooms, err)
	}
	return rooms[0]
}

// again is restart without the archive: what is stored is brought back.
func (w *world) again(prepare func(n *bridgetest.ScriptNet)) {
	w.t.Helper()
	w.stop()
	w.driver = bridgetest.NewScript()
	w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
		if prepare != nil {
			prepare(n)
		}
		return nil
	}
	w.manager()
	w.news()
	if err := w.m.Restore(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func TestAPersistentRoomStaysWithoutAClient(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.from(ownerGet)
		w.expect(`id="c1" & persistentroom" type="boolean"[^>]*><value>false & enablelogging" type="boolean"[^>]*><value>true & <value>http://jabber.org/protocol/muc#roomconfig<`)
		w.from("<iq type='get' id='d' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
		w.expect(`muc_temporary & !muc_persistent`)
		w.keep()
		w.from("<iq type='get' id='d' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
		w.expect(`muc_persistent & !muc_temporary`)
		w.from(goAway)
		w.expect(`unavailable & code="110"`)
		time.Sleep(time.Hour)
		if w.calls(0, "leave #room") != 0 || w.m.Stats().Rooms != 1 || !w.net().Online() {
			t.Fatal("the room was left")
		}
		if s := w.state(); !s.Persistent || s.State != "In it as Alice, without a client." {
			t.Errorf("the list says %+v", s)
		}
		w.join("b", "Alice")
		if w.calls(0, "join #room") != 1 {
			t.Error("the room was joined a second time")
		}
		w.from(ownerSet("#room", fieldPersistent, "false"))
		w.expect(`<iq type="result" id="c2"`)
		w.from("<presence type='unavailable' from='ALICE/b' to='#room%net@GW/Alice'/>")
		time.Sleep(2 * offlineSettles)
		w.called("leave #room")
		if s := w.stored(); len(s) != 1 || s[0].Persistent || s[0].Nick != "" {
			t.Errorf("stored is %+v", s)
		}
	})
}

func TestPersistentRoomsComeBackAfterARestart(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='#room%net@GW/Wonder'><x xmlns='http://jabber.org/protocol/muc'><password>key</password></x></presence>")
		w.news()
		w.keep()
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/Wonder'/>")
		if s := w.stored(); len(s) != 1 || !s[0].Persistent || s[0].Nick != "Wonder" || s[0].Password != "key" {
			t.Fatalf("stored is %+v", s)
		}
		w.again(nil)
		w.called("join #room key")
		if self := w.net().Self(); self.Nick != "Wonder" {
			t.Errorf("the nick is %q", self.Nick)
		}
		w.expect() // nobody is there to be told anything
		w.join("b", "Wonder")

		rec := w.store.records["alice@home.example"]
		rec.LoggedOut = true
		w.store.records["alice@home.example"] = rec
		w.from("<presence type='unavailable' from='ALICE/b' to='#room%net@GW/Wonder'/>")
		w.again(nil)
		if w.driver.Net(0) != nil {
			t.Error("who is logged out was connected")
		}
		w.from(ownerGet) // makes a session
		if w.driver.Net(0) != nil {
			t.Error("who is logged out was connected for having asked something")
		}
		rec.LoggedOut = false
		w.store.records["alice@home.example"] = rec
		w.policy.OpenJoin = false
		w.again(nil)
		if w.driver.Net(0) != nil {
			t.Error("who has no account was connected where one is needed")
		}
	})
}

func TestPersistentRoomsComeBackAfterALostConnection(t *testing.T) {
	scenario(t, func(w *world) {
		var down atomic.Bool
		w.driver.Gate = func(*bridgetest.ScriptNet, int, bridges.Start) error {
			if down.Load() {
				return bridges.NewError(bridges.Offline, "No route.")
			}
			return nil
		}
		w.join("a", "Alice")
		w.keep()
		down.Store(true)
		w.net().End(bridges.NewError(bridges.Offline, "Gone."))
		time.Sleep(roomGrace + time.Minute)
		w.expect(`unavailable & code="333"`)
		if s := w.state(); !s.Persistent || !strings.HasPrefix(s.State, "Not in it: there is no connection") {
			t.Errorf("the list says %+v", s)
		}
		time.Sleep(time.Hour)
		down.Store(false)
		time.Sleep(2 * retryMax)
		if w.calls(0, "join #room") != 2 || w.m.Stats().Rooms != 1 {
			t.Errorf("the room was not joined again: %q", w.net().Calls())
		}
		w.expect()
	})
}

func TestKickedOutOfAPersistentRoom(t *testing.T) {
	scenario(t, func(w *world) {
		w.account(nil)
		w.join("a", "Alice")
		w.keep()
		w.from(goAway)
		w.news()
		w.say(&bridges.Left{Room: "#room", Member: bridgetest.Person("Alice"), Self: true, Kind: bridges.Kicked, Actor: "op", Reason: "flood"})
		w.expect(`type="chat" & from="net@gw.example" & to="alice@home.example" & You were kicked by op: flood`)
		time.Sleep(time.Hour)
		if w.calls(0, "join #room") != 1 {
			t.Error("the room was joined again by force")
		}
		if s := w.state(); !s.Persistent || s.State != "Not in it: You were kicked by op: flood" {
			t.Errorf("the list says %+v", s)
		}
		w.net().End(bridges.NewError(bridges.Offline, "Gone.")) // the next connection is another try
		time.Sleep(retryMax)
		if w.calls(0, "join #room") != 2 || w.state().State != "In it as alice, without a client." {
			t.Errorf("%q, %+v", w.net().Calls(), w.state())
		}
		w.say(&bridges.Left{Room: "#room", Member: bridgetest.Person("Alice"), Self: true, Kind: bridges.Kicked, Actor: "op"})
		w.join("a", "Alice")
		if trouble := w.m.peek(w.user()).choices["#room%net"].trouble; trouble != "" {
			t.Errorf("the user is in again, and the room is in trouble: %s", trouble)
		}
	})
}

func TestAJoinThatIsRefusedAfterARestart(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.keep()
		w.from(goAway)
		banned := func(n *bridgetest.ScriptNet) {
			n.Doors["#room"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
				n.TrySay(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.IsBanned, "You are banned.")})
			}
		}
		w.again(banned)
		w.expect(`type="chat" & from="net@gw.example" & to="alice@home.example" & #room.*You are banned.`)
		if s := w.state(); !s.Persistent || s.State != "Not in it: You are banned." {
			t.Errorf("the list says %+v", s)
		}
		time.Sleep(time.Hour)
		w.expect()
		if n := w.calls(0, "join #room"); n != 1 || len(w.stored()) != 1 {
			t.Errorf("joined %d times; stored is %+v", n, w.stored())
		}
		w.again(nil)
		if s := w.state(); s.State != "In it as Alice, without a client." {
			t.Errorf("the list says %+v", s)
		}
	})
}

func TestAJoinThatWaitsIsTriedAgain(t *testing.T) {
	scenario(t, func(w *world) {
		w.account(nil) // the link stays
		w.join("a", "Alice")
		w.keep()
		w.from(goAway)
		w.news()
		tries := 0
		w.again(func(n *bridgetest.ScriptNet) {
			n.Doors["#room"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
				tries++
				delete(n.Doors, "#room")
				n.TrySay(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Timeout, "No answer.")})
			}
		})
		if s := w.state(); s.State != "Not in it: No answer." || tries != 1 {
			t.Fatalf("the list says %+v after %d tries", s, tries)
		}
		time.Sleep(joinAgain + time.Second)
		if s := w.state(); s.State != "In it as alice, without a client." {
			t.Errorf("the list says %+v", s)
		}
		w.expect() // nothing happened that concerns anybody
	})
}

func TestANetworkThatRefusesWhoKeepsRooms(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.keep()
		w.from(goAway)
		w.news()
		w.net().End(&bridges.Error{Kind: bridges.NetworkBanned, Text: "K-lined.", Permanent: true})
		w.expect(`type="chat" & from="net@gw.example" & K-lined.`)
		time.Sleep(time.Hour)
		if w.net().Runs() != 1 || w.state().State != "Not in it: K-lined." {
			t.Errorf("%d runs, %+v", w.net().Runs(), w.state())
		}
		w.join("a", "Alice")
	})
}

func TestAllRoomsAreKeptByDefault(t *testing.T) {
	scenario(t, func(w *world) {
		w.policy.Persistent = true
		w.join("a", "Alice")
		if s := w.stored(); len(s) != 1 || !s[0].Persistent || s[0].Nick != "Alice" {
			t.Fatalf("stored is %+v", s)
		}
		no := false
		if err := w.m.setDefaults(context.Background(), w.user(), Defaults{Persistent: &no}); err != nil {
			t.Fatal(err)
		}
		w.from("<presence from='ALICE/a' to='#other%net@GW/Alice'>" + muc + "</presence>")
		w.news()
		if s := w.stored(); len(s) != 1 {
			t.Errorf("stored is %+v", s)
		}
	})
}

func TestANewNickIsKept(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.keep()
		w.net().SetNick("Liddell")
		w.say(&bridges.Renamed{Room: "#room", Member: bridgetest.Person("Liddell"), OldNick: "Alice", OldID: "alice", Self: true})
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/Liddell'/>")
		synctest.Wait()
		if s := w.stored(); len(s) != 1 || s[0].Nick != "Liddell" {
			t.Errorf("stored is %+v", s)
		}
	})
}

func TestAnAccountThatIsRemovedKeepsNoRooms(t *testing.T) {
	scenario(t, func(w *world) {
		w.account(nil)
		w.join("a", "Alice")
		w.keep()
		if err := w.m.Remove(context.Background(), w.user(), "net", "bye"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.stored(); len(s) != 0 {
			t.Errorf("stored is %+v", s)
		}
		time.Sleep(time.Hour)
		if n := w.m.Stats().Sessions; n != 0 || w.net().Online() {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestASessionThatPanicsComesBackToItsRooms(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "Alice")
		w.keep()
		w.m.peek(w.user()).post(func() { panic("a bug") })
		synctest.Wait()
		if w.calls(1, "join #room") != 1 {
			t.Error("the room was not joined again")
		}
	})
}
