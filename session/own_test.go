package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

// mayAll is a server that grants all there is.
var mayAll = component.Privileges{Space: component.NSPrivilege, RosterGet: true, RosterSet: true, Messages: true}

// owned is recorded, on a network that has a form for everything and that tells what
// alice says to people elsewhere.
func owned(t *testing.T, granted component.Privileges, f func(w *world)) {
	t.Helper()
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		w.stream.grants(granted, true)
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}}
		w.restored()
		f(w)
	})
}

// own is a line that alice said to bob with another client of the network's.
func own(id, text string) *bridges.Message {
	return &bridges.Message{Place: bridges.Place{User: "bob"}, With: "Bob", From: bridgetest.Person("alice"), Self: true, ID: bridges.MessageID(id), Body: text}
}

// asAlice is a message in alice's name to bob with this id.
func asAlice(id string) string {
	return `^<message id="[^"]+" from="gw.example" to="home.example"><privilege xmlns="urn:xmpp:privilege:2"><forwarded xmlns="urn:xmpp:forward:0">` +
		`<message xmlns="jabber:client" from="alice@home.example" to="bob%net@gw.example" type="chat" id="` + id + `">`
}

func TestOwnLineAsTheUsers(t *testing.T) {
	owned(t, mayAll, func(w *world) {
		w.tell("Bob", "question")
		asked := between(w.news()[0], `id="`, `"`)
		w.say(own("$1", "from elsewhere"))
		w.expect(asAlice(`own-\$1`) + `<body>from elsewhere</body></message> & !delay`)

		// It comes to the gateway as the server sends it, and goes no further.
		calls := len(w.net().Calls())
		w.from("<message from='ALICE' to='bob%net@GW' type='chat' id='own-$1'><body>from elsewhere</body></message>")
		w.expect()
		if got := w.net().Calls()[calls:]; len(got) != 0 {
			t.Errorf("the network was asked %q", got)
		}
		// What a client sends under such an id is a message like any other.
		w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='own-$1'><body>mine</body></message>")
		w.called("say bob mine")

		// It can be corrected and taken back, there and here, and put something to.
		edit := own("$2", "from far away")
		edit.Replaces = "$1"
		w.say(edit)
		w.expect(asAlice(`own-\$2`) + `<body>from far away</body> & <replace xmlns="urn:xmpp:message-correct:0" id="own-\$1"`)
		w.say(&bridges.Reacted{Place: bridges.Place{User: "bob"}, ID: "$1", From: bridgetest.Person("alice"), Self: true, Keys: []string{"👍"}})
		w.expect(asAlice(`own-[^"]+`) + ` & <reactions xmlns="urn:xmpp:reactions:0" id="own-\$1"><reaction>👍`)
		w.say(&bridges.Retracted{Place: bridges.Place{User: "bob"}, ID: "$1", By: bridgetest.Person("alice"), Self: true})
		w.expect(asAlice(`own-[^"]+`) + ` & <retract xmlns="urn:xmpp:message-retract:1" id="own-\$1"`)
		answer := own("$3", "answer")
		answer.ReplyTo = &bridges.Reply{ID: "$unknown"}
		w.say(answer)
		w.expect(asAlice(`own-\$3`))
		w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='e1'><body>better</body><replace xmlns='urn:xmpp:message-correct:0' id='own-$3'/></message>")
		w.called("say bob better [replaces $3]")
		if asked == "" {
			t.Error("a line without an id")
		}
	})
}

func TestOwnFiles(t *testing.T) {
	owned(t, mayAll, func(w *world) {
		line := own("$1", "look")
		line.Files = []bridges.File{{Ref: "cat", Name: "cat.png", Type: "image/png"}}
		w.say(line)
		w.expect(asAlice(`own-\$1`)+` & a file: cat.png`, asAlice(`own-\$1\|2`)+`<body>look`)
	})
}

// On a network that does not name lines the user's are shown as well.
func TestOwnLineWithoutAName(t *testing.T) {
	recorded(t, func(w *world) {
		w.stream.grants(mayAll, true)
		w.join("phone", "alice")
		w.say(own("", "hello"))
		w.expect(asAlice(`own-[0-9a-z]{26}`) + `<body>hello</body>`)
	})
}

