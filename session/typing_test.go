package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// capable begins a scenario on a network that can do more.
func capable(t *testing.T, caps bridges.Caps, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.driver.Caps = caps
		w.manager()
		defer w.stop()
		f(w)
		if n := w.m.Stats().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// asked are the calls of one kind that the network got since the last look.
func (w *world) asked(kind string) []string {
	w.t.Helper()
	synctest.Wait()
	var out []string
	calls := w.net().Calls()
	for _, c := range calls[min(w.seenCalls, len(calls)):] {
		if strings.HasPrefix(c, kind+" ") {
			out = append(out, c)
		}
	}
	w.seenCalls = len(calls)
	return out
}

func (w *world) wantAsked(kind string, want ...string) {
	w.t.Helper()
	if got := w.asked(kind); !slices.Equal(got, want) {
		w.t.Fatalf("the network was told %q, want %q", got, want)
	}
}

// chatState is a client's chat state.
func (w *world) chatState(client, typ, to, state string) {
	w.t.Helper()
	w.from(fmt.Sprintf("<message type='%s' from='ALICE/%s' to='%s'><%s xmlns='http://jabber.org/protocol/chatstates'/></message>", typ, client, to, state))
}

const theRoom = "#room%net@GW"

func TestTypingInARoom(t *testing.T) {
	capable(t, bridges.Caps{Typing: true}, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.chatState("a", "groupchat", theRoom, "composing")
		w.chatState("b", "groupchat", theRoom, "composing")
		w.chatState("a", "groupchat", theRoom, "composing")
		w.wantAsked("typing", "typing #room true")
		w.chatState("a", "groupchat", theRoom, "paused")
		w.wantAsked("typing") // b still writes
		time.Sleep(typingRepeat)
		w.wantAsked("typing", "typing #room true")
		w.from("<message type='groupchat' id='1' from='ALICE/b' to='#room%net@GW'><body>done</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>")
		w.wantAsked("typing", "typing #room false")
		time.Sleep(typingEnds)
		w.wantAsked("typing")
		for _, end := range []string{"active", "inactive", "gone", "paused"} {
			w.chatState("a", "groupchat", theRoom, "composing")
			w.chatState("a", "groupchat", theRoom, end)
			w.wantAsked("typing", "typing #room true", "typing #room false")
		}
	})
}

func TestTypingEndsByItself(t *testing.T) {
	capable(t, bridges.Caps{Typing: true}, func(w *world) {
		w.join("a", "alice")
		w.join("b", "alice")
		w.chatState("a", "groupchat", theRoom, "composing")
		time.Sleep(2 * typingEnds)
		got := w.asked("typing")
		if n := len(got); n < int(typingEnds/typingRepeat) || got[n-1] != "typing #room false" || slices.Index(got, "typing #room false") != n-1 {
			t.Errorf("the network was told %q", got)
		}
		// A client that leaves does not write.
		w.chatState("b", "groupchat", theRoom, "composing")
		w.from("<presence type='unavailable' from='ALICE/b' to='#room%net@GW/alice'/>")
		w.wantAsked("typing", "typing #room true", "typing #room false")
		// Nor does anybody once the link is down.
		w.chatState("a", "groupchat", theRoom, "composing")
		w.net().End(bridges.NewError(bridges.Offline, "Reset."))
		time.Sleep(10 * typingRepeat)
		w.wantAsked("typing", "typing #room true")
	})
}

func TestTypingWhereItMeansNothing(t *testing.T) {
	capable(t, bridges.Caps{}, func(w *world) {
		w.join("a", "alice")
		w.chatState("a", "groupchat", theRoom, "composing")
		w.wantAsked("typing")
	})
	capable(t, bridges.Caps{Typing: true}, func(w *world) {
		w.chatState("a", "chat", "bob%net@GW", "composing") // no link
		w.expect()
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("Bob"))
		w.chatState("stranger", "groupchat", theRoom, "composing")
		w.wantAsked("typing")
		w.news()
		w.from("<message type='error' from='ALICE/a' to='bob%net@GW'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
		w.chatState("a", "chat", theRoom+"/Nobody", "composing")
		w.wantAsked("typing")
		w.news()
		w.chatState("a", "chat", theRoom+"/Bob", "composing")
		w.chatState("a", "chat", "bob%net@GW", "paused")
		w.wantAsked("typing", "typing bob true", "typing bob false") // both are the chat with Bob
		w.expect()
		for i := range 3 * maxSigns {
			w.chatState("a", "chat", fmt.Sprintf("p%d%%net@GW", i), "composing")
		}
		if n := len(w.m.peek(w.user()).links[0].signs); n > maxSigns {
			t.Errorf("signs of %d places", n)
		}
		for i := range 2 * maxSeats {
			w.chatState(fmt.Sprint("client", i), "chat", "p1%net@GW", "composing")
		}
		for at, g := range w.m.peek(w.user()).links[0].signs {
			if len(g.writing) > maxSeats {
				t.Errorf("%d clients write to %v", len(g.writing), at)
			}
		}
	})
}

