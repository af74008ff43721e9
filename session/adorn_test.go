package session

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// rich is what a network can do that has a form for everything.
var rich = bridges.Caps{HTML: true, Edit: true, Reply: true, Thread: true, Mention: true, React: true, Retract: true}

// richly is recorded on a network that has a form for everything, with alice in
// #room.
func richly(t *testing.T, f func(w *world)) {
	t.Helper()
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		w.join("phone", "alice")
		f(w)
	})
}

func (w *world) room(children string) {
	w.t.Helper()
	w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='c" + w.nextID() + "'>" + children + "</message>")
}

func (w *world) nextID() string {
	w.ids++
	return strconv.Itoa(w.ids)
}

func roomLine(id, text string) *bridges.Message {
	return &bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: text, ID: bridges.MessageID(id)}
}

// sid is the stanza-id of the last line shown.
func sid(t *testing.T, xml string) string {
	t.Helper()
	_, rest, ok := strings.Cut(xml, "<stanza-id")
	if !ok {
		t.Fatalf("no stanza-id: %s", xml)
	}
	_, rest, _ = strings.Cut(rest, ` id="`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

func TestUtterRichly(t *testing.T) {
	richly(t, func(w *world) {
		w.say(roomLine("$bob", "hello *there*"))
		shown := sid(t, w.news()[0])
		for _, c := range []struct{ name, children, call, reflected string }{
			{"text", "<body>one</body>", "say #room one", "<body>one</body>"},
			{"styled", "<body>a *bold* word</body>", "say #room a *bold* word [html a <strong>bold</strong> word]", "bold"},
			{"unstyled", "<body>a *bold* word</body><unstyled xmlns='urn:xmpp:styling:0'/>", "say #room a *bold* word", "unstyled"},
			{"xhtml", "<body>big</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><span style='font-weight: bold'>b<i>i</i>g</span><script>x</script></body></html>",
				"say #room big [html <strong>b<i>i</i>g</strong>]", "xhtml-im"},
			{"edit of the first", "<body>uno</body><replace xmlns='urn:xmpp:message-correct:0' id='c1'/>", "say #room uno [replaces $1]", "replace"},
			{"reply", "<body>&gt; hello\nhi</body><reply xmlns='urn:xmpp:reply:0' id='" + shown + "'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='8'/></fallback>",
				"say #room hi [reply $bob]", "reply"},
			{"mention", "<body>bob: hi</body>", "say #room bob: hi [names bob]", "bob: hi"},
			{"mention by reference", "<body>hi bob</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:#room%net@GW/bob'/>", "say #room hi bob [names bob]", "hi bob"},
			{"mention by an escaped address", "<body>hi bob</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:%23room%25net@GW/bob'/>", "say #room hi bob [names bob]", "hi bob"},
			{"mention of nobody", "<body>hi eve</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:%23room%25net@GW/eve'/>", "say #room hi eve", "hi eve"},
			{"thread", "<body>in it</body><thread>" + shown + "</thread>", "say #room in it [thread $bob]", "thread"},
			{"link", "<body>https://a.example/x.png</body><x xmlns='jabber:x:oob'><url>https://a.example/x.png</url></x>", "say #room https://a.example/x.png [link https://a.example/x.png]", "oob"},
			{"reaction", "<reactions xmlns='urn:xmpp:reactions:0' id='" + shown + "'><reaction>👍</reaction><reaction>x</reaction></reactions>", "react #room $bob 👍 x", "reactions"},
			{"no reaction any more", "<reactions xmlns='urn:xmpp:reactions:0' id='" + shown + "'/>", "react #room $bob", "reactions"},
			{"retraction", "<body>/me takes it back</body><retract xmlns='urn:xmpp:message-retract:1' id='c2'/>", "retract #room $2", "retract"},
		} {
			bob := w.net()
			bob.SetMembers("#room", bridgetest.Person("bob"))
			w.room(c.children)
			calls := bob.Calls()
			if got := strings.TrimSpace(calls[len(calls)-1]); got != c.call {
				t.Errorf("%s: the network was asked %q, not %q", c.name, got, c.call)
			}
			if got := strings.Join(w.news(), "\n"); !strings.Contains(got, c.reflected) || strings.Contains(got, `type="error"`) {
				t.Errorf("%s: the client got %s", c.name, got)
			}
		}
	})
}

// TestMentioned: whom a line names is marked where the name stands, behind what is
// quoted; somebody who is not in the room is not.
func TestMentioned(t *testing.T) {
	richly(t, func(w *world) {
		w.net().SetMembers("#room", bridgetest.Person("bob"))
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), ID: "$q", Body: "ä alice: look, alice",
			Mentions: []bridges.UserID{"alice", "eve"}})
		w.expect(`<reference xmlns="urn:xmpp:reference:0" type="mention" begin="2" end="7" uri="xmpp:%23room%25net@gw.example/alice"/>`)
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), ID: "$r", Body: "bob too", Mentions: []bridges.UserID{"bob"},
			ReplyTo: &bridges.Reply{ID: "$q"}})
		w.expect(`&gt; bob: ä alice: look, alice\nbob too & begin="28" end="31" uri="xmpp:%23room%25net@gw.example/bob"`)
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), ID: "$s", Body: "you there", Mentions: []bridges.UserID{"alice"}})
		w.expect(`<reference xmlns="urn:xmpp:reference:0" type="mention" uri="xmpp:`)
	})
}

