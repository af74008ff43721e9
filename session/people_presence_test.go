package session

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

func TestContactsWhenTheGatewayEnds(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		w.friends("Carol")
		w.present("Carol", func(p *bridges.Present) { p.Online = false })
		w.news()
		w.stop()
		w.expect(`type="unavailable" & from="bob%net@gw.example"`)
		w.from("<presence from='ALICE/a' to='bob%net@GW'/>") // no error: Bob would be one that failed
		w.expect()
		w.manager()
	})
}

func TestContactsOfASessionThatPanicked(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		for i := range 2 * askAtOnce {
			w.contact(fmt.Sprint("friend", i))
		}
		w.m.post(w.user(), func(*Session) { panic("a fault") })
		all := strings.Join(w.news(), "")
		if !strings.Contains(all, `type="unavailable" from="bob%net`) {
			t.Errorf("Bob is shown as there: %s", all)
		}
		time.Sleep(time.Minute)
		n := w.driver.Net(1)
		if n == nil {
			t.Fatal("the account was not opened again")
		}
		for i := range 2 * askAtOnce {
			n.Say(&bridges.Contact{Member: bridgetest.Person(fmt.Sprint("friend", i))})
		}
		n.Say(&bridges.Contact{Member: bridgetest.Person("Bob")})
		time.Sleep(time.Minute)
		synctest.Wait()
		asked := strings.Count(strings.Join(w.stream.sent, ""), `type="subscribe"`)
		if asked != 2*askAtOnce+1 {
			t.Errorf("%d contacts have asked", asked)
		}
		if all := strings.Join(w.news(), ""); !strings.Contains(all, `<presence from="bob%net`) {
			t.Errorf("Bob is not shown as there: %s", all)
		}
		w.m.stats.panics.Store(0) // the one that was meant
	})
}

func TestPresenceOfAContact(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		since := time.Date(2026, 5, 1, 20, 30, 0, 0, time.UTC)
		for _, c := range []struct {
			change func(*bridges.Present)
			want   string
		}{
			{func(p *bridges.Present) { p.Busy = true }, `!type= & <show>dnd</show>`},
			{func(p *bridges.Present) { p.Member.Away, p.Since = true, since }, `<show>away</show> & <idle xmlns="urn:xmpp:idle:1" since="2026-05-01T20:30:00Z"`},
			{func(p *bridges.Present) { p.Text = "hello\x00 <there>" }, `!<show> & !idle & <status>hello.? &lt;there`},
			{func(p *bridges.Present) { p.Online = false; p.Text = "bye" }, `type="unavailable" & <status>bye & !caps`},
			{func(p *bridges.Present) { p.Member.Nick = "Robert"; p.Member.Address = "bob" }, `!type= & >Robert</nick>`},
		} {
			w.present("Bob", c.change)
			w.expect(`^<presence & from="bob%net@gw.example" to="alice@home.example" & ` + c.want)
			w.present("Bob", c.change)
			w.expect() // nothing new
		}
		w.from("<presence type='probe' from='ALICE/a' to='bob%net@GW'/>")
		w.expect(`to="alice@home.example/a" & !type= & >Robert</nick>`)
		w.from("<presence from='ALICE/a' to='bob%net@GW'/>")
		w.from("<presence type='unavailable' from='ALICE/a' to='bob%net@GW'/>")
		w.expect()
	})
}

func TestStatusOfAnyLength(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		w.present("Bob", func(p *bridges.Present) {
			p.Text = strings.Repeat("ä", 1<<20)
			p.Member.Nick, p.Member.Address = strings.Repeat("b", 1<<20), "bob"
		})
		got := w.news()
		if len(got) != 1 || len(got[0]) > 4*maxPersonText || !strings.Contains(got[0], "ä</status>") {
			t.Errorf("%d stanzas, the first of %d bytes", len(got), len(got[0]))
		}
	})
}

func TestContactsGoWithTheLinkAndComeBack(t *testing.T) {
	var down atomic.Bool
	accountOf(t, func(w *world) {
		w.driver.Gate = func(*bridgetest.ScriptNet, int, bridges.Start) error {
			if down.Load() {
				return bridges.NewError(bridges.Offline, "Connection refused.")
			}
			return nil
		}
	}, func(w *world) {
		w.friends("Bob")
		w.friends("Carol")
		w.present("Carol", func(p *bridges.Present) { p.Online = false })
		w.news()

		// A short drop is not shown.
		w.net().End(bridges.NewError(bridges.Offline, "Reset."))
		time.Sleep(peopleGrace / 2)
		w.expect()
		time.Sleep(peopleGrace)
		w.expect()
		if !w.net().Online() {
			t.Fatal("the link did not come back")
		}

		down.Store(true)
		w.net().End(bridges.NewError(bridges.Offline, "Reset."))
		time.Sleep(peopleGrace)
		w.expect(`type="unavailable" & from="bob%net@gw.example"`) // Carol was not there
		w.present("Carol", nil)
		down.Store(false)
		time.Sleep(2 * retryMax)
		w.expect(`^<presence from="bob%net@gw.example" & !type=`, `^<presence from="carol%net@gw.example" & !type=`)

		if err := w.m.Logout(w.t.Context(), w.user(), "net", "Logged out."); err != nil {
			t.Fatal(err)
		}
		w.expect(`type="unavailable" & from="bob%net@gw.example"`, `type="unavailable" & from="carol%net@gw.example"`)
	})
}

