package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"transportd/internal/secret"
	"transportd/internal/testenv"
)

// onBoth runs a test on SQLite and on a real PostgreSQL, as a subtest of that
// name each: open, openAt and options look at it.
func onBoth(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, test)
	}
}

// onPostgres tells whether a test is the PostgreSQL run of onBoth.
func onPostgres(t *testing.T) bool {
	_, below, _ := strings.Cut(t.Name(), "/")
	return below == "postgres" || strings.HasPrefix(below, "postgres/")
}

// servers are what tests have started; TestMain stops them.
type servers struct {
	once sync.Once
	env  *testenv.Env
	pg   *testenv.Postgres
	err  error
}

// shared is the PostgreSQL of this test binary, started by the first test that
// wants it.
var shared servers

func (s *servers) postgres(t *testing.T) *testenv.Postgres {
	t.Helper()
	s.once.Do(func() {
		if s.env, s.err = testenv.New(); s.err == nil {
			s.pg, s.err = s.env.StartPostgres(context.Background())
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.pg
}

func (s *servers) stop() error {
	if s.env == nil {
		return nil
	}
	return s.env.Close()
}

// options say where the database of a folder is: in the folder, or in a schema
// of its own of the PostgreSQL server.
func options(t *testing.T, dir string) Options {
	t.Helper()
	o := Options{KeyFile: filepath.Join(dir, "t.key")}
	if !onPostgres(t) {
		o.Path = filepath.Join(dir, "t.db")
		return o
	}
	o.Postgres = schemaFor(t, shared.postgres(t), dir)
	return o
}

// schemaFor returns the address of the schema of a folder, which is made at the
// first call.
func schemaFor(t *testing.T, pg *testenv.Postgres, dir string) secret.Text {
	t.Helper()
	name := fmt.Sprintf("t_%x", sha256.Sum256([]byte(dir)))[:32]
	admin := rawAt(t, Options{Postgres: secret.Text(pg.DSN())})
	if _, err := admin.ExecContext(t.Context(), "CREATE SCHEMA IF NOT EXISTS "+name); err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(); err != nil {
		t.Fatal(err)
	}
	return secret.Text(pg.DSN("search_path=" + name))
}

// rawAt opens a database without any of the store's own steps.
func rawAt(t *testing.T, o Options) *sql.DB {
	t.Helper()
	if o.Postgres == "" {
		f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_RDWR, 0o600)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := newBackend(o)
	if err != nil {
		t.Fatal(err)
	}
	db, err := b.pool(durablePool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// raw is rawAt of a folder's database.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	return rawAt(t, options(t, dir))
}

// openAt opens the database of a folder; the test closes it.
func openAt(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(t.Context(), options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// open opens a fresh database that is closed with the test.
func open(t *testing.T) *DB {
	t.Helper()
	db := openAt(t, t.TempDir())
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashFolder); dir != "" {
		writeForEver(dir)
	}
	if dir := os.Getenv(rotateFolder); dir != "" {
		rotateForEver(dir)
	}
	if path := os.Getenv(lockFile); path != "" {
		holdLock(path)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
