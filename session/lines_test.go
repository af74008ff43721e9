package session

import (
	"math/rand/v2"
	"testing"
)

// What a room remembers is the last lines in their order, however the array below
// is moved and exchanged.
func TestLinesInTheirArray(t *testing.T) {
	t.Parallel()
	r := &room{}
	var seq uint64
	for turn := range 300 {
		keep := 1 + rand.IntN(historyLines)
		if turn%10 == 0 {
			keep = keptLines
		}
		for range 1 + rand.IntN(3*keep) {
			if len(r.lines) >= keep {
				drop := len(r.lines) - keep + 1
				clear(r.lines[:drop])
				r.lines = r.lines[drop:]
			}
			r.makeRoom()
			seq++
			r.lines = append(r.lines, line{seq: seq})
			for i, l := range r.lines {
				if want := seq - uint64(len(r.lines)-1-i); l.seq != want {
					t.Fatalf("turn %d: line %d of %d is number %d, not %d", turn, i, len(r.lines), l.seq, want)
				}
			}
			if most := 2*keptLines + 1; cap(r.array) > most {
				t.Fatalf("%d lines are held in an array of %d", len(r.lines), cap(r.array))
			}
		}
	}
}
