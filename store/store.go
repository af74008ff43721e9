// Package store keeps what must outlive the process: accounts, who is in which
// room, subscriptions and keys. It holds the only SQL of the program: one
// SQLite file in WAL mode, or a database on a PostgreSQL server; beside it a key
// file that seals the secrets in it.
//
// Two promises of durability: what a user registered (users, preferences,
// accounts, subscriptions, keys) is on the disk when the call returns
// (synchronous=FULL, on PostgreSQL synchronous_commit). Who is in which room
// and when a user was last seen is queued and written in batches
// (synchronous=NORMAL, no synchronous_commit): a killed process loses at most
// the last batch, a call of Flush or Close leaves none behind.
//
// All methods are safe for concurrent use. They block on the disk and on other
// writers, under their context and never longer than some seconds.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"transportd/internal/secret"
)

// busyTimeout is how long SQLite waits for another process, a backup for example.
const busyTimeout = 5 * time.Second

// patience bounds every write and read whose caller sets no limit of its own.
const patience = 30 * time.Second

// Options say where the database is.
type Options struct {
	Path     string       // SQLite: the database file; its folder must exist
	Postgres secret.Text  // PostgreSQL: its address, postgres://user@host/database; Path does not count then
	KeyFile  string       // 32 bytes, created with mode 0600 for a new database
	Log      *slog.Logger // nil: silent
	// Observe is called after each operation with its name and duration, from
	// the caller's goroutine; nil: nobody wants to know.
	Observe func(op string, took time.Duration)
}

// DB is an open database. Close it.
type DB struct {
	backend backend
	keyPath string
	log     *slog.Logger
	observe func(string, time.Duration)

	durable *sql.DB       // one connection, on the disk at each commit
	batch   *sql.DB       // one connection, on the disk a little later
	read    *sql.DB       // a few, which cannot write
	writing chan struct{} // held by the one writer of this process
	seal    *sealer
	queue   *queue

	epoch       int64 // of the last write
	ids         archiveIDs
	lineInserts lineStmts // of the batch connection
}

// Open opens the database, creates it when there is none, and migrates an older
// one. Errors: ErrCannotOpen, ErrUnavailable, ErrInUse, ErrNotOurs,
// ErrNewerSchema, ErrKeyMissing, ErrKeyInvalid, ErrWrongKey and those of any
// write.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{keyPath: o.KeyFile, log: o.Log, observe: o.Observe, writing: make(chan struct{}, 1)}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if db.observe == nil {
		db.observe = func(string, time.Duration) {}
	}
	var err error
	if db.backend, err = newBackend(o); err != nil {
		return nil, err
	}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.closePools())
	}
	db.queue = newQueue(db)
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	if err := db.backend.claim(ctx); err != nil {
		return err
	}
	var err error
	if db.durable, err = db.backend.pool(durablePool); err != nil {
		return db.explain("open", err)
	}
	found, err := migrate(ctx, db.backend, db.durable, schema, migrations)
	if err != nil {
		return db.explain("open", err)
	}
	if found != 0 && found != schemaVersion() {
		if err := db.backend.migrated(ctx, db.durable, found); err != nil {
			return db.explain("open", err)
		}
		db.log.Info("database migrated", "from", found, "to", schemaVersion())
	}
	if err := inTx(ctx, db.durable, func(tx *sql.Tx) error { return checkComplete(ctx, tx) }); err != nil {
		return db.explain("open", err)
	}
	if err := db.unlock(ctx); err != nil {
		return err
	}
	if err := db.backend.settle(ctx, db.durable); err != nil {
		return db.explain("open", err)
	}
	if db.batch, err = db.backend.pool(batchPool); err != nil {
		return db.explain("open", err)
	}
	db.read, err = db.backend.pool(readPool)
	return db.explain("open", err)
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
	if !fresh {
		db.seal, err = fittingKey(db.keyPath, id)
		if errors.Is(err, ErrKeyMissing) {
			return fmt.Errorf("%w; %s was sealed with key %s, put that file back", err, db.backend.label(), id)
		}
		return err
	}
	key, err := readKey(db.keyPath)
	if errors.Is(err, ErrKeyMissing) {
		if key, err = createKey(db.keyPath); err == nil {
			db.log.Info("key file created; back it up with the database, without it no stored password can be read", "file", db.keyPath)
		}
	}
	if err != nil {
		return err
	}
	if db.seal, err = newSealer(key); err != nil {
		return err
	}
	_, err = db.durable.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('key_id', ?)", db.seal.id)
	return db.explain("open", err)
}

// setMeta writes one row of meta.
func setMeta(ctx context.Context, tx *sql.Tx, name, value string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
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
	return errors.Join(append(errs, db.backend.release())...)
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
	if err := db.backend.intact(); err != nil {
		return fmt.Errorf("%s: %s: %w", op, db.backend.label(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return db.explain(op, err)
	}
	if e := db.backend.epoch(); e != db.epoch {
		db.epoch = e
		db.ids.forget()
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
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
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
