package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
)

// applicationID marks the file as ours ("tprt").
const applicationID = 0x74707274

// sqlite is a database in a file.
type sqlite struct {
	path  string
	lock  *os.File
	found os.FileInfo // the file as it was claimed
}

func (s *sqlite) label() string { return s.path }

func (s *sqlite) exists() error {
	if _, err := os.Stat(s.path); err != nil {
		return fmt.Errorf("%w: %w", ErrCannotOpen, err)
	}
	return nil
}

// claim takes the lock and makes the database file with mode 0600 when there is
// none; SQLite gives its other files the same mode.
func (s *sqlite) claim(context.Context) error {
	dir := filepath.Dir(s.path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("open: %s: %w: there is no folder %s", s.path, ErrCannotOpen, dir)
	}
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fileError(s.path, err)
	}
	s.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("open: %s: %w", s.path, ErrInUse)
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fileError(s.path, err)
	}
	defer func() { _ = f.Close() }()
	s.found, err = f.Stat()
	return err
}

func (*sqlite) settle(context.Context, *sql.DB) error { return nil }

// intact compares the file at the path with the one that is open: SQLite would
// go on writing into one that has been deleted, and nobody would notice before
// the next start.
func (s *sqlite) intact() error {
	if s.found == nil {
		return nil
	}
	now, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no file of that name any more", ErrVanished)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrVanished, err)
	case !os.SameFile(now, s.found):
		return fmt.Errorf("%w: there is another file in its place, which is used after a restart", ErrVanished)
	}
	return nil
}

func (s *sqlite) release() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
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

func (s *sqlite) pool(k poolKind) (*sql.DB, error) {
	q := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_txlock":       {"immediate"},
		"_auto_vacuum":  {"incremental"}, // of a new file
		"_cache_size":   {"-1000"},       // KiB a connection: the working set is small
	}
	switch k {
	case batchPool:
		q.Set("_cache_size", "-4000") // the ends of the archives that are written to
	case durablePool:
		q.Set("_synchronous", "FULL")
	case readPool:
		q.Del("_journal_mode")
		q.Set("_txlock", "deferred")
		q.Set("_query_only", "on")
	}
	pool := sql.OpenDB(&sqliteConnector{(&url.URL{Scheme: "file", Opaque: (&url.URL{Path: s.path}).EscapedPath(), RawQuery: q.Encode()}).String()})
	sizePool(pool, k)
	return pool, nil
}

// checkpoint is how many pages the write-ahead log has before they go to their places
// in the file: the last page of each busy archive is written with every batch, and so
// moved once for several of them. 16 MiB.
const checkpoint = "PRAGMA wal_autocheckpoint = 4000"

// sqliteConnector opens connections with what a data source name cannot say.
type sqliteConnector struct{ dsn string }

func (*sqliteConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (c *sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(*sqlite3.SQLiteConn).Exec(checkpoint, nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (*sqlite) epoch() int64 { return 0 }

// sizePool bounds the connections of a pool.
func sizePool(pool *sql.DB, k poolKind) {
	pool.SetMaxOpenConns(poolSize[k])
	pool.SetMaxIdleConns(1)
	if poolSize[k] > 1 {
		pool.SetConnMaxIdleTime(time.Minute)
	}
}

func (*sqlite) state(ctx context.Context, tx *sql.Tx) (state, error) {
	var version, app, tables int
	for _, q := range []struct {
		query string
		to    *int
	}{
		{"PRAGMA user_version", &version},
		{"PRAGMA application_id", &app},
		{"SELECT count(*) FROM sqlite_master", &tables},
	} {
		if err := tx.QueryRowContext(ctx, q.query).Scan(q.to); err != nil {
			return state{}, err
		}
	}
	return state{version: version, ours: app == applicationID, empty: version == 0 && tables == 0 && app == 0}, nil
}

func (*sqlite) stamp(ctx context.Context, tx *sql.Tx, version int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version))
	return err
}

func (*sqlite) lastID(ctx context.Context, tx *sql.Tx, table string) (last int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?", table).Scan(&last)
	return last, err
}

// renumber matters for ids that are not given twice (AUTOINCREMENT): for the
// others SQLite looks at the rows.
func (*sqlite) renumber(ctx context.Context, tx *sql.Tx, table string, last int64) error {
	var counts bool
	err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ? AND sql LIKE '%AUTOINCREMENT%')", table).Scan(&counts)
	if err != nil || !counts {
		return err
	}
	var id int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM "+table).Scan(&id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM sqlite_sequence WHERE name = ?", table); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, max(id, last))
	return err
}

// translate changes nothing: the schema is written in SQLite's words.
func (*sqlite) translate(schema string) string { return schema }

// sqliteCauses maps SQLite's result codes to ours.
var sqliteCauses = map[sqlite3.ErrNo]error{
	sqlite3.ErrFull:     ErrDiskFull,
	sqlite3.ErrReadonly: ErrReadOnly,
	sqlite3.ErrPerm:     ErrReadOnly,
	sqlite3.ErrBusy:     ErrLocked,
	sqlite3.ErrLocked:   ErrLocked,
	sqlite3.ErrCantOpen: ErrCannotOpen,
	sqlite3.ErrCorrupt:  ErrCorrupt,
	sqlite3.ErrNotADB:   ErrNotOurs,
}

func (*sqlite) cause(err error) error {
	var se sqlite3.Error
	if !errors.As(err, &se) {
		return nil
	}
	// Short of space SQLite reports a failed write where it maps memory or
	// truncates, with the system's reason beside it.
	if se.Code == sqlite3.ErrIoErr && (se.SystemErrno == syscall.ENOSPC || se.SystemErrno == syscall.EDQUOT || se.SystemErrno == syscall.EFBIG) {
		return ErrDiskFull
	}
	if se.Code == sqlite3.ErrReadonly && se.ExtendedCode == sqlite3.ErrReadonlyDbMoved {
		return ErrVanished
	}
	return sqliteCauses[se.Code]
}
