package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/internal/testenv"
)

// page is the size of a page that is asked for: the most there is.
const page = 250

// sample is who asks the hall's archive of one site, and what it has.
type sample struct {
	*testing.T
	*site
	r    *testenv.ArchiveReader
	room string
}

func (s *site) sample(t *testing.T, user string) *sample {
	t.Helper()
	r, err := shared.env.StartArchiveReader(wait(t, patience), s.server, user, unique(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &sample{T: t, site: s, r: r, room: s.room("hall")}
}

// unique is a resource of the test's own.
func unique(t *testing.T) string { return strings.ReplaceAll(t.Name(), "/", ".") }

// ask asks for a page. It ends the test when there is no answer.
func (s *sample) ask(q testenv.ArchiveQuery) testenv.ArchivePage {
	s.Helper()
	p, err := s.r.Query(wait(s.T, patience), s.room, q)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// line checks all that there is to know of line n.
func (s *sample) line(n int, l testenv.ArchiveLine) {
	s.Helper()
	want := testenv.ArchiveLine{
		ID: s.past.key(n).String(), By: s.room, From: s.room + "/" + speaker(n), Type: "groupchat",
		MsgID: s.past.key(n).String(), Body: text(n), SIDs: []string{s.past.key(n).String()}, Stamp: l.Stamp,
	}
	if fmt.Sprint(l) != fmt.Sprint(want) || !l.Time().Equal(s.past.at(n)) {
		s.Fatalf("line %d, said at %v, is\n%+v, not\n%+v", n, s.past.at(n), l, want)
	}
}

// lines checks that lines are exactly those numbers.
func (s *sample) lines(got []testenv.ArchiveLine, want []int) {
	s.Helper()
	for i, n := range want {
		if i >= len(got) {
			s.Fatalf("%d lines, not %d: %d is missing", len(got), len(want), n)
		}
		s.line(n, got[i])
	}
	if len(got) > len(want) {
		s.Fatalf("%d lines, not %d: %q is too many", len(got), len(want), got[len(want)].Body)
	}
}

// span is the numbers from..to, upwards or downwards.
func span(from, to int) []int {
	list := []int{from}
	for from != to {
		if from < to {
			from++
		} else {
			from--
		}
		list = append(list, from)
	}
	return list
}

// Slixmpp's own paging, in both directions.
func TestSlixmppPages(t *testing.T) {
	on(t, "", func(t *testing.T, site *site) {
		s := site.sample(t, reader)
		const from = lineCount - 3000
		for _, reverse := range []bool{false, true} {
			want := span(from, lineCount)
			if reverse {
				want = span(lineCount, from)
			}
			got, err := s.r.Walk(wait(t, patience), s.room, s.past.at(from), page, reverse)
			if err != nil {
				t.Fatal(err)
			}
			s.lines(got, want)
		}
	})
}

// Everything is read, page by page, and only the last page is said to be that.
func TestEverythingIsRead(t *testing.T) {
	forwards := func(i int) int { return i/page*page + i%page + 1 }
	for _, c := range []struct {
		name, server string
		backwards    bool
		flip         bool
		number       func(i int) int // of the line that comes at place i, from 0
	}{
		{"forwards", "prosody", false, false, forwards},
		{"backwards", "ejabberd", true, false, func(i int) int { return lineCount - page - i/page*page + i%page + 1 }},
		{"flipped", "prosody", true, true, func(i int) int { return lineCount - i }},
	} {
		t.Run(c.name, func(t *testing.T) {
			on(t, c.server, func(t *testing.T, site *site) { site.sample(t, reader).everything(c.backwards, c.flip, c.number) })
		})
	}
}

func (s *sample) everything(backwards, flip bool, number func(i int) int) {
	q := testenv.ArchiveQuery{RSM: rsm("max", fmt.Sprint(page)), Flip: flip}
	if backwards {
		q.RSM["before"] = ""
	}
	for i := 0; i < lineCount; {
		p := s.ask(q)
		if p.Refused != nil {
			s.Fatalf("after %d lines: %+v", i, p.Refused)
		}
		for _, l := range p.Lines {
			s.line(number(i), l)
			i++
		}
		if len(p.Lines) != page || (p.Fin.Complete == "true") != (i == lineCount) {
			s.Fatalf("a page of %d, and then %d lines were there: %+v", len(p.Lines), i, p.Fin)
		}
		if backwards {
			q.RSM["before"] = p.Fin.First
		} else {
			q.RSM["after"] = p.Fin.Last
		}
	}
}

// query is a question and what comes of it.
type query struct {
	name  string
	form  map[string][]string
	rsm   map[string]string
	flip  bool
	lines []int
	fin   string // "complete" or ""
	count string
}

func TestQueries(t *testing.T) {
	on(t, "", func(t *testing.T, site *site) {
		s := site.sample(t, reader)
		p := s.past
		id := func(n int) string { return p.key(n).String() }
		at := func(n int, more time.Duration) []string {
			return []string{p.at(n).Add(more).UTC().Format("2006-01-02T15:04:05.000000Z")}
		}
		µs := time.Microsecond
		for _, q := range []query{
			{name: "nothing said", lines: span(1, 50)},
			{name: "more than there is on a page", rsm: rsm("max", "100000"), lines: span(1, page)},
			{name: "the last lines", rsm: rsm("max", "3", "before", ""), lines: span(lineCount-2, lineCount)},
			{name: "the first lines, flipped", rsm: rsm("max", "3"), flip: true, lines: span(3, 1)},
			{name: "the last lines, flipped", rsm: rsm("max", "3", "before", ""), flip: true, lines: span(lineCount, lineCount-2)},
			{name: "counted", rsm: rsm("max", "0"), count: fmt.Sprint(lineCount)},

			{name: "a span of time", form: form("start", at(50_000, 0)[0], "end", at(50_009, 0)[0]), lines: span(50_000, 50_009), fin: "complete"},
			{name: "a microsecond less", form: form("start", at(50_000, µs)[0], "end", at(50_009, -µs)[0]), lines: span(50_001, 50_008), fin: "complete"},
			{name: "the last of a span", form: form("start", at(10, 0)[0], "end", at(500, 0)[0]), rsm: rsm("max", "5", "before", ""), lines: span(496, 500)},
			{name: "a span, on", form: form("start", at(10, 0)[0], "end", at(30, 0)[0]), rsm: rsm("max", "50", "after", id(20)), lines: span(21, 30), fin: "complete"},
			{name: "a span, counted", form: form("start", at(10, 0)[0], "end", at(30, 0)[0]), rsm: rsm("max", "0"), count: "21"},
			{name: "until before it began", form: form("end", at(1, -µs)[0]), fin: "complete"},
			{name: "from after its end", form: form("start", at(lineCount, µs)[0]), fin: "complete"},

			{name: "lines by their ids", form: map[string][]string{"ids": {id(77_777), id(3), id(lineCount)}}, lines: []int{3, 77_777, lineCount}, fin: "complete"},
			{name: "between ids", form: form("after-id", id(70_000), "before-id", id(70_004)), lines: span(70_001, 70_003), fin: "complete"},
			{name: "between ids that are gone", form: form("after-id", p.gone(70_000), "before-id", p.gone(70_004)), lines: span(70_001, 70_004), fin: "complete"},
			{name: "on from an id that is gone", rsm: rsm("max", "2", "after", p.gone(12_345)), lines: span(12_346, 12_347)},
			{name: "back from an id that is gone", rsm: rsm("max", "2", "before", p.gone(12_345)), lines: span(12_344, 12_345)},
			{name: "behind the end", rsm: rsm("after", id(lineCount)), fin: "complete"},

			{name: "what one said", form: form("with", s.room+"/ben"), rsm: rsm("max", "3"), lines: []int{1, 4, 7}},
			{name: "the last that one said", form: form("with", s.room+"/ben"), rsm: rsm("max", "2", "before", ""), lines: []int{lineCount - 3, lineCount}},
			{name: "what one said, counted", form: form("with", s.room+"/ada"), rsm: rsm("max", "0"), count: "33333"},
			{name: "what nobody said", form: form("with", s.room+"/dora"), fin: "complete"},
		} {
			got := s.ask(testenv.ArchiveQuery{Form: q.form, RSM: q.rsm, Flip: q.flip})
			if got.Refused != nil {
				t.Errorf("%s: %+v", q.name, *got.Refused)
				continue
			}
			s.lines(got.Lines, q.lines)
			first, last := "", ""
			if len(q.lines) > 0 {
				first, last = id(slices.Min(q.lines)), id(slices.Max(q.lines))
			}
			if f := got.Fin; (f.Complete == "true") != (q.fin == "complete") || f.First != first || f.Last != last || f.Count != q.count {
				t.Errorf("%s: its end is %+v, not %q %s %s %s", q.name, f, q.fin, first, last, q.count)
			}
		}
	})
}

func form(pairs ...string) map[string][]string {
	m := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = []string{pairs[i+1]}
	}
	return m
}

func rsm(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// Whatever cannot be answered is refused, and says why.
func TestRefusedQueries(t *testing.T) {
	on(t, "", func(t *testing.T, site *site) {
		s := site.sample(t, reader)
		for _, c := range []struct {
			name      string
			form      map[string][]string
			rsm       map[string]string
			condition string
		}{
			{"an id no archive gives", nil, rsm("after", "28482-98726-73623"), "item-not-found"},
			{"the same, backwards", nil, rsm("before", "28482-98726-73623"), "item-not-found"},
			{"the same, in the form", form("after-id", "28482-98726-73623"), nil, "item-not-found"},
			{"one of several ids", map[string][]string{"ids": {s.past.key(3).String(), s.past.gone(3)}}, nil, "item-not-found"},
			{"no ids", map[string][]string{"ids": {}}, nil, "bad-request"},
			{"a time that is none", form("start", "yesterday"), nil, "bad-request"},
			{"the same, at the end", form("end", "2026-13-01T00:00:00Z"), nil, "bad-request"},
			{"an address that is none", form("with", "a@b@c/"), nil, "bad-request"},
			{"a size that is none", nil, rsm("max", "many"), "bad-request"},
			{"a size below none", nil, rsm("max", "-1"), "bad-request"},
			{"a form of another type", form("FORM_TYPE", "urn:example:other"), nil, "bad-request"},
			{"a field nobody knows", form("{urn:example}mood", "fine"), nil, "feature-not-implemented"},
		} {
			p := s.ask(testenv.ArchiveQuery{Form: c.form, RSM: c.rsm})
			if p.Refused == nil || p.Refused.Condition != c.condition || len(p.Lines) > 0 {
				t.Errorf("%s: %d lines, %+v, not %s", c.name, len(p.Lines), p.Refused, c.condition)
			} else if p.Refused.Text == "" {
				t.Errorf("%s is refused without a word", c.name)
			}
		}
	})
}

// Who was not there sees nothing of it.
func TestStranger(t *testing.T) {
	on(t, "", func(t *testing.T, site *site) {
		s := site.sample(t, stranger)
		for _, q := range []testenv.ArchiveQuery{
			{}, {RSM: rsm("before", "")}, {Form: form("start", "2020-01-01T00:00:00Z")}, {RSM: rsm("after", s.past.key(5).String())},
		} {
			if p := s.ask(q); len(p.Lines) > 0 || p.Refused == nil && p.Fin.Complete != "true" {
				t.Errorf("%+v: %d lines, %+v", q, len(p.Lines), p.Fin)
			}
		}
		if p := s.ask(testenv.ArchiveQuery{RSM: rsm("max", "0")}); p.Fin.Count != "0" && p.Refused == nil {
			t.Errorf("counted: %+v", p.Fin)
		}
		if p := s.ask(testenv.ArchiveQuery{Form: map[string][]string{"ids": {s.past.key(5).String()}}}); p.Refused == nil || p.Refused.Condition != "item-not-found" {
			t.Errorf("by its id: %+v", p)
		}
	})
}
