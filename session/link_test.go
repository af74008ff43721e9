package session

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// account gives alice an account on net and logs it in.
func (w *world) account(settings map[string]string) {
	w.t.Helper()
	w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: settings}}}
	if err := w.m.Login(context.Background(), w.user(), ""); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

const said = "<message type='groupchat' id='m1' from='ALICE/a' to='#room%net@GW'><body>x</body></message>"

func TestWhatWasAskedOfALinkThatEndsIsAnswered(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*world){
		"logout":   func(w *world) { _ = w.m.Logout(ctx, w.user(), "", "bye") },
		"remove":   func(w *world) { _ = w.m.Remove(ctx, w.user(), "net", "bye") },
		"reload":   func(w *world) { _ = w.m.Reload(ctx, w.user(), "net") },
		"panic":    func(w *world) { w.m.peek(w.user()).post(func() { panic("a bug") }) },
		"shutdown": func(w *world) { w.stop(); w.manager() },
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.account(nil)
				w.join("a", "alice")
				w.net().Hold = true
				w.from(said)
				end(w)
				all := strings.Join(w.news(), "\n")
				if !strings.Contains(all, `id="m1"`) || !strings.Contains(all, "may have been delivered") {
					t.Errorf("the line was not answered:\n%s", all)
				}
			})
			scenario(t, func(w *world) {
				w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error { return n.Wait() }
				w.account(nil)
				w.from("<message type='chat' id='m1' from='ALICE/a' to='bob%net@GW'><body>hi</body></message>")
				w.expect()
				end(w)
				all := strings.Join(w.news(), "\n")
				if !strings.Contains(all, `id="m1"`) || !strings.Contains(all, "recipient-unavailable") {
					t.Errorf("the line that waited was not answered:\n%s", all)
				}
			})
		})
	}
}

func TestLogoutWhileJoiningIsAnErrorForWhoWaits(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error { return n.Wait() }
		w.account(nil)
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect()
		if err := w.m.Logout(context.Background(), w.user(), "", "Logged out."); err != nil {
			t.Fatal(err)
		}
		w.expect(`^<presence & type="error" & recipient-unavailable & Logged out`)
	})
}

func TestReloadWhileJoiningJoinsOverTheNewConnection(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
			if n == w.driver.Net(0) {
				n.Doors["#room"] = func(bridges.Ref, string, bridges.JoinOptions) {} // never answers
			}
			return nil
		}
		w.account(nil)
		w.from("<presence from='ALICE/a' to='#room%net@GW/alias'>" + muc + "</presence>")
		w.expect()
		if err := w.m.Reload(context.Background(), w.user(), "net"); err != nil {
			t.Fatal(err)
		}
		w.expect(`code="110"`, `<subject`)
	})
}

func TestReloadLeavesRoomsTheAccountNoLongerHas(t *testing.T) {
	scenario(t, func(w *world) {
		w.account(map[string]string{"channels": "#one\n#two"})
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: map[string]string{"channels": "#two"}}}}
		if err := w.m.Reload(context.Background(), w.user(), "net"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if calls := w.driver.Net(1).Calls(); len(calls) != 1 || calls[0] != "join #two" {
			t.Errorf("over the new connection: %q", calls)
		}
		if n := w.m.Stats().Rooms; n != 1 {
			t.Errorf("%d rooms", n)
		}
	})
}

func TestPersonIsReachedOverTheLinkThereIsNow(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'/>") // the session stays
		w.from("<message type='chat' from='ALICE/a' to='bob%net@GW'><body>one</body></message>")
		time.Sleep(chatting + time.Minute)
		w.called("quit")
		w.news()
		w.from("<message type='chat' from='ALICE/a' to='bob%net@GW'><body>two</body></message>")
		w.expect()
		if n := w.driver.Net(1); n == nil || len(n.Calls()) != 1 || n.Calls()[0] != "say bob two" {
			t.Error("the line did not go over the new connection")
		}
	})
}

func TestNewConnectionWaitsForTheEndOfTheOld(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'/>")
		w.join("a", "alice")
		w.net().SlowQuit = time.Second
		w.m.peek(w.user()).post(func() { panic("a bug") })
		w.news()
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		if n := w.driver.Net(1).Runs(); n != 0 {
			t.Error("connected while the old connection holds the nick")
		}
		w.expect()
		time.Sleep(2 * time.Second)
		w.expect(`code="110"`, `<subject`)
	})
}

func TestLinkThatCannotConnectIsNotKeptForALineThatWasRefused(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(*bridgetest.ScriptNet, int, bridges.Start) error {
			return bridges.NewError(bridges.Offline, "Connection refused.")
		}
		w.from("<message type='chat' id='m1' from='ALICE/a' to='bob%net@GW'><body>hi</body></message>")
		w.expect(`type="error" & Connection refused`)
		if st := w.m.Stats(); st.Links != 0 || st.Sessions != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
}

func TestAnotherNickIsTriedAfterAConflict(t *testing.T) {
	scenario(t, func(w *world) {
		taken := true
		w.driver.Gate = func(_ *bridgetest.ScriptNet, _ int, st bridges.Start) error {
			if taken && st.Nick != "other" {
				return bridges.NewError(bridges.Conflict, "Nickname is already in use.")
			}
			return nil
		}
		w.account(nil)
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & conflict`)
		w.from("<presence from='ALICE/a' to='#room%net@GW/other'>" + muc + "</presence>")
		w.expect(`/other" & code="110"`, `<subject`)
	})
}

