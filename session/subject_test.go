package session

import (
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

func (w *world) subject(by, text string, id bridges.MessageID, at time.Time, replay bool) {
	w.t.Helper()
	p := bridgetest.Person(by)
	w.net().Room("#room").Subject = &bridges.Subject{Text: text, By: by, At: at, Identity: p.Identity, ID: id}
	w.say(&bridges.SubjectChanged{Room: "#room", Subject: *w.net().Room("#room").Subject, Replay: replay})
}

// pageWithSubjects is what #room's archive says, a subject as "=subject".
func (w *world) pageWithSubjects(query string) (said []string, p page) {
	w.t.Helper()
	p = w.ask(query)
	for i, l := range p.lines {
		if strings.Contains(l, "<subject>") {
			said = append(said, "="+between(l, "<subject>", "<"))
			continue
		}
		said = append(said, p.bodies[i])
	}
	return said, p
}

func (w *world) wantArchived(query string, want ...string) page {
	w.t.Helper()
	said, p := w.pageWithSubjects(query)
	if !slices.Equal(said, want) {
		w.t.Errorf("%s: the archive says %q, not %q", query, said, want)
	}
	return p
}

// A subject is a message of the room: in the archive in its place and under the ids
// it was shown with; not in the history of who joins, but behind it.
func TestSubjectsAreArchived(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "one")
		w.news()
		w.subject("bob", "roses & lilies", "", time.Now(), false)
		shown := w.news()
		if len(shown) != 1 || !strings.Contains(shown[0], `<subject>roses &amp; lilies</subject>`) || strings.Contains(shown[0], "<delay") {
			t.Fatalf("%q", shown)
		}
		w.line("carol", "two")
		w.from("<message from='ALICE/phone' to='#room%net@GW' type='groupchat' id='mine'><subject>tulips</subject></message>")
		own := w.news()
		own = own[len(own)-1:]
		if !strings.Contains(own[0], `id="mine"`) || !strings.Contains(own[0], "<subject>tulips<") {
			t.Fatalf("%q", own)
		}
		w.line("bob", "three")
		w.news()

		p := w.wantArchived("", "one", "=roses &amp; lilies", "two", "=tulips", "three")
		if sid := sidPattern.FindStringSubmatch(shown[0]); sid == nil || sid[1] != p.ids[1] {
			t.Errorf("shown as %s, archived as %s", shown[0], p.ids[1])
		}
		if sid := sidPattern.FindStringSubmatch(own[0]); sid == nil || sid[1] != p.ids[3] || !strings.Contains(p.lines[3], `id="mine"`) {
			t.Errorf("shown as %s, archived as %s", own[0], p.lines[3])
		}
		if !strings.Contains(p.lines[1], `from="#room%net@`+domain+`/bob"`) || strings.Contains(p.lines[1], "<body") {
			t.Errorf("%s", p.lines[1])
		}
		w.wantArchived(form("with", "#room%net@"+domain+"/bob"), "one", "=roses &amp; lilies", "three")
		w.wantArchived(form("with", "alice@home.example"), "=tulips")

		for range 30 {
			w.subject("bob", "again", "", time.Time{}, false)
		}
		w.line("bob", "four")
		w.news()
		w.joinAsking("tablet", "<history maxstanzas='4'/>")
		var got []string
		for _, s := range w.news() {
			if strings.Contains(s, "<body>") {
				got = append(got, bodyPattern.FindStringSubmatch(s)[1])
			} else if strings.Contains(s, "<subject>") {
				got = append(got, "="+between(s, "<subject>", "<"))
			}
		}
		if want := []string{"one", "two", "three", "four", "=again"}; !slices.Equal(got, want) {
			t.Errorf("who joins is told %q, not %q", got, want)
		}
	})
}

// What the network plays back of subjects is put where it belongs, once, and not shown
// as the subject of now.
func TestSubjectsArePlayedBack(t *testing.T) {
	recorded(t, func(w *world) {
		w.join("phone", "Alice")
		w.line("bob", "one")
		at := time.Now()
		w.subject("bob", "first", "$1", at, false)
		time.Sleep(time.Hour)
		w.line("bob", "two")
		w.news()
		w.subject("bob", "first", "$1", at, true) // as after a kill
		w.subject("bob", "missed", "$2", at.Add(time.Minute), true)
		for _, m := range []struct {
			text string
			id   bridges.MessageID
			at   time.Time
		}{{"missed", "$2", at.Add(time.Minute)}, {"long ago", "$0", at.Add(2 * time.Second)}, {"unnamed", "", at.Add(3 * time.Second)}} {
			w.say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Kind: bridges.NewSubject, Body: m.text, ID: m.id, At: m.at, Replay: true})
		}
		time.Sleep(time.Minute)
		for _, s := range w.news() {
			if strings.Contains(s, "long ago") || strings.Contains(s, "unnamed") {
				t.Errorf("shown: %s", s)
			}
		}
		w.wantArchived("", "one", "=first", "=long ago", "=unnamed", "=missed", "two")
	})
}

// A subject that was set while nobody of the gateway was there: the network says only
// by whom and when, and that goes where it belongs.
func TestSubjectSetMeanwhile(t *testing.T) {
	recorded(t, func(w *world) {
		w.topicBefore("ancient", time.Now().Add(-24*time.Hour))
		w.join("phone", "Alice")
		w.line("bob", "one")
		time.Sleep(time.Second)
		w.subject("bob", "heard", "", time.Now(), false)
		w.news()
		heard := time.Now()
		time.Sleep(time.Hour)
		meanwhile := time.Now()
		for _, c := range []struct {
			text string
			at   time.Time
			want []string
		}{
			{"heard", heard, []string{"one", "=heard"}},
			{"set meanwhile", meanwhile, []string{"one", "=heard", "=set meanwhile"}},
			{"set meanwhile", meanwhile, []string{"one", "=heard", "=set meanwhile"}},
		} {
			time.Sleep(time.Hour)
			w.restart()
			w.topicBefore(c.text, c.at.Truncate(time.Second)) // as exact as IRC is
			w.join("phone", "Alice")
			time.Sleep(time.Minute)
			w.news()
			w.wantArchived("", c.want...)
		}
	})
}

// topicBefore sets the subject that #room is entered with, before it is.
func (w *world) topicBefore(text string, at time.Time) {
	w.t.Helper()
	w.from("<presence from='ALICE/phone' to='#other%net@GW/Alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
	w.net().Room("#room").Subject = &bridges.Subject{Text: text, By: "bob", At: at}
}

func TestIsSubject(t *testing.T) {
	for text, want := range map[string]bool{"": true, "a": true, "<b/> & c": true} {
		l := archive.Line{Extra: subjectXML(text)}
		if isSubject(&l) != want {
			t.Errorf("%s", l.Extra)
		}
	}
	for _, extra := range []string{"", "<subjects/>", "<subject>a</subject><thread>t</thread>", "<subject><a/></subject>", "<retracted/>"} {
		if isSubject(&archive.Line{Extra: []byte(extra)}) {
			t.Errorf("%q is taken for a subject", extra)
		}
	}
	if isSubject(&archive.Line{Body: "b", Extra: subjectXML("a")}) {
		t.Error("a line that has a subject is a line")
	}
}
