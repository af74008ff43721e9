package session

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// once is recorded on a network that takes what has a token once, with an account of
// alice's, who is in #room.
func once(t *testing.T, f func(w *world)) {
	t.Helper()
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		w.driver.Caps.Once = true
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: map[string]string{}}}}
		w.join("phone", "alice")
		w.net().Alone = true
		f(w)
	})
}

// waiting is what is stored of what waits to be said.
func (w *world) waiting() map[string][]byte {
	w.t.Helper()
	values, err := w.archive.State(w.t.Context(), domain, "alice@home.example", "net", outboxState)
	if err != nil {
		w.t.Fatal(err)
	}
	return values
}

func (w *world) wantWaiting(n int) {
	w.t.Helper()
	synctest.Wait()
	if got := w.waiting(); len(got) != n {
		w.t.Fatalf("%d stanzas wait, not %d: %s", len(got), n, got)
	}
}

// revive is restart with what the session does at the start of a process.
func (w *world) revive() {
	w.t.Helper()
	w.restart()
	if err := w.m.Restore(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// saidTo are the bodies of what the network was asked to say, in their order.
func (w *world) saidTo() (out []string) {
	w.t.Helper()
	for _, c := range w.net().Calls() {
		if rest, ok := strings.CutPrefix(c, "say #room "); ok {
			out = append(out, rest)
		}
	}
	return out
}

func (w *world) wantSaidTo(want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.saidTo(); !slices.Equal(got, want) {
		w.t.Fatalf("said was %q, not %q", got, want)
	}
}

func TestWhatWaitsIsSaidByTheNextProcess(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		w.room("<body>one</body>")
		w.room("<body>two</body>")
		w.room("<reactions xmlns='urn:xmpp:reactions:0' id='$9'><reaction>x</reaction></reactions>")
		w.expect()
		w.wantSaidTo("one") // one at a time
		w.wantWaiting(3)
		token := w.net().Tokens()[0]
		w.revive()
		w.wantSaidTo() // the network may be at work on what the last process asked
		time.Sleep(outboundRest)
		w.wantSaidTo("one", "two")
		if got := w.net().Tokens(); got[0] != token || len(got) != 2 || got[1] == token {
			t.Errorf("the tokens are %q, the first was %q", got, token)
		}
		w.wantWaiting(0)
		w.join("phone", "alice")
		var shown []string
		for _, l := range w.archived() {
			shown = append(shown, l.ID+" "+l.Body)
		}
		if want := []string{"c1 one", "c2 two"}; !slices.Equal(shown, want) {
			t.Errorf("shown are %q, not %q", shown, want)
		}
	})
}

// A line that the network tells of before it is asked for it again is shown under the id
// its sender gave it, once.
func TestEchoOfWhatTheLastProcessSaid(t *testing.T) {
	for _, in := range []string{"the history of the room", "what comes"} {
		t.Run(in, func(t *testing.T) {
			once(t, func(w *world) {
				w.net().Hold = true
				w.room("<body>one</body>")
				token := w.net().Tokens()[0]
				echo := &bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("alice"), Self: true, Body: "one", ID: "$one", At: time.Now(), Replay: true, Token: token}
				w.restart()
				w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
					n.Alone = true
					n.Doors["#room"] = func(ref bridges.Ref, room string, _ bridges.JoinOptions) {
						n.Hold = in == "what comes"
						n.Enter(ref, room)
					}
					return nil
				}
				if in != "what comes" {
					w.driver.History = map[string][]*bridges.Message{"#room": {echo}}
				}
				if err := w.m.Restore(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if in == "what comes" {
					w.say(echo)
					w.net().Take()
				}
				w.wantWaiting(0)
				time.Sleep(time.Second)
				w.join("phone", "alice")
				lines := w.archived()
				if len(lines) != 1 || lines[0].ID != "c1" || lines[0].NetID != "$one" {
					t.Errorf("the archive has %+v", lines)
				}
			})
		})
	}
}

// A process that is killed after it has shown a line, and before it has noted that, does
// not show it again.
func TestShownAndNotNoted(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		w.room("<body>one</body>")
		w.room("<retract xmlns='urn:xmpp:message-retract:1' id='c1'/>")
		left := w.waiting()
		w.net().Take()
		w.expect(`id="c1" & <body>one</body>`, `id="c2" & <retract`)
		w.wantWaiting(0)
		before := len(w.archived())
		w.archive.Apply(&archive.SaveState{Gateway: domain, User: "alice@home.example", Network: "net", Changes: left})
		w.revive()
		time.Sleep(outboundRest)
		w.wantWaiting(0)
		w.join("phone", "alice")
		if got := w.archived(); len(got) != before {
			t.Errorf("the archive has %+v", got)
		}
	})
}

