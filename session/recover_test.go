package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

func TestStreamReturnsToClientsThatAreStillThere(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("bob"), bridgetest.Person("carol"))
		w.line("bob", "before")
		time.Sleep(time.Minute)
		w.news()
		w.cut()
		if !w.net().Online() {
			t.Fatal("the network was left")
		}
		w.line("bob", "one")
		w.net().SetMembers("#room", bridgetest.Person("bob"), bridgetest.Person("dave"))
		w.say(&bridges.Left{Room: "#room", Member: bridgetest.Person("carol"), Kind: bridges.Quit})
		w.say(&bridges.Joined{Room: "#room", Member: bridgetest.Person("dave")})
		w.line("dave", "two")
		w.mend()
		w.expect() // nothing before the client has answered
		if n := w.answer(nil); n != 1 {
			t.Fatalf("%d clients were asked, want 1", n)
		}
		w.expect(`/bob" & !type=`, `/dave" & !type=`, `/carol" & type="unavailable"`, `/alice" & code="110"`,
			`<body>one</body> & urn:xmpp:delay`, `<body>two</body>`)
		w.line("bob", "three")
		w.expect(`<body>three</body> & !urn:xmpp:delay`)
	})
}

func TestWhatWasWrittenJustBeforeTheCutIsRepeatedWithItsID(t *testing.T) {
	scenario(t, func(w *world) {
		w.stream.reads(repeatSpan)
		w.join("a", "alice")
		w.line("bob", "hello")
		first := w.news()
		w.cut()
		w.mend()
		w.answer(nil)
		again := w.news()
		id := first[0][strings.Index(first[0], `id="`):][:32]
		if last := again[len(again)-1]; !strings.Contains(last, "<body>hello</body>") || !strings.Contains(last, id) {
			t.Errorf("repeated as %s, first was %s", last, first[0])
		}
	})
}

func TestStreamReturnsAndTheClientIsGone(t *testing.T) {
	for name, err := range map[string]error{"bounced": errGone, "silent": component.ErrTimeout} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.join("a", "alice")
				w.cut()
				w.line("bob", "kept")
				w.mend()
				w.answer(err)
				w.line("bob", "nobody hears this live")
				w.expect()
				w.from("<presence from='ALICE/new' to='#room%net@GW/alice'>" + muc + "</presence>")
				w.expect(`code="110"`, `<body>kept</body> & urn:xmpp:delay`, `nobody hears`, `<subject`)
				w.from("<presence type='unavailable' from='ALICE/new' to='#room%net@GW/alice'/>")
				w.called("leave #room")
			})
		})
	}
}

func TestWhoRejoinsAfterAServerRestartFindsAllThatWasKept(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.cut()
		for i := range 3 * historyLines {
			w.line("bob", fmt.Sprint("line ", i, "."))
		}
		w.mend()
		w.answer(errGone) // the server is back before its client
		w.line("bob", "one more")
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		all := strings.Join(w.news(), "\n")
		for i := range 3 * historyLines {
			if strings.Count(all, fmt.Sprint("<body>line ", i, ".<")) != 1 {
				t.Fatalf("line %d is not there once", i)
			}
		}
		if !strings.Contains(all, "one more") || len(w.m.peek(w.user()).rooms["#room%net"].lines) != historyLines {
			t.Errorf("after the client is back:\n%s", all)
		}
	})
}

func TestKeptLinesAreBoundedAndTheCutIsTold(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.cut()
		for i := range keptLines + 7 {
			w.line("bob", fmt.Sprint("line ", i))
		}
		for i := range maxKept + 3 {
			w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), Body: fmt.Sprint("private ", i)})
		}
		w.mend()
		w.answer(nil)
		all := strings.Join(w.news(), "\n")
		for _, want := range []string{"7 lines from while", "3 private messages", "<body>line 7<", fmt.Sprintf("<body>line %d<", keptLines+6), "<body>private 3<"} {
			if !strings.Contains(all, want) {
				t.Errorf("missing %q", want)
			}
		}
		for _, not := range []string{"<body>line 6<", "<body>private 2<"} {
			if strings.Contains(all, not) {
				t.Errorf("%q was not cut", not)
			}
		}
		time.Sleep(repeatSpan + time.Second)
		synctest.Wait()
		if n := len(w.m.peek(w.user()).rooms["#room%net"].lines); n > historyLines {
			t.Errorf("%d lines are kept after the gap", n)
		}
	})
}

func TestStreamLostInTheMiddleOfALine(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.stream.mu.Lock()
		w.stream.up = false // and nobody has told the session
		w.stream.mu.Unlock()
		w.line("bob", "lost?")
		w.from("<message type='groupchat' id='mine' from='ALICE/a' to='#room%net@GW'><body>my own</body></message>")
		w.say(&bridges.Message{Place: bridges.Place{User: "bob"}, From: bridgetest.Person("bob"), Body: "private"})
		w.m.StreamDown()
		w.mend()
		w.answer(nil)
		all := strings.Join(w.news(), "\n")
		if strings.Count(all, "lost?") != 1 || strings.Count(all, "my own") != 1 || strings.Count(all, "<body>private") != 1 {
			t.Errorf("after the cut:\n%s", all)
		}
	})
}

