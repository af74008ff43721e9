package store

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"transportd/archive"
	"transportd/internal/secret"
)

func scanString(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRotateKey(t *testing.T) { onBoth(t, testRotateKey) }

func testRotateKey(t *testing.T) {
	o := options(t, t.TempDir())
	fill(t, o)
	want, old := everything(t, o), readFile(t, o.KeyFile)
	r, err := RotateKey(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sealed != 7 || r.Broken != 0 || r.Old == r.New { // two accounts, two rooms, one key, one kept room, state of one account
		t.Errorf("got %+v", r)
	}
	if bytes.Equal(old, readFile(t, o.KeyFile)) {
		t.Error("the key file is the old one")
	}
	if info, err := os.Stat(o.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(nextKey(o.KeyFile)); err == nil {
		t.Error("the new key is left where it waited")
	}
	if got := everything(t, o); !slices.Equal(got, want) {
		t.Error("something else came out after the rotation")
	}
	// Nothing opens with the old key any more.
	if err := os.WriteFile(o.KeyFile, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrWrongKey) {
		t.Errorf("with the old key: %v", err)
	}
}

// A rotation that ends early leaves one of two states.
func TestAnInterruptedRotation(t *testing.T) { onBoth(t, testAnInterruptedRotation) }

func testAnInterruptedRotation(t *testing.T) {
	o := options(t, t.TempDir())
	fill(t, o)
	want := everything(t, o)
	old := readFile(t, o.KeyFile)

	// The new key waits, the database has not changed.
	if _, err := createKey(nextKey(o.KeyFile)); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, o); !slices.Equal(got, want) {
		t.Error("before the change: something else came out")
	}
	if !bytes.Equal(old, readFile(t, o.KeyFile)) {
		t.Error("before the change: the key was replaced")
	}
	if _, err := RotateKey(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}

	// The database has changed, the new key still waits.
	if err := errors.Join(os.Rename(o.KeyFile, nextKey(o.KeyFile)), os.WriteFile(o.KeyFile, old, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := everything(t, o); !slices.Equal(got, want) {
		t.Error("after the change: something else came out")
	}
	if _, err := os.Stat(nextKey(o.KeyFile)); err == nil || bytes.Equal(old, readFile(t, o.KeyFile)) {
		t.Error("after the change: the new key did not take its place")
	}
	if got := everything(t, o); !slices.Equal(got, want) {
		t.Error("at the next start something else came out")
	}
}

func TestRotateLeavesABrokenValueAlone(t *testing.T) {
	o := options(t, t.TempDir())
	fill(t, o)
	execAll(t, rawAt(t, o), "UPDATE gateway_keys SET value = CAST('broken' AS BLOB)")
	r, err := RotateKey(t.Context(), o, nil)
	if err != nil || r.Sealed != 6 || r.Broken != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRotateRefusals(t *testing.T) {
	o := options(t, t.TempDir())
	if _, err := RotateKey(t.Context(), o, nil); !errors.Is(err, ErrCannotOpen) {
		t.Errorf("no database: %v", err)
	}
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RotateKey(t.Context(), o, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if err := errors.Join(db.Close(), os.Remove(o.KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := RotateKey(t.Context(), o, nil); !errors.Is(err, ErrKeyMissing) {
		t.Errorf("no key: %v", err)
	}
}

// rotateFolder makes this test binary a child that rotates the key of the
// database it names until it is killed.
const rotateFolder = "STORE_TEST_ROTATE_FOLDER"

func rotateForEver(dir string) {
	o := Options{Path: filepath.Join(dir, "t.db"), Postgres: secret.Text(os.Getenv(crashPostgres)), KeyFile: filepath.Join(dir, "t.key")}
	for {
		r, err := RotateKey(context.Background(), o, nil)
		fmt.Println(r.New, err)
		if err != nil {
			os.Exit(1)
		}
	}
}

func TestKillNineWhileRotating(t *testing.T) { onBoth(t, testKillNineWhileRotating) }

func testKillNineWhileRotating(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	fill(t, o)
	want := everything(t, o)
	for round := range 12 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), rotateFolder+"="+dir, crashPostgres+"="+o.Postgres.Reveal())
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		// It rotates; the moment of the next one is left to chance.
		line, err := bufio.NewReader(out).ReadString('\n')
		if len(line) < 16 || err != nil {
			t.Fatal(line, err)
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := everything(t, o); !slices.Equal(got, want) {
			t.Fatalf("round %d: something else came out", round)
		}
	}
}

// More than a page of what a driver keeps sealed is sealed anew, each value once.
func TestRotateMuch(t *testing.T) { onBoth(t, testRotateMuch) }

func testRotateMuch(t *testing.T) {
	o := options(t, t.TempDir())
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	changes, rooms := map[string][]byte{"open": []byte("o")}, 0
	for i := range 3*pageSize + 7 {
		changes[fmt.Sprintf("sealed/%d", i)] = []byte(fmt.Sprint("s", i))
	}
	for _, user := range []string{alice, carol} {
		err = errors.Join(err, db.PutAccount(t.Context(), Account{Gateway: gate, User: user, Network: "net", Secrets: map[string]secret.Text{"password": "pw"}}),
			db.WriteArchive(t.Context(), []archive.Op{&archive.SaveState{Gateway: gate, User: user, Network: "net", Changes: changes}}))
		for ; rooms < pageSize; rooms++ {
			err = errors.Join(err, db.SaveUserRoom(t.Context(), UserRoom{Gateway: gate, User: user, JID: fmt.Sprint("#", rooms, "@", gate), Persistent: true, Password: "room pw"}))
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := RotateKey(t.Context(), o, nil)
	if want := 2*(len(changes)-1) + 2 + rooms; err != nil || r.Sealed != want || r.Broken != 0 {
		t.Errorf("%+v, %v; there are %d", r, err, want)
	}
	if db, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, user := range []string{alice, carol} {
		got, err := db.AccountState(t.Context(), gate, user, "net", "")
		if err != nil || !reflect.DeepEqual(got, changes) {
			t.Errorf("%s has %d of %d, %v", user, len(got), len(changes), err)
		}
	}
	if list, err := db.UserRooms(t.Context(), gate, alice); err != nil || len(list) != rooms || list[7].Password != "room pw" {
		t.Errorf("%d rooms, %v", len(list), err)
	}
}
