package session

import (
	"errors"
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

// account begins a scenario of a user with an account on a network with contacts,
// which is online.
func account(t *testing.T, f func(w *world)) {
	t.Helper()
	accountOf(t, func(*world) {}, f)
}

// accountOf is account with something prepared before the link is made.
func accountOf(t *testing.T, prepare, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.driver.Contacts = true
		prepare(w)
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}}
		w.manager()
		defer w.stop()
		w.restored()
		f(w)
		if n := w.m.Stats().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// restored brings back what is stored.
func (w *world) restored() {
	w.t.Helper()
	if err := w.m.Restore(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	w.news()
}

func (w *world) contact(nick string) {
	w.say(&bridges.Contact{Member: bridgetest.Person(nick)})
}

// friends makes a contact whose presence the user gets, and shows theirs.
func (w *world) friends(nick string) {
	w.t.Helper()
	w.contact(nick)
	jid := strings.ToLower(nick) + "%net@GW"
	w.from("<presence type='subscribed' from='ALICE' to='" + jid + "'/>")
	w.from("<presence type='subscribe' from='ALICE' to='" + jid + "'/>")
	time.Sleep(presenceWait)
	w.news()
}

func (w *world) present(nick string, change func(*bridges.Present)) {
	ev := &bridges.Present{Member: bridgetest.Person(nick), Online: true}
	if change != nil {
		change(ev)
	}
	w.say(ev)
}

// standing is what is stored between alice and a person.
func (w *world) standing(address string) Subscription {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, sub := range w.store.records["alice@home.example"].People {
		if sub.Address == address {
			return sub
		}
	}
	return Subscription{}
}

const bob = "bob%net@gw.example"

func TestContactAsksOnce(t *testing.T) {
	account(t, func(w *world) {
		w.contact("Bob")
		w.expect(`^<presence & type="subscribe" & from="bob%net@gw.example" to="alice@home.example" & <nick xmlns="http://jabber.org/protocol/nick">Bob</nick>`)
		if got := w.standing(bob); got != (Subscription{Address: bob, Asked: true}) {
			t.Errorf("stored: %+v", got)
		}
		w.contact("Bob")
		w.expect()
		w.restart()
		w.restored()
		w.contact("Bob")
		w.expect()

		// The user agrees, and wants to see Bob's presence as well.
		w.from("<presence type='subscribed' from='ALICE' to='bob%net@GW'/>")
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="subscribed" & from="bob%net@gw.example"`, `^<presence from="bob%net@gw.example" to="alice@home.example" & !type= & http://jabber.org/protocol/caps`)
		if got := w.standing(bob); got != (Subscription{bob, true, true, true}) {
			t.Errorf("stored: %+v", got)
		}
		for _, c := range w.net().Calls() {
			if strings.Contains(c, "friend") {
				t.Errorf("the network was asked %q about a contact it has", c)
			}
		}
	})
}

func TestContactOfARefusingUserIsNotAskedForAgain(t *testing.T) {
	account(t, func(w *world) {
		w.contact("Bob")
		w.news()
		w.from("<presence type='unsubscribed' from='ALICE' to='bob%net@GW'/>")
		w.expect()
		w.restart()
		w.restored()
		w.contact("Bob")
		w.expect()
		for _, c := range w.net().Calls() {
			if strings.Contains(c, "unfriend") {
				t.Error("a contact was ended by the user's not wanting to see it")
			}
		}
	})
}

func TestWhoAsksIsAccepted(t *testing.T) {
	account(t, func(w *world) {
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Asks: true, Text: "it is <me>"})
		w.expect(`type="subscribe" & from="bob%net@gw.example" & <status>it is &lt;me`)
		w.from("<presence type='subscribe' from='ALICE' to='silent%net@GW'/>") // another one, still unanswered
		w.from("<presence type='subscribed' from='ALICE' to='bob%net@GW'/>")
		w.called("befriend bob")
		w.expect()
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="subscribed" & from="bob%net@gw.example"`, `^<presence from="bob%net@gw.example" & !it is`)
	})
}

func TestWhoAsksIsAcceptedOnceTheLinkIsThere(t *testing.T) {
	account(t, func(w *world) {
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Asks: true})
		w.news()
		w.restart()
		w.restored()
		w.from("<presence type='subscribed' from='ALICE' to='bob%net@GW'/>") // the link has not told of Bob yet
		w.wantAsked("befriend")
		w.present("Bob", func(p *bridges.Present) { p.Online = false; p.Text = "away" })
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Asks: true, Text: "please"})
		w.wantAsked("befriend", "befriend bob")
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="subscribed" & bob`, `type="unavailable" & bob & !please`)
	})
}

