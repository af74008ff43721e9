package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"transportd/archive"
)

// statePlace is where a sealed value that a driver keeps of an account lives.
func statePlace(gateway, user, network, name string) place {
	return place{"account_state", "value", gateway, user, network, name}
}

// stateRows is how many names one statement writes.
const stateRows = 64

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
	var rows []any
	put := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := w.exec("INSERT INTO account_state (account, name, sealed, value) VALUES "+strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(rows)/4), ", ")+
			" ON CONFLICT (account, name) DO UPDATE SET sealed = excluded.sealed, value = excluded.value", rows...)
		rows = rows[:0]
		return err
	}
	for name, value := range op.Changes {
		if value == nil {
			if err := w.exec("DELETE FROM account_state WHERE account = ? AND name = ?", id, name); err != nil {
				return err
			}
			continue
		}
		sealed := strings.HasPrefix(name, archive.SealedState)
		if sealed {
			value = w.db.seal.seal(statePlace(op.Gateway, op.User, op.Network, name), value)
		}
		if rows = append(rows, id, name, flag(sealed), value); len(rows) == 4*stateRows {
			if err := put(); err != nil {
				return err
			}
		}
	}
	return put()
}

// AccountState implements archive.Backend. With ErrSealBroken the values that do not
// open are missing.
func (db *DB) AccountState(ctx context.Context, gateway, user, network, prefix string) (map[string][]byte, error) {
	type entry struct {
		name   string
		sealed int64
		value  []byte
	}
	end := behind(prefix)
	entries, err := page(ctx, db, "account state", func(rows *sql.Rows) (e entry, err error) {
		return e, rows.Scan(&e.name, &e.sealed, &e.value)
	}, `SELECT name, account_state.sealed, value FROM account_state JOIN accounts ON accounts.id = account JOIN users ON users.id = "user"
		WHERE gateway = ? AND jid = ? AND network = ? AND name >= ? AND (? = '' OR name < ?)`, gateway, user, network, prefix, end, end)
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
			if e.value == nil {
				e.value = []byte{} // empty, and there
			}
		}
		out[e.name] = e.value
	}
	return out, err
}

// behind is the first text that sorts behind all that begin with prefix; empty: there
// is none. Both databases compare byte by byte, which of UTF-8 is rune by rune.
func behind(prefix string) string {
	runes := []rune(prefix)
	for i := len(runes) - 1; i >= 0; i-- {
		switch r := runes[i]; r {
		case utf8.MaxRune:
			continue
		case 0xD7FF: // before the surrogates
			runes[i] = 0xE000
		default:
			runes[i]++
		}
		return string(runes[:i+1])
	}
	return ""
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

// named are the lines of a name that the listener sees.
func (r *archiveRead) named(v view, netID string) (lines []archive.Line, err error) {
	keys, err := r.keysOf(v.archive, netID)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		found, err := r.page(v, &archive.Query{From: k.At, To: k.At}, math.MaxInt32)
		if err != nil {
			return nil, err
		}
		lines = append(lines, slices.DeleteFunc(found, func(l archive.Line) bool { return l.Key != k })...)
	}
	return lines, nil
}

// keysOf are the keys of all lines of a name.
func (r *archiveRead) keysOf(id int64, netID string) (keys []archive.Key, err error) {
	rows, err := r.tx.QueryContext(r.ctx, "SELECT at, tie FROM line_names WHERE archive = ? AND netid = ? ORDER BY at, tie", id, netID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k archive.Key
		var tie int64
		if err := rows.Scan(&k.At, &tie); err != nil {
			return nil, err
		}
		k.Tie = uint32(tie)
		keys = append(keys, k)
	}
	return keys, rows.Err()
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
