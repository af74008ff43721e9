package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
)

// Identity is a random name of the database, made at the first call. A copy of the
// database has the same.
func (db *DB) Identity(ctx context.Context) (string, error) {
	var id string
	err := db.save(ctx, "identity", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'identity'").Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		id = rand.Text()
		_, err = tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('identity', ?)", id)
		return err
	})
	return id, err
}