func TestAcceptingFails(t *testing.T) {
	account(t, func(w *world) {
		w.say(&bridges.Contact{Member: bridgetest.Person("Nobody"), Asks: true})
		w.news()
		w.from("<presence type='subscribed' from='ALICE' to='nobody%net@GW'/>")
		w.expect(`^<message & from="net@gw.example" & You cannot speak with Nobody: There is no such person.`)
	})
}

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

func TestWhoAsksIsDeclinedAndMayAskAgain(t *testing.T) {
	account(t, func(w *world) {
		for range 2 {
			w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Asks: true})
			w.expect(`type="subscribe" & from="bob%net@gw.example"`)
			w.from("<presence type='unsubscribed' from='ALICE' to='bob%net@GW'/>")
			w.called("unfriend bob")
			w.expect()
		}
		if got := w.standing(bob); got != (Subscription{}) {
			t.Errorf("stored: %+v", got)
		}
		if n := len(w.m.peek(w.user()).persons); n != 0 {
			t.Errorf("%d people are remembered", n)
		}
	})
}

func TestContactIsAdded(t *testing.T) {
	account(t, func(w *world) {
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.called("befriend bob")
		w.expect(`type="subscribed" & from="bob%net@gw.example"`, `^<presence from="bob%net@gw.example" & !type=`, `type="subscribe" & from="bob%net@gw.example"`)
		w.from("<presence type='subscribe' from='ALICE' to='nobody%net@GW'/>")
		w.expect(`type="unsubscribed" & from="nobody%net@gw.example" & <status>There is no such person.`)
		if got := w.standing("nobody%net@gw.example"); got != (Subscription{}) {
			t.Errorf("stored: %+v", got)
		}

		// However often it is asked, the network is asked once.
		for range 3 {
			w.from("<presence type='subscribe' from='ALICE' to='silent%net@GW'/>")
		}
		w.expect()
		w.net().End(bridges.NewError(bridges.Offline, "Reset."))
		w.expect(`type="unsubscribed" & from="silent%net@gw.example"`, `type="unsubscribed" & silent`, `type="unsubscribed" & silent`)
		n := 0
		for _, c := range w.net().Calls() {
			if c == "befriend silent" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("asked %d times", n)
		}
		// Bob is a contact; that needs no connection.
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="subscribed" & from="bob%net@gw.example"`, `^<presence from="bob%net`)
	})
}