func TestRestartFindsClientsAgain(t *testing.T) {
	scenario(t, func(w *world) {
		w.store.SaveSeat(Seat{Client: "alice@home.example/a", Room: "#room%net@" + domain, Nick: "alice", Password: "key"})
		w.store.SaveSeat(Seat{Client: "alice@home.example/dead", Room: "#room%net@" + domain, Nick: "alice"})
		w.store.SaveSeat(Seat{Client: "broken", Room: "x"})
		if err := w.m.Restore(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, r := range w.stream.requests {
			if r.to.Resource == "dead" {
				r.done(nil, errGone)
			} else {
				r.done(nil, nil)
			}
		}
		w.expect(`/alice" & to="alice@home.example/a" & code="110"`, `<subject`)
		w.called("join #room key")
		if len(w.store.seats) != 1 {
			t.Errorf("stored: %v", w.store.seats)
		}
	})
}

func TestRestartOpensAccountsThatAreLoggedIn(t *testing.T) {
	scenario(t, func(w *world) {
		w.store.records["alice@home.example"] = Record{
			Accounts:   []StoredAccount{{Network: "net", Settings: map[string]string{"nick": "Alice", "channels": "#one\n#two key"}}},
			Subscribed: []string{domain, "net@" + domain},
		}
		w.store.records["bob@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}, LoggedOut: true}
		if err := w.m.Restore(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.called("join #one")
		w.called("join #two key")
		if w.driver.Net(1) != nil {
			t.Error("a logged out account was opened")
		}
		all := strings.Join(w.news(), "\n")
		for _, want := range []string{`from="net@gw.example" to="alice@home.example"`, "Connected as", `from="gw.example"`} {
			if !strings.Contains(all, want) {
				t.Errorf("missing %q in\n%s", want, all)
			}
		}
		// Lines are remembered for whoever comes.
		w.say(&bridges.Message{Place: bridges.Place{Room: "#one"}, From: bridgetest.Person("bob"), Body: "while you were out"})
		w.from("<presence from='ALICE/a' to='#one%net@GW/alice'>" + muc + "</presence>")
		if all := strings.Join(w.news(), "\n"); !strings.Contains(all, "while you were out") {
			t.Errorf("no history:\n%s", all)
		}
		w.from("<presence type='unavailable' from='ALICE/a' to='#one%net@GW/alice'/>")
		time.Sleep(time.Hour)
		for _, c := range w.net().Calls() {
			if strings.HasPrefix(c, "leave") || c == "quit" {
				t.Errorf("the account's room was left: %s", c)
			}
		}
	})
}

func TestClientThatGoesOfflineKeepsItsRoomForAWhile(t *testing.T) {
	for name, order := range map[string][]string{
		"gateway told first": {"GW", "#room%net@GW/alice"},
		"room told first":    {"#room%net@GW/alice", "GW"},
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.from("<presence from='ALICE/a' to='GW'/>")
				w.join("a", "alice")
				for _, to := range order {
					w.from("<presence type='unavailable' from='ALICE/a' to='" + to + "'/>")
				}
				time.Sleep(partGrace - 5*time.Second)
				w.join("a", "alice")
				for _, c := range w.net().Calls() {
					if strings.HasPrefix(c, "leave") {
						t.Fatal("the room was left within the grace")
					}
				}
				for _, to := range order {
					w.from("<presence type='unavailable' from='ALICE/a' to='" + to + "'/>")
				}
				time.Sleep(partGrace + 5*time.Second)
				w.called("leave #room")
			})
		})
	}
}

func TestClientWhoseStanzasComeBackIsTakenOut(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.from("<message type='error' from='ALICE/a' to='#room%net@GW/bob'><body>x</body><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		w.line("bob", "still here?")
		w.expect(`to="alice@home.example/b"`)
		w.from("<message type='error' from='ALICE/b' to='#room%net@GW/bob'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		w.line("bob", "a mere complaint")
		w.expect(`to="alice@home.example/b"`)
	})
}

func TestNetworkWaitsForABusySessionAndNothingIsLost(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		gate := make(chan struct{})
		w.stream.mu.Lock()
		w.stream.block = gate
		w.stream.mu.Unlock()
		const n = 3 * maxEvents
		for i := range n {
			w.net().Say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: fmt.Sprint("n", i, ".")})
		}
		// Meanwhile the user's own stanzas are bounded.
		synctest.Wait()
		for range maxStanzas + 10 {
			w.deliver("<message type='groupchat' id='q' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
		}
		synctest.Wait()
		refused := 0
		for _, s := range w.news() {
			if strings.Contains(s, "resource-constraint") {
				refused++
			}
		}
		if refused != 10 {
			t.Errorf("%d stanzas were refused, want 10", refused)
		}
		w.stream.mu.Lock()
		w.stream.block = nil
		w.stream.mu.Unlock()
		close(gate)
		next := 0
		for _, s := range w.news() {
			if strings.Contains(s, fmt.Sprint("<body>n", next, ".</body>")) {
				next++
			}
		}
		if next != n {
			t.Errorf("%d of %d lines arrived in order", next, n)
		}
	})
}
