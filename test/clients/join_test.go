package clients

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"transportd/internal/testenv"
)

// guest is an ordinary client that joins the hall and asks its archive.
type guest struct {
	*testenv.XMPPClient
	t    *testing.T
	s    *site
	room string
}

func (s *site) guest(t *testing.T, resource string) *guest {
	t.Helper()
	c := value[*testenv.XMPPClient](t)(shared.clients.Connect(wait(t, patience), s.server, joiner, resource))
	t.Cleanup(func() { _ = c.Disconnect() })
	try(t, c.Send(`<presence/>`))
	return &guest{XMPPClient: c, t: t, s: s, room: s.room("hall")}
}

// enter joins with a history element and returns the history, which ends with the
// subject.
func (g *guest) enter(history string) []testenv.Stanza {
	g.t.Helper()
	g.Forget()
	before := g.Received()
	try(g.t, g.Send(`<presence to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'>`+history+`</x></presence>`, g.room, g.s.nick(joiner)))
	value[testenv.Stanza](g.t)(g.Expect(wait(g.t, patience), testenv.Message(testenv.FromBare(g.room), testenv.Has("jabber:client", "subject"))))
	var got []testenv.Stanza
	for _, m := range g.Received(testenv.Message(testenv.FromBare(g.room), testenv.Type("groupchat"), testenv.Delayed(), testenv.Has("jabber:client", "body"))) {
		if len(before) == 0 || m.Seq > before[len(before)-1].Seq {
			got = append(got, m)
		}
	}
	return got
}

func (g *guest) request(typ, payload string) testenv.Stanza {
	g.t.Helper()
	return value[testenv.Stanza](g.t)(g.Request(wait(g.t, patience), typ, g.room, payload))
}

// from is the number of the first line of history that was said at or after a time.
func (p past) from(at time.Time) int {
	n := lineCount + 1
	for n > 1 && !p.at(n-1).Before(at) {
		n--
	}
	return n
}

// A joining client gets as much of the past as it asks for, under the ids the archive
// has, so that none of it is there twice when it pages back from there.
func joinHistory(t *testing.T, s *site) {
	g := s.guest(t, "history")
	since := s.past.at(lineCount - 200)
	for _, c := range []struct {
		history     string
		first, last int // lines
	}{
		{"", lineCount - 49, lineCount},
		{"<history maxstanzas='0'/>", 1, 0},
		{"<history maxchars='0'/>", 1, 0},
		{"<history maxstanzas='3'/>", lineCount - 2, lineCount},
		{"<history maxstanzas='300'/>", lineCount - 299, lineCount},
		{"<history since='" + since.Format(time.RFC3339Nano) + "'/>", s.past.from(since), lineCount},
		{"<history since='" + since.Format(time.RFC3339Nano) + "' maxstanzas='20'/>", lineCount - 19, lineCount},
	} {
		got := g.enter(c.history)
		if len(got) != c.last-c.first+1 {
			t.Fatalf("%s brings %d lines, not %d", c.history, len(got), c.last-c.first+1)
		}
		for i, m := range got {
			n := c.first + i
			if body := m.Child("jabber:client", "body").Text; body != text(n) || m.Attr("from") != g.room+"/"+speaker(n) {
				t.Fatalf("%s: line %d is %s", c.history, n, m)
			}
			if id := m.First("stanza-id"); id.Attr("id") != s.past.key(n).String() || id.Attr("by") != g.room {
				t.Fatalf("%s: line %d has another id than in the archive: %s", c.history, n, m)
			}
		}
	}
	// By seconds and by characters: as many of the last lines as fit.
	seconds := int(time.Since(s.past.at(lineCount-10)).Seconds()) + 15
	if got := g.enter(fmt.Sprintf("<history seconds='%d'/>", seconds)); len(got) < 10 || len(got) > 12 {
		t.Errorf("%d seconds bring %d lines", seconds, len(got))
	}
	chars := 0
	got := g.enter("<history maxchars='2000'/>")
	for _, m := range got {
		chars += len(m.String())
	}
	if len(got) < 2 || chars > 4000 || got[len(got)-1].Child("jabber:client", "body").Text != text(lineCount) {
		t.Errorf("2000 characters bring %d lines of %d characters", len(got), chars)
	}
}

// What a client is told of a room's archive, and what becomes of a line that is said,
// corrected and taken back.
func ownLines(t *testing.T, s *site) {
	g := s.guest(t, "talk")
	g.enter("<history maxstanzas='0'/>")
	info := g.request("get", `<query xmlns='http://jabber.org/protocol/disco#info'/>`).String()
	for _, feature := range []string{"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"} {
		if !strings.Contains(info, `"`+feature+`"`) {
			t.Errorf("the room does not tell of %s: %s", feature, info)
		}
	}
	form := g.request("get", `<query xmlns='urn:xmpp:mam:2'/>`).String()
	for _, field := range []string{"with", "start", "end", "before-id", "after-id", "ids"} {
		if !strings.Contains(form, `"`+field+`"`) {
			t.Errorf("the form has no %s: %s", field, form)
		}
	}
	say := func(id, content string) string {
		t.Helper()
		try(t, g.Send(`<message to='%s' type='groupchat' id='%s'>`+content+`</message>`, g.room, id))
		m := value[testenv.Stanza](t)(g.Expect(wait(t, patience), testenv.Message(testenv.FromBare(g.room), testenv.ID(id))))
		return m.First("stanza-id").Attr("id")
	}
	said := say("said", "<body>helo</body>")
	say("better", "<body>hello</body><replace xmlns='urn:xmpp:message-correct:0' id='said'/>")
	secret := say("secret", "<body>my password</body>")
	say("back", "<body>/me takes that back</body><retract xmlns='urn:xmpp:message-retract:1' id='"+secret+"'/>")

	g.Forget()
	end := g.request("set", `<query xmlns='urn:xmpp:mam:2' queryid='own'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>`+
		`<field var='with'><value>`+joiner+"@"+testenv.Domain+`</value></field></x></query>`)
	if !strings.Contains(end.String(), `complete="true"`) {
		t.Errorf("the answer ends with %s", end)
	}
	var lines []string
	for _, m := range g.Received(testenv.Message(testenv.Has("urn:xmpp:mam:2", "result"))) {
		lines = append(lines, m.String())
	}
	if len(lines) != 4 {
		t.Fatalf("of four lines the archive has\n%s", strings.Join(lines, "\n"))
	}
	for i, want := range [][]string{{`id="` + said + `"`, "hello"}, {"urn:xmpp:message-correct:0"}, {`id="` + secret + `"`, "retracted"}, {"takes that back"}} {
		for _, part := range want {
			if !strings.Contains(lines[i], part) {
				t.Errorf("line %d has no %s: %s", i, part, lines[i])
			}
		}
	}
	if strings.Contains(strings.Join(lines, ""), "my password") {
		t.Error("what was taken back is still there")
	}
	meta := g.request("get", `<metadata xmlns='urn:xmpp:mam:2'/>`)
	if start := meta.First("start"); start == nil || start.Attr("id") != s.past.key(1).String() {
		t.Errorf("the archive begins with %s", meta)
	}
}

// One after the other: both are the same user in the same room, and what one says the
// other would be shown.
func TestJoinHistoryAndOwnLines(t *testing.T) {
	on(t, "", func(t *testing.T, s *site) {
		t.Run("history", func(t *testing.T) { joinHistory(t, s) })
		t.Run("own lines", func(t *testing.T) { ownLines(t, s) })
	})
}