// TestUtterAboutTheUnknown: what is about a line nobody knows is refused, or where
// it says something by itself, said in words.
func TestUtterAboutTheUnknown(t *testing.T) {
	richly(t, func(w *world) {
		w.room("<reactions xmlns='urn:xmpp:reactions:0' id='gone'><reaction>x</reaction></reactions>")
		w.expect(`type="error" & item-not-found`)
		w.room("<retract xmlns='urn:xmpp:message-retract:1' id='gone'/>")
		w.expect(`type="error" & item-not-found`)
		w.room("<body>new</body><replace xmlns='urn:xmpp:message-correct:0' id='gone'/>")
		w.called("say #room (correction) new")
		w.news()
		w.room("<body>yes</body><reply xmlns='urn:xmpp:reply:0' id='gone' to='#room%net@GW/bob'/>")
		w.called("say #room bob: yes")
	})
}

// TestUtterInOrder: a line that must be looked up is not overtaken.
func TestUtterInOrder(t *testing.T) {
	richly(t, func(w *world) {
		w.room("<body>one</body>")
		for range 600 { // so that only the archive knows it
			w.say(roomLine("", "filler"))
		}
		w.news()
		w.lines.Slow(2 * time.Second)
		w.deliver("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='e'><body>uno</body><replace xmlns='urn:xmpp:message-correct:0' id='c1'/></message>")
		w.deliver("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='n'><body>next</body></message>")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		calls := w.net().Calls()
		if n := len(calls); !strings.HasPrefix(calls[n-2], "say #room uno [replaces $1]") || !strings.HasPrefix(calls[n-1], "say #room next") {
			t.Errorf("said: %q", calls[n-2:])
		}
	})
}

