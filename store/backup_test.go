package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestBackupWhileWritingAndRestore(t *testing.T) { onBoth(t, testBackupWhileWritingAndRestore) }

func testBackupWhileWritingAndRestore(t *testing.T) {
	live := t.TempDir()
	db, ctx := openAt(t, live), t.Context()
	// Each round stores the same number for two users in one transaction's
	// reach: first a, then b. In any consistent copy b is never ahead of a.
	put := func(user string, n int) error {
		a := account(user, "n")
		a.Settings = map[string]string{"n": fmt.Sprintf("%06d", n)}
		return db.PutAccount(ctx, a)
	}
	if err := errors.Join(put("a@x", 0), put("b@x", 0)); err != nil {
		t.Fatal(err)
	}
	key, err := db.GatewayKey(ctx, gw, "k")
	if err != nil {
		t.Fatal(err)
	}
	stop, rounds := make(chan struct{}), make(chan int, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			if err := errors.Join(put("a@x", n), put("b@x", n)); err != nil {
				t.Error(err)
				return
			}
			select {
			case rounds <- n:
			default:
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-rounds
	dir := filepath.Join(t.TempDir(), "to", "backup")
	o := options(t, live)
	err = Backup(ctx, o, dir)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	modes(t, dir)

	// Restore: put the files where a config has them.
	folder := t.TempDir()
	restored := Options{Path: filepath.Join(folder, "t.db"), KeyFile: filepath.Join(folder, "t.key")}
	for from, to := range map[string]string{BackupDatabase: restored.Path, BackupKey: restored.KeyFile} {
		if err := os.Rename(filepath.Join(dir, from), to); err != nil {
			t.Fatal(err)
		}
	}
	back, err := Open(ctx, restored)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	a, err1 := back.Account(ctx, gw, "a@x", "n")
	b, err2 := back.Account(ctx, gw, "b@x", "n")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if a.Secrets["password"] != "s3cret of a@x" {
		t.Error("the secret is not the one that was stored")
	}
	if a.Settings["n"] < b.Settings["n"] || a.Settings["n"] == "000000" {
		t.Errorf("no consistent moment of the live database: a %s, b %s", a.Settings["n"], b.Settings["n"])
	}
	if again, err := back.GatewayKey(ctx, gw, "k"); err != nil || string(again) != string(key) {
		t.Errorf("the gateway's key is another (%v)", err)
	}
}

// modes checks that nobody else may read a backup, and that it is all there is.
func modes(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestBackupRefusals(t *testing.T) {
	live := t.TempDir()
	if err := openAt(t, live).Close(); err != nil {
		t.Fatal(err)
	}
	o := options(t, live)
	other := filepath.Join(t.TempDir(), "other.key")
	if _, err := createKey(other); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	execAll(t, rawAt(t, Options{Path: foreign}), "CREATE TABLE theirs (x)")
	full := t.TempDir()
	if err := os.Chmod(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), o, full); err != nil {
		t.Fatal(err)
	}
	wide := filepath.Join(t.TempDir(), "wide")
	if err := os.Mkdir(wide, 0o755); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name           string
		path, key, dir string
		want           error
		words          string
	}{
		{"backup exists", o.Path, o.KeyFile, full, ErrBackupExists, full},
		{"no database", o.Path + "x", o.KeyFile, "d", ErrCannotOpen, o.Path + "x"},
		{"no key", o.Path, o.KeyFile + "x", "d", ErrKeyMissing, o.KeyFile + "x"},
		{"wrong key", o.Path, other, "d", ErrWrongKey, other},
		{"somebody else's database", foreign, o.KeyFile, "d", ErrNotOurs, foreign},
		{"folder others may read", o.Path, o.KeyFile, wide, nil, "chmod 700"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := c.dir
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(t.TempDir(), dir)
			}
			err := Backup(t.Context(), Options{Path: c.path, KeyFile: c.key}, dir)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, BackupKey)); err == nil && dir != full {
				t.Error("a key was copied all the same")
			}
		})
	}
}

// A backup is what one takes before an upgrade, maybe with the new program.
func TestBackupOfTheOldestSchema(t *testing.T) {
	o := options(t, t.TempDir())
	key, err := createKey(o.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := newSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	old := rawAt(t, o)
	execAll(t, old, frozen(t, 1), "INSERT INTO meta (name, value) VALUES ('key_id', '"+seal.id+"')")
	stampAs(t, old, 1)
	dir := filepath.Join(t.TempDir(), "b")
	if err := Backup(t.Context(), o, dir); err != nil {
		t.Fatal(err)
	}
	if v := stateOf(t, rawAt(t, Options{Path: filepath.Join(dir, BackupDatabase)})).version; v != 1 {
		t.Errorf("the backup has schema %d", v)
	}
}
