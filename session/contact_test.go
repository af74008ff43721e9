package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

func (w *world) private(nick, text string, kind bridges.MessageKind) {
	w.say(&bridges.Message{Place: bridges.Place{User: bridges.UserID(strings.ToLower(nick))}, From: bridgetest.Person(nick), Kind: kind, Body: text})
}

func TestPrivateMessageConnectsAndGetsAReceipt(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<message type='chat' id='m1' from='ALICE/a' to='bob%net@GW'><body>hi</body><request xmlns='urn:xmpp:receipts'/></message>")
		w.called("say bob hi")
		w.expect(`^<message & from="bob%net@gw.example" & to="alice@home.example/a" & received & id="m1"`)
		w.private("Bob", "hello", bridges.Text)
		w.expect(`type="chat" & from="bob%net@gw.example" to="alice@home.example" & <body>hello</body>`)
		w.private("Bob", "a notice", bridges.Notice) // the user speaks with him
		w.expect(`from="bob%net@gw.example" & a notice`)
		w.private("NickServ", "please identify", bridges.Notice)
		w.expect(`from="net@gw.example" & type="headline" & &lt;NickServ> please identify|&lt;NickServ&gt; please identify`)
		time.Sleep(chatting + time.Minute)
		w.called("quit")
	})
}

func TestPrivateMessageRefused(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<message type='chat' id='m1' from='ALICE/a' to='bob%net@GW'><body>refuse me</body><request xmlns='urn:xmpp:receipts'/></message>")
		w.expect(`type="error" & id="m1" & forbidden & !received`)
	})
	scenario(t, func(w *world) {
		w.driver.Gate = func(*bridgetest.ScriptNet, int, bridges.Start) error {
			return bridges.NewError(bridges.Offline, "Connection refused.")
		}
		w.from("<message type='chat' id='m1' from='ALICE/a' to='bob%net@GW'><body>hi</body></message>")
		w.expect(`type="error" & id="m1" & recipient-unavailable & Connection refused`)
	})
}

func TestPrivateMessageThroughTheRoom(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.net().SetMembers("#room", bridgetest.Person("Bob"))
		w.from("<message type='chat' id='m1' from='ALICE/a' to='#room%net@GW/nobody'><body>psst</body></message>")
		w.expect(`type="error" & item-not-found`)
		w.from("<message type='chat' id='m2' from='ALICE/a' to='#room%net@GW/Bob'><body>psst</body></message>")
		w.called("say bob psst")
		w.expect()
		w.private("Bob", "yes?", bridges.Text)
		w.expect(`from="#room%net@gw.example/Bob" to="alice@home.example/a" & muc#user & no-copy|private`, `to="alice@home.example/b"`)
		w.from("<message type='chat' from='ALICE/a' to='bob%net@GW'><body>here instead</body></message>")
		w.private("Bob", "fine", bridges.Text)
		w.expect(`from="bob%net@gw.example" to="alice@home.example" & !muc#user`)
	})
}

func TestPrivateMessageOfAContactWhoChangesNick(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("Bob"))
		w.from("<message type='chat' from='ALICE/a' to='#room%net@GW/Bob'><body>psst</body></message>")
		w.say(&bridges.Renamed{OldID: "bob", OldNick: "Bob", Member: bridgetest.Person("Robert")})
		w.private("Robert", "me again", bridges.Text)
		w.expect(`from="#room%net@gw.example/Robert"`)
	})
}

func TestConsole(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<message type='chat' id='c' from='ALICE/a' to='net@GW'><body>MOTD\n/WHOIS bob</body></message>")
		w.called("raw MOTD")
		w.called("raw WHOIS bob")
		w.expect(`from="net@gw.example" & type="chat" & answer to MOTD`, `answer to WHOIS bob`)
	})
}

func TestInvitationsBothWays(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<message from='ALICE/a' to='#room%net@GW'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob%net@GW'><reason>come</reason></invite></x></message>")
		w.called("invite #room bob come")
		w.from("<message from='ALICE/a' to='carol%net@GW'><x xmlns='jabber:x:conference' jid='#room%net@GW' reason='you too'/></message>")
		w.called("invite #room carol you too")
		w.from("<message from='ALICE/a' to='#room%net@GW'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='dave@elsewhere.example'/></x></message>")
		w.expect(`^<message & from="#room%net@gw.example" to="dave@elsewhere.example" & invite from="alice@home.example" & jabber:x:conference`)
		w.from("<message id='many' from='ALICE/a' to='#room%net@GW'><x xmlns='http://jabber.org/protocol/muc#user'>" +
			strings.Repeat("<invite to='dave@elsewhere.example'/>", maxInvites+1) + "</x></message>")
		w.expect(`type="error" & id="many" & policy-violation`)
		w.say(&bridges.Invited{Name: "#Party", By: bridgetest.Person("Bob"), Reason: "fun"})
		w.expect(`from="#party%net@gw.example" to="alice@home.example" & <invite from="bob%net@gw.example" & jabber:x:conference`)
		w.from("<message id='i' from='ALICE/a' to='#elsewhere%net@GW'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob%net@GW'/></x></message>")
		w.expect(`type="error" & id="i" & not-acceptable`)
	})
}