func (w *world) typing(nick string, place bridges.Place, on bool) {
	w.say(&bridges.Typing{Place: place, From: bridgetest.Person(nick), On: on})
}

func TestOthersWrite(t *testing.T) {
	capable(t, bridges.Caps{Typing: true}, func(w *world) {
		room := bridges.Place{Room: "#room"}
		w.join("a", "alice")
		w.join("b", "alice")
		w.typing("Bob", room, true)
		w.expect(`type="groupchat" from="#room%net@gw.example/Bob" to="alice@home.example/a" & <composing xmlns="http://jabber.org/protocol/chatstates" & <no-store xmlns="urn:xmpp:hints" & !stanza-id & !<body`,
			`to="alice@home.example/b" & <composing`)
		w.typing("Bob", room, true)
		w.typing("alice", room, true) // the user, elsewhere
		w.expect()
		w.typing("Bob", room, false)
		w.expect(`to="alice@home.example/a" & <paused`, `/b" & <paused`)
		w.typing("Bob", room, false)
		w.expect()
		w.typing("Bob", room, true)
		w.news()
		w.line("Bob", "here it is")
		w.expect(`/a" & <active`, `/b" & <active`, `/a" & <body>here it is`, `/b" & <body>here it is`)
		w.typing("Bob", bridges.Place{Room: "#elsewhere"}, true)
		w.expect()
		// Who leaves is not shown any more, and may write when back.
		w.typing("Bob", room, true)
		w.news()
		w.say(&bridges.Left{Room: "#room", Member: bridgetest.Person("Bob")})
		w.expect(`type="unavailable" & /Bob`, `type="unavailable" & /Bob`)
		w.typing("Bob", room, false)
		w.expect()
		for i := range 2 * maxWriters {
			w.typing(fmt.Sprint("writer", i), room, true)
		}
		if n := len(w.news()); n != 2*maxWriters {
			t.Errorf("%d states are shown", n)
		}
		w.net().End(bridges.NewError(bridges.Offline, "Reset."))
		n := 0
		for _, s := range w.news() {
			if strings.Contains(s, "<paused") {
				n++
			}
		}
		if n != 2*maxWriters {
			t.Errorf("%d of the states ended with the link", n)
		}
	})
}

func TestNobodyWritesOnALinkThatIsEnded(t *testing.T) {
	account(t, func(w *world) {
		w.typing("Bob", bridges.Place{User: "bob"}, true)
		w.expect(`<composing`)
		if err := w.m.Logout(w.t.Context(), w.user(), "net", "Logged out."); err != nil {
			t.Fatal(err)
		}
		w.expect(`from="bob%net@gw.example" & <paused`)
	})
}

func TestSomebodyWritesToTheUser(t *testing.T) {
	capable(t, bridges.Caps{Typing: true}, func(w *world) {
		w.join("a", "alice")
		w.net().SetMembers("#room", bridgetest.Person("Bob"))
		w.typing("Bob", bridges.Place{User: "bob"}, true)
		w.expect(`type="chat" from="bob%net@gw.example" to="alice@home.example" & <composing & <no-store`)
		w.private("Bob", "hello", bridges.Text)
		w.expect(`from="bob%net@gw.example" & <active & !<body`, `<body>hello`)
		w.from("<message type='chat' from='ALICE/a' to='#room%net@GW/Bob'><body>psst</body></message>")
		w.typing("Bob", bridges.Place{User: "bob"}, true)
		w.expect(`type="chat" from="#room%net@gw.example/Bob" to="alice@home.example/a" & <composing & muc#user & no-copy|private`)
		w.cut()
		w.typing("Bob", bridges.Place{User: "bob"}, false)
		w.mend()
		w.expect()
	})
}
