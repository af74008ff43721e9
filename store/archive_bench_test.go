package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"transportd/archive"
)

const nosy = "nosy@home.example"

const benchBody = "this is a line of about eighty bytes, as people write them in channels all day lo"

func benchOps(n int, at *int64, rooms ...archive.Room) []archive.Op {
	ops := make([]archive.Op, n)
	for i := range ops {
		*at += 1000
		ops[i] = &archive.AddLine{Room: rooms[i%len(rooms)], Line: archive.Line{Key: archive.Key{At: *at, Tie: uint32(*at)}, Nick: "bob", Body: benchBody, Occupant: "account"}}
	}
	return ops
}

// BenchmarkWriteArchive stores lines as the archive's writer does, in batches.
func BenchmarkWriteArchive(b *testing.B) { onEach(b, benchmarkWriteArchive) }

func benchmarkWriteArchive(b *testing.B, db *DB) {
	at := int64(1_700_000_000_000_000)
	rooms := make([]archive.Room, 100)
	for i := range rooms {
		rooms[i] = archive.Room{Gateway: gate, Network: "net", Room: fmt.Sprint("#room", i)}
	}
	for _, c := range []struct{ rooms, size int }{{1, 20}, {1, 300}, {1, 1000}, {100, 1000}, {100, 4000}} {
		b.Run(fmt.Sprintf("%d rooms, batch of %d", c.rooms, c.size), func(b *testing.B) {
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += c.size {
				if err := db.WriteArchive(b.Context(), benchOps(min(c.size, b.N-n), &at, rooms[:c.rooms]...)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkArchivePage reads a page of 100 of a million lines, at several depths,
// as a user who was always there, as one who came and went 500 times, and as one who
// did so without hearing anything, but for a moment at each end.
func BenchmarkArchivePage(b *testing.B) { onEach(b, benchmarkArchivePage) }

func benchmarkArchivePage(b *testing.B, db *DB) {
	at := int64(1_700_000_000_000_000)
	first := at
	const lines = 1_000_000
	if err := db.WriteArchive(b.Context(), []archive.Op{&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: at}}); err != nil {
		b.Fatal(err)
	}
	for range lines / 10_000 {
		if err := db.WriteArchive(b.Context(), benchOps(10_000, &at, lobbyRoom)); err != nil {
			b.Fatal(err)
		}
	}
	var visits []archive.Op
	const stays = 500
	for i := range int64(stays) {
		since := first + i*(at-first)/stays
		visits = append(visits, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: since}, &archive.Leave{Room: lobbyRoom, User: carol, At: since + (at-first)/stays/200},
			&archive.Enter{Room: lobbyRoom, User: nosy, JID: lobby, At: since + 10}, &archive.Leave{Room: lobbyRoom, User: nosy, At: since + 20})
	}
	visits = append(visits, &archive.Enter{Room: lobbyRoom, User: nosy, JID: lobby, At: first - 5}, &archive.Leave{Room: lobbyRoom, User: nosy, At: first - 1},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: first - 3}, Body: benchBody}},
		&archive.Enter{Room: lobbyRoom, User: nosy, JID: lobby, At: at + 5},
		&archive.AddLine{Room: lobbyRoom, Line: archive.Line{Key: archive.Key{At: at + 6}, Body: benchBody}})
	if err := db.WriteArchive(b.Context(), visits); err != nil {
		b.Fatal(err)
	}
	for _, user := range []string{alice, carol, nosy} {
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

// onEach runs a benchmark on a fresh database of each kind.
func onEach(b *testing.B, bench func(b *testing.B, db *DB)) {
	for _, name := range []string{"sqlite", "postgres"} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			o := Options{KeyFile: filepath.Join(dir, "t.key")}
			if name == "postgres" {
				o.Postgres = schemaFor(b, shared.postgres(b), dir)
			} else {
				o.Path = filepath.Join(dir, "t.db")
			}
			db, err := Open(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			bench(b, db)
		})
	}
}
