package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"transportd/archive"
	"transportd/internal/secret"
	"transportd/internal/testenv"
	"transportd/store"
)

// stocked is a config with a database that holds an account.
func stocked(t *testing.T) (file string, account store.Account) {
	t.Helper()
	file = initialised(t)
	db, err := store.Open(t.Context(), stockOptions(file))
	if err != nil {
		t.Fatal(err)
	}
	account = store.Account{Gateway: "g", User: "u@x", Network: "n", Secrets: map[string]secret.Text{"password": "s3cret"}}
	if err := db.PutAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return file, account
}

func stockOptions(file string) store.Options {
	dir := filepath.Dir(file)
	return store.Options{Path: filepath.Join(dir, "transportd.db"), KeyFile: filepath.Join(dir, "transportd.key")}
}

// holds checks that a database holds the account of stocked.
func holds(t *testing.T, o store.Options) {
	t.Helper()
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if a, err := db.Account(t.Context(), "g", "u@x", "n"); err != nil || a.Secrets["password"] != "s3cret" {
		t.Errorf("%+v, %v", a, err)
	}
}

func startPostgres(t *testing.T) *testenv.Postgres {
	t.Helper()
	env, err := testenv.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	pg, err := env.StartPostgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pg
}

func TestCopyToPostgresAndRunThere(t *testing.T) {
	pg := startPostgres(t)
	file, _ := stocked(t)
	dir := filepath.Dir(file)
	address := filepath.Join(dir, "pg")
	if err := os.WriteFile(address, []byte(pg.DSN()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := cli(t, append(args, "-c", file)...)
		if code != want {
			t.Fatalf("%v: %d %q %q", args, code, stdout, stderr)
		}
		told.WriteString(stdout + stderr)
		return stdout, stderr
	}
	out, progress := run(exitOK, "db", "copy", "--to", "@"+address)
	if !strings.Contains(out, "accounts                        1\n") || !strings.Contains(out, "rows, counted again in the copy") {
		t.Errorf("got %s", out)
	}
	if !strings.Contains(progress, "settings       [####################] 100% 1 of 1 rows\n") {
		t.Errorf("got %s", progress)
	}
	if _, stderr := run(exitFailure, "db", "copy", "--to", "@"+address); !strings.Contains(stderr, "is not empty") {
		t.Errorf("got %s", stderr)
	}

	use := []string{"--set", "store.postgres_file=" + address}
	run(exitOK, append([]string{"db", "rotate-key"}, use...)...)
	holds(t, store.Options{Postgres: secret.Text(pg.DSN()), KeyFile: stockOptions(file).KeyFile})
	backup := filepath.Join(t.TempDir(), "b")
	run(exitOK, append([]string{"backup", backup}, use...)...)
	holds(t, store.Options{Path: filepath.Join(backup, store.BackupDatabase), KeyFile: filepath.Join(backup, store.BackupKey)})
	back := filepath.Join(dir, "back.db")
	run(exitOK, append([]string{"db", "copy", "--to", back}, use...)...)
	holds(t, store.Options{Path: back, KeyFile: stockOptions(file).KeyFile})
	run(exitOK, append([]string{"check"}, use...)...)

	// A server that is away is told without the password.
	pg.Kill9()
	if _, stderr := run(exitFailure, append([]string{"run", "--set", "ops.listen="}, use...)...); !strings.Contains(stderr, "cannot be reached") {
		t.Errorf("got %s", stderr)
	}
	if strings.Contains(told.String(), pg.Password()) {
		t.Error("the password of the database was told")
	}
}

func TestRotateKeyCommand(t *testing.T) {
	file, _ := stocked(t)
	o := stockOptions(file)
	before, err := os.ReadFile(o.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	code, out, stderr := cli(t, "db", "rotate-key", "-c", file)
	if code != exitOK || !strings.Contains(out, "1 values sealed anew") {
		t.Fatalf("%d %q %q", code, out, stderr)
	}
	if after, err := os.ReadFile(o.KeyFile); err != nil || bytes.Equal(after, before) {
		t.Errorf("the key is the same (%v)", err)
	}
	holds(t, o)
}

// refusing is a database that takes nothing of an archive.
type refusing struct{ *store.DB }

func (refusing) WriteArchive(context.Context, []archive.Op) error { return errors.New("not now") }

// TestRotateKeyWithAJournal: what a killed process left behind is sealed with the old key.
func TestRotateKeyWithAJournal(t *testing.T) {
	file, _ := stocked(t)
	o := stockOptions(file)
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(archive.Options{Backend: refusing{db}, Database: "one", Journal: journalFile(o.KeyFile)})
	if err != nil {
		t.Fatal(err)
	}
	a.Apply(&archive.SaveState{Gateway: "g", User: "u@x", Network: "n", Changes: map[string][]byte{"sealed/key": []byte("k")}})
	if err := errors.Join(a.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := cli(t, "db", "rotate-key", "-c", file)
	if code != exitFailure || !strings.Contains(stderr, "1 changes that a killed process left behind") || !strings.Contains(stderr, "start transportd once") {
		t.Errorf("%d %q", code, stderr)
	}
	holds(t, o)
}

func TestPlacesOfCopy(t *testing.T) {
	file, _ := stocked(t)
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte("postgres://h/d"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to, want string
		code     int
	}{
		{"", "--to is missing", exitUsage},
		{"postgres://u:hunter2@h/d", "--to has a password, which everybody on this machine can see", exitUsage},
		{"postgres://h/d?password=hunter2", "--to has a password", exitUsage},
		{"@/none/there", "--to: /none/there: no such file", exitFailure},
		{"@" + open, "everybody may read it", exitFailure},
		{"config", "in use", exitFailure},
		{"/none/there/x.db", "there is no folder /none/there", exitFailure},
	} {
		code, out, stderr := cli(t, "db", "copy", "-c", file, "--to", c.to)
		if code != c.code || !strings.Contains(stderr, c.want) || out != "" || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: %d %q %q", c.to, code, out, stderr)
		}
	}
	if code, _, stderr := cli(t, "db", "copy", "-c", file, "--from", "/none/x.db", "--to", "y.db"); code != exitFailure || !strings.Contains(stderr, "cannot be opened") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestProgressBar(t *testing.T) {
	if got := progressLine(store.CopyProgress{Table: "lines", Done: 50, Total: 200}, 2*time.Second); got != "lines          [#####...............]  25% 50 of 200 rows, 25 a second" {
		t.Errorf("got %q", got)
	}
	var out bytes.Buffer
	bar := &progressBar{out: &out, terminal: true}
	bar.report(store.CopyProgress{Table: "a", Total: 2})
	bar.report(store.CopyProgress{Table: "a", Done: 2, Total: 2})
	bar.report(store.CopyProgress{Table: "b"})
	bar.end()
	if got := strings.ReplaceAll(strings.ReplaceAll(out.String(), "\x1b[K", ""), "\r", "|"); strings.Count(got, "|") != 3 || strings.Count(got, "\n") != 2 {
		t.Errorf("got %q", got)
	}
}
