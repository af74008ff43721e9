package store

import (
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

//go:embed testdata/schema_v1.sql
var schemaV1 string

// rawDB opens a file without any of the store's own steps.
func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		t.Fatal(err)
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := openPool(path, 1, "FULL", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execAll(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

var space = regexp.MustCompile(`\s+`)

// shape describes every table, column and index of a database, so that two
// that were made in different ways can be compared.
func shape(t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.Query("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	comment := regexp.MustCompile(`--[^\n]*`)
	var b strings.Builder
	for rows.Next() {
		var typ, name, table, text string
		if err := rows.Scan(&typ, &name, &table, &text); err != nil {
			t.Fatal(err)
		}
		text = space.ReplaceAllString(comment.ReplaceAllString(text, ""), " ")
		fmt.Fprintf(&b, "%s %s %s %s\n", typ, name, table, strings.ReplaceAll(text, " ,", ","))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, pragma := range []string{"user_version", "application_id"} {
		var n int
		if err := db.QueryRow("PRAGMA " + pragma).Scan(&n); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %d\n", pragma, n)
	}
	return b.String()
}

func TestFrozenSchemaMigratesToTheFreshOne(t *testing.T) {
	old := rawDB(t, filepath.Join(t.TempDir(), "old.db"))
	execAll(t, old, schemaV1,
		"PRAGMA user_version = 1", fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		"INSERT INTO users (id, gateway, jid, created, seen) VALUES (7, 'g', 'a@b', 1, 2)",
		"INSERT INTO accounts (id, user, network, created, changed) VALUES (9, 7, 'n', 1, 2)",
		"INSERT INTO settings (account, name, sealed, value) VALUES (9, 'nick', 0, CAST('x' AS BLOB))",
		"INSERT INTO occupancies (user, resource, room, nick, since) VALUES (7, 'r', 'room', 'x', 3)",
		"INSERT INTO subscriptions (user, address, sends, receives) VALUES (7, 'g', 1, 0)",
		"INSERT INTO preferences (user, name, value) VALUES (7, 'p', 'v')",
		"INSERT INTO gateway_keys (gateway, name, value) VALUES ('g', 'k', CAST('x' AS BLOB))")
	found, err := migrate(t.Context(), old, schema, migrations)
	if err != nil || found != 1 {
		t.Fatalf("found %d, %v", found, err)
	}
	fresh := rawDB(t, filepath.Join(t.TempDir(), "fresh.db"))
	if found, err := migrate(t.Context(), fresh, schema, migrations); err != nil || found != 0 {
		t.Fatalf("found %d, %v", found, err)
	}
	if a, b := shape(t, old), shape(t, fresh); a != b {
		t.Errorf("a migrated database is\n%s\na fresh one is\n%s", a, b)
	}
	var jid, nick string
	if err := old.QueryRow(`SELECT jid, CAST(value AS TEXT) FROM settings JOIN accounts ON accounts.id = account
		JOIN users ON users.id = user`).Scan(&jid, &nick); err != nil || jid != "a@b" || nick != "x" {
		t.Errorf("what was stored is %q %q, %v", jid, nick, err)
	}
}

func TestMigrationsRunInOrderAndOnce(t *testing.T) {
	steps := []string{
		"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (2)",
		"ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x * 10",
	}
	path := filepath.Join(t.TempDir(), "t.db")
	db := rawDB(t, path)
	for _, upTo := range []int{0, 1, 2, 2} {
		if _, err := migrate(t.Context(), db, "CREATE TABLE first (x)", steps[:upTo]); err != nil {
			t.Fatal(err)
		}
	}
	var n, x, y, version int
	if err := db.QueryRow("SELECT count(*), max(x), max(y) FROM a").Scan(&n, &x, &y); err != nil || n != 1 || x != 2 || y != 20 {
		t.Errorf("%d rows, %d %d, %v", n, x, y, err)
	}
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil || version != 3 {
		t.Errorf("version %d, %v", version, err)
	}
}

func TestAFailedMigrationChangesNothing(t *testing.T) {
	db := rawDB(t, filepath.Join(t.TempDir(), "t.db"))
	if _, err := migrate(t.Context(), db, "CREATE TABLE first (x)", nil); err != nil {
		t.Fatal(err)
	}
	before := shape(t, db)
	_, err := migrate(t.Context(), db, "", []string{"CREATE TABLE a (x)", "CREATE TABLE nonsense ("})
	if err == nil || !strings.Contains(err.Error(), "migrate schema 2 to 3") {
		t.Fatalf("got %v", err)
	}
	if after := shape(t, db); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestRefusesANewerSchema(t *testing.T) {
	dir := t.TempDir()
	if err := openAt(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	execAll(t, rawDB(t, options(dir).Path), fmt.Sprintf("PRAGMA user_version = %d", schemaVersion()+1))
	_, err := Open(t.Context(), options(dir))
	if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), options(dir).Path) {
		t.Errorf("got %v", err)
	}
}

func TestRefusesFilesOfOthers(t *testing.T) {
	for name, setup := range map[string]func(t *testing.T, path string){
		"another program's database": func(t *testing.T, path string) { execAll(t, rawDB(t, path), "CREATE TABLE theirs (x)") },
		"no database": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			setup(t, o.Path)
			_, err := Open(t.Context(), o)
			if !errors.Is(err, ErrNotOurs) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(o.KeyFile); err == nil {
				t.Error("a key was made for a refused file")
			}
		})
	}
}
