package session

import (
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

const muc = "<x xmlns='http://jabber.org/protocol/muc'/>"

func TestJoinShowsOccupantsThenSelfThenHistoryThenSubject(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
			r := n.Room("#room")
			op := bridgetest.Person("Bob")
			op.Role, op.Affiliation, op.Mask = bridges.RoleModerator, bridges.AffiliationAdmin, "bob@host.example"
			r.Members = []bridges.Member{op, bridgetest.Person("carol")}
			r.Subject = &bridges.Subject{Text: "Welcome", By: "Bob", At: time.Unix(1700000000, 0)}
			return nil
		}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(
			`^<presence & from="#room%net@gw.example/Bob" & affiliation="admin" role="moderator" jid="bob%net@gw.example/bob@host.example" & !status`,
			`^<presence & /carol" & affiliation="none" role="participant" & !jid=`,
			`^<presence & /alice" & code="110" & !code="210" & jid="alice@home.example/a"`,
			`^<message & from="#room%net@gw.example/Bob" & <subject>Welcome</subject> & stamp="2023-11-14T22:13:20`,
		)
	})
}

func TestSecondClientIsShownTheRoomWithoutAskingTheNetwork(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.line("bob", "one")
		w.line("bob", "two")
		w.news()
		asked := len(w.net().Calls())
		w.net().SetMembers("#room", bridgetest.Person("bob"))
		w.from("<presence from='ALICE/b' to='#room%net@GW/other'>" + muc + "</presence>")
		w.expect(`/bob" to="alice@home.example/b"`,
			`/alice" to="alice@home.example/b" & code="110" & code="210"`,
			`<body>one</body> & urn:xmpp:delay`, `<body>two</body>`, `<subject`)
		if len(w.net().Calls()) != asked {
			t.Error("the network was asked:", w.net().Calls()[asked:])
		}
	})
}

func TestHistoryLimits(t *testing.T) {
	for _, c := range []struct{ history, want string }{
		{"", "1 2 3"},
		{"<history maxstanzas='2'/>", "2 3"},
		{"<history maxstanzas='0'/>", ""},
		{"<history maxchars='0'/>", ""},
		{"<history seconds='25'/>", "2 3"},
		{"<history since='2000-01-01T00:00:12Z'/>", "3"},
		{"<history maxstanzas='ten' since='nonsense'/>", "1 2 3"},
	} {
		t.Run(c.history, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.join("a", "alice") // a bubble begins at 2000-01-01T00:00:00Z
				for _, body := range []string{"1", "2", "3"} {
					w.line("bob", body)
					time.Sleep(10 * time.Second)
				}
				w.news()
				w.from("<presence from='ALICE/b' to='#room%net@GW/alice'><x xmlns='http://jabber.org/protocol/muc'>" + c.history + "</x></presence>")
				var got []string
				for _, s := range w.news() {
					if _, rest, ok := strings.Cut(s, "<body>"); ok {
						got = append(got, rest[:1])
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("history is %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestLineIsReflectedOnceTakenWithTheClientsID(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.net().Hold = true
		w.from("<message type='groupchat' id='m1' from='ALICE/a' to='#room%net@GW'><body>hi\nthere</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/><stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='#room%net@GW'/></message>")
		w.expect() // nothing before the network has taken it
		w.called("say #room hi\nthere")
		w.net().Take()
		w.expect(
			`^<message & from="#room%net@gw.example/alice" & to="alice@home.example/a" & id="m1" & <body>hi\nthere</body> & origin-id & id="o1" & stanza-id & !forged`,
			`to="alice@home.example/b" & id="m1"`)
	})
}

func TestRefusedLineIsAnErrorAndNoGhost(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<message type='groupchat' id='m1' from='ALICE/a' to='#room%net@GW'><body>refuse this</body></message>")
		w.expect(`^<message & type="error" & id="m1" & to="alice@home.example/a" & forbidden & Cannot send to this place`)
		w.join("b", "alice")
		for _, s := range w.news() {
			if strings.Contains(s, "refuse this") {
				t.Error("a refused line is in the history")
			}
		}
	})
}

func TestLineWhenTheNetworksQueueIsFull(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().Full = true
		w.from("<message type='groupchat' id='m1' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
		w.expect(`type="error" & id="m1" & type="wait" & resource-constraint`)
	})
}