func TestAdministration(t *testing.T) {
	admin := func(item string) string {
		return "<iq type='set' id='q' from='ALICE/a' to='#room%net@GW'><query xmlns='http://jabber.org/protocol/muc#admin'>" + item + "</query></iq>"
	}
	for _, c := range []struct{ item, call, want string }{
		{"<item nick='bob' role='none'><reason>out</reason></item>", "role #room bob 0 out", `type="result" & id="q"`},
		{"<item nick='bob' role='participant'/>", "role #room bob 2", `type="result"`},
		{"<item nick='bob' role='moderator'/>", "role #room bob 3", `type="result"`},
		{"<item jid='bob%net@GW' affiliation='outcast'/>", "affiliation #room bob 1", `type="result"`},
		{"<item nick='bob' affiliation='owner'/>", "affiliation #room bob 5", `type="result"`},
		{"<item nick='oper' role='none'/>", "role #room oper 0", `type="error" & forbidden & channel operator`},
		{"<item nick='bob' role='emperor'/>", "", `type="error" & bad-request`},
		{"<item role='none'/>", "", `type="error" & bad-request`},
	} {
		scenario(t, func(w *world) {
			w.join("a", "alice")
			w.from(admin(c.item))
			w.expect(`^<iq & ` + c.want)
			if c.call != "" {
				w.called(c.call)
			}
		})
	}
	scenario(t, func(w *world) {
		w.from(admin("<item nick='bob' role='none'/>"))
		w.expect(`type="error" & not-acceptable`)
	})
}

func TestWhoMayUseTheGateway(t *testing.T) {
	scenario(t, func(w *world) {
		w.from("<presence from='eve@evil.example/x' to='#room%net@GW/eve'>" + muc + "</presence>")
		w.expect(`type="error" & forbidden`)
		w.policy.OpenJoin = false
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & registration-required`)
		w.policy.OpenJoin = true
		w.policy.Joins = Rate{Every: time.Minute, Burst: 2}
		for range 2 {
			w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
			w.news()
			w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
			w.news()
		}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & type="wait" & resource-constraint`)
	})
	scenario(t, func(w *world) {
		w.policy.MaxRooms = 1
		w.join("a", "alice")
		w.from("<presence from='ALICE/a' to='#two%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & resource-constraint`)
	})
}

func TestLoginLogoutReloadRemove(t *testing.T) {
	scenario(t, func(w *world) {
		ctx := w.t.Context()
		alice := component.JID{Local: "alice", Domain: "home.example"}
		w.store.records["alice@home.example"] = Record{
			Accounts:   []StoredAccount{{Network: "net", Settings: map[string]string{"nick": "Alice"}}},
			Subscribed: []string{"net@" + domain},
		}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		check(w.m.Login(ctx, alice, "net"))
		w.join("a", "alice")
		if text, online := w.m.State(alice, "net"); !online || !strings.Contains(text, "Connected") {
			t.Errorf("state is %q, %v", text, online)
		}
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: map[string]string{"nick": "Alicia"}}}}
		check(w.m.Reload(ctx, alice, "net"))
		time.Sleep(quitTime + time.Second)
		if n := w.driver.Net(1); n == nil || n.Account.Settings["nick"] != "Alicia" || len(n.Calls()) != 1 || n.Calls()[0] != "join #room" {
			t.Fatalf("after the reload: %+v", n)
		}
		w.news()
		check(w.m.Logout(ctx, alice, "net", "Logged out."))
		all := strings.Join(w.news(), "\n")
		if !strings.Contains(all, `type="unavailable"`) || !strings.Contains(all, "Logged out.") {
			t.Errorf("after the logout:\n%s", all)
		}
		if text, online := w.m.State(alice, "net"); online || text != "Logged out." {
			t.Errorf("state is %q, %v", text, online)
		}
		check(w.m.Login(ctx, alice, "net"))
		synctest.Wait()
		if _, online := w.m.State(alice, "net"); !online {
			t.Error("not online after login")
		}
		check(w.m.Remove(ctx, alice, "", "Unregistered."))
		if st := w.m.Stats(); st.Links != 0 || st.Rooms != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
}

func TestDisco(t *testing.T) {
	info := func(to string) string {
		return "<iq type='get' id='d' from='ALICE/a' to='" + to + "'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
	}
	scenario(t, func(w *world) {
		w.from(info("#room%net@GW"))
		w.expect(`type="result" & category="conference" type="text" & http://jabber.org/protocol/muc" & self-ping-optimization`)
		w.from(info("bob%net@GW"))
		w.expect(`category="account" type="registered" & !conference`)
		w.join("a", "alice")
		w.from(info("#room%net@GW"))
		w.expect(`muc#roominfo_occupants & <value>1</value>`)
		w.from("<iq type='get' id='x' from='ALICE/a' to='#room%net@GW'><query xmlns='urn:example:unknown'/></iq>")
		w.expect(`type="error" & service-unavailable`)
	})
}
