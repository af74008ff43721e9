package store

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

//go:embed testdata
var frozenSchemas embed.FS

// frozen is a schema as it was.
func frozen(t *testing.T, version int) string {
	t.Helper()
	name := "schema"
	if onPostgres(t) {
		name = "postgres"
	}
	b, err := frozenSchemas.ReadFile(fmt.Sprintf("testdata/%s_v%d.sql", name, version))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
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

// shapes are queries for a description of every table, column, constraint and
// index, a line each, so that two databases that were made in different ways can
// be compared.
var shapes = map[bool]string{
	false: `SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1`,
	true: `SELECT concat_ws(' ', 'column', table_name, column_name, data_type, collation_name, is_nullable, column_default, identity_generation)
			FROM information_schema.columns WHERE table_schema = current_schema()
		UNION ALL SELECT concat_ws(' ', 'index', replace(indexdef, current_schema() || '.', '')) FROM pg_indexes WHERE schemaname = current_schema()
		UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
		ORDER BY 1`,
}

func shape(t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.Query(shapes[onPostgres(t)])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	comment := regexp.MustCompile(`--[^\n]*`)
	var b strings.Builder
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		text = space.ReplaceAllString(comment.ReplaceAllString(text, ""), " ")
		fmt.Fprintln(&b, strings.ReplaceAll(text, " ,", ","))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	found := stateOf(t, db)
	fmt.Fprintf(&b, "version %d, ours %v\n", found.version, found.ours)
	return b.String()
}

// backendOf is the kind of database a test runs on.
func backendOf(t *testing.T) backend {
	if onPostgres(t) {
		return &postgres{}
	}
	return &sqlite{}
}

func stateOf(t *testing.T, db *sql.DB) state {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	found, err := backendOf(t).state(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// stampAs writes down a version of the schema.
func stampAs(t *testing.T, db *sql.DB, version int) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(backendOf(t).stamp(t.Context(), tx, version), tx.Commit()); err != nil {
		t.Fatal(err)
	}
}

func TestFrozenSchemaMigratesToTheFreshOne(t *testing.T) {
	onBoth(t, testFrozenSchemaMigratesToTheFreshOne)
}

func testFrozenSchemaMigratesToTheFreshOne(t *testing.T) {
	fresh := raw(t, t.TempDir())
	if found, err := migrate(t.Context(), backendOf(t), fresh, schema, migrations); err != nil || found != 0 {
		t.Fatalf("found %d, %v", found, err)
	}
	for version := 1; version < schemaVersion(); version++ {
		old := raw(t, t.TempDir())
		execAll(t, old, frozen(t, version))
		stampAs(t, old, version)
		stock(t, old, version)
		found, err := migrate(t.Context(), backendOf(t), old, schema, migrations)
		if err != nil || found != version {
			t.Fatalf("found %d, %v", found, err)
		}
		if a, b := shape(t, old), shape(t, fresh); a != b {
			t.Errorf("migrated from %d it is\n%s\na fresh one is\n%s", version, a, b)
		}
		var jid string
		var nick []byte
		if err := old.QueryRow(`SELECT jid, value FROM settings JOIN accounts ON accounts.id = account
			JOIN users ON users.id = "user"`).Scan(&jid, &nick); err != nil || jid != "a@b" || string(nick) != "x" {
			t.Errorf("what was stored is %q %q, %v", jid, nick, err)
		}
		if version < 2 {
			continue
		}
		var body string
		var netid sql.NullString
		if err := old.QueryRow("SELECT privates.body, privates.netid FROM privates JOIN lines ON lines.at = privates.at").Scan(&body, &netid); err != nil || body != "p" || netid.Valid {
			t.Errorf("what was said is %q, %v, %v", body, netid, err)
		}
	}
}

// stock stores something of what a version has.
func stock(t *testing.T, db *sql.DB, version int) {
	t.Helper()
	execAll(t, db,
		"INSERT INTO users (id, gateway, jid, created, seen) VALUES (7, 'g', 'a@b', 1, 2)",
		`INSERT INTO accounts (id, "user", network, created, changed) VALUES (9, 7, 'n', 1, 2)`,
		`INSERT INTO occupancies ("user", resource, room, nick, since) VALUES (7, 'r', 'room', 'x', 3)`,
		`INSERT INTO subscriptions ("user", address, sends, receives) VALUES (7, 'g', 1, 0)`,
		`INSERT INTO preferences ("user", name, value) VALUES (7, 'p', 'v')`)
	for _, query := range []string{
		"INSERT INTO settings (account, name, sealed, value) VALUES (9, 'nick', 0, ?)",
		"INSERT INTO gateway_keys (gateway, name, value) VALUES ('g', 'k', ?)",
	} {
		if _, err := db.Exec(query, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if version < 2 {
		return
	}
	execAll(t, db,
		"INSERT INTO archives (id, gateway, network, room) VALUES (3, 'g', 'n', '#r')",
		`INSERT INTO listeners (id, "user") VALUES (4, 7)`,
		"INSERT INTO visits (listener, archive, since) VALUES (4, 3, 1)",
		"INSERT INTO views (listener, jid, archive) VALUES (4, 'j', 3)",
		"INSERT INTO lines (archive, at, tie, seen, self, nick, body, netid) VALUES (3, 5, 6, 0, 0, 'n', 'b', 'x')",
		"INSERT INTO privates (listener, at, tie, peer, nick, via, id, body, sent, pending) VALUES (4, 5, 6, 'p', 'n', '', 'i', 'p', 0, 1)",
		`INSERT INTO user_rooms ("user", jid, persistent, nick) VALUES (7, 'j', 1, 'x')`)
}

// firstTables are a schema to migrate from.
const firstTables = "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL); CREATE TABLE first (x INTEGER)"

func TestMigrationsRunInOrderAndOnce(t *testing.T) { onBoth(t, testMigrationsRunInOrderAndOnce) }

func testMigrationsRunInOrderAndOnce(t *testing.T) {
	steps := []string{
		"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (2)",
		"ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x * 10",
	}
	db := raw(t, t.TempDir())
	for _, upTo := range []int{0, 1, 2, 2} {
		if _, err := migrate(t.Context(), backendOf(t), db, firstTables, steps[:upTo]); err != nil {
			t.Fatal(err)
		}
	}
	var n, x, y int
	if err := db.QueryRow("SELECT count(*), max(x), max(y) FROM a").Scan(&n, &x, &y); err != nil || n != 1 || x != 2 || y != 20 {
		t.Errorf("%d rows, %d %d, %v", n, x, y, err)
	}
	if version := stateOf(t, db).version; version != 3 {
		t.Errorf("version %d", version)
	}
}

func TestAFailedMigrationChangesNothing(t *testing.T) { onBoth(t, testAFailedMigrationChangesNothing) }

func testAFailedMigrationChangesNothing(t *testing.T) {
	db := raw(t, t.TempDir())
	if _, err := migrate(t.Context(), backendOf(t), db, firstTables, nil); err != nil {
		t.Fatal(err)
	}
	before := shape(t, db)
	_, err := migrate(t.Context(), backendOf(t), db, "", []string{"CREATE TABLE a (x INTEGER)", "CREATE TABLE nonsense ("})
	if err == nil || !strings.Contains(err.Error(), "migrate schema 2 to 3") {
		t.Fatalf("got %v", err)
	}
	if after := shape(t, db); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestRefusesANewerSchema(t *testing.T) { onBoth(t, testRefusesANewerSchema) }

func testRefusesANewerSchema(t *testing.T) {
	dir := t.TempDir()
	if err := openAt(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	stampAs(t, raw(t, dir), schemaVersion()+1)
	_, err := Open(t.Context(), options(t, dir))
	if !errors.Is(err, ErrNewerSchema) {
		t.Errorf("got %v", err)
	}
}

func TestRefusesFilesOfOthers(t *testing.T) {
	for name, setup := range map[string]func(t *testing.T, path string){
		"another program's database": func(t *testing.T, path string) { execAll(t, rawAt(t, Options{Path: path}), "CREATE TABLE theirs (x)") },
		"no database": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, t.TempDir())
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
