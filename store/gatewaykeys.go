package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
)

// GatewayKey returns the random key of a gateway with this name, 32 bytes, and
// makes it at the first call; it stays the same from then on. Occupant-ids
// (XEP-0421) are made with one. ErrSealBroken when it does not open.
func (db *DB) GatewayKey(ctx context.Context, gateway, name string) ([]byte, error) {
	at := place{"gateway_keys", "value", gateway, name}
	var key []byte
	err := db.save(ctx, "gateway key", func(tx *sql.Tx) error {
		var sealed []byte
		err := tx.QueryRowContext(ctx, "SELECT value FROM gateway_keys WHERE gateway = ? AND name = ?", gateway, name).Scan(&sealed)
		if err == nil {
			key, err = db.seal.open(at, sealed)
			return err
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		key = make([]byte, KeySize)
		if _, err := rand.Read(key); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO gateway_keys (gateway, name, value) VALUES (?, ?, ?)",
			gateway, name, db.seal.seal(at, key))
		return err
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}
