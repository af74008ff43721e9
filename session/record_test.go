package session

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/bridges/bridgetest"
	"transportd/component"
)

var (
	bodyPattern = regexp.MustCompile(`<body>([^<]*)</body>`)
	sidPattern  = regexp.MustCompile(`<stanza-id xmlns="urn:xmpp:sid:0" id="([^"]*)"`)
)

// said are the bodies of groupchat messages to a client since the last look, and
// their stanza-ids.
func (w *world) said(resource string) (bodies, ids []string) {
	w.t.Helper()
	for _, s := range w.news() {
		if !strings.Contains(s, `type="groupchat"`) || !strings.Contains(s, `to="alice@home.example/`+resource+`"`) || !strings.Contains(s, "<body>") {
			continue
		}
		bodies = append(bodies, bodyPattern.FindStringSubmatch(s)[1])
		if m := sidPattern.FindStringSubmatch(s); m != nil {
			ids = append(ids, m[1])
		}
	}
	return bodies, ids
}

func (w *world) wantSaid(resource string, want ...string) []string {
	w.t.Helper()
	bodies, ids := w.said(resource)
	if strings.Join(bodies, "|") != strings.Join(want, "|") {
		w.t.Fatalf("%s is told\n%q, not\n%q", resource, bodies, want)
	}
	return ids
}

// joinAsking enters #room with a history element.
func (w *world) joinAsking(resource, history string) {
	w.t.Helper()
	w.from(fmt.Sprintf("<presence from='ALICE/%s' to='#room%%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'>%s</x></presence>", resource, history))
}

func TestHistoryIsThereAfterARestart(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		start := time.Now()
		for i := range 5 {
			w.line("bob", fmt.Sprint("line ", i))
			time.Sleep(time.Minute)
		}
		live := w.wantSaid("phone", "line 0", "line 1", "line 2", "line 3", "line 4")
		w.restart()

		w.joinAsking("phone", "")
		again := w.wantSaid("phone", "line 0", "line 1", "line 2", "line 3", "line 4")
		if strings.Join(live, " ") != strings.Join(again, " ") {
			t.Errorf("the ids were %v and are %v", live, again)
		}
		for _, c := range []struct{ history, want string }{
			{"<history maxstanzas='2'/>", "line 3|line 4"},
			{"<history maxstanzas='0'/>", ""},
			{"<history maxchars='0'/>", ""},
			{fmt.Sprintf("<history since='%s'/>", component.FormatTime(start.Add(2*time.Minute))), "line 2|line 3|line 4"},
			{"<history seconds='130'/>", "line 3|line 4"},
			{"<history maxchars='700'/>", "line 3|line 4"},
		} {
			w.joinAsking("tablet", c.history)
			if bodies, _ := w.said("tablet"); strings.Join(bodies, "|") != c.want {
				t.Errorf("%s: %q, not %q", c.history, bodies, c.want)
			}
		}
	})
}

// What is said while a joining client's history is read is neither missing nor
// there twice.
func TestLinesWhileHistoryIsRead(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "before")
		w.lines.Slow(time.Second)
		w.deliver("<presence from='ALICE/laptop' to='#room%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='500'/></x></presence>")
		time.Sleep(100 * time.Millisecond)
		for i := range 100 {
			w.line("bob", fmt.Sprint("while ", i))
		}
		time.Sleep(5 * time.Second)
		w.line("bob", "after")
		want := []string{"before"}
		for i := range 100 {
			want = append(want, fmt.Sprint("while ", i))
		}
		w.wantSaid("laptop", append(want, "after")...)
	})
}

func TestPlaybackIsComparedWithTheArchive(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		old := time.Now()
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "known", At: old})
		time.Sleep(time.Hour)
		w.line("bob", "later")
		w.news()
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "known", At: old, Replay: true})
		w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "missed", At: old.Add(time.Minute), Replay: true})
		w.expect(`<body>missed</body> & urn:xmpp:delay`)
		w.joinAsking("laptop", "")
		w.wantSaid("laptop", "known", "missed", "later") // in its place
	})
}

