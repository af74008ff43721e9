package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"transportd/internal/secret"
	"transportd/internal/testenv"
)

// until waits for something the test does not control.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

// fault is something that keeps a database from being written to.
type fault struct {
	begin, end func()
	want       error
	words      string
}

// suffers checks what everybody sees while a fault lasts, and that nothing that
// was taken is lost by it.
func suffers(t *testing.T, db *DB, f fault) {
	t.Helper()
	ctx := t.Context()
	if err := db.PutAccount(ctx, account(juli, "before")); err != nil {
		t.Fatal(err)
	}
	f.begin()
	var err error
	for i := 0; err == nil && i < 3000; i++ { // a full disk may have some room yet
		err = db.PutAccount(ctx, account(juli, fmt.Sprint("n", i)))
	}
	if !errors.Is(err, f.want) || !strings.Contains(err.Error(), f.words) {
		t.Errorf("a durable write: %v", err)
	}
	const rooms = 300
	for i := range rooms {
		if err := db.SaveOccupancy(ctx, Occupancy{Gateway: gw, User: "q@x/r", Room: fmt.Sprintf("#%03d@%s", i, gw), Nick: strings.Repeat("n", 400)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Flush(ctx); !errors.Is(err, f.want) {
		t.Errorf("the queue: %v", err)
	}
	f.end()
	until(t, "a durable write is taken again", func() bool {
		err = db.PutAccount(ctx, account(juli, "after"))
		return err == nil
	})
	until(t, "the queue is written", func() bool { return db.Flush(ctx) == nil && db.Queued() == 0 })
	for _, network := range []string{"before", "after"} {
		a, err := db.Account(ctx, gw, juli, network)
		if err != nil {
			t.Fatal(err)
		}
		sameAccount(t, a, account(juli, network))
	}
	n := 0
	for o := range db.Occupancies(ctx, gw) {
		if strings.HasPrefix(o.User, "q@x/") {
			n++
		}
	}
	if n != rooms {
		t.Errorf("%d of %d queued changes were written afterwards", n, rooms)
	}
}

// openOptions opens a database that is closed with the test.
func openOptions(t *testing.T, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

// tmpfs mounts a small file system, for root.
func tmpfs(t *testing.T, dir string, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fillDisk leaves no room on the file system of a folder, until freeDisk.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int{64 << 10, 4096} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

func freeDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
}

// diskFull is a disk that fills up: a small file system where we may mount one,
// else the limit of the size of a file, which SQLite takes for the same.
func diskFull(t *testing.T, dir string) fault {
	t.Helper()
	if os.Getuid() == 0 {
		tmpfs(t, dir, "size=4m")
		return fault{func() { fillDisk(t, dir) }, func() { freeDisk(t, dir) }, ErrDiskFull, "the disk is full"}
	}
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(cur uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: cur, Max: before.Max}); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { set(before.Cur) })
	return fault{func() { set(256 << 10) }, func() { set(before.Cur) }, ErrDiskFull, "the disk is full"}
}

func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	f := diskFull(t, dir)
	suffers(t, openOptions(t, options(t, dir)), f)
}

func TestAFullDiskAtTheStart(t *testing.T) {
	dir := t.TempDir()
	f := diskFull(t, dir)
	if os.Getuid() == 0 {
		f.begin()
		if _, err := Open(t.Context(), options(t, dir)); !errors.Is(err, ErrDiskFull) {
			t.Errorf("got %v", err)
		}
		f.end()
	}
	openOptions(t, options(t, dir))
}

func TestAFileSystemThatIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	set := func(readOnly bool) {
		t.Helper()
		mode := map[bool]os.FileMode{false: 0o700, true: 0o500}[readOnly]
		err := os.Chmod(dir, mode)
		if readOnly {
			err = errors.Join(err, os.Chmod(filepath.Join(dir, "t.db"), 0o400))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 { // whom modes do not stop
		tmpfs(t, dir, "size=4m")
		set = func(readOnly bool) {
			t.Helper()
			flags := uintptr(syscall.MS_REMOUNT)
			if readOnly {
				flags |= syscall.MS_RDONLY
			}
			if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := openAt(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	set(true)
	_, err := Open(t.Context(), options(t, dir))
	set(false)
	if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

// lockFile makes this test binary a child that holds the write lock of the
// database it names, until its input ends.
const lockFile = "STORE_TEST_LOCK_FILE"

func holdLock(path string) {
	pool, err := (&sqlite{path: path}).pool(durablePool)
	if err == nil {
		_, err = pool.BeginTx(context.Background(), nil)
	}
	fmt.Println("locked", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func TestAnotherProcessHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, dir)
	t.Cleanup(func() { _ = db.Close() })
	for _, pool := range []string{"durable", "batch"} {
		c := map[string]func() error{
			"durable": func() error { _, err := db.durable.Exec("PRAGMA busy_timeout = 1"); return err },
			"batch":   func() error { _, err := db.batch.Exec("PRAGMA busy_timeout = 1"); return err },
		}[pool]
		if err := c(); err != nil {
			t.Fatal(err)
		}
	}
	var letGo func()
	suffers(t, db, fault{func() {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), lockFile+"="+options(t, dir).Path)
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked <nil>\n" {
			t.Fatal(line, err)
		}
		letGo = func() {
			if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
				t.Error(err)
			}
		}
	}, func() { letGo() }, ErrLocked, "locked by another program"})
}

func TestTheFileIsMovedAway(t *testing.T) {
	dir := t.TempDir()
	path := options(t, dir).Path
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	suffers(t, openOptions(t, options(t, dir)), fault{
		func() { move(path, path+".away") }, func() { move(path+".away", path) }, ErrVanished, "no file of that name any more"})
}

func TestTheFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := options(t, dir).Path
	suffers(t, openOptions(t, options(t, dir)), fault{func() {
		if err := errors.Join(os.Rename(path, path+".away"), os.WriteFile(path, []byte("another"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}, func() {
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}, ErrVanished, "another file in its place"})
}

// ownPostgres is a server that a test may stop.
func ownPostgres(t *testing.T) *testenv.Postgres {
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

func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	pg := ownPostgres(t)
	o := Options{Postgres: secret.Text(pg.DSN()), KeyFile: filepath.Join(t.TempDir(), "key")}
	for name, stop := range map[string]func(){"politely": pg.Stop, "by kill -9": pg.Kill9} {
		t.Run(name, func(t *testing.T) {
			db := openOptions(t, o)
			suffers(t, db, fault{stop, func() {
				if err := pg.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}, ErrUnavailable, "cannot be reached"})
			if err := db.DeleteUser(t.Context(), gw, "q@x"); err != nil {
				t.Error(err)
			}
		})
	}
	pg.Stop()
	_, err := Open(t.Context(), o)
	if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), pg.Password()) || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("opening without a server: %v", err)
	}
}

func TestPostgresFaultsAtTheStart(t *testing.T) {
	pg := shared.postgres(t)
	key := filepath.Join(t.TempDir(), "key")
	good := schemaFor(t, pg, t.TempDir()).Reveal()
	if err := openOptions(t, Options{Postgres: secret.Text(good), KeyFile: key}).Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		address string
		want    error
	}{
		"not an address":      {"postgres://u:hunter2@h:port/d", ErrCannotOpen},
		"a wrong password":    {strings.Replace(good, pg.Password(), "hunter2", 1), ErrCannotOpen},
		"no such database":    {strings.Replace(good, "/postgres?", "/none?", 1), ErrCannotOpen},
		"no such host":        {strings.Replace(good, "127.0.0.1", "none.invalid", 1), ErrUnavailable},
		"it may not write":    {good + "&default_transaction_read_only=on", ErrReadOnly},
		"no such schema":      {pg.DSN("search_path=none"), ErrCannotOpen},
		"somebody's database": {pg.DSN("search_path=theirs"), ErrNotOurs},
	} {
		t.Run(name, func(t *testing.T) {
			execAll(t, rawAt(t, Options{Postgres: secret.Text(pg.DSN())}),
				"CREATE SCHEMA IF NOT EXISTS theirs; CREATE TABLE IF NOT EXISTS theirs.x (y INTEGER)")
			_, err := Open(t.Context(), Options{Postgres: secret.Text(c.address), KeyFile: key})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), pg.Password()) {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestAnotherSessionHoldsATable(t *testing.T) {
	pg := shared.postgres(t)
	address := schemaFor(t, pg, t.TempDir())
	db := openOptions(t, Options{Postgres: address + "&lock_timeout=20", KeyFile: filepath.Join(t.TempDir(), "key")})
	other := rawAt(t, Options{Postgres: address})
	var letGo func() error
	suffers(t, db, fault{func() {
		tx, err := other.BeginTx(t.Context(), nil)
		if err == nil {
			_, err = tx.Exec("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
		}
		if err != nil {
			t.Fatal(err)
		}
		letGo = tx.Rollback
	}, func() {
		if err := letGo(); err != nil {
			t.Fatal(err)
		}
	}, ErrLocked, "locked by another"})
}

// lockHolder returns the server's process that holds the lock of a schema's
// transportd, 0 for none.
func lockHolder(t *testing.T, pool *sql.DB) (pid int) {
	t.Helper()
	if err := pool.QueryRow(`SELECT coalesce(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND classid = ? AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid`, applicationID).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// terminate ends the connection that holds the lock.
func terminate(t *testing.T, pool *sql.DB) (pid int) {
	t.Helper()
	pid = lockHolder(t, pool)
	if _, err := pool.Exec("SELECT pg_terminate_backend(?)", pid); err != nil || pid == 0 {
		t.Fatal(pid, err)
	}
	return pid
}

func TestTheLockIsTakenAgain(t *testing.T) {
	address := schemaFor(t, shared.postgres(t), t.TempDir())
	db := openOptions(t, Options{Postgres: address, KeyFile: filepath.Join(t.TempDir(), "key")})
	other := rawAt(t, Options{Postgres: address})
	before := terminate(t, other)
	until(t, "the lock is held again", func() bool {
		now := lockHolder(t, other)
		return now != 0 && now != before && db.PutAccount(t.Context(), account(juli, "n")) == nil
	})
	if _, err := Open(t.Context(), Options{Postgres: address, KeyFile: db.keyPath}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}

	// While somebody else holds it nothing is written.
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	held := make(chan error)
	go func() {
		_, err := tx.Exec("SELECT pg_advisory_xact_lock(?, hashtext(current_schema()))", applicationID)
		held <- err
	}()
	third := rawAt(t, Options{Postgres: address})
	until(t, "the other waits for the lock", func() bool {
		var waiting int
		err := third.QueryRow(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND classid = ? AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid`, applicationID).Scan(&waiting)
		return err == nil && waiting == 1
	})
	terminate(t, third)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	until(t, "the loss is noticed", func() bool { return Unable(db.PutAccount(t.Context(), account(juli, "n"))) })
	if err := db.PutAccount(t.Context(), account(juli, "n")); !Unable(err) {
		t.Errorf("it writes without the lock: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	until(t, "the lock is held again", func() bool { return db.PutAccount(t.Context(), account(juli, "n")) == nil })

	// Another transportd has it meanwhile.
	execAll(t, other, "UPDATE meta SET value = 'another' WHERE name = 'owner'")
	terminate(t, other)
	until(t, "the loss is noticed", func() bool {
		err = db.PutAccount(t.Context(), account(juli, "n"))
		return errors.Is(err, ErrInUse)
	})
	until(t, "the other can go on", func() bool {
		db, err := Open(t.Context(), Options{Postgres: address, KeyFile: db.keyPath})
		return err == nil && db.Close() == nil
	})
	if err := db.PutAccount(t.Context(), account(juli, "n")); !errors.Is(err, ErrInUse) {
		t.Errorf("it writes again: %v", err)
	}
}

func TestAFullTablespace(t *testing.T) {
	if os.Getuid() != 0 {
		return // a file system of a size of its own needs root
	}
	pg := ownPostgres(t)
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) { // the server runs as somebody else
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	uid, gid := pg.Owner()
	tmpfs(t, dir, fmt.Sprintf("size=4m,mode=700,uid=%d,gid=%d", uid, gid))
	execAll(t, rawAt(t, Options{Postgres: secret.Text(pg.DSN())}), "CREATE TABLESPACE small LOCATION '"+dir+"'")
	db := openOptions(t, Options{Postgres: secret.Text(pg.DSN("default_tablespace=small")), KeyFile: filepath.Join(t.TempDir(), "key")})
	suffers(t, db, fault{func() { fillDisk(t, dir) }, func() { freeDisk(t, dir) }, ErrDiskFull, "the disk is full"})
}