func TestWhatWaitsIsSaidByTheNextConnection(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		w.room("<body>one</body>")
		w.room("<body>two</body>")
		token := w.net().Tokens()[0]
		w.net().End(&bridges.Error{Kind: bridges.Offline, Text: "The homeserver cannot be reached."})
		synctest.Wait()
		w.news()
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='down'><body>three</body></message>")
		w.expect(`type="error" & id="down" & recipient-unavailable`) // what is said now is not accepted
		w.net().Take()
		time.Sleep(time.Minute)
		shown := w.news()
		var ids []string
		for _, xml := range shown {
			if strings.Contains(xml, "<body>") && strings.Contains(xml, `type="groupchat"`) {
				ids = append(ids, xml[strings.Index(xml, `id="`)+4:][:2])
			}
		}
		if !slices.Equal(ids, []string{"c1", "c2"}) {
			t.Errorf("shown are %q:\n%s", ids, strings.Join(shown, "\n"))
		}
		w.wantSaidTo("one", "one", "two")
		if got := w.net().Tokens(); got[0] != token || got[1] != token {
			t.Errorf("the tokens are %q", got)
		}
		w.wantWaiting(0)
	})
}

func TestWhatWaitedForTooLong(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		w.room("<body>one</body>")
		w.room("<body>two</body>")
		w.driver.Gate = func(*bridgetest.ScriptNet, int, bridges.Start) error {
			return &bridges.Error{Kind: bridges.Offline, Text: "The homeserver cannot be reached."}
		}
		w.net().End(&bridges.Error{Kind: bridges.Offline, Text: "The homeserver cannot be reached."})
		time.Sleep(outboundTime - time.Minute)
		for _, xml := range w.news() {
			if strings.Contains(xml, `type="error"`) {
				t.Fatalf("refused too early: %s", xml)
			}
		}
		time.Sleep(2 * time.Minute)
		var errs []string
		for _, xml := range w.news() {
			if strings.Contains(xml, `type="error"`) {
				errs = append(errs, xml)
			}
		}
		if len(errs) != 2 || !strings.Contains(errs[0], `id="c1"`) || !strings.Contains(errs[0], "may have been delivered") ||
			!strings.Contains(errs[1], `id="c2"`) || strings.Contains(errs[1], "may have been delivered") {
			t.Errorf("the errors are:\n%s", strings.Join(errs, "\n"))
		}
		w.wantWaiting(0)
	})
}

// A connection that does not come back takes what waits with it, and says so.
func TestWhatWaitsForALinkThatIsLost(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		w.room("<body>one</body>")
		w.net().End(&bridges.Error{Kind: bridges.BadCredentials, Permanent: true, Text: "You are logged out."})
		synctest.Wait()
		found := false
		for _, xml := range w.news() {
			found = found || strings.Contains(xml, `type="error"`) && strings.Contains(xml, `id="c1"`) && strings.Contains(xml, "may")
		}
		if !found {
			t.Error("the sender is not told")
		}
		w.wantWaiting(0)
	})
}

// What a client repeats while it waits is said once; another line under the same id is
// another line.
func TestRepeatedWhileItWaits(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		for _, body := range []string{"one", "one", "other"} {
			w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='same'><body>" + body + "</body></message>")
		}
		w.wantWaiting(2)
		w.net().Take()
		w.expect(`id="same" & <body>one</body>`, `id="same" & <body>other</body>`)
		w.wantSaidTo("one", "other")
	})
}

func TestRefusedIsForgotten(t *testing.T) {
	once(t, func(w *world) {
		w.room("<body>refuse this</body>")
		w.expect(`type="error" & id="c1" & forbidden`)
		w.room("<body>one</body>")
		w.expect(`id="c2" & <body>one</body>`)
		w.wantWaiting(0)
	})
}

// Lines to a person wait for the next process, too, and for a connection that is just
// away; their receipts come when they are taken.
func TestWhatWaitsToBeSaidToAPerson(t *testing.T) {
	once(t, func(w *world) {
		w.net().Hold = true
		w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='p1'><body>one</body><request xmlns='urn:xmpp:receipts'/></message>")
		w.wantWaiting(1)
		w.revive()
		time.Sleep(outboundRest)
		w.expect(`from="bob%net & <received & id="p1"`)
		w.wantWaiting(0)
		w.driver.Gate = func(_ *bridgetest.ScriptNet, run int, _ bridges.Start) error {
			if run < 4 {
				return &bridges.Error{Kind: bridges.Offline, Text: "The homeserver cannot be reached."}
			}
			return nil
		}
		w.net().End(&bridges.Error{Kind: bridges.Offline, Text: "The homeserver cannot be reached."})
		synctest.Wait()
		w.news()
		w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='p2'><body>two</body><request xmlns='urn:xmpp:receipts'/></message>")
		w.wantWaiting(1)
		time.Sleep(time.Minute)
		w.expect(`from="bob%net & <received & id="p2"`)
		w.called("say bob two")
		w.wantWaiting(0)
	})
}
