package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// nextKey is what the new key file is called until it takes the old one's place.
func nextKey(keyFile string) string { return keyFile + ".new" }

// sealedColumn is a column with sealed values. A test finds the columns that
// could be missing here.
type sealedColumn struct {
	table, column string
	keys          []string // columns that tell the row
	read          string   // the value, the keys, then the parts of its place, with a condition
	update        string   // with the new value, then the keys
}

var sealedColumns = []sealedColumn{
	{"settings", "value", []string{"account", "name"},
		`SELECT value, account, name, gateway, jid, network, name FROM settings
			JOIN accounts ON accounts.id = account JOIN users ON users.id = "user" WHERE sealed = 1`,
		"UPDATE settings SET value = ? WHERE account = ? AND name = ?"},
	{"occupancies", "password", []string{`"user"`, "resource", "room"},
		`SELECT password, "user", resource, room, gateway, jid || '/' || resource, room FROM occupancies
			JOIN users ON users.id = "user" WHERE password IS NOT NULL`,
		`UPDATE occupancies SET password = ? WHERE "user" = ? AND resource = ? AND room = ?`},
	{"user_rooms", "password", []string{`"user"`, "user_rooms.jid"},
		`SELECT password, "user", user_rooms.jid, gateway, users.jid, user_rooms.jid FROM user_rooms
			JOIN users ON users.id = "user" WHERE password IS NOT NULL`,
		`UPDATE user_rooms SET password = ? WHERE "user" = ? AND jid = ?`},
	{"account_state", "value", []string{"account", "name"},
		`SELECT value, account, name, gateway, jid, network, name FROM account_state
			JOIN accounts ON accounts.id = account JOIN users ON users.id = "user" WHERE sealed = 1`,
		"UPDATE account_state SET value = ? WHERE account = ? AND name = ?"},
	{"gateway_keys", "value", []string{"gateway", "name"},
		"SELECT value, gateway, name, gateway, name FROM gateway_keys WHERE value IS NOT NULL",
		"UPDATE gateway_keys SET value = ? WHERE gateway = ? AND name = ?"},
}

// Rotation is what RotateKey did.
type Rotation struct {
	Old, New string // ids of the keys
	Sealed   int    // values that were sealed anew
	Broken   int    // values that did not open with the old key, and stay as they are
}

// RotateKey makes a new key, seals everything anew with it in one transaction,
// and puts it in the key file's place. The database must not be in use:
// ErrInUse. Wherever it is interrupted, the next start goes on with the key that
// fits: the new key waits beside the old one, on the disk, before the database
// changes, and takes its place afterwards. ready, if not nil, may refuse once nobody else
// can use the database. Other errors as Open.
func RotateKey(ctx context.Context, o Options, ready func() error) (Rotation, error) {
	b, err := newBackend(o)
	if err != nil {
		return Rotation{}, err
	}
	if err := b.exists(); err != nil {
		return Rotation{}, err
	}
	if err := b.claim(ctx); err != nil {
		return Rotation{}, err
	}
	defer func() { _ = b.release() }()
	if ready != nil {
		if err := ready(); err != nil {
			return Rotation{}, err
		}
	}
	pool, err := b.pool(durablePool)
	if err != nil {
		return Rotation{}, explain(b, "rotate the key", err)
	}
	defer func() { _ = pool.Close() }()
	r, err := rotate(ctx, b, pool, o.KeyFile)
	return r, explain(b, "rotate the key", err)
}