func TestLinesWaitingForTheNetworkAreBounded(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.net().Hold = true
		for range maxSent {
			w.from("<message type='groupchat' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
		}
		w.expect()
		w.from("<message type='groupchat' id='over' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
		w.expect(`type="error" & id="over" & resource-constraint`)
		w.net().Take()
		if n := len(w.news()); n != maxSent {
			t.Errorf("%d lines reflected, want %d", n, maxSent)
		}
	})
}

func TestRefusedJoins(t *testing.T) {
	for _, c := range []struct {
		kind bridges.ErrorKind
		want string
	}{
		{bridges.IsBanned, `type="auth" & forbidden`},
		{bridges.MembersOnly, `type="auth" & registration-required`},
		{bridges.PasswordRequired, `type="auth" & not-authorized`},
		{bridges.RoomFull, `type="wait" & service-unavailable`},
		{bridges.NotFound, `type="cancel" & item-not-found`},
		{bridges.TooManyRooms, `resource-constraint`},
		{bridges.Conflict, `type="cancel" & conflict`},
		{bridges.NickLocked, `not-acceptable`},
		{bridges.Timeout, `remote-server-timeout`},
	} {
		t.Run(kindName(c.kind), func(t *testing.T) {
			scenario(t, func(w *world) {
				w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
					n.Doors["#room"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) {
						n.Say(&bridges.Failed{Ref: ref, Err: bridges.NewError(c.kind, "the network's words")})
					}
					return nil
				}
				w.from("<presence id='p1' from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
				w.expect(`^<presence & type="error" & from="#room%net@gw.example/alice" & to="alice@home.example/a" & the network's words|the network&apos;s words & ` + c.want)
				w.from("<message type='groupchat' id='m' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
				w.expect(`type="error" & not-acceptable`)
			})
		})
	}
}

func TestNickInUseIsAConflictForWhoAsks(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(_ *bridgetest.ScriptNet, _ int, st bridges.Start) error {
			if !st.Attended || st.Nick != "alice" {
				t.Errorf("started with %+v", st)
			}
			return bridges.NewError(bridges.Conflict, "Nickname is already in use.")
		}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & conflict & Nickname is already in use`)
		time.Sleep(time.Hour)
		if n := w.driver.Net(0).Runs(); n != 1 {
			t.Errorf("connected %d times for a user who was told", n)
		}
	})
}

func TestMembershipEvents(t *testing.T) {
	room := bridges.RoomID("#room")
	bob := bridgetest.Person("Bob")
	op := bob
	op.Role, op.Affiliation = bridges.RoleModerator, bridges.AffiliationOwner
	robert := bridgetest.Person("Robert")
	alice := bridgetest.Person("alice")
	for _, c := range []struct {
		name string
		ev   bridges.Event
		want []string
	}{
		{"join", &bridges.Joined{Room: room, Member: bob}, []string{`^<presence & /Bob" & !type= & role="participant"`}},
		{"part", &bridges.Left{Room: room, Member: bob, Reason: "bye"}, []string{`/Bob" & type="unavailable" & <status>bye</status> & role="none" & !code=`}},
		{"quit", &bridges.Left{Room: room, Member: bob, Kind: bridges.Quit, Reason: "gone"}, []string{`type="unavailable" & <status>gone</status>`}},
		{"kick", &bridges.Left{Room: room, Member: bob, Kind: bridges.Kicked, Actor: "op", Reason: "out"}, []string{`type="unavailable" & code="307" & <actor nick="op" & <reason>out</reason>`}},
		{"kick without reason", &bridges.Left{Room: room, Member: bob, Kind: bridges.Kicked, Actor: "op"}, []string{`code="307" & !reason`}},
		{"ban", &bridges.Left{Room: room, Member: bob, Kind: bridges.Banned, Actor: "op"}, []string{`code="301" & affiliation="outcast"`}},
		{"rename", &bridges.Renamed{Room: room, OldID: "bob", OldNick: "Bob", Member: robert}, []string{`/Bob" & type="unavailable" & code="303" & nick="Robert"`, `/Robert" & !type=`}},
		{"promoted", &bridges.Updated{Room: room, Member: op, Actor: "x"}, []string{`/Bob" & affiliation="owner" role="moderator"`}},
		{"own role", &bridges.Updated{Room: room, Member: alice, Self: true}, []string{`/alice" & code="110"`}},
		{"subject", &bridges.SubjectChanged{Room: room, Subject: bridges.Subject{Text: "new", By: "Bob"}}, []string{`^<message & /Bob" & <subject>new</subject>`}},
		{"mode", &bridges.ModeChanged{Room: room, Actor: "op", Text: "+m"}, []string{`^<message & from="#room%net@gw.example" & <body>Mode \+m by op</body>`}},
		{"own kick", &bridges.Left{Room: room, Member: alice, Self: true, Kind: bridges.Kicked, Actor: "op", Reason: "no"}, []string{`/alice" & code="307" & code="110" & <reason>no</reason>`}},
		{"own ban", &bridges.Left{Room: room, Member: alice, Self: true, Kind: bridges.Banned, Actor: "op"}, []string{`code="301" & code="110"`}},
		{"own nick", &bridges.Renamed{Room: room, OldID: "alice", OldNick: "alice", Member: robert, Self: true}, []string{`/alice" & code="303" & code="110" & nick="Robert"`, `/Robert" & code="110"`}},
		{"away", &bridges.Updated{Room: room, Member: bridges.Member{ID: "bob", Nick: "Bob", Away: true, Role: bridges.RoleParticipant, Affiliation: bridges.AffiliationNone}}, []string{`<show>away</show>`}},
		{"emote", &bridges.Message{Place: bridges.Place{Room: room}, From: bob, Kind: bridges.Emote, Body: "waves"}, []string{`/Bob" & <body>/me waves</body>`}},
		{"to operators", &bridges.Message{Place: bridges.Place{Room: room}, From: bob, To: "@", Body: "x"}, []string{`<body>\[@\] x</body>`}},
		{"network's id", &bridges.Message{Place: bridges.Place{Room: room}, From: bob, ID: "msg-1", Body: "x"}, []string{`id="msg-1" & stanza-id`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			scenario(t, func(w *world) {
				w.join("a", "alice")
				w.say(c.ev)
				w.expect(c.want...)
			})
		})
	}
}

