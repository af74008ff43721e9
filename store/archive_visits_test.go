package store

import (
	"slices"
	"testing"

	"transportd/archive"
)

// Who came and went very often, also without hearing anything, and at times was in
// twice at once, finds each line once, in both directions.
func TestPagesOverManyVisits(t *testing.T) { onBoth(t, testPagesOverManyVisits) }

func testPagesOverManyVisits(t *testing.T) {
	db := open(t)
	ops := []archive.Op{}
	var want []archive.Key
	const stays = 10*fewVisits + 2 // the last one looked at by itself has lines, from either end
	for i := range int64(stays) {
		since := 100 * (i + 1)
		ops = append(ops, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: since})
		if i%7 == 0 { // both visits end together
			ops = append(ops, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: since + 10})
		}
		ops = append(ops, &archive.Leave{Room: lobbyRoom, User: alice, At: since + 50}, lineAt(since+70, "")) // nobody there
		if i%5 < 2 {
			ops = append(ops, lineAt(since, ""), lineAt(since+20, ""), lineAt(since+50, ""))
			want = append(want, archive.Key{At: since}, archive.Key{At: since + 20})
		}
	}
	writeArchive(t, db, ops...)
	for _, limit := range []int{1, 3, 1000} {
		for _, last := range []bool{false, true} {
			q := &archive.Query{Gateway: gate, User: alice, JID: lobby, Limit: limit, Last: last}
			var got []archive.Key
			for more := true; more && len(got) <= len(want); {
				var lines []archive.Line
				var err error
				if lines, more, err = db.ArchiveLines(t.Context(), q); err != nil || len(lines) == 0 {
					t.Fatalf("%d lines, more %v, %v", len(lines), more, err)
				}
				var page []archive.Key
				for _, l := range lines {
					page = append(page, l.Key)
				}
				if last {
					got, q.Before = append(page, got...), page[0]
				} else {
					got, q.After = append(got, page...), page[len(page)-1]
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d, backwards %v: there are %d lines, want %d\n%v\n%v", limit, last, len(got), len(want), got, want)
			}
		}
	}
	if n, err := db.ArchiveCount(t.Context(), &archive.Query{Gateway: gate, User: alice, JID: lobby}); err != nil || n != len(want) {
		t.Errorf("counted are %d, %v, want %d", n, err, len(want))
	}
}