func TestHearRichly(t *testing.T) {
	richly(t, func(w *world) {
		w.say(roomLine("$1st", "first"))
		first := sid(t, w.news()[0])
		at := bridges.Place{Room: "#room"}
		bob := bridgetest.Person("bob")

		edit := roomLine("$edit", "1st")
		edit.Replaces = "$1st"
		w.say(edit)
		w.expect(`<body>1st</body> & <replace [^>]*id="\$1st"`)

		reply := roomLine("$reply", "yes")
		reply.ReplyTo = &bridges.Reply{ID: "$1st"}
		w.say(reply)
		w.expect(`<body>&gt; bob: 1st\nyes</body> & <reply [^>]*to="#room%net@gw.example/bob" id="` + first + `" & for="urn:xmpp:reply:0"><body start="0" end="11"/>`)

		stranger := roomLine("$reply2", "no")
		stranger.ReplyTo = &bridges.Reply{ID: "$unknown", From: bridgetest.Person("carl"), Text: "what?"}
		w.say(stranger)
		w.expect(`<body>&gt; carl: what\?\nno</body> & !<reply & for="urn:xmpp:reply:0"`)

		looks := roomLine("$looks", "*x* & y")
		looks.HTML, looks.Thread = "<b>x</b> &amp; y<br>", "$1st"
		w.say(looks)
		w.expect(`<strong>x</strong> &amp; y<br/></body> & <thread>\$1st</thread>`)

		broken := roomLine("$broken", "text")
		broken.HTML = "<b>x"
		w.say(broken)
		w.expect(`<body>text</body> & !<b>`)

		w.say(&bridges.Reacted{Place: at, ID: "$1st", From: bob, Keys: []string{"👍", "🎉"}})
		w.expect(`from="#room%net@gw.example/bob" & <reactions [^>]*id="` + first + `"><reaction>👍</reaction><reaction>🎉</reaction> & !<body`)
		w.say(&bridges.Reacted{Place: at, ID: "$never", From: bob, Keys: []string{"👍"}})
		w.expect()

		w.say(&bridges.Retracted{Place: at, ID: "$1st", By: bob})
		w.expect(`from="#room%net@gw.example/bob" & <retract [^>]*id="` + first + `"`)
		w.say(&bridges.Retracted{Place: at, ID: "$reply", By: bridgetest.Person("mod"), Others: true, Reason: "spam"})
		w.expect(`from="#room%net@gw.example" & <moderated [^>]*by="#room%net@gw.example/mod" & <reason>spam</reason>`)

		lines := w.archived()
		if lines[0].Body != "" || lines[0].Retracted == 0 || !strings.Contains(string(lines[0].Extra), "<retracted") {
			t.Errorf("the line that was taken back is archived as %+v", lines[0])
		}
		if lines[2].Body != "" || !strings.Contains(string(lines[2].Extra), "moderated") {
			t.Errorf("the line that was moderated is archived as %+v", lines[2])
		}
	})
}

