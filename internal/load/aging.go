package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// aging is what removing old lines took, and what it did to relaying.
type aging struct {
	Removed     int           `json:"lines_removed"`
	Left        int           `json:"old_lines_left"`
	Took        time.Duration `json:"took_ns"` // until the space was given back, too
	CPU         time.Duration `json:"cpu_ns"`  // of the gateway meanwhile
	BytesBefore int64         `json:"database_bytes_before"`
	BytesAfter  int64         `json:"database_bytes_after"` // after the gateway has ended
	Alone       []spread      `json:"relaying_alone"`       // how long relaying took before …
	Beside      []spread      `json:"relaying_beside"`      // … and while lines were removed
}

// maxAge is the age from which lines are removed: of the old lines one half is older, the other younger.
const maxAge = 24 * time.Hour

// twoAges lays one half of so many lines well beyond maxAge and the other well within.
func twoAges(lines int, now time.Time) func(int) int64 {
	old, young := evenly(now.Add(-48*time.Hour), 10*time.Millisecond), evenly(now.Add(-12*time.Hour), 10*time.Millisecond)
	return func(i int) int64 {
		if i < lines/2 {
			return old(i)
		}
		return young(i - lines/2)
	}
}

// removed is how the gateway's log tells that it has removed lines and given the space back.
const removed = `msg="lines removed from archives"`

// measureAging relays for d, then gives the archive a limit of age and relays on until the lines beyond it are gone and their
// space is given back. It ends the gateway and looks whether exactly the others are left.
func (r *rig) measureAging(ctx context.Context, s *backlog, d time.Duration) (aging, error) {
	var got aging
	var err error
	if got.Alone, err = r.beside(ctx, func(ctx context.Context) error { return r.rest(ctx, d) }); err != nil {
		return got, err
	}
	if err := r.flushed(ctx); err != nil {
		return got, err
	}
	if got.BytesBefore, err = fileSize(databaseFile(r.dir)); err != nil {
		return got, err
	}
	got.Beside, err = r.beside(ctx, func(ctx context.Context) error { return r.age(ctx, &got) })
	if err != nil {
		return got, err
	}
	if want := s.lines / 2; got.Removed != want {
		return got, fmt.Errorf("%d lines were removed, not %d", got.Removed, want)
	}
	s.gone = got.Removed
	if _, err := r.readBack(ctx); err != nil {
		return got, err
	}
	got.Left = s.back
	got.BytesAfter, err = fileSize(databaseFile(r.dir))
	return got, err
}

// age sets the limit and waits until nothing is beyond it.
func (r *rig) age(ctx context.Context, got *aging) error {
	t, ok := r.sub.(transportdSubject)
	if !ok {
		return errors.New("only transportd can be given another limit")
	}
	t.maxAge = maxAge
	if err := t.configure(r.env()); err != nil {
		return err
	}
	cpu, err := r.p.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := r.p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	line, err := r.p.logged(ctx, removed)
	got.Took = time.Since(start)
	if err != nil {
		return err
	}
	cpu1, err := r.p.cpu()
	if err != nil {
		return err
	}
	got.CPU = cpu1 - cpu
	_, n, _ := bytes.Cut(line, []byte(" lines="))
	n, _, _ = bytes.Cut(n, []byte(" "))
	got.Removed, err = strconv.Atoi(string(n))
	return err
}

func fileSize(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// aging measures the removal of lines that have become too old.
func (b *bench) aging(ctx context.Context, w workload) error {
	who := newCrew(b.opt.latUsers, w.room)
	who.old = &backlog{lines: 2 * b.opt.aged}
	who.old.at = twoAges(who.old.lines, time.Now())
	return b.archived(ctx, who, func(r *rig) error {
		if err := r.warm(ctx, b.opt.warmup); err != nil {
			return err
		}
		got, err := r.measureAging(ctx, who.old, b.opt.latency)
		if err != nil {
			return err
		}
		b.rep.Aging = append(b.rep.Aging, agingRow{Gateway: r.sub.name(), Users: b.opt.latUsers, aging: got})
		b.say("  %s: %d lines in %v", r.sub.name(), got.Removed, got.Took.Round(time.Millisecond))
		return nil
	})
}
