package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// Errors a caller can tell apart with errors.Is. Their texts are sentences for
// an operator; none holds a secret.
var (
	ErrNotFound     = errors.New("not found")
	ErrClosed       = errors.New("the database is closed")
	ErrBacklog      = errors.New("too much is waiting to be written to the database")
	ErrDiskFull     = errors.New("the disk is full")
	ErrReadOnly     = errors.New("the database cannot be written, check the owner and the mode of the file and its folder")
	ErrLocked       = errors.New("the database is locked by another program")
	ErrInUse        = errors.New("the database is in use by another transportd")
	ErrCannotOpen   = errors.New("the database cannot be opened, check that its folder exists and who may write there")
	ErrCorrupt      = errors.New("the database is damaged, restore a backup")
	ErrNotOurs      = errors.New("the file is not a database of transportd")
	ErrNewerSchema  = errors.New("the database was written by a newer transportd")
	ErrKeyMissing   = errors.New("the key file is missing")
	ErrKeyInvalid   = errors.New("the key file is not usable")
	ErrWrongKey     = errors.New("the key file is not the one the database was sealed with")
	ErrSealBroken   = errors.New("a sealed value does not open: it was changed, moved, or sealed with another key")
	ErrBackupExists = errors.New("the folder holds a backup already")
)

// causes maps SQLite's result codes to ours.
var causes = map[sqlite3.ErrNo]error{
	sqlite3.ErrFull:     ErrDiskFull,
	sqlite3.ErrReadonly: ErrReadOnly,
	sqlite3.ErrPerm:     ErrReadOnly,
	sqlite3.ErrBusy:     ErrLocked,
	sqlite3.ErrLocked:   ErrLocked,
	sqlite3.ErrCantOpen: ErrCannotOpen,
	sqlite3.ErrCorrupt:  ErrCorrupt,
	sqlite3.ErrNotADB:   ErrNotOurs,
}

// explain turns an error of the database into one of ours, with what was being
// done and SQLite's own words behind it.
func (db *DB) explain(op string, err error) error { return explain(db.path, op, err) }

func explain(path, op string, err error) error {
	var se sqlite3.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, sql.ErrConnDone), err.Error() == "sql: database is closed":
		return ErrClosed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", op, err)
	case errors.As(err, &se):
		if cause, ok := causes[se.Code]; ok {
			return fmt.Errorf("%s: %s: %w (%s)", op, path, cause, se.Error())
		}
	}
	return fmt.Errorf("%s: %s: %w", op, path, err)
}