// archived are alice's lines of #room in the archive.
func (w *world) archived() []archive.Line {
	w.t.Helper()
	lines, _, err := w.archive.Lines(w.t.Context(), &archive.Query{Gateway: domain, User: "alice@home.example", JID: "#room%net@" + domain, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func TestModerate(t *testing.T) {
	richly(t, func(w *world) {
		w.say(roomLine("$bad", "spam"))
		id := sid(t, w.news()[0])
		w.from("<iq from='ALICE/phone' to='#room%net@GW' type='set' id='m'><moderate xmlns='urn:xmpp:message-moderate:1' id='" + id + "'><retract xmlns='urn:xmpp:message-retract:1'/><reason>no</reason></moderate></iq>")
		w.called("retract #room $bad no")
		w.expect(`<iq & type="result"`, `from="#room%net@gw.example" & <moderated [^>]*by="#room%net@gw.example/alice" & <reason>no</reason>`)
		w.say(roomLine("$secret", "x"))
		id = sid(t, w.news()[0])
		w.from("<iq from='ALICE/phone' to='#room%net@GW' type='set' id='m'><moderate xmlns='urn:xmpp:message-moderate:1' id='" + id + "'><retract xmlns='urn:xmpp:message-retract:1'/></moderate></iq>")
		w.expect(`<iq & type="error" & forbidden & Not yours`)
		w.from("<iq from='ALICE/phone' to='#room%net@GW' type='set' id='m'><moderate xmlns='urn:xmpp:message-moderate:1' id='gone'><retract xmlns='urn:xmpp:message-retract:1'/></moderate></iq>")
		w.expect(`<iq & type="error" & item-not-found`)
	})
}

func TestPrivateRichly(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		bob, with := bridgetest.Person("bob"), bridges.Place{User: "bob"}
		send := func(id, children string) {
			w.from("<message from='ALICE/phone' to='bob%net@GW' type='chat' id='" + id + "'>" + children + "</message>")
		}
		send("p1", "<body>hello</body>")
		w.called("say bob hello")
		send("p2", "<body>hallo</body><replace xmlns='urn:xmpp:message-correct:0' id='p1'/>")
		w.called("say bob hallo [replaces $1]")
		w.say(&bridges.Message{Place: with, From: bob, Body: "hi", ID: "$hi"})
		w.expect(`<message & id="\$hi" & <body>hi</body>`)
		send("p3", "<reactions xmlns='urn:xmpp:reactions:0' id='$hi'><reaction>👍</reaction></reactions>")
		w.called("react bob $hi 👍")
		w.say(&bridges.Reacted{Place: with, ID: "$1", From: bob, Keys: []string{"👎"}})
		w.expect(`from="bob%net@gw.example" & <reactions [^>]*id="p1"><reaction>👎`)
		w.say(&bridges.Message{Place: with, From: bob, Body: "hey", ID: "$hey", Replaces: "$hi", ReplyTo: &bridges.Reply{ID: "$1", From: bridges.Member{ID: "alice"}, Text: "hello"}})
		w.expect(`<body>&gt; hello\nhey</body> & <replace [^>]*id="\$hi" & <reply [^>]*to="alice@home.example" id="p1"`)
		w.say(&bridges.Retracted{Place: with, ID: "$hi", By: bob})
		w.expect(`from="bob%net@gw.example" & <retract [^>]*id="\$hi"`)
		w.say(&bridges.Message{Place: with, From: bob, Body: "hi", ID: "$hi", Replay: true})
		w.expect() // it is known
		w.say(&bridges.Message{Place: with, From: bob, Body: "late", ID: "$late", Replay: true, At: time.Now().Add(-time.Hour)})
		w.expect(`<body>late</body> & <delay`)
		// Names outlive the process.
		w.restart()
		w.driver.Caps = rich
		send("p4", "<retract xmlns='urn:xmpp:message-retract:1' id='p2'/>")
		w.called("retract bob $2")
	})
}

// TestHistoryOfRooms: what the network kept is in the join history, once, in place.
func TestHistoryOfRooms(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		hour := time.Now().Add(-time.Hour)
		old := func(id, text string, after time.Duration) *bridges.Message {
			m := roomLine(id, text)
			m.At, m.Replay = hour.Add(after), true
			return m
		}
		w.driver.History = map[string][]*bridges.Message{"#room": {old("$a", "a", 0), old("$b", "b", time.Minute)}}
		w.from("<presence from='ALICE/phone' to='#room%net@GW/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		w.expect(`code="110"`, `<body>a</body> & <delay`, `<body>b</body> & <delay`, `<subject`)
		w.from("<presence type='unavailable' from='ALICE/phone' to='#room%net@GW/alice'/>")
		w.news()
		w.driver.History = map[string][]*bridges.Message{"#room": {old("$b", "b", time.Minute), old("$c", "c", 2*time.Minute)}}
		w.from("<presence from='ALICE/phone' to='#room%net@GW/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
		w.expect(`code="110"`, `<body>a</body>`, `<body>b</body>`, `<body>c</body>`, `<subject`)
	})
}

// TestCommitWaits: what a driver keeps is stored behind the lines before it, also
// where those are still compared with the archive.
func TestCommitWaits(t *testing.T) {
	recorded(t, func(w *world) {
		w.driver.Caps = rich
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: map[string]string{}}}}
		w.join("phone", "alice")
		w.lines.Slow(5 * time.Second)
		line := roomLine("$a", "a")
		line.At, line.Replay = time.Now().Add(-time.Hour), true
		w.say(line)
		w.net().Commit(map[string][]byte{"sync": []byte("s1")})
		synctest.Wait()
		w.lines.Slow(0)
		if got, _ := w.lines.AccountState(w.t.Context(), domain, "alice@home.example", "net", ""); len(got) > 0 {
			t.Fatalf("%q is stored before the line is", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got, err := w.net().Account.State.Load(w.t.Context(), "s")
		if err != nil || string(got["sync"]) != "s1" || len(w.archived()) != 1 {
			t.Errorf("stored: %q, %v, lines %v", got, err, w.archived())
		}
	})
}

func TestStyled(t *testing.T) {
	for body, want := range map[string]string{
		"plain": "", "a * b * c": "", "*": "", "**": "", "2*3*4": "", "snake_case_name": "",
		"*bold*":              "<strong>bold</strong>",
		"_a *b* c_ d":         "<em>a <strong>b</strong> c</em> d",
		"`*x*` <&>":           "<code>*x*</code> &lt;&amp;&gt;",
		"~gone~ *open":        "<del>gone</del> *open",
		"> quote\n> > in\nx":  "<blockquote>quote<blockquote>in</blockquote></blockquote>x",
		"```go\na < b\n```\n": "<pre><code>a &lt; b\n</code></pre>",
		"```\nopen *x*":       "<pre><code>open *x*\n</code></pre>",
		"*ü* *日本*":            "<strong>ü</strong> <strong>日本</strong>",
	} {
		if got := styled(body); got != want {
			t.Errorf("styled(%q) = %q, not %q", body, got, want)
		}
	}
}
