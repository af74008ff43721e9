package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
)

// olderLines are n old lines of a room, a minute apart, the last an hour ago.
func olderLines(n int) []*bridges.Message {
	var out []*bridges.Message
	for i := range n {
		m := roomLine(fmt.Sprint("$", i), fmt.Sprint("line ", i))
		m.At = time.Now().Add(-time.Hour - time.Duration(n-1-i)*time.Minute)
		out = append(out, m)
	}
	return out
}

// page asks for a page of the room's archive and returns its bodies and its end.
func (w *world) page(query string) (bodies []string, fin string) {
	w.t.Helper()
	w.news()
	w.from("<iq from='ALICE/phone' to='#room%net@GW' type='set' id='q'><query xmlns='urn:xmpp:mam:2'>" + query + "</query></iq>")
	for _, s := range w.news() {
		if _, rest, ok := strings.Cut(s, "<body>"); ok {
			body, _, _ := strings.Cut(rest, "<")
			bodies = append(bodies, body)
		}
		if strings.Contains(s, "<fin") || strings.Contains(s, "<error") {
			fin = s
		}
	}
	return bodies, fin
}

func paging(s string) string { return "<set xmlns='http://jabber.org/protocol/rsm'>" + s + "</set>" }

// TestOlderOnDemand: who pages back behind the beginning of the archive gets what the
// network has from before, in place, once, and then from the archive.
func TestOlderOnDemand(t *testing.T) {
	richly(t, func(w *world) {
		w.driver.Older = map[bridges.RoomID][]*bridges.Message{"#room": olderLines(250)}
		w.say(roomLine("$new", "new"))
		var all []string
		before := ""
		for range 20 {
			bodies, fin := w.page(paging("<max>30</max><before>" + before + "</before>"))
			all = append(bodies, all...)
			if strings.Contains(fin, `complete="true"`) {
				break
			}
			_, rest, ok := strings.Cut(fin, "<first")
			if !ok {
				t.Fatalf("no first: %s", fin)
			}
			_, rest, _ = strings.Cut(rest, ">")
			before, _, _ = strings.Cut(rest, "<")
		}
		if len(all) != 251 || all[0] != "line 0" || all[249] != "line 249" || all[250] != "new" {
			t.Fatalf("%d lines, from %q to %q", len(all), all[0], all[len(all)-1])
		}
		asked := len(w.net().Calls())
		if bodies, _ := w.page(paging("<max>5</max><before/>")); len(bodies) != 5 {
			t.Errorf("%q", bodies)
		}
		if n := len(w.net().Calls()); n != asked {
			t.Error("the network is asked for what is in the archive")
		}
	})
}

// TestOlderByDate: a date before the beginning of the archive is a reason to ask.
func TestOlderByDate(t *testing.T) {
	richly(t, func(w *world) {
		w.driver.Older = map[bridges.RoomID][]*bridges.Message{"#room": olderLines(50)}
		start := time.Now().Add(-time.Hour - 10*time.Minute - 30*time.Second).UTC().Format(time.RFC3339)
		form := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field><field var='start'><value>" + start + "</value></field></x>"
		bodies, fin := w.page(form)
		if len(bodies) != 11 || bodies[0] != "line 39" || !strings.Contains(fin, `complete="true"`) {
			t.Errorf("%q, %s", bodies, fin)
		}
	})
}

// TestOlderFails: where the network gives nothing, what is there is the answer, and
// the next question tries again.
func TestOlderFails(t *testing.T) {
	richly(t, func(w *world) {
		w.driver.Older = map[bridges.RoomID][]*bridges.Message{"#room": olderLines(3)}
		w.driver.FailHistory = bridges.NewError(bridges.Timeout, "no")
		w.say(roomLine("$new", "new"))
		if bodies, fin := w.page(paging("<max>10</max><before/>")); len(bodies) != 1 || !strings.Contains(fin, "<fin") {
			t.Errorf("%q, %s", bodies, fin)
		}
		w.driver.FailHistory = nil
		if bodies, fin := w.page(paging("<max>10</max><before/>")); len(bodies) != 4 || !strings.Contains(fin, `complete="true"`) {
			t.Errorf("%q, %s", bodies, fin)
		}
	})
}