func TestLeavingByUnavailable(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.from("<presence type='unavailable' from='ALICE/b' to='#room%net@GW/alice'/>")
		w.expect(`type="unavailable" & to="alice@home.example/b" & code="110"`)
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'><status>so long</status></presence>")
		w.expect(`type="unavailable" & to="alice@home.example/a" & code="110"`)
		w.called("leave #room so long")
		time.Sleep(linger + 2*time.Second)
		w.called("quit") // the last room of a link nobody registered
		if st := w.m.Stats(); st.Sessions != 0 || st.Links != 0 || st.Rooms != 0 {
			t.Errorf("left behind: %+v", st)
		}
		if len(w.store.seats) != 0 {
			t.Errorf("stored: %v", w.store.seats)
		}
	})
}

func TestSelfPing(t *testing.T) {
	ping := func(resource, nick string) string {
		return "<iq type='get' id='p' from='ALICE/" + resource + "' to='#room%net@GW/" + nick + "'><ping xmlns='urn:xmpp:ping'/></iq>"
	}
	scenario(t, func(w *world) {
		w.from(ping("a", "alice"))
		w.expect(`type="error" & <error type="cancel" & not-acceptable`)
		w.join("a", "alice")
		w.from(ping("a", "alice"))
		w.expect(`^<iq & type="result" & id="p"`)
		w.from(ping("b", "alice"))
		w.expect(`type="error" & not-acceptable`)
	})
}

func TestNickChangeIsForAllRoomsAndRefusalsAreTold(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.from("<presence from='ALICE/a' to='#other%net@GW/alice'>" + muc + "</presence>")
		w.news()
		w.from("<presence from='ALICE/a' to='#room%net@GW/Alicia'/>")
		w.expect(`#other%net@gw.example/alice" & 303`, `#other%net@gw.example/Alicia" & 110`, `#room%net@gw.example/alice" & 303`, `#room%net@gw.example/Alicia" & 110`)
		w.from("<presence id='n' from='ALICE/a' to='#room%net@GW/taken'/>")
		w.expect(`type="error" & conflict & from="#room%net@gw.example/taken"`)
		w.from("<presence from='ALICE/a' to='#room%net@GW/Alicia'><show>away</show><status>tea</status></presence>")
		w.expect()
		w.called("away true tea")
	})
}

