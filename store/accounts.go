package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"time"

	"transportd/internal/secret"
)

// Account is a user's registration with one network of a gateway.
type Account struct {
	Gateway string // component domain
	User    string // bare JID
	Network string // bridges.NetworkID

	Settings map[string]string      // by field name, as they are
	Secrets  map[string]secret.Text // by field name, sealed in the file

	Created, Changed time.Time // set by the store
}

// All returns settings and secrets in one new map, as a driver wants them.
func (a *Account) All() map[string]string {
	out := make(map[string]string, len(a.Settings)+len(a.Secrets))
	maps.Copy(out, a.Settings)
	for name, s := range a.Secrets {
		out[name] = s.Reveal()
	}
	return out
}

// secretPlace is where a secret setting of an account lives.
func (a *Account) secretPlace(name string) place {
	return place{"settings", "value", a.Gateway, a.User, a.Network, name}
}

// PutAccount stores an account, replacing all its settings; user and account
// are made when unknown. When it returns nil the account is on the disk.
func (db *DB) PutAccount(ctx context.Context, a Account) error {
	now := time.Now()
	return db.save(ctx, "put account", func(tx *sql.Tx) error {
		user, err := ensureUser(ctx, tx, a.Gateway, a.User, now)
		if err != nil {
			return err
		}
		var id int64
		if err := tx.QueryRowContext(ctx, `INSERT INTO accounts ("user", network, created, changed) VALUES (?, ?, ?, ?)
			ON CONFLICT ("user", network) DO UPDATE SET changed = excluded.changed RETURNING id`,
			user, a.Network, unix(now), unix(now)).Scan(&id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM settings WHERE account = ?", id); err != nil {
			return err
		}
		return db.putSettings(ctx, tx, id, &a)
	})
}

func (db *DB) putSettings(ctx context.Context, tx *sql.Tx, id int64, a *Account) error {
	const insert = "INSERT INTO settings (account, name, sealed, value) VALUES (?, ?, ?, ?)"
	for name, value := range a.Settings {
		if _, both := a.Secrets[name]; both {
			return fmt.Errorf("setting %q is given both open and secret", name)
		}
		if _, err := tx.ExecContext(ctx, insert, id, name, false, []byte(value)); err != nil {
			return err
		}
	}
	for name, value := range a.Secrets {
		sealed := db.seal.seal(a.secretPlace(name), []byte(value.Reveal()))
		if _, err := tx.ExecContext(ctx, insert, id, name, true, sealed); err != nil {
			return err
		}
	}
	return nil
}

// Account returns one account, or ErrNotFound. With ErrSealBroken the account
// comes without the secrets that do not open.
func (db *DB) Account(ctx context.Context, gateway, user, network string) (Account, error) {
	return db.oneAccount(ctx, "gateway = ? AND jid = ? AND network = ?", gateway, user, network)
}

// UserAccounts returns all accounts of a user at a gateway, by network. With
// ErrSealBroken some come without the secrets that do not open.
func (db *DB) UserAccounts(ctx context.Context, gateway, user string) ([]Account, error) {
	accounts, err := db.accounts(ctx, "gateway = ? AND jid = ? ORDER BY network", gateway, user)
	if err != nil {
		return nil, err
	}
	var broken error
	out := make([]Account, len(accounts))
	for i, a := range accounts {
		out[i] = a.Account
		if a.broken != nil {
			broken = a.broken
		}
	}
	return out, broken
}

// Accounts walks through all accounts of a gateway by user, then network, a
// page at a time, so that the caller can pace a restart. An account with a
// secret that does not open comes with an error that wraps ErrSealBroken, and
// the walk goes on; any other error ends it.
func (db *DB) Accounts(ctx context.Context, gateway string) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		var jid, network string
		for {
			accounts, err := db.accounts(ctx,
				"gateway = ? AND (jid, network) > (?, ?) ORDER BY jid, network LIMIT ?", gateway, jid, network, pageSize)
			if err != nil {
				yield(Account{}, err)
				return
			}
			for _, a := range accounts {
				if !yield(a.Account, a.broken) {
					return
				}
				jid, network = a.User, a.Network
			}
			if len(accounts) < pageSize {
				return
			}
		}
	}
}

// DeleteAccount removes one account; the user and other accounts stay.
// ErrNotFound when there is none.
func (db *DB) DeleteAccount(ctx context.Context, gateway, user, network string) error {
	return db.save(ctx, "delete account", func(tx *sql.Tx) error {
		return affected(tx.ExecContext(ctx, `DELETE FROM accounts WHERE network = ? AND "user" =
			(SELECT id FROM users WHERE gateway = ? AND jid = ?)`, network, gateway, user))
	})
}

// row is an account as it was read, with the error of opening its secrets.
type row struct {
	Account
	id     int64
	broken error
}

func (db *DB) oneAccount(ctx context.Context, where string, args ...any) (Account, error) {
	accounts, err := db.accounts(ctx, where, args...)
	if err == nil && len(accounts) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Account{}, err
	}
	return accounts[0].Account, accounts[0].broken
}

// accounts reads the accounts that match, then their settings, in one snapshot.
func (db *DB) accounts(ctx context.Context, where string, args ...any) (out []row, err error) {
	start := time.Now()
	defer func() { db.observe("accounts", time.Since(start)) }()
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, db.explain("accounts", err)
	}
	defer func() { _ = tx.Rollback() }()
	rows, err := tx.QueryContext(ctx, `SELECT accounts.id, gateway, jid, network, accounts.created, changed
		FROM accounts JOIN users ON users.id = "user" WHERE `+where, args...)
	if err != nil {
		return nil, db.explain("accounts", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r row
		var created, changed int64
		if err := rows.Scan(&r.id, &r.Gateway, &r.User, &r.Network, &created, &changed); err != nil {
			return nil, db.explain("accounts", err)
		}
		r.Created, r.Changed = fromUnix(created), fromUnix(changed)
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, db.explain("accounts", err)
	}
	for i := range out {
		if err := db.readSettings(ctx, tx, &out[i]); err != nil {
			return nil, db.explain("accounts", err)
		}
	}
	return out, nil
}

func (db *DB) readSettings(ctx context.Context, tx *sql.Tx, r *row) error {
	r.Settings, r.Secrets = map[string]string{}, map[string]secret.Text{}
	rows, err := tx.QueryContext(ctx, "SELECT name, sealed, value FROM settings WHERE account = ?", r.id)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var sealed bool
		var value []byte
		if err := rows.Scan(&name, &sealed, &value); err != nil {
			return err
		}
		if !sealed {
			r.Settings[name] = string(value)
			continue
		}
		plain, err := db.seal.open(r.secretPlace(name), value)
		if err != nil {
			r.broken = fmt.Errorf("%s %s, setting %s: %w", r.User, r.Network, name, err)
			continue
		}
		r.Secrets[name] = secret.Text(plain)
	}
	return rows.Err()
}
