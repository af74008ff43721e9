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

func TestRefusalsAndGoodbyesWaitForTheStream(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<presence from='ALICE/a' to='#other%net@GW/alice'>" + muc + "</presence>")
		w.from("<message type='chat' id='p1' from='ALICE/a' to='bob%net@GW'><body>x</body><request xmlns='urn:xmpp:receipts'/></message>")
		w.news()
		w.net().Hold = true
		w.from(said)
		w.from("<message type='chat' id='p2' from='ALICE/a' to='bob%net@GW'><body>x</body><request xmlns='urn:xmpp:receipts'/></message>")
		w.cut()
		w.net().Take()
		w.say(&bridges.Left{Room: "#other", Member: bridgetest.Person("alice"), Self: true, Kind: bridges.Kicked, Actor: "op"})
		w.net().End(&bridges.Error{Kind: bridges.NetworkBanned, Text: "Go away.", Permanent: true})
		synctest.Wait()
		w.mend()
		w.expect(`received & id="p2"`, `#other%net@gw.example/alice" & code="307" & code="110"`,
			`#room%net@gw.example/alice" & code="333" & Go away`)
		if st := w.m.Stats(); st.Sessions != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
}

func TestLinkAndStreamLostTogether(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().Hold = true
		w.from(said)
		w.cut()
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		synctest.Wait()
		w.mend()
		w.expect(`type="error" & id="m1" & may or may not`)
	})
}

func TestWhatIsRepeatedAfterAGapIsByOurClock(t *testing.T) {
	scenario(t, func(w *world) {
		w.stream.reads(repeatSpan)
		w.join("a", "alice")
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "slow clock", At: time.Now().Add(-time.Hour)})
		w.news()
		w.cut()
		w.mend()
		w.answer(nil)
		w.expect(`code="110"`, `slow clock`)
	})
}

func TestClientIsAskedAgainWhereThereWasNoRoomToAsk(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.cut()
		w.line("bob", "kept")
		w.mend()
		w.answer(component.ErrQueueFull)
		w.expect()
		time.Sleep(verifyAgain + time.Second)
		if n := w.answer(nil); n != 1 {
			t.Fatalf("asked %d times again", n)
		}
		w.expect(`code="110"`, `<body>kept`)
	})
}

func TestStreamLostInTheMiddleOfAJoin(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.line("bob", "history")
		w.news()
		w.net().SetMembers("#room", bridgetest.Person("bob"), bridgetest.Person("carol"))
		w.stream.failAfter = 1
		w.from("<presence from='ALICE/b' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`/bob" to="alice@home.example/b"`)
		w.net().SetMembers("#room", bridgetest.Person("carol"))
		w.mend()
		var b []string
		w.answer(nil)
		for _, s := range w.news() {
			if strings.Contains(s, "example/b\"") {
				b = append(b, s)
			}
		}
		got := strings.Join(b, "\n")
		for i, want := range []string{`/bob" to`, `/carol" to`, `code="110"`, "history", "<subject"} {
			if i >= len(b) || !strings.Contains(b[i], want) {
				t.Fatalf("stanza %d is not %q:\n%s", i, want, got)
			}
		}
		if !strings.Contains(b[0], "unavailable") || len(b) != 5 {
			t.Errorf("got\n%s", got)
		}
	})
}

func TestNicksThatChangeInAGap(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("bob"))
		w.cut()
		w.net().SetMembers("#room", bridgetest.Person("Bob")) // only the case, so the same person
		w.say(&bridges.Renamed{Room: "#room", OldID: "bob", OldNick: "bob", Member: bridgetest.Person("Bob")})
		w.say(&bridges.SubjectChanged{Room: "#room", Subject: bridges.Subject{Text: "new"}})
		w.net().SetNick("alicia")
		w.say(&bridges.Renamed{Room: "#room", OldID: "alice", OldNick: "alice", Member: bridgetest.Person("alicia"), Self: true})
		w.mend()
		w.answer(nil)
		w.expect(`/Bob" & !type=`, `/bob" & type="unavailable"`, `/alice" & type="unavailable" & code="303" & nick="alicia"`, `/alicia" & code="110"`, `<subject>new`)
	})
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, run int, _ bridges.Start) error {
			if run == 2 {
				n.Room("#room").Subject = &bridges.Subject{Text: "new"}
			}
			return nil
		}
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("bob"))
		w.say(&bridges.Joined{Room: "#room", Member: bridgetest.Person("bob")})
		w.news()
		w.net().End(bridges.NewError(bridges.Offline, "Ping timeout"))
		synctest.Wait()
		w.net().SetMembers("#room", bridgetest.Person("BOB"))
		time.Sleep(10 * time.Second)
		w.expect(`/BOB" & !type=`, `/bob" & type="unavailable"`, `/alice" & code="110"`, `<subject>new`)
	})
}

func TestPrivateLineThroughTheRoomWaitsForItsClients(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("Bob"))
		w.from("<message type='chat' from='ALICE/a' to='#room%net@GW/Bob'><body>psst</body></message>")
		w.news()
		w.cut()
		w.private("Bob", "yes?", bridges.Text)
		w.mend()
		w.expect()
		w.answer(nil)
		w.expect(`/Bob" & !type=`, `code="110"`, `from="#room%net@gw.example/Bob" to="alice@home.example/a" & yes\?`)
		w.cut()
		w.private("Bob", "still there?", bridges.Text)
		w.mend()
		w.answer(errGone)
		w.expect(`from="bob%net@gw.example" to="alice@home.example" & still there`)
	})
}

func TestClientsThatWentWithTheStreamAreForgotten(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'/>")
		w.cut()
		w.mend()
		time.Sleep(verifyTime + time.Second)
		if n := w.m.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
	scenario(t, func(w *world) {
		w.from("<presence from='ALICE/a' to='GW'/>")
		w.cut()
		w.mend()
		w.from("<presence from='ALICE/a' to='GW'/>") // it answers the probe
		time.Sleep(verifyTime + time.Second)
		if n := w.m.Stats().Sessions; n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestStreamThatFlapsBeforeTheFirstRestore(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.cut()
		w.line("bob", "kept")
		w.stream.mu.Lock()
		w.stream.up = true
		w.stream.mu.Unlock()
		if err := w.m.Restore(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.answer(nil)
		w.expect(`code="110"`, `<body>kept`)
	})
}
