// Package store keeps what must outlive the process: accounts, who is in which
// room, subscriptions and keys. It holds the only SQL of the program: one
// SQLite file in WAL mode, beside it a key file that seals the secrets in it.
//
// Two promises of durability: what a user registered (users, preferences,
// accounts, subscriptions, keys) is on the disk when the call returns
// (synchronous=FULL). Who is in which room and when a user was last seen is
// queued and written in batches (synchronous=NORMAL): a killed process loses
// at most the last batch, a call of Flush or Close leaves none behind.
//
// All methods are safe for concurrent use. They block on the disk and on other
// writers, under their context and never longer than some seconds.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// busyTimeout is how long SQLite waits for another process, a backup for example.
const busyTimeout = 5 * time.Second

// Options say where the database is.
type Options struct {
	Path    string       // the database file; its folder must exist
	KeyFile string       // 32 bytes, created with mode 0600 for a new database
	Log     *slog.Logger // nil: silent
	// Observe is called after each operation with its name and duration, from
	// the caller's goroutine; nil: nobody wants to know.
	Observe func(op string, took time.Duration)
}

// DB is an open database. Close it.
type DB struct {
	path, keyPath string
	log           *slog.Logger
	observe       func(string, time.Duration)

	durable *sql.DB       // one connection, synchronous=FULL
	batch   *sql.DB       // one connection, synchronous=NORMAL
	read    *sql.DB       // a few, query_only
	writing chan struct{} // held by the one writer of this process
	seal    *sealer
	lock    *os.File
	queue   *queue

	ids         archiveIDs
	lineInserts [len(lineRows)]*sql.Stmt // of the batch connection
}

// Open opens the database, creates it when there is none, and migrates an older
// one. Errors: ErrCannotOpen, ErrInUse, ErrNotOurs, ErrNewerSchema,
// ErrKeyMissing, ErrKeyInvalid, ErrWrongKey and those of any write.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{path: o.Path, keyPath: o.KeyFile, log: o.Log, observe: o.Observe, writing: make(chan struct{}, 1)}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if db.observe == nil {
		db.observe = func(string, time.Duration) {}
	}
	if err := db.open(ctx); err != nil {
		db.closePools()
		return nil, err
	}
	db.queue = newQueue(db)
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	if err := db.claim(); err != nil {
		return err
	}
	var err error
	if db.durable, err = openPool(db.path, 1, "FULL", false); err != nil {
		return db.explain("open", err)
	}
	found, err := migrate(ctx, db.durable, schema, migrations)
	if err != nil {
		return db.explain("open", err)
	}
	if found == 1 { // files of that time cannot give space back piece by piece
		if _, err := db.durable.ExecContext(ctx, "VACUUM"); err != nil {
			return db.explain("open", err)
		}
	}
	if found != 0 && found != schemaVersion() {
		db.log.Info("database migrated", "from", found, "to", schemaVersion())
	}
	if err := db.unlock(ctx); err != nil {
		return err
	}
	if db.batch, err = openPool(db.path, 1, "NORMAL", false); err != nil {
		return db.explain("open", err)
	}
	db.read, err = openPool(db.path, 4, "NORMAL", true)
	return db.explain("open", err)
}

// claim takes the lock that keeps a second transportd away, and makes the
// database file with mode 0600 when there is none; SQLite gives its other files
// the same mode.
func (db *DB) claim() error {
	dir := filepath.Dir(db.path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("open: %s: %w: there is no folder %s", db.path, ErrCannotOpen, dir)
	}
	lock, err := os.OpenFile(db.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fileError(db.path, err)
	}
	db.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("open: %s: %w", db.path, ErrInUse)
	}
	f, err := os.OpenFile(db.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fileError(db.path, err)
	}
	return f.Close()
}

// fileError explains why a file could not be opened for writing.
func fileError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("open: %s: %w", path, ErrDiskFull)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("open: %s: %w", path, ErrReadOnly)
	}
	return fmt.Errorf("open: %s: %w (%w)", path, ErrCannotOpen, err)
}

func openPool(path string, conns int, sync string, readOnly bool) (*sql.DB, error) {
	q := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {sync},
		"_txlock":       {"immediate"},
		"_auto_vacuum":  {"incremental"}, // of a new file
		"_cache_size":   {"-1000"},       // KiB a connection: the working set is small
	}
	if readOnly {
		q.Del("_journal_mode")
		q.Set("_txlock", "deferred")
		q.Set("_query_only", "on")
	}
	pool, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(1)
	if conns > 1 {
		pool.SetConnMaxIdleTime(time.Minute)
	}
	return pool, nil
}

// unlock reads the key, or makes one for a database that has none yet, and
// compares it with the one the database was sealed with.
func (db *DB) unlock(ctx context.Context) error {
	var id string
	err := db.durable.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'key_id'").Scan(&id)
	fresh := errors.Is(err, sql.ErrNoRows)
	if err != nil && !fresh {
		return db.explain("open", err)
	}
	key, err := readKey(db.keyPath)
	if fresh && errors.Is(err, ErrKeyMissing) {
		if key, err = createKey(db.keyPath); err == nil {
			db.log.Info("key file created; back it up with the database, without it no stored password can be read", "file", db.keyPath)
		}
	}
	if errors.Is(err, ErrKeyMissing) {
		return fmt.Errorf("%w; %s was sealed with key %s, put that file back", err, db.path, id)
	}
	if err != nil {
		return err
	}
	if db.seal, err = newSealer(key); err != nil {
		return err
	}
	if !fresh {
		return checkKey(db.keyPath, db.seal.id, id)
	}
	_, err = db.durable.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('key_id', ?)", db.seal.id)
	return db.explain("open", err)
}

func checkKey(path, have, want string) error {
	if have != want {
		return fmt.Errorf("%s: %w: it is key %s, the database wants key %s", path, ErrWrongKey, have, want)
	}
	return nil
}

// Close writes what is queued, waits for it, and closes the database. Calls
// that come later return ErrClosed.
func (db *DB) Close() error {
	err := db.queue.close()
	return errors.Join(err, db.closePools())
}

func (db *DB) closePools() error {
	var errs []error
	for _, pool := range []*sql.DB{db.read, db.batch, db.durable} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// write runs f in one transaction on pool, one writer of this process at a
// time, so that waiting is fair and SQLite's own busy polling is left to other
// processes.
func (db *DB) write(ctx context.Context, op string, pool *sql.DB, f func(*sql.Tx) error) error {
	start := time.Now()
	defer func() { db.observe(op, time.Since(start)) }()
	select {
	case db.writing <- struct{}{}:
	case <-ctx.Done():
		return db.explain(op, ctx.Err())
	}
	defer func() { <-db.writing }()
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return db.explain(op, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return db.explain(op, err)
	}
	return db.explain(op, tx.Commit())
}

// save is write with the durable connection.
func (db *DB) save(ctx context.Context, op string, f func(*sql.Tx) error) error {
	return db.write(ctx, op, db.durable, f)
}

// page reads rows that belong together into memory, each through scan.
func page[T any](ctx context.Context, db *DB, op string, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	start := time.Now()
	defer func() { db.observe(op, time.Since(start)) }()
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.explain(op, err)
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, db.explain(op, err)
		}
		out = append(out, v)
	}
	return out, db.explain(op, rows.Err())
}

func unix(t time.Time) int64 { return t.Unix() }

func fromUnix(s int64) time.Time { return time.Unix(s, 0).UTC() }
