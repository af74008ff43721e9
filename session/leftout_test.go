package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
)

// gapped is a room of which the user has heard the first lines and the last one of the
// network's, with so many left out between them: while it was connected, or before.
func gapped(t *testing.T, live bool, missing int, f func(w *world, all []*bridges.Message)) {
	t.Helper()
	richly(t, func(w *world) {
		all := olderLines(20 + 10 + missing + 1)
		early := all[:20] // before the user was there
		for i, m := range early {
			m.At = m.At.Add(-time.Hour)
			m.Body = fmt.Sprint("early ", i)
		}
		w.driver.Older = map[bridges.RoomID][]*bridges.Message{"#room": all}
		all = all[20:]
		now := time.Now()
		for i, m := range all {
			if live {
				m.At = now.Add(time.Duration(i) * time.Second)
			}
		}
		say := func(i int, since time.Time) {
			if live {
				time.Sleep(time.Until(all[i].At))
			}
			m := *all[i]
			m.Replay, m.Missing = !live, since
			w.say(&m)
		}
		for i := range 10 {
			say(i, time.Time{})
		}
		w.news()
		say(len(all)-1, all[9].At)
		w.expect(`from="#room%net@gw.example" & type="groupchat" & More was said at this place`, `<body>`+all[len(all)-1].Body)
		f(w, all)
	})
}

// pages reads through the archive and returns what it says of the network's lines, and
// how often the place where lines are left out is named.
func (w *world) pages(page func(id string) string, next string) (bodies []string, notes int) {
	w.t.Helper()
	id := ""
	for range 100 {
		got, fin := w.page(paging(page(id)))
		for i := range got {
			if strings.HasPrefix(got[i], "More was said") {
				notes++
			}
		}
		got = slices.DeleteFunc(got, func(s string) bool { return !strings.HasPrefix(s, "line ") })
		if next == "first" {
			bodies = append(got, bodies...)
		} else {
			bodies = append(bodies, got...)
		}
		if strings.Contains(fin, `complete="true"`) {
			return bodies, notes
		}
		_, rest, ok := strings.Cut(fin, "<"+next)
		if !ok {
			w.t.Fatalf("no %s: %s", next, fin)
		}
		_, rest, _ = strings.Cut(rest, ">")
		id, _, _ = strings.Cut(rest, "<")
	}
	w.t.Fatal("the archive does not end")
	return nil, 0
}

func (w *world) whole(bodies []string, all []*bridges.Message) {
	w.t.Helper()
	if len(bodies) != len(all) {
		w.t.Fatalf("%d lines of %d: %q", len(bodies), len(all), bodies)
	}
	for i, b := range bodies {
		if b != all[i].Body {
			w.t.Fatalf("line %d is %q", i, b)
		}
	}
}

// TestLeftOut: that lines were left out is said once where they belong; who pages through
// the place gets them, in order and once, from whatever side, and then it says so no more.
func TestLeftOut(t *testing.T) {
	for name, read := range map[string]func(w *world) ([]string, int){
		"backwards": func(w *world) ([]string, int) {
			return w.pages(func(id string) string { return "<max>40</max><before>" + id + "</before>" }, "first")
		},
		"onwards": func(w *world) ([]string, int) {
			return w.pages(func(id string) string {
				if id == "" {
					return "<max>40</max>"
				}
				return "<max>40</max><after>" + id + "</after>"
			}, "last")
		},
	} {
		for _, missing := range []int{0, 30, 950} {
			for _, live := range []bool{true, false} {
				t.Run(fmt.Sprint(name, missing, live), func(t *testing.T) {
					gapped(t, live, missing, func(w *world, all []*bridges.Message) {
						bodies, _ := read(w)
						w.whole(bodies, all)
						asked := len(w.net().Calls())
						bodies, notes := read(w)
						w.whole(bodies, all)
						if notes != 0 || len(w.net().Calls()) != asked {
							t.Errorf("it is said %d times that lines are missing, the network was asked %d times", notes, len(w.net().Calls())-asked)
						}
					})
				})
			}
		}
	}
}

// TestLeftOutByDate: a question about a time in the middle of what is missing is answered
// with what was said then.
func TestLeftOutByDate(t *testing.T) {
	gapped(t, false, 200, func(w *world, all []*bridges.Message) {
		at := func(i int) string { return all[i].At.Add(-time.Second).UTC().Format(time.RFC3339) }
		form := func(from, to int) string {
			return "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>" +
				"<field var='start'><value>" + at(from) + "</value></field><field var='end'><value>" + at(to) + "</value></field></x>"
		}
		for _, span := range [][2]int{{180, 185}, {20, 25}, {11, 13}, {5, 9}} {
			bodies, fin := w.page(form(span[0], span[1]))
			if len(bodies) != span[1]-span[0] || bodies[0] != all[span[0]].Body || !strings.Contains(fin, `complete="true"`) {
				t.Errorf("from %d to %d: %q, %s", span[0], span[1], bodies, fin)
			}
		}
	})
}

// TestLeftOutFails: where the network gives nothing, what is there is the answer, and the
// next question tries again; a process that knows nothing of the place goes on with it.
func TestLeftOutFails(t *testing.T) {
	gapped(t, false, 150, func(w *world, all []*bridges.Message) {
		w.driver.FailHistory = bridges.NewError(bridges.Timeout, "no")
		if bodies, fin := w.page(paging("<max>20</max><before/>")); len(bodies) != 12 || !strings.Contains(fin, "<fin") {
			t.Errorf("%q, %s", bodies, fin)
		}
		w.driver.FailHistory = nil
		if bodies, _ := w.page(paging("<max>20</max><before/>")); len(bodies) != 20 || bodies[0] != all[141].Body {
			t.Errorf("%q", bodies)
		}
		w.restart()
		w.driver.Older = map[bridges.RoomID][]*bridges.Message{"#room": all}
		w.join("phone", "alice")
		bodies, _ := w.pages(func(id string) string { return "<max>40</max><before>" + id + "</before>" }, "first")
		w.whole(bodies, all)
	})
}
