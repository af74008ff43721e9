package session

import (
	"errors"
	"fmt"
	"strings"
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
		time.Sleep(2 * presenceWait)
		w.expect()
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
