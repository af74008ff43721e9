package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Errors a caller can tell apart with errors.Is. Their texts are sentences for
// an operator; none holds a secret.
var (
	ErrNotFound     = errors.New("not found")
	ErrClosed       = errors.New("the database is closed")
	ErrBacklog      = errors.New("too much is waiting to be written to the database")
	ErrDiskFull     = errors.New("the disk is full")
	ErrReadOnly     = errors.New("the database cannot be written, check the owner and the mode of the file and its folder, or the rights of the PostgreSQL user")
	ErrLocked       = errors.New("the database is locked by another program")
	ErrInUse        = errors.New("the database is in use by another transportd")
	ErrCannotOpen   = errors.New("the database cannot be opened, check that its folder exists and who may write there")
	ErrUnavailable  = errors.New("the database server cannot be reached")
	ErrVanished     = errors.New("the database file was deleted, moved or replaced while it was in use")
	ErrCorrupt      = errors.New("the database is damaged, restore a backup")
	ErrNotOurs      = errors.New("the file is not a database of transportd")
	ErrNewerSchema  = errors.New("the database was written by a newer transportd")
	ErrOlderSchema  = errors.New("the database has an older schema, start transportd on it once first")
	ErrNotEmpty     = errors.New("the database to copy to is not empty")
	ErrIncomplete   = errors.New("the copy into this database was interrupted; remove it and copy again")
	ErrKeyMissing   = errors.New("the key file is missing")
	ErrKeyInvalid   = errors.New("the key file is not usable")
	ErrWrongKey     = errors.New("the key file is not the one the database was sealed with")
	ErrSealBroken   = errors.New("a sealed value does not open: it was changed, moved, or sealed with another key")
	ErrBackupExists = errors.New("the folder holds a backup already")
)

// Unable tells whether an error says that the database cannot be used now,
// whatever was asked of it: somebody has to see to it, or it passes.
func Unable(err error) bool {
	for _, cause := range []error{ErrDiskFull, ErrReadOnly, ErrLocked, ErrInUse, ErrUnavailable, ErrVanished, ErrBacklog, ErrCannotOpen, ErrCorrupt} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// explain turns an error of the database into one of ours, with what was being
// done and the database's own words behind it.
func (db *DB) explain(op string, err error) error { return explain(db.backend, op, err) }

func explain(b backend, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, sql.ErrConnDone), err.Error() == "sql: database is closed":
		return ErrClosed
	}
	if cause := b.cause(err); cause != nil {
		return fmt.Errorf("%s: %s: %w (%w)", op, b.label(), cause, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s: %s: %w", op, b.label(), err)
}
