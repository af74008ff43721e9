package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/archive"
)

// shelf is an archive of lines, read in small pages.
type shelf []archive.Line

func (s shelf) ArchiveLines(_ context.Context, q *archive.Query) ([]archive.Line, bool, error) {
	var out []archive.Line
	for _, l := range s {
		if l.Compare(q.After) > 0 {
			out = append(out, l)
		}
	}
	const page = 3
	if len(out) > page {
		return out[:page], true, nil
	}
	return out, false, nil
}

func shelfOf(sender int, seqs ...uint64) shelf {
	var s shelf
	for i, seq := range seqs {
		s = append(s, archive.Line{Key: archive.Key{At: int64(i + 1)}, Body: string(appendBody(nil, sender, seq, 0))})
	}
	return s
}

// The archive must have every line once and in order, or with the archive off none.
func TestArchiveAccounts(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines shelf
		on    bool
		want  string
	}{
		{"all", shelfOf(0, 0, 1, 2, 3, 4), true, ""},
		{"one is lost", shelfOf(0, 0, 1, 3, 4), true, "1 unrecorded"},
		{"the last is lost", shelfOf(0, 0, 1, 2, 3), true, "1 unrecorded"},
		{"one is doubled", shelfOf(0, 0, 1, 2, 2, 3, 4), true, "message 2 doubled"},
		{"two are swapped", shelfOf(0, 0, 2, 1, 3, 4), true, "message 1 reordered"},
		{"one was never said", shelfOf(0, 0, 1, 2, 3, 4, 5), true, "more of sender 0"},
		{"another sender", append(shelfOf(0, 0, 1, 2, 3, 4), archive.Line{Key: archive.Key{At: 9}, Body: string(appendBody(nil, 7, 0, 0))}), true, "nobody has said"},
		{"recorded though off", shelfOf(0, 0), false, "1 unrecorded"},
		{"off", nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{sub: transportdSubject{archive: c.on}, users: []*user{nil}}
			r.addUsers(newCrew(1, false))
			r.users[1].sentBob = 5
			n, err := r.readArchive(t.Context(), c.lines, c.on)
			switch {
			case c.want == "" && (err != nil || n != len(c.lines)):
				t.Errorf("%d lines, %v", n, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What the archive costs is the median of the ratios of the rounds, of the same gateway only.
func TestArchiveRatio(t *testing.T) {
	row := func(gateway string, cpu ...time.Duration) *throughputRow {
		t := &throughputRow{Gateway: gateway}
		for _, c := range cpu {
			t.Rounds = append(t.Rounds, round{Messages: 10, CPU: c})
		}
		return t
	}
	on := row("transportd+archive", 20, 120, 40)
	rows := []*throughputRow{row("null", 1, 1, 1), row("biboumi", 2, 2, 2), row("transportd", 10, 30, 10), on}
	for _, r := range rows {
		r.compare(rows)
	}
	if on.archiveRatio() != "4.00" || rows[2].archiveRatio() != "-" {
		t.Errorf("%v", on.ArchiveRatio)
	}
	if got := withArchives([]string{"null", "transportd", "biboumi+archive"}); !slices.Equal(got, []string{"null", "transportd", "transportd+archive", "biboumi+archive"}) {
		t.Error(got)
	}
}