func TestContactWithoutAConnection(t *testing.T) {
	account(t, func(w *world) {
		if err := w.m.Logout(w.t.Context(), w.user(), "net", "Logged out."); err != nil {
			t.Fatal(err)
		}
		w.news()
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="unsubscribed" & from="bob%net@gw.example" & no connection`)
		w.from("<presence type='probe' from='ALICE/a' to='bob%net@GW'/>")
		w.expect(`type="unavailable" & from="bob%net@gw.example" to="alice@home.example/a"`)
	})
}

func TestContactOnANetworkWithoutContacts(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<presence type='subscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="subscribed" & from="bob%net@gw.example"`)
		w.present("Bob", func(p *bridges.Present) { p.Member.Away = true; p.Text = "lunch" })
		w.expect(`^<presence from="bob%net@gw.example" to="alice@home.example" & <show>away</show> & <status>lunch</status>`)
		w.present("Carol", nil)
		w.expect() // nobody asked about her
		w.from("<presence type='unsubscribe' from='ALICE' to='bob%net@GW'/>")
		w.expect(`type="unsubscribed" & from="bob%net@gw.example"`, `type="unavailable" & from="bob%net@gw.example"`)
		w.present("Bob", nil)
		w.expect()
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

func TestContactGone(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Gone: true})
		w.expect(`type="unsubscribe" & from="bob%net@gw.example"`, `type="unsubscribed"`, `type="unavailable"`)
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Gone: true})
		w.say(&bridges.Contact{Member: bridgetest.Person("Nobody"), Gone: true})
		w.expect()
		if got := w.standing(bob); got != (Subscription{}) {
			t.Errorf("stored: %+v", got)
		}
		w.contact("Bob") // anew
		w.expect(`type="subscribe" & from="bob%net@gw.example"`)
	})
}

func TestManyContactsAskSlowly(t *testing.T) {
	account(t, func(w *world) {
		const many = 3*askAtOnce + 1
		for i := range many {
			w.contact(fmt.Sprint("friend", i))
		}
		if n := len(w.news()); n != askAtOnce {
			t.Fatalf("%d at once", n)
		}
		time.Sleep(askEvery)
		if n := len(w.news()); n != askAtOnce {
			t.Fatalf("%d a second later", n)
		}
		w.say(&bridges.Contact{Member: bridgetest.Person(fmt.Sprint("friend", many-1)), Gone: true})
		time.Sleep(5 * askEvery)
		if n := len(w.news()); n != askAtOnce {
			t.Fatalf("%d in the end", n)
		}
		if n := len(w.store.records["alice@home.example"].People); n != many-1 || w.store.saves > many {
			t.Errorf("%d stored, in %d writes", n, w.store.saves)
		}
	})
}

func TestMoreContactsThanAreKept(t *testing.T) {
	account(t, func(w *world) {
		for i := range maxPeople + 10 {
			w.net().Say(&bridges.Contact{Member: bridgetest.Person(fmt.Sprint("friend", i))})
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if n := len(w.m.peek(w.user()).persons); n != maxPeople {
			t.Errorf("%d people are remembered", n)
		}
		time.Sleep(time.Hour)
		w.news()
		w.from("<presence type='subscribe' from='ALICE' to='one-more%net@GW'/>")
		w.expect(`type="unsubscribed" & as many contacts`)
		w.from("<presence type='probe' from='ALICE/a' to='one-more%net@GW'/>")
		w.expect(`type="unavailable"`)
	})
}

func TestSubscriptionsAreStoredOnceTheStoreIsThere(t *testing.T) {
	account(t, func(w *world) {
		w.store.failing(errors.New("disk full"))
		w.contact("Bob")
		w.expect(`type="subscribe"`)
		w.contact("Bob")
		w.expect()
		w.store.failing(nil)
		if got := w.standing(bob); got != (Subscription{}) {
			t.Fatalf("stored: %+v", got)
		}
		time.Sleep(readAgain)
		synctest.Wait()
		if got := w.standing(bob); !got.Asked {
			t.Errorf("stored: %+v", got)
		}
	})
}

func TestContactsOfARemovedAccount(t *testing.T) {
	account(t, func(w *world) {
		w.friends("Bob")
		if err := w.m.Remove(w.t.Context(), w.user(), "", "Unregistered."); err != nil {
			t.Fatal(err)
		}
		delete(w.store.records, "alice@home.example")
		w.m.Subscribed(w.user(), component.JID{Local: "bob%net", Domain: domain}, false)
		w.expect(`type="unavailable" & from="bob%net@gw.example"`)
		if s := w.m.peek(w.user()); s != nil {
			t.Errorf("the session is still there, with %d people", len(s.persons))
		}
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