// More was said while the stream was down than is kept in memory: the archive has
// the rest, and all of it comes in order.
func TestLongSilenceOfTheStream(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "shown")
		time.Sleep(time.Minute)
		w.wantSaid("phone", "shown")
		w.cut()
		var want []string
		for i := range 3 * keptLines {
			w.line("bob", fmt.Sprint("kept ", i))
			want = append(want, fmt.Sprint("kept ", i))
		}
		w.mend()
		w.answer(nil)
		w.wantSaid("phone", want...)
		if n := w.m.Stats().Cut; n != 0 {
			t.Errorf("%d lines are counted as given up", n)
		}
	})
}

func TestOwnLinesInTheArchive(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='one'><body>helo</body><origin-id xmlns='urn:xmpp:sid:0' id='one'/></message>")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='two'><body>hello</body><replace xmlns='urn:xmpp:message-correct:0' id='one'/></message>")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='three'><body>secret</body></message>")
		_, ids := w.said("phone")
		w.restart()
		w.join("phone", "Alice")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='four'><retract xmlns='urn:xmpp:message-retract:1' id='" + ids[2] + "'/></message>")
		w.news()
		w.joinAsking("laptop", "")
		var got []string
		for _, s := range w.news() {
			if strings.Contains(s, "groupchat") && strings.Contains(s, "urn:xmpp:delay") {
				got = append(got, s)
			}
		}
		if len(got) != 3 {
			t.Fatalf("history is\n%s", strings.Join(got, "\n"))
		}
		for i, want := range []string{`id="one".*<body>hello</body>`, `id="two".*<body>hello</body><replace xmlns="urn:xmpp:message-correct:0" id="one"/>`, `id="four".*<retract `} {
			if !regexp.MustCompile(want).MatchString(got[i]) {
				t.Errorf("line %d is %s, not %s", i, got[i], want)
			}
		}
		if strings.Contains(strings.Join(got, ""), "secret") {
			t.Error("what was taken back is still there")
		}
	})
}

// A database that does not answer costs the history, not the conversation.
func TestArchiveOutOfOrder(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.lines.Fail(errors.New("disk gone"))
		w.line("bob", "one")
		w.wantSaid("phone", "one")
		w.joinAsking("laptop", "")
		time.Sleep(5 * time.Second)
		w.wantSaid("laptop", "one") // from memory
		w.line("bob", "two")
		w.wantSaid("laptop", "two")
		w.lines.Fail(nil)
		time.Sleep(5 * time.Second)
		w.restart()
		w.joinAsking("phone", "")
		w.wantSaid("phone", "one", "two")
	})
}

// The user is told when lines are no longer recorded, once, and when they are again.
func TestArchiveFullIsTold(t *testing.T) {
	recorded(t, func(w *world) {
		if err := w.archive.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if w.archive, err = archive.Open(archive.Options{Backend: w.lines, Journal: filepath.Join(t.TempDir(), "x.journal"), JournalSize: 1 << 15}); err != nil {
			t.Fatal(err)
		}
		w.stop()
		w.manager()
		w.join("phone", "Alice")
		w.lines.Fail(errors.New("disk gone"))
		w.line("bob", "a line")
		time.Sleep(time.Second) // the archive knows: nobody waits for the database any more
		for range 599 {
			w.line("bob", "a line")
		}
		time.Sleep(time.Second) // they have waited for the database, once
		all := strings.Join(w.news(), "\n")
		if n := strings.Count(all, "is not recorded"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if n := strings.Count(all, "<body>a line</body>"); n != 600 {
			t.Errorf("%d of 600 lines were shown", n)
		}
		w.lines.Fail(nil)
		time.Sleep(10 * time.Second)
		w.line("bob", "again")
		w.expect("recorded again", "<body>again</body>")
		if w.m.Stats().Unrecorded == 0 {
			t.Error("nothing is counted")
		}
	})
}