func TestContactsAfterTheStreamCameBack(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		w.cut()
		w.present("Bob", func(p *bridges.Present) { p.Busy = true })
		w.contact("Carol")
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Gone: true})
		w.contact("Dave")
		w.mend()
		w.expect(`type="unsubscribe" & bob`, `type="unsubscribed" & bob`, `type="unavailable" & bob`, `type="subscribe" & carol`, `type="subscribe" & dave`)
	})
}

func TestPresenceAfterTheStreamCameBack(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		w.friends("Carol")
		w.cut()
		w.present("Bob", func(p *bridges.Present) { p.Busy = true })
		w.mend()
		// Carol's too: it may have been on its way when the stream broke.
		w.expect(`from="bob%net@gw.example" & <show>dnd</show>`, `^<presence from="carol%net@gw.example"`)
		w.present("Bob", func(p *bridges.Present) { p.Busy = true })
		w.expect()
	})
}

func TestContactIsNotShownAsThereBeforeItIsKnown(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		w.restart()
		w.restored()
		w.contact("Bob")
		w.present("Bob", func(p *bridges.Present) { p.Online = false })
		w.expect(`type="unavailable" & from="bob%net@gw.example"`)
		time.Sleep(2 * presenceWait)
		w.expect()
		w.restart()
		w.restored()
		w.contact("Bob")
		w.expect()
		time.Sleep(2 * presenceWait)
		w.expect(`^<presence from="bob%net@gw.example" & !type=`) // the network says nothing
	})
}

func TestPresenceAskedForByTheUsersServer(t *testing.T) {
	scenario(t, func(w *world) {
		// Nothing there: nothing is stored, and no session stays.
		w.from("<presence type='probe' from='ALICE/a' to='bob%net@GW'/>")
		w.expect(`type="unavailable" & from="bob%net@gw.example" to="alice@home.example/a"`)
		if len(w.m.all()) != 0 || w.store.saves != 0 {
			t.Error("a probe left something behind")
		}
		// The server knows of a subscription that is not stored here.
		w.join("a", "alice")
		w.from("<presence type='probe' from='ALICE/a' to='bob%net@GW'/>")
		w.expect(`type="unavailable"`)
		w.present("Bob", nil)
		w.expect(`^<presence from="bob%net@gw.example" to="alice@home.example"`)
	})
}

func TestPersonIsDescribedByWhatTheNetworkCanDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.driver.Caps = bridges.Caps{React: true, Typing: true}
		w.manager()
		defer w.stop()
		w.join("a", "alice")
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.news()
		w.present("Bob", nil)
		got := w.news()
		if len(got) != 1 {
			t.Fatalf("%q", got)
		}
		_, ver, _ := strings.Cut(got[0], `ver="`)
		ver, _, _ = strings.Cut(ver, `"`)
		w.from("<iq type='get' id='d' from='ALICE/a' to='bob%net@GW'><query xmlns='http://jabber.org/protocol/disco#info' node='" + component.CapsNode + "#" + ver + "'/></iq>")
		w.expect(`type="result" & urn:xmpp:reactions:0 & chatstates & !chat-markers & !message-correct & !name=`)
		w.from("<iq type='get' id='d' from='ALICE/a' to='bob%net@GW'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
		w.expect(`category="account" type="registered" name="Bob" & urn:xmpp:reactions:0`)
	})
}

func TestClientWithManyContactsAppears(t *testing.T) {
	account(t, func(w *world) {
		const many = 2 * maxStanzas
		for i := range many {
			w.net().Say(&bridges.Contact{Member: bridgetest.Person(fmt.Sprint("friend", i))})
			w.from(fmt.Sprintf("<presence type='subscribe' from='ALICE' to='friend%d%%net@GW'/>", i))
		}
		w.news()
		gate := make(chan struct{}) // the session is busy while all come
		w.m.post(w.user(), func(*Session) { <-gate })
		for i := range many {
			w.deliver(fmt.Sprintf("<presence from='ALICE/a' to='friend%d%%net@GW'/>", i))
			w.deliver(fmt.Sprintf("<presence type='probe' from='ALICE/a' to='friend%d%%net@GW'/>", i))
		}
		close(gate)
		n := 0
		for _, s := range w.news() {
			if strings.Contains(s, `to="alice@home.example/a"`) && !strings.Contains(s, "type=") {
				n++
			}
		}
		if n != many {
			t.Errorf("the presence of %d contacts came", n)
		}
	})
}
