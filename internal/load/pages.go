package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// pageLines is how many lines a page has.
const pageLines = 100

// place is where in the archive a page is: behind or before a part of all lines.
type place struct {
	percent  int
	backward bool
}

// places are the depths that are measured: both ends, and between.
var places = []place{{0, false}, {25, false}, {50, false}, {75, false}, {99, false}, {100, true}, {75, true}, {50, true}, {25, true}, {1, true}}

func (p place) String() string {
	if p.backward {
		return fmt.Sprintf("before %d %%", p.percent)
	}
	return fmt.Sprintf("after %d %%", p.percent)
}

// from is the first line of the nth page there: the pages of a place follow one another.
func (p place) from(lines, n int) int {
	at := lines * p.percent / 100
	if p.backward {
		return max(0, at-(n+1)*pageLines)
	}
	return max(0, min(at+n*pageLines, lines-pageLines))
}

// paging is what was measured of an archive.
type paging struct {
	Lines  int      `json:"lines"`
	Places []spread `json:"places"`
	Alone  []spread `json:"relaying_alone"`  // how long relaying took before …
	Beside []spread `json:"relaying_beside"` // … and while pages were read
}

// measurePages has all users join, relays for d, and then while relaying goes on has the first user read so many pages of old
// lines at each place, one after the other as a client does that pages back.
func (r *rig) measurePages(ctx context.Context, s *backlog, pages int, d time.Duration) (paging, error) {
	got := paging{Lines: s.lines}
	var err error
	if got.Alone, err = r.beside(ctx, func(ctx context.Context) error { return r.rest(ctx, d) }); err != nil {
		return got, err
	}
	got.Beside, err = r.beside(ctx, func(ctx context.Context) error {
		for _, p := range places {
			var took []time.Duration
			for n := range pages {
				t, err := r.page(ctx, s, p, n)
				if err != nil {
					return err
				}
				took = append(took, t)
			}
			got.Places = append(got.Places, spreadOf(p.String(), took))
		}
		return nil
	})
	return got, err
}

// page reads one page and accounts for it.
func (r *rig) page(ctx context.Context, s *backlog, p place, n int) (time.Duration, error) {
	first := p.from(s.lines, n)
	count := min(pageLines, s.lines-first)
	var bound string
	switch {
	case p.backward && first+count < s.lines:
		bound = "<before>" + s.key(first+count).String() + "</before>"
	case p.backward: // from the end of the old lines: later ones are being said
		bound = "<before>" + s.after().String() + "</before>"
	case first > 0:
		bound = "<after>" + s.key(first-1).String() + "</after>"
	}
	r.mu.Lock()
	r.queries++
	r.answer = &answer{query: fmt.Sprintf("page%d", r.queries)}
	query := fmt.Sprintf("<query xmlns='urn:xmpp:mam:2' queryid='%s'><set xmlns='http://jabber.org/protocol/rsm'><max>%d</max>%s</set></query>",
		r.answer.query, count, bound)
	r.mu.Unlock()
	start := time.Now()
	fin, err := r.x.request(ctx, r.users[1].full, r.users[1].room, "set", query)
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("a page %v: %w", p, err)
	}
	if !strings.Contains(fin, "<fin ") {
		return 0, fmt.Errorf("a page %v: %.300s", p, fin)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.account(&r.led, r.answer, first, count)
	r.answer = nil
	return took, r.led.err()
}

// flushed returns when the gateway has all that it has recorded in its database: it answers a question about an archive from
// there, after what is on its way.
func (r *rig) flushed(ctx context.Context) error {
	answer, err := r.x.request(ctx, r.users[1].full, r.users[1].room, "get", "<metadata xmlns='urn:xmpp:mam:2'/>")
	if err == nil && !strings.Contains(answer, "<metadata ") {
		err = fmt.Errorf("%.300s", answer)
	}
	if err != nil {
		return fmt.Errorf("whether all lines are stored: %w", err)
	}
	return nil
}

// pages measures the archive of a room with very many lines.
func (b *bench) pages(ctx context.Context, w workload) error {
	old := &backlog{lines: b.opt.lines, at: evenly(time.Now().Add(-time.Duration(b.opt.lines+60)*time.Second), time.Second)}
	who := newCrew(b.opt.latUsers, w.room)
	who.old = old
	return b.archived(ctx, who, func(r *rig) error {
		if err := r.warm(ctx, b.opt.warmup); err != nil {
			return err
		}
		got, err := r.measurePages(ctx, old, b.opt.pages, b.opt.latency)
		if err != nil {
			return err
		}
		if _, err := r.readBack(ctx); err != nil {
			return err
		}
		b.rep.Pages = append(b.rep.Pages, pageRow{Gateway: r.sub.name(), Users: b.opt.latUsers, paging: got})
		b.say("  %s", r.sub.name())
		return nil
	})
}

// archived runs f for each transportd that is to be measured, with its archive on whatever its name says. The relay and
// biboumi have nothing to show there.
func (b *bench) archived(ctx context.Context, who crew, f func(*rig) error) error {
	subjects := b.opt.archiveSubjects()
	if len(subjects) == 0 {
		b.say("  only transportd is measured here")
	}
	return b.eachOf(ctx, subjects, who, f)
}