func TestOwnLineWithoutPrivileges(t *testing.T) {
	owned(t, component.Privileges{}, func(w *world) {
		w.say(own("$1", "unseen"))
		w.say(&bridges.Reacted{Place: bridges.Place{User: "bob"}, ID: "$1", From: bridgetest.Person("alice"), Self: true, Keys: []string{"👍"}})
		w.expect()
		if lines := w.pendingPrivate(); len(lines) != 0 {
			t.Errorf("wait to be delivered: %v", lines)
		}
		// It is known all the same: what is answered to it finds it.
		w.say(&bridges.Reacted{Place: bridges.Place{User: "bob"}, ID: "$1", From: bridgetest.Person("Bob"), Keys: []string{"🎉"}})
		w.expect(`<message & from="bob%net@gw.example" & <reactions xmlns="urn:xmpp:reactions:0" id="own-\$1">`)

		yes := true
		if err := w.m.setDefaults(w.t.Context(), w.user(), Defaults{NoteOwn: &yes}); err != nil {
			t.Fatal(err)
		}
		w.say(own("$2", "seen"))
		w.expect(`^<message type="chat" id="own-\$2" from="bob%net@gw.example" to="alice@home.example"><body>You, elsewhere: seen</body></message>`)
	})
}

func (w *world) pendingPrivate() (bodies []string) {
	w.t.Helper()
	lines, err := w.archive.Pending(w.t.Context(), domain, "alice@home.example", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range lines {
		bodies = append(bodies, l.Body)
	}
	return bodies
}

// Whether the server lets the user's lines be shown may not be known yet.
func TestOwnLineWaitsForWhatIsGranted(t *testing.T) {
	for _, granted := range []component.Privileges{mayAll, {}} {
		owned(t, component.Privileges{}, func(w *world) {
			w.stream.grants(component.Privileges{}, false)
			w.say(own("$1", "early"))
			w.expect()
			w.stream.grants(granted, true)
			time.Sleep(ownWait)
			if granted.Messages {
				w.expect(asAlice(`own-\$1`) + `<body>early</body><delay xmlns="urn:xmpp:delay" from="gw.example" stamp="2000-01-01T00:00:00`)
			}
			w.expect()
			time.Sleep(time.Minute)
			if lines := w.pendingPrivate(); len(lines) != 0 {
				t.Errorf("wait to be delivered: %v", lines)
			}
		})
	}
}

// What the user said while the stream was down, or the gateway, comes as the user's
// with its time, once.
func TestOwnLineIsNotLost(t *testing.T) {
	owned(t, mayAll, func(w *world) {
		w.cut()
		w.say(own("$1", "meanwhile"))
		w.mend()
		w.expect(asAlice(`own-\$1`) + `<body>meanwhile</body><delay xmlns="urn:xmpp:delay"`)
		w.stream.reads(time.Hour)
		w.from("<message from='ALICE' to='bob%net@GW' type='chat' id='own-$1'><body>meanwhile</body></message>") // so it was sent
		w.say(own("$2", "perhaps"))
		w.expect(asAlice(`own-\$2`) + `<body>perhaps`)
		w.restart()
		w.stream.reads(0)
		if err := w.m.Restore(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		again := slices.DeleteFunc(w.news(), func(s string) bool { return !strings.Contains(s, "privilege") })
		if len(again) != 1 || !strings.Contains(again[0], `id="own-$2"`) {
			t.Fatalf("after the restart: %s", strings.Join(again, "\n"))
		}
		// The network says it again.
		old := own("$2", "perhaps")
		old.Replay = true
		w.say(old)
		old = own("$3", "while it was down")
		old.Replay = true
		w.say(old)
		w.expect(asAlice(`own-\$3`) + `<body>while it was down</body><delay`)
	})
}

// Copies go to clients that are there: where none is for certain, own lines wait.
func TestOwnLineWaitsForAClient(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		w.stream.grants(mayAll, true)
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net"}}, Subscribed: []string{domain}}
		w.restored()
		w.say(own("$1", "nobody is there"))
		w.tell("bob", "nor for me")
		w.expect(`<body>nor for me`)
		time.Sleep(time.Hour)
		w.from("<presence from='ALICE/phone' to='GW'/>")
		if got := w.news(); !strings.Contains(got[0], "<body>nobody is there</body><delay") || !strings.Contains(got[0], "privilege") {
			t.Fatalf("first came %s", got[0])
		}
		w.say(own("$2", "now"))
		w.expect(asAlice(`own-\$2`) + `<body>now</body></message>`)
	})
}

// Where what is stored of own lines cannot be read, they are shown all the same.
func TestOwnLinesAreShownWithoutAStore(t *testing.T) {
	scenario(t, func(w *world) {
		w.driver.Caps = rich
		w.stream.grants(mayAll, true)
		w.join("phone", "alice")
		w.store.failing(errors.New("the disk is full"))
		w.say(own("$1", "hello"))
		w.expect(asAlice(`own-\$1`))
	})
}
