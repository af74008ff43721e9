package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"transportd/archive"
	"transportd/internal/secret"
)

// What is forgotten is gone at once, from an archive of one's own too, and what is
// said afterwards stays.
func TestForgetArchiveAtOnce(t *testing.T) { onBoth(t, testForgetArchiveAtOnce) }

func testForgetArchiveAtOnce(t *testing.T) {
	for name, owner := range map[string]string{"shared": "", "own": alice} {
		room, jid := archive.Room{Gateway: gate, Network: "net", Room: "#" + name, Owner: owner}, "#"+name+"@"+gate
		mine := alice
		if owner != "" {
			mine = ""
		}
		add := func(at int64, only string) archive.Op {
			return &archive.AddLine{Room: room, Line: archive.Line{Key: archive.Key{At: at}, Body: "b", Only: only}}
		}
		db := open(t)
		writeArchive(t, db, &archive.Enter{Room: room, User: alice, JID: jid, At: 1}, add(5, ""), add(6, mine))
		if err := db.ForgetArchive(t.Context(), gate, alice, jid, nil); err != nil {
			t.Fatal(err)
		}
		q := &archive.Query{Gateway: gate, User: alice, JID: jid, Limit: 10}
		if lines, _, err := db.ArchiveLines(t.Context(), q); err != nil || len(lines) != 0 {
			t.Errorf("%s: what is left: %v %v", name, lines, err)
		}
		now := time.Now().Add(time.Second).UnixMicro()
		writeArchive(t, db, add(now, ""), add(now+1, mine))
		if _, err := db.TrimArchive(t.Context(), TrimOptions{}); err != nil {
			t.Fatal(err)
		}
		if lines, _, err := db.ArchiveLines(t.Context(), q); err != nil || len(lines) != 2 {
			t.Errorf("%s: of what came later there is %v %v", name, lines, err)
		}
	}
}

// Who is there twice, or in a room that is ahead of the clock, forgets all the same.
func TestForgetArchiveAheadOfTheClock(t *testing.T) { onBoth(t, testForgetArchiveAheadOfTheClock) }

func testForgetArchiveAheadOfTheClock(t *testing.T) {
	db := open(t)
	ahead := time.Now().Add(time.Hour).UnixMicro()
	writeArchive(t, db,
		&archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}, &archive.Enter{Room: lobbyRoom, User: alice, JID: "other" + lobby, At: 2},
		&archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 1},
		lineAt(5, ""), lineAt(6, alice), lineAt(ahead, ""), lineAt(ahead+1, alice))
	if err := db.ForgetArchive(t.Context(), gate, alice, lobby, nil); err != nil {
		t.Fatal(err)
	}
	sees := func(user string, want int) {
		t.Helper()
		lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: user, JID: lobby, Limit: 10})
		if err != nil || len(lines) != want {
			t.Errorf("%s sees %v %v", user, lines, err)
		}
	}
	sees(alice, 0)
	sees(carol, 2)
	writeArchive(t, db, lineAt(ahead+2, ""), lineAt(ahead+3, alice))
	sees(alice, 2)
	writeArchive(t, db, &archive.Leave{Room: lobbyRoom, User: alice, At: ahead + 10}, lineAt(ahead+11, ""))
	sees(alice, 2)
	sees(carol, 4)
}

// What is settled as the user's alone while it is forgotten is forgotten too.
func TestForgetArchiveSettles(t *testing.T) { onBoth(t, testForgetArchiveSettles) }

func testForgetArchiveSettles(t *testing.T) {
	db := open(t)
	writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}, &archive.Enter{Room: lobbyRoom, User: carol, JID: lobby, At: 1}, lineAt(5, ""), lineAt(6, ""))
	settle := func(ctx context.Context) error {
		return db.WriteArchive(ctx, []archive.Op{&archive.Restrict{Room: lobbyRoom, Key: archive.Key{At: 5}, Only: alice}, lineAt(7, alice)})
	}
	if err := db.ForgetArchive(t.Context(), gate, alice, lobby, settle); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{alice: 0, carol: 1} {
		lines, _, err := db.ArchiveLines(t.Context(), &archive.Query{Gateway: gate, User: user, JID: lobby, Limit: 10})
		if err != nil || len(lines) != want {
			t.Errorf("%s sees %v %v", user, lines, err)
		}
	}
	refuse := func(context.Context) error { return errors.New("not settled") }
	if err := db.ForgetArchive(t.Context(), gate, carol, lobby, refuse); err == nil || err.Error() != "not settled" {
		t.Errorf("got %v", err)
	}
}

// What is forgotten stays so when the database server is killed in the next moment.
func TestForgottenOverAKill(t *testing.T) {
	pg := ownPostgres(t)
	o := Options{Postgres: secret.Text(pg.DSN()), KeyFile: filepath.Join(t.TempDir(), "key")}
	for round := range 3 {
		db := openOptions(t, o)
		writeArchive(t, db, &archive.Enter{Room: lobbyRoom, User: alice, JID: lobby, At: 1}, lineAt(5, ""), lineAt(6, alice))
		if err := db.ForgetArchive(t.Context(), gate, alice, lobby, nil); err != nil {
			t.Fatal(err)
		}
		pg.Kill9()
		if err := pg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
		left := rawAt(t, o)
		var n int
		if err := left.QueryRow("SELECT count(*) FROM lines WHERE seen > 0").Scan(&n); err != nil || n != 0 {
			t.Errorf("round %d: %d lines are back (%v)", round, n, err)
		}
	}
}
