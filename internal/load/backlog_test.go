package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/archive"
)

// page is an answer with these old lines.
func (s *backlog) page(seqs ...int) *answer {
	a := &answer{}
	for _, i := range seqs {
		a.lines = append(a.lines, answerLine{s.key(i).String(), body{sender: backlogSender, seq: uint64(i)}})
	}
	return a
}

// A page has exactly its lines, in order and with their ids.
func TestPageAccounts(t *testing.T) {
	s := &backlog{lines: 10, at: evenly(time.Unix(1000, 0), time.Second)}
	wrongID := s.page(4, 5, 6)
	wrongID.lines[1].id = s.key(7).String()
	another := s.page(4, 5, 6)
	another.lines[2].body.sender = 1
	for name, c := range map[string]struct {
		got  *answer
		want fault
	}{
		"right":          {s.page(4, 5, 6), ""},
		"one is missing": {s.page(4, 5), faultLost},
		"a hole":         {s.page(4, 6), faultMisrouted},
		"one too many":   {s.page(4, 5, 6, 7), faultUnasked},
		"two swapped":    {s.page(4, 6, 5), faultMisrouted},
		"doubled":        {s.page(4, 4, 5), faultMisrouted},
		"another id":     {wrongID, faultMisrouted},
		"another sender": {another, faultMisrouted},
	} {
		t.Run(name, func(t *testing.T) {
			var led ledger
			s.account(&led, c.got, 4, 3)
			if c.want == "" && led.err() != nil || c.want != "" && led.count(c.want) == 0 {
				t.Errorf("want %q, got %v", c.want, led.err())
			}
		})
	}
}

// A line of an archive counts only for who has asked, and for the question that is open.
func TestArchivedLines(t *testing.T) {
	line := func(to, query, text string) string {
		return fmt.Sprintf("<message from='#all%%127.0.0.1@irc.load.test' to='%s@load.test/r'><result xmlns='urn:xmpp:mam:2' queryid='%s' id='x'>"+
			"<forwarded><message type='groupchat'><body>%s</body></message></forwarded></result></message>", to, query, text)
	}
	old := string(appendBody(nil, backlogSender, 7, 0))
	for _, c := range []struct {
		name, text string
		want       fault
	}{
		{"asked for", line("u1", "page1", old), ""},
		{"another question", line("u1", "page0", old), faultUnasked},
		{"another user", line("u2", "page1", old), faultUnasked},
		{"cut short", line("u1", "page1", old[:40]), faultAltered},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := quietRig(2, true)
			r.answer = &answer{query: "page1"}
			r.hearText(t, c.text)
			if c.want != "" {
				if r.led.count(c.want) != 1 || len(r.answer.lines) != 0 {
					t.Errorf("want %s, got %v", c.want, r.led.err())
				}
				return
			}
			if want := []answerLine{{"x", body{sender: backlogSender, seq: 7}}}; !slices.Equal(r.answer.lines, want) || r.led.err() != nil {
				t.Errorf("%+v, %v", r.answer.lines, r.led.err())
			}
		})
	}
}

// backlogStore takes what a backlog stores.
type backlogStore struct {
	archive.Backend
	ops []archive.Op
}

func (s *backlogStore) WriteArchive(_ context.Context, ops []archive.Op) error {
	s.ops = append(s.ops, ops...)
	return nil
}

// What is left of old lines is exactly what was not to be removed, and nobody else sees it.
func TestBacklogReadBack(t *testing.T) {
	s := &backlog{lines: 6}
	s.at = twoAges(s.lines, time.Now())
	var db backlogStore
	r := quietRig(2, true)
	if err := s.store(t.Context(), &db, r.users[1], "load"); err != nil {
		t.Fatal(err)
	}
	lines := 0
	var kept []archive.Line
	cut := time.Now().Add(-maxAge).UnixMicro()
	for _, op := range db.ops {
		if add, ok := op.(*archive.AddLine); ok {
			lines++
			if add.Line.At >= cut {
				kept = append(kept, add.Line)
			}
		}
	}
	if len(db.ops) != s.lines+2 || lines != s.lines || len(kept) != s.lines/2 {
		t.Fatalf("%d changes, %d lines, %d of them young", len(db.ops), lines, len(kept))
	}
	for name, c := range map[string]struct {
		user int
		got  []archive.Line
		want string
	}{
		"right":            {1, kept, ""},
		"one lost":         {1, kept[:2], "1 of 3 old lines"},
		"the first lost":   {1, kept[1:], "in the place of line 3"},
		"doubled":          {1, []archive.Line{kept[0], kept[0], kept[1]}, "in the place of line 4"},
		"seen by somebody": {2, kept, "from before they came"},
	} {
		t.Run(name, func(t *testing.T) {
			var led ledger
			s := *s
			s.gone, s.back = 3, 0
			for i := range c.got {
				b, err := parseBody([]byte(c.got[i].Body))
				if err != nil {
					t.Fatal(err)
				}
				s.returned(&led, r.users[c.user], &c.got[i], b.seq)
			}
			s.accountReturned(&led)
			if err := led.err(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}

// The pages of a place follow one another and stay within the old lines.
func TestPlaces(t *testing.T) {
	for _, p := range places {
		for _, lines := range []int{pageLines, 3000, 1_000_000} {
			for n := range 3 {
				if from := p.from(lines, n); from < 0 || from+pageLines > lines {
					t.Errorf("page %d %v of %d lines begins at %d", n, p, lines, from)
				}
			}
		}
	}
	if p := (place{50, false}); p.from(1000, 1) != p.from(1000, 0)+pageLines {
		t.Error("forwards: the next page does not follow")
	}
	if p := (place{50, true}); p.from(1000, 1) != p.from(1000, 0)-pageLines {
		t.Error("backwards: the next page does not follow")
	}
}