func TestLoggedOutStaysSoAfterAPanic(t *testing.T) {
	scenario(t, func(w *world) {
		w.account(nil)
		if err := w.m.Logout(context.Background(), w.user(), "", "bye"); err != nil {
			t.Fatal(err)
		}
		w.m.peek(w.user()).post(func() { panic("a bug") })
		synctest.Wait()
		if n := w.m.Stats().Links; n != 0 {
			t.Errorf("%d links of a user who is logged out", n)
		}
	})
}

func TestPanicLeavesNoClientBehindInTheStore(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.m.peek(w.user()).post(func() { panic("a bug") })
		synctest.Wait()
		if len(w.store.seats) != 0 {
			t.Errorf("stored: %v", w.store.seats)
		}
	})
}

func TestPresenceOfANetworkThatWasLeft(t *testing.T) {
	scenario(t, func(w *world) {
		w.store.records["alice@home.example"] = Record{
			Accounts: []StoredAccount{{Network: "net"}}, Subscribed: []string{"net@" + domain, domain},
		}
		if err := w.m.Login(context.Background(), w.user(), ""); err != nil {
			t.Fatal(err)
		}
		w.news()
		if err := w.m.Remove(context.Background(), w.user(), "net", "Unregistered."); err != nil {
			t.Fatal(err)
		}
		w.expect(`from="net@gw.example" & type="unavailable"`, `from="gw.example" & Ready`)
	})
}

func TestRejoinWhileLeavingAndTheLinkIsLost(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().Hold = true
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
		w.news()
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect()
		w.net().Hold = false
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		time.Sleep(10 * time.Second)
		w.expect(`/alice" & code="110"`, `<subject`)
	})
}

func TestWhoMayNoLongerUseTheGatewayIsNotRestored(t *testing.T) {
	scenario(t, func(w *world) {
		w.policy.Allowed = func(component.JID) bool { return false }
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}}
		w.store.SaveSeat(Seat{Client: "alice@home.example/a", Room: "#room%net@" + domain, Nick: "alice"})
		if err := w.m.Restore(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.driver.Net(0) != nil || len(w.store.seats) != 0 {
			t.Errorf("restored; stored: %v", w.store.seats)
		}
	})
}

func TestLinkLostWhileInRooms(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("bob"), bridgetest.Person("carol"))
		w.say(&bridges.Joined{Room: "#room", Member: bridgetest.Person("bob")})
		w.say(&bridges.Joined{Room: "#room", Member: bridgetest.Person("carol")})
		w.news()
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		synctest.Wait()
		w.expect() // the room stays up
		w.from("<message type='groupchat' id='m' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
		w.expect(`type="error" & id="m" & type="wait" & recipient-unavailable`)
		w.net().SetMembers("#room", bridgetest.Person("carol"), bridgetest.Person("dave"))
		time.Sleep(10 * time.Second)
		w.expect(`/dave" & !type=`, `/bob" & type="unavailable"`, `/alice" & code="110"`)
		w.from("<message type='groupchat' id='m2' from='ALICE/a' to='#room%net@GW'><body>back</body></message>")
		w.expect(`<body>back</body>`)
	})
}

func TestLinkLostForGood(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(_ *bridgetest.ScriptNet, run int, _ bridges.Start) error {
			if run > 1 {
				return bridges.NewError(bridges.Offline, "Connection refused")
			}
			return nil
		}
		w.join("a", "alice")
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		synctest.Wait()
		w.expect()
		time.Sleep(roomGrace + time.Second)
		w.expect(`/alice" & type="unavailable" & code="110" & code="333" & Connection refused`)
	})
}

func TestPermanentErrorClosesRoomsAtOnce(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().End(&bridges.Error{Kind: bridges.NetworkBanned, Text: "You are banned from this server.", Permanent: true})
		w.expect(`type="unavailable" & code="110" & code="333" & You are banned from this server`)
		time.Sleep(time.Hour)
		if n := w.driver.Net(0).Runs(); n != 1 {
			t.Errorf("connected %d times", n)
		}
	})
}

// A login that is not taken any more is told once, with what to do about it.
func TestRefusedLoginIsToldOnce(t *testing.T) {
	scenario(t, func(w *world) {
		refused := &bridges.Error{Kind: bridges.BadCredentials, Text: "Wrong password", Permanent: true}
		w.driver.Gate = func(*bridgetest.ScriptNet, int, bridges.Start) error { return refused }
		const how = "Write “relogin net” to gw.example to log in again; nothing that is set is lost."
		w.account(nil)
		w.expect(`type="chat" & from="net@gw.example" & The network does not take your login any more: Wrong password. ` + how)
		w.m.Subscribed(w.user(), w.m.networkJID("net"), true)
		synctest.Wait()
		w.expect(`<presence & <show>dnd & Wrong password. ` + how)
		for range 2 {
			w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
			for _, x := range w.news() {
				if strings.Contains(x, "<message") {
					t.Errorf("told again: %s", x)
				}
			}
		}
		if err := w.m.Login(context.Background(), w.user(), "net"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if all := strings.Join(w.news(), ""); strings.Count(all, "any more: Wrong password") != 1 {
			t.Errorf("who asked to be logged in is told: %s", all)
		}
	})
}

func TestDroppedClientKeepsItsRoomOverALostLink(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'/>")
		w.join("a", "alice")
		w.from("<presence type='unavailable' from='ALICE/a' to='GW'/>")
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
		time.Sleep(10 * time.Second)
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		time.Sleep(10 * time.Second)
		w.called("join #room")
		for _, c := range w.net().Calls() {
			if strings.HasPrefix(c, "leave") {
				t.Error("the room was left within the grace")
			}
		}
		time.Sleep(partGrace)
		w.called("leave #room")
	})
}

func TestNewLinkHearsThatTheUserIsAway(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'><show>away</show><status>tea</status></presence>")
		w.join("a", "alice")
		w.called("away true tea")
	})
}
