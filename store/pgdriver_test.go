package store

import "testing"

func TestPlaceholders(t *testing.T) {
	known := &texts{}
	for in, want := range map[string]string{
		"SELECT 1": "SELECT 1",
		"SELECT ? FROM a WHERE b = ? AND c IN (?, ?)": "SELECT $1 FROM a WHERE b = $2 AND c IN ($3, $4)",
		`SELECT '?', "?", ? || 'it''s ?' || ?`:        `SELECT '?', "?", $1 || 'it''s ?' || $2`,
		"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?":             "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11",
	} {
		for range 2 { // rewritten, then remembered
			if got := known.of(in); got != want {
				t.Errorf("%s became %s", in, got)
			}
		}
	}
}

// What PostgreSQL cannot hold as text must not fail a batch for everybody.
func TestTextThatPostgresRefuses(t *testing.T) { onBoth(t, testTextThatPostgresRefuses) }

func testTextThatPostgresRefuses(t *testing.T) {
	db, ctx := open(t), t.Context()
	if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: juli + "/r", Room: "#a@" + gw, Nick: "n\x00i\xffck"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	want := "n\x00i\xffck"
	if onPostgres(t) {
		want = "ni\uFFFDck"
	}
	if got := occupancies(t, db); len(got) != 1 || got[0].Nick != want {
		t.Errorf("got %q", got)
	}
}
