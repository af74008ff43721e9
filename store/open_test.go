package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"transportd/internal/secret"
)

func TestASecondProcessIsRefused(t *testing.T) { onBoth(t, testASecondProcessIsRefused) }

func testASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	_, err := Open(t.Context(), options(t, dir))
	if !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openAt(t, dir).Close(); err != nil {
		t.Errorf("after the first is gone: %v", err)
	}
}

func TestMissingFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	_, err := Open(t.Context(), options(t, dir))
	if !errors.Is(err, ErrCannotOpen) || !strings.Contains(err.Error(), "there is no folder "+dir) {
		t.Errorf("got %v", err)
	}
}

func TestAPathWithOddCharacters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%41&mode=ro")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, dir)
	if err := db.PutAccount(t.Context(), account(juli, "n")); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(options(t, dir).Path); err != nil || info.Size() == 0 {
		t.Errorf("the database is elsewhere: %v", err)
	}
}

func TestLockedByAnotherProgram(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	defer func() { _ = db.Close() }()
	if _, err := db.durable.Exec("PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	other := raw(t, dir)
	tx, err := other.BeginTx(t.Context(), nil) // immediate: holds the write lock
	if err != nil {
		t.Fatal(err)
	}
	err = db.PutAccount(t.Context(), account(juli, "n"))
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "locked by another program") {
		t.Errorf("got %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.PutAccount(t.Context(), account(juli, "n")); err != nil {
		t.Errorf("after the other let go: %v", err)
	}
}

func TestReadOnlyDatabase(t *testing.T) {
	db := open(t)
	if _, err := db.durable.Exec("PRAGMA query_only = on"); err != nil {
		t.Fatal(err)
	}
	err := db.PutAccount(t.Context(), account(juli, "n"))
	if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("got %v", err)
	}
}

func TestExplain(t *testing.T) {
	b := &sqlite{path: "/x/t.db"}
	for code, want := range sqliteCauses {
		err := explain(b, "put account", fmt.Errorf("wrapped: %w", sqlite3.Error{Code: code}))
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "put account: /x/t.db: ") {
			t.Errorf("code %d: %v", code, err)
		}
	}
	if err := explain(b, "op", context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if explain(b, "op", nil) != nil {
		t.Error("no error became one")
	}
}

// crashFolder makes this test binary a child that writes accounts into the
// folder it names until it is killed.
const crashFolder = "STORE_TEST_CRASH_FOLDER"

// crashPostgres is the address of the child's database, when it is none of the
// folder.
const crashPostgres = "STORE_TEST_CRASH_POSTGRES"

func writeForEver(dir string) {
	ctx := context.Background()
	o := Options{Path: filepath.Join(dir, "t.db"), Postgres: secret.Text(os.Getenv(crashPostgres)), KeyFile: filepath.Join(dir, "t.key")}
	db, err := Open(ctx, o)
	for n := 0; err == nil; n++ {
		user := fmt.Sprintf("u%06d@x", n)
		o := Occupancy{Gateway: gw, User: user + "/r", Room: "#a@" + gw, Nick: "n", Password: "key"}
		if err = errors.Join(db.PutAccount(ctx, account(user, "n")), db.SaveOccupancy(ctx, o)); err == nil {
			_, err = fmt.Println(user) // tells that it is on the disk
		}
	}
	fmt.Println("error:", err)
	os.Exit(1)
}

func TestKillNineLeavesAccountsIntact(t *testing.T) { onBoth(t, testKillNineLeavesAccountsIntact) }

func testKillNineLeavesAccountsIntact(t *testing.T) {
	dir := t.TempDir()
	told := 0
	for round, lines := range []int{1, 60, 25} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashFolder+"="+dir, crashPostgres+"="+options(t, dir).Postgres.Reveal())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(out)
		n := 0
		for n < lines && s.Scan() {
			if !strings.HasPrefix(s.Text(), "u") {
				t.Fatal(s.Text())
			}
			n++
		}
		if err := cmd.Process.Kill(); err != nil { // SIGKILL, in the middle of a write
			t.Fatal(err)
		}
		for s.Scan() {
			n++
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		told = max(told, n)
		survived(t, dir, told, round)
	}
}

// survived checks that every account that was told to be stored is there, whole.
func survived(t *testing.T, dir string, told, round int) {
	t.Helper()
	db := openAt(t, dir)
	defer func() { _ = db.Close() }()
	var verdict string
	if onPostgres(t) {
		verdict = "ok" // the server was not killed
	} else if err := db.read.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("round %d: %s, %v", round, verdict, err)
	}
	for n := range told {
		user := fmt.Sprintf("u%06d@x", n)
		a, err := db.Account(t.Context(), gw, user, "n")
		if err != nil {
			t.Fatalf("round %d: %s: %v", round, user, err)
		}
		sameAccount(t, a, account(user, "n"))
	}
	for o, err := range db.Occupancies(t.Context(), gw) {
		if err != nil || o.Password != "key" {
			t.Fatalf("round %d: %+v, %v", round, o, err)
		}
	}
}
