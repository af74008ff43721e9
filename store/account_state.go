package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"

	"transportd/archive"
)

// statePlace is where a sealed value that a driver keeps of an account lives.
func statePlace(gateway, user, network, name string) place {
	return place{"account_state", "value", gateway, user, network, name}
}

// saveState changes what a driver keeps of an account, where there is one.
func (w *archiveWrite) saveState(op *archive.SaveState) error {
	var id int64
	err := w.tx.QueryRowContext(w.ctx, `SELECT accounts.id FROM accounts JOIN users ON users.id = "user"
		WHERE gateway = ? AND jid = ? AND network = ?`, op.Gateway, op.User, op.Network).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it was removed meanwhile
	}
	if err != nil {
		return err
	}
	for name, value := range op.Changes {
		if value == nil {
			err = w.exec("DELETE FROM account_state WHERE account = ? AND name = ?", id, name)
		} else {
			sealed := strings.HasPrefix(name, archive.SealedState)
			if sealed {
				value = w.db.seal.seal(statePlace(op.Gateway, op.User, op.Network, name), value)
			}
			err = w.exec(`INSERT INTO account_state (account, name, sealed, value) VALUES (?, ?, ?, ?)
				ON CONFLICT (account, name) DO UPDATE SET sealed = excluded.sealed, value = excluded.value`, id, name, flag(sealed), value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// AccountState implements archive.Backend. With ErrSealBroken the values that do not
// open are missing.
func (db *DB) AccountState(ctx context.Context, gateway, user, network, prefix string) (map[string][]byte, error) {
	type entry struct {
		name   string
		sealed int64
		value  []byte
	}
	entries, err := page(ctx, db, "account state", func(rows *sql.Rows) (e entry, err error) {
		return e, rows.Scan(&e.name, &e.sealed, &e.value)
	}, `SELECT name, account_state.sealed, value FROM account_state JOIN accounts ON accounts.id = account JOIN users ON users.id = "user"
		WHERE gateway = ? AND jid = ? AND network = ? AND substr(name, 1, ?) = ?`, gateway, user, network, len([]rune(prefix)), prefix)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(entries))
	for _, e := range entries {
		if e.sealed == 1 {
			var broken error
			if e.value, broken = db.seal.open(statePlace(gateway, user, network, e.name), e.value); broken != nil {
				err = broken
				continue
			}
		}
		out[e.name] = e.value
	}
	return out, err
}

// ArchiveByNetID implements archive.Backend.
func (db *DB) ArchiveByNetID(ctx context.Context, gateway, user, jid string, netIDs []string) (lines []archive.Line, err error) {
	err = db.readArchive(ctx, "archive by network id", func(r *archiveRead) error {
		views, err := r.views(gateway, user, jid)
		if err != nil {
			return err
		}
		for _, v := range views {
			for _, id := range netIDs {
				found, err := r.named(v, id)
				if err != nil {
					return err
				}
				lines = append(lines, found...)
			}
		}
		return nil
	})
	return lines, err
}

// named is the line of a name, where the listener sees it.
func (r *archiveRead) named(v view, netID string) ([]archive.Line, error) {
	var k archive.Key
	var tie int64
	err := r.tx.QueryRowContext(r.ctx, "SELECT at, tie FROM line_names WHERE archive = ? AND netid = ?", v.archive, netID).Scan(&k.At, &tie)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k.Tie = uint32(tie)
	found, err := r.page(v, &archive.Query{From: k.At, To: k.At}, math.MaxInt32)
	return slices.DeleteFunc(found, func(l archive.Line) bool { return l.Key != k }), err
}

// PrivateByID implements archive.Backend.
func (db *DB) PrivateByID(ctx context.Context, gateway, user, peer string, ids []string) ([]archive.Private, error) {
	latest, err := page(ctx, db, "private by id", scanPrivate, "SELECT "+privateFields+` FROM privates
		JOIN listeners ON listeners.id = listener JOIN users ON users.id = listeners."user"
		WHERE gateway = ? AND jid = ? AND peer = ? ORDER BY at DESC, tie DESC LIMIT ?`, gateway, user, peer, recentLines)
	return slices.DeleteFunc(latest, func(p archive.Private) bool {
		return !slices.Contains(ids, p.ID) && (p.NetID == "" || !slices.Contains(ids, p.NetID))
	}), err
}
