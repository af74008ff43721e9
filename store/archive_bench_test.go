package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"transportd/archive"
)

const benchBody = "this is a line of about eighty bytes, as people write them in channels all day lo"

func benchOps(n int, at *int64) []archive.Op {
	ops := make([]archive.Op, n)
	for i := range ops {
		*at += 1000
		ops[i] = &archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: *at, Tie: uint32(*at)}, Nick: "bob", Body: benchBody, Occupant: "account"}}
	}
	return ops
}

// BenchmarkWriteArchive stores lines as the archive's writer does, in batches.
func BenchmarkWriteArchive(b *testing.B) {
	for _, size := range []int{20, 300, 1000} {
		b.Run(fmt.Sprint("batch of ", size), func(b *testing.B) {
			db, at := openBench(b), int64(1_700_000_000_000_000)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += size {
				if err := db.WriteArchive(b.Context(), benchOps(min(size, b.N-n), &at)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkArchivePage reads a page of 100 of a million lines, at several depths,
// as a user who was always there and as one who came and went 500 times.
func BenchmarkArchivePage(b *testing.B) {
	db, at := openBench(b), int64(1_700_000_000_000_000)
	first := at
	const lines = 1_000_000
	if err := db.WriteArchive(b.Context(), []archive.Op{&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: at}}); err != nil {
		b.Fatal(err)
	}
	for range lines / 10_000 {
		if err := db.WriteArchive(b.Context(), benchOps(10_000, &at)); err != nil {
			b.Fatal(err)
		}
	}
	var visits []archive.Op
	const stays = 500
	for i := range int64(stays) {
		since := first + i*(at-first)/stays
		visits = append(visits, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: since}, &archive.Leave{Room: lobbyRoom, User: carol, At: since + (at-first)/stays/200})
	}
	if err := db.WriteArchive(b.Context(), visits); err != nil {
		b.Fatal(err)
	}
	for _, user := range []string{alice, carol} {
		for _, depth := range []int64{0, 50, 99} {
			for _, last := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/%d %%/backwards=%v", user[:5], depth, last), func(b *testing.B) {
					q := archive.Query{Gateway: gate, User: user, JID: lobby, Limit: 100, Last: last}
					key := archive.Key{At: first + depth*(at-first)/100}
					if last {
						q.Before = archive.Key{At: at - depth*(at-first)/100}
					} else {
						q.After = key
					}
					for b.Loop() {
						got, _, err := db.ArchiveLines(b.Context(), &q)
						if err != nil || len(got) == 0 {
							b.Fatal(len(got), err)
						}
					}
				})
			}
		}
	}
}

func openBench(b *testing.B) *DB {
	b.Helper()
	db, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "t.db"), KeyFile: filepath.Join(b.TempDir(), "t.key")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}