func TestOneRoomOneAddress(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
			n.Doors["#alias"] = func(ref bridges.Ref, _ string, _ bridges.JoinOptions) { n.Enter(ref, "#room") }
			return nil
		}
		w.join("a", "alice")
		w.from("<presence from='ALICE/a' to='#alias%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & <redirect & xmpp:%23room%25net@gw.example\?join`)
		w.from("<message type='groupchat' id='m' from='ALICE/a' to='#room%net@GW'><body>still in</body></message>")
		w.expect(`still in`)
	})
}

func TestWhatNetworksHaveNoFormForBecomesText(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), ID: "b1", Body: "shall we go?"})
		w.line("carol", "later")
		w.news()
		for _, c := range []struct{ payload, want string }{
			{"<body>hello wrold</body><replace xmlns='urn:xmpp:message-correct:0' id='x'/>", "say #room (correction) hello wrold"},
			{"<body>&gt; shall we go?\nyes</body><reply xmlns='urn:xmpp:reply:0' id='b1' to='#room%net@GW/bob'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='15'/></fallback>",
				"say #room bob: [“shall we go?”] yes"},
			{"<reactions xmlns='urn:xmpp:reactions:0' id='b1'><reaction>👍</reaction></reactions>", "emote #room reacts with 👍 to bob: “shall we go?”"},
			{"<body>/me retracted a message</body><retract xmlns='urn:xmpp:message-retract:1' id='b1'/>", "emote #room takes back: “shall we go?”"},
			{"<body>/me dances</body>", "emote #room dances"},
			{"<x xmlns='jabber:x:oob'><url>https://files.example/a.png</url></x>", "say #room https://files.example/a.png"},
		} {
			before := len(w.net().Calls())
			w.from("<message type='groupchat' from='ALICE/a' to='#room%net@GW'>" + c.payload + "</message>")
			calls := w.net().Calls()[before:]
			if len(calls) != 1 || calls[0] != c.want {
				t.Errorf("%s\nbecame %q\nwant %q", c.payload, calls, c.want)
			}
			if n := len(w.news()); n != 1 {
				t.Errorf("%s was reflected %d times", c.payload, n)
			}
		}
		w.from("<message type='groupchat' from='ALICE/a' to='#room%net@GW'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
		w.expect()
	})
}

func TestPanicRestartsOneSession(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "fine"})
		w.news()
		s := w.m.peek(w.user())
		s.post(func() { panic("a bug") })
		w.expect(`type="unavailable" & code="333"`)
		w.join("a", "alice") // and it goes on
		if st := w.m.Stats(); st.Panics != 1 || st.Rooms != 1 || st.Links != 1 {
			t.Errorf("after the panic: %+v", st)
		}
	})
}

func TestShutdownLeavesPolitely(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		n := w.net()
		w.stop()
		w.expect(`type="unavailable" & code="110" & code="332"`)
		if calls := n.Calls(); calls[len(calls)-1] != "quit" {
			t.Errorf("the network was not left: %q", calls)
		}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.expect(`type="error" & service-unavailable`)
		w.manager()
	})
}

func TestClientThatLeavesBeforeItIsInLeavesTheNetworkToo(t *testing.T) {
	scenario(t, func(w *world) {
		var ref bridges.Ref
		w.driver.Gate = func(n *bridgetest.ScriptNet, _ int, _ bridges.Start) error {
			n.Doors["#room"] = func(r bridges.Ref, _ string, _ bridges.JoinOptions) { ref = r }
			return nil
		}
		w.from("<presence from='ALICE/a' to='#room%net@GW/alice'>" + muc + "</presence>")
		w.from("<presence type='unavailable' from='ALICE/a' to='#room%net@GW/alice'/>")
		w.news()
		w.net().Say(&bridges.Entered{Ref: ref, Asked: "#room", Room: "#room", Name: "#room", Self: bridgetest.Person("alice")})
		w.called("leave #room")
		w.expect()
	})
}

func TestWhoIsNoLongerAllowedIsShownOut(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("a", "alice")
		w.policy.Allowed = func(component.JID) bool { return false }
		w.m.PolicyChanged()
		w.expect(`type="unavailable" & code="110" & no longer allowed`)
		w.called("quit")
		w.from("<message type='groupchat' id='m' from='ALICE/a' to='#room%net@GW'><body>x</body></message>")
		w.expect(`type="error" & forbidden`)
	})
}