func rotate(ctx context.Context, b backend, pool *sql.DB, keyFile string) (r Rotation, err error) {
	if err := inTx(ctx, pool, func(tx *sql.Tx) error {
		if err := checkPresent(ctx, b, tx); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'key_id'").Scan(&r.Old)
	}); err != nil {
		return r, err
	}
	old, err := fittingKey(keyFile, r.Old)
	if err != nil {
		return r, err
	}
	// One that is left over from an earlier attempt fits nothing: the key in use
	// is at its own place now.
	if err := os.Remove(nextKey(keyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	key, err := createKey(nextKey(keyFile))
	if err != nil {
		return r, err
	}
	seal, err := newSealer(key)
	if err != nil {
		return r, err
	}
	r.New = seal.id
	if err := inTx(ctx, pool, func(tx *sql.Tx) error {
		for _, c := range sealedColumns {
			if err := c.reseal(ctx, tx, old, seal, &r); err != nil {
				return fmt.Errorf("%s.%s: %w", c.table, c.column, err)
			}
		}
		return setMeta(ctx, tx, "key_id", seal.id)
	}); err != nil {
		return r, err
	}
	return r, replaceKey(keyFile)
}

// checkPresent refuses a database that is not ours, of another schema, or half
// copied.
func checkPresent(ctx context.Context, b backend, tx *sql.Tx) error {
	found, err := b.state(ctx, tx)
	switch {
	case err != nil:
		return err
	case !found.ours || found.version < 1:
		return ErrNotOurs
	case found.version > schemaVersion():
		return ErrNewerSchema
	case found.version < schemaVersion():
		return fmt.Errorf("%w: it has schema %d, this program has %d", ErrOlderSchema, found.version, schemaVersion())
	}
	return checkComplete(ctx, tx)
}

// reseal seals one column's values anew, a page at a time: a driver may keep much.
func (c *sealedColumn) reseal(ctx context.Context, tx *sql.Tx, from, to *sealer, r *Rotation) error {
	update, err := tx.PrepareContext(ctx, c.update)
	if err != nil {
		return err
	}
	defer func() { _ = update.Close() }()
	var after []any
	for {
		found, err := c.values(ctx, tx, after)
		if err != nil {
			return err
		}
		for _, v := range found {
			plain, err := from.open(v.at, v.sealed)
			if err != nil {
				r.Broken++
				continue
			}
			if _, err := update.ExecContext(ctx, append([]any{to.seal(v.at, plain)}, v.keys...)...); err != nil {
				return err
			}
			r.Sealed++
		}
		if len(found) < pageSize {
			return nil
		}
		after = found[len(found)-1].keys
	}
}

// sealedValue is one of a column, with its row.
type sealedValue struct {
	sealed []byte
	keys   []any
	at     place
}

// values reads a page of a column, behind a row: PostgreSQL lets nothing be written
// while rows are read.
func (c *sealedColumn) values(ctx context.Context, tx *sql.Tx, after []any) ([]sealedValue, error) {
	query, args := c.read, []any(nil)
	keys := strings.Join(c.keys, ", ")
	if after != nil {
		query += " AND (" + keys + ") > (" + strings.TrimSuffix(strings.Repeat("?, ", len(after)), ", ") + ")"
		args = after
	}
	rows, err := tx.QueryContext(ctx, query+" ORDER BY "+keys+" LIMIT ?", append(slices.Clone(args), pageSize)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []sealedValue
	for rows.Next() {
		v := sealedValue{keys: make([]any, len(c.keys)), at: place{c.table, c.column}}
		parts := make([]string, len(columns)-1-len(c.keys))
		to := []any{&v.sealed}
		for i := range v.keys {
			to = append(to, &v.keys[i])
		}
		for i := range parts {
			to = append(to, &parts[i])
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		v.at = append(v.at, parts...)
		out = append(out, v)
	}
	return out, rows.Err()
}

// fittingKey returns the sealer of the key a database wants, from the key file.
// Where a rotation was interrupted after the database had changed, it is brought
// to its end first.
func fittingKey(keyFile, want string) (*sealer, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	s, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	if s.id == want {
		return s, nil
	}
	mismatch := checkKey(keyFile, s.id, want)
	next, err := readKey(nextKey(keyFile))
	if err != nil {
		return nil, mismatch // there is no other
	}
	if s, err = newSealer(next); err != nil || s.id != want {
		return nil, mismatch
	}
	return s, replaceKey(keyFile)
}

// replaceKey puts the new key in the old one's place, which is gone then.
func replaceKey(keyFile string) error {
	if err := os.Rename(nextKey(keyFile), keyFile); err != nil {
		return fmt.Errorf("the new key file: %w", err)
	}
	return syncDir(filepath.Dir(keyFile))
}
