package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
	"transportd/component/xep"
)

// contactList is what alice's server has of her contacts, and answers from.
type contactList struct {
	w      *world
	items  []xep.RosterItem
	frozen bool // subscriptions stay as they are, as servers may have it
	log    []string
}

// serve answers all requests there are about the contact list, also those that come of
// the answers.
func (c *contactList) serve() {
	c.w.t.Helper()
	for {
		synctest.Wait()
		c.w.stream.mu.Lock()
		requests := c.w.stream.requests
		c.w.stream.requests = nil
		c.w.stream.mu.Unlock()
		if len(requests) == 0 {
			return
		}
		for _, r := range requests {
			r.done(c.answer(r), nil)
		}
	}
}

func (c *contactList) answer(r *request) *component.Stanza {
	c.w.t.Helper()
	if r.to.String() != "alice@home.example" {
		c.w.t.Fatalf("asked of somebody else: %s", r.xml)
	}
	st, err := component.ParseStanza(r.xml)
	if err != nil {
		c.w.t.Fatal(err)
	}
	asked, ok := xep.ParseRoster(st.Element)
	if !ok {
		c.w.t.Fatalf("not about the contact list: %s", r.xml)
	}
	if st.Type == "get" {
		c.log = append(c.log, "get")
	}
	for _, item := range asked {
		i := slices.IndexFunc(c.items, func(o xep.RosterItem) bool { return o.JID == item.JID })
		if i < 0 {
			i = len(c.items)
			c.items = append(c.items, xep.RosterItem{JID: item.JID, Subscription: "none"})
		}
		if c.frozen {
			item.Subscription = c.items[i].Subscription
		}
		c.items[i] = item
		c.log = append(c.log, fmt.Sprintf("%s %q %s %v", item.JID, item.Name, item.Subscription, item.Groups))
	}
	o := component.NewIQ(component.JID{Domain: domain}, st.To, "result", st.ID)
	if st.Type == "get" {
		xep.AppendRoster(o, c.items...)
	}
	xml, err := component.Encode(o, domain)
	if err != nil {
		c.w.t.Fatal(err)
	}
	result, err := component.ParseStanza(xml)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return result
}

func (c *contactList) did(want ...string) {
	c.w.t.Helper()
	c.serve()
	if !slices.Equal(c.log, want) {
		c.w.t.Errorf("the contact list was asked:\n%s\nwant:\n%s", strings.Join(c.log, "\n"), strings.Join(want, "\n"))
	}
	c.log = nil
}

// listed is account with a server that lets contact lists be changed.
func listed(t *testing.T, f func(w *world, list *contactList)) {
	t.Helper()
	account(t, func(w *world) {
		w.stream.grants(mayAll, true)
		f(w, &contactList{w: w})
	})
}

func TestContactsAreListed(t *testing.T) {
	listed(t, func(w *world, list *contactList) {
		w.contact("Bob")
		w.contact("Carol")
		list.did("get", bob+` "Bob" both []`, "get", "get", `carol%net@gw.example "Carol" both []`, "get")
		w.expect(`^<presence from="bob%net@gw.example" to="alice@home.example" & !type=`, `^<presence from="carol%net@gw.example" & !type=`)
		if got := w.standing(bob); got != (Subscription{bob, true, true, true}) {
			t.Errorf("stored: %+v", got)
		}
		w.contact("Bob")
		list.did()

		// Who is called otherwise is renamed, unless the user has done so.
		renamed := func(nick string) {
			m := bridgetest.Person("Bob")
			m.Nick, m.Address = nick, "bob"
			w.say(&bridges.Contact{Member: m})
			w.news()
		}
		renamed("Robert")
		list.did("get", bob+` "Robert" both []`, "get")
		list.items[0].Name, list.items[0].Groups = "Bobby", []string{"Friends"}
		renamed("Bob")
		list.did("get", "get")
		list.items[0].Name = "Bob"
		renamed("Robert")
		list.did("get", bob+` "Robert" both [Friends]`, "get")
	})
}

func TestContactThatIsListedAlready(t *testing.T) {
	listed(t, func(w *world, list *contactList) {
		jid, _ := component.ParseJID(bob)
		list.items = []xep.RosterItem{{JID: jid, Name: "My Bob", Subscription: "to", Groups: []string{"Friends"}}}
		w.contact("Bob")
		list.did("get", bob+` "My Bob" both [Friends]`, "get")
		w.expect(`^<presence from="bob%net@gw.example" & !type=`)
	})
}

// Who wants to be spoken with is agreed to by the user, not by the gateway.
func TestWhoAsksIsNotListed(t *testing.T) {
	listed(t, func(w *world, list *contactList) {
		w.say(&bridges.Contact{Member: bridgetest.Person("Bob"), Asks: true})
		list.did()
		w.expect(`type="subscribe" & from="bob%net@gw.example"`)
	})
}

func TestContactListThatCannotBeChanged(t *testing.T) {
	for name, fail := range map[string]func(*world, *contactList){
		"subscriptions stay": func(w *world, list *contactList) { list.frozen = true; list.serve() },
		"refused":            func(w *world, _ *contactList) { w.answer(component.NewStanzaError("auth", "forbidden", "")) },
		"no answer":          func(*world, *contactList) { time.Sleep(2 * rosterTime) },
	} {
		t.Run(name, func(t *testing.T) {
			listed(t, func(w *world, list *contactList) {
				w.contact("Bob")
				w.expect()
				fail(w, list)
				w.expect(`type="subscribe" & from="bob%net@gw.example" & <nick`)
				w.contact("Carol")
				w.expect(`type="subscribe" & from="carol%net@gw.example"`)
			})
		})
	}
}

func TestContactsAreListedOverTheNextStream(t *testing.T) {
	listed(t, func(w *world, list *contactList) {
		w.contact("Bob")
		w.cut()
		w.mend()
		list.did("get", bob+` "Bob" both []`, "get")
		w.news()
		w.stream.mu.Lock()
		w.stream.requests = nil
		w.stream.mu.Unlock()
		w.contact("Carol")
		w.answer(errors.Join(component.ErrQueueFull))
		time.Sleep(verifyAgain)
		list.did("get", `carol%net@gw.example "Carol" both []`, "get")
	})
}

// It is waited for what the server has to say.
func TestContactsWaitForWhatIsGranted(t *testing.T) {
	listed(t, func(w *world, list *contactList) {
		w.stream.grants(mayAll, false)
		w.stream.mu.Lock()
		w.stream.granted = component.Privileges{}
		w.stream.mu.Unlock()
		w.contact("Bob")
		list.did()
		w.expect()
		w.stream.grants(mayAll, true)
		time.Sleep(ownWait)
		list.did("get", bob+` "Bob" both []`, "get")
	})
}
