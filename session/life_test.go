package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

func TestSessionNobodyNeedsIsForgotten(t *testing.T) {
	for name, stanza := range map[string]string{
		"refused join":    "<presence from='ALICE/a' to='#room%net@GW'>" + muc + "</presence>",
		"refused message": "<message type='groupchat' from='ALICE/a' to='#room%net@GW'><body>x</body></message>",
		"wrong type":      "<message type='groupchat' from='ALICE/a' to='bob%net@GW'><body>x</body></message>",
		"subscription":    "<presence type='subscribe' from='ALICE/a' to='bob%net@GW'/>",
		"disco":           "<iq type='get' id='d' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.from(stanza)
				if n := w.m.Stats().Sessions; n != 0 || len(w.m.all()) != 0 {
					t.Errorf("%d sessions are left", n)
				}
			})
		})
	}
}

func TestSessionIsNotForgottenWithStanzasInHand(t *testing.T) {
	scenario(t, func(w *world) {
		// The session is busy while these queue up, so that it gets them at once.
		gate := make(chan struct{})
		if !w.m.post(w.user(), func(*Session) { <-gate }) {
			t.Fatal("no session")
		}
		synctest.Wait()
		w.deliver("<presence type='unavailable' from='ALICE/a' to='GW'/>")
		w.deliver("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		close(gate)
		w.expect(`/alice" & code="110"`, `<subject`)
		if st := w.m.Stats(); st.Sessions != 1 || st.Rooms != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestSessionBeginsWithWhatIsStored(t *testing.T) {
	scenario(t, func(w *world) {
		w.policy.OpenJoin = false
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}}
		s := w.m.get(w.user()) // somebody else has made it and not come to use it
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`/alice" & code="110"`, `<subject`)
		if w.m.peek(w.user()) != s {
			t.Error("another session was made")
		}
	})
}

func TestStopCountsOnlySessionsThatAreThere(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.m.peek(w.user()).closeInbox(false) // as one that retires meanwhile
		began := time.Now()
		w.stop()
		if d := time.Since(began); d > quitTime {
			t.Errorf("stopping took %v", d)
		}
		w.manager()
	})
}

func TestNothingBeginsAfterStop(t *testing.T) {
	scenario(t, func(w *world) {
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}}
		w.stop()
		if err := w.m.Login(context.Background(), w.user(), ""); err == nil {
			t.Error("logged in after the end")
		}
		w.m.Subscribed(w.user(), component.JID{Domain: domain}, true)
		w.m.Probed(w.user(), component.JID{Domain: domain})
		w.m.StreamUp()
		if err := w.m.Restore(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := len(w.m.all()); n != 0 || w.driver.Net(0) != nil {
			t.Errorf("%d sessions after the end", n)
		}
		w.manager()
	})
}

// vcard asks for what the network knows of bob.
const vcard = "<iq type='get' id='v' from='ALICE/a' to='bob%net@GW'><vCard xmlns='vcard-temp'/></iq>"

func TestQueriesOfOneUserLeaveWorkersToOthers(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		release := make(chan struct{})
		w.net().Ask = func() { <-release }
		for range maxQueries {
			w.from(vcard)
		}
		w.expect()
		w.from(vcard)
		w.expect(`type="error" & resource-constraint`)
		close(release)
		if n := len(w.news()); n != maxQueries {
			t.Errorf("%d answers, want %d", n, maxQueries)
		}
		w.from(vcard)
		w.expect(`type="result" & bob`)
	})
}

func TestDriverThatPanicsOverAQuery(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().Ask = func() { panic("a bug") }
		w.from(vcard)
		w.expect(`type="error" & internal-server-error & !a bug`)
		w.line("bob", "and it goes on")
		w.expect(`and it goes on`)
	})
}

// Many goroutines do everything at once; what counts is that nothing is left,
// nothing hangs, and the race detector has nothing to say.
func TestEverythingAtOnce(t *testing.T) {
	scenario(t, func(w *world) {
		const users, rounds = 8, 40
		w.policy.Joins = Rate{}
		for u := range users {
			w.store.records[fmt.Sprint("user", u, "@home.example")] = Record{Accounts: []StoredAccount{{Network: "net"}}, Subscribed: []string{domain}}
		}
		var all sync.WaitGroup
		for u := range users {
			user := component.JID{Local: fmt.Sprint("user", u), Domain: "home.example"}
			as := strings.NewReplacer("ALICE", user.String()).Replace
			ctx := context.Background()
			for part, do := range []func(i int){
				func(int) {
					w.deliver(as("<presence from='ALICE/a' to='#room%net@GW/nick'>" + muc + "</presence>"))
					w.deliver(as("<message type='groupchat' from='ALICE/a' to='#room%net@GW'><body>x</body></message>"))
					w.deliver(as("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/nick'/>"))
				},
				func(int) {
					w.deliver(as("<presence from='ALICE/a' to='GW'/>"))
					w.deliver(as("<message from='ALICE/a' to='bob%other@GW'><body>x</body></message>"))
					w.deliver(as("<presence type='unavailable' from='ALICE/a' to='GW'/>"))
				},
				func(int) { _ = w.m.Logout(ctx, user, "", "later") },
				func(int) { _ = w.m.Login(ctx, user, "") },
				func(int) { _ = w.m.Reload(ctx, user, "net") },
				func(int) { w.m.State(user, "net"); w.m.Subscribed(user, component.JID{Domain: domain}, true) },
				func(i int) {
					if n := w.driver.Net(i % 16); n != nil {
						n.TrySay(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "y"})
					}
				},
			} {
				all.Go(func() {
					for i := range rounds {
						do(i)
						time.Sleep(time.Duration(part*7+i) * time.Millisecond)
					}
				})
			}
		}
		all.Go(func() {
			for range rounds {
				w.m.StreamDown()
				w.m.StreamUp()
				w.m.PolicyChanged()
				_, _ = w.m.Sessions(context.Background())
				time.Sleep(20 * time.Millisecond)
			}
		})
		time.Sleep(rounds * 15 * time.Millisecond)
		w.stop()
		all.Wait()
		if st := w.m.Stats(); st.Rooms != 0 || st.Links != 0 || st.Online != 0 || st.Panics != 0 {
			t.Errorf("left behind: %+v", st)
		}
		w.manager()
	})
}

func TestStopWhenTheStreamStalls(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		n := w.net()
		w.stream.mu.Lock()
		w.stream.block = make(chan struct{})
		w.stream.mu.Unlock()
		w.line("bob", "nobody reads this")
		w.stop() // says if it was not in time
		if calls := n.Calls(); calls[len(calls)-1] != "quit" {
			t.Errorf("the network was not left: %q", calls)
		}
		w.manager()
	})
}
