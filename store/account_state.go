package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
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

// stateRows is how many names, or accounts, one statement is about.
const stateRows = 64

// accountKey names an account.
type accountKey struct{ gateway, user, network string }

// saveState notes what is to be changed of what a driver keeps of an account; nothing
// else of a transaction has to do with it, so that it is written at once at its end.
func (w *archiveWrite) saveState(op *archive.SaveState) {
	key := accountKey{op.Gateway, op.User, op.Network}
	if w.states == nil {
		w.states = make(map[accountKey]map[string][]byte)
	}
	if w.states[key] == nil {
		w.states[key] = make(map[string][]byte, len(op.Changes))
	}
	maps.Copy(w.states[key], w.db.SealState(op).Changes)
}

// SealState implements archive.Sealer. It does not block.
func (db *DB) SealState(op *archive.SaveState) *archive.SaveState {
	secret := func(name string) bool { return strings.HasPrefix(name, archive.SealedState) && op.Changes[name] != nil }
	if op.Sealed || !slices.ContainsFunc(slices.Collect(maps.Keys(op.Changes)), secret) {
		return op
	}
	sealed := &archive.SaveState{Gateway: op.Gateway, User: op.User, Network: op.Network, Changes: maps.Clone(op.Changes), Sealed: true}
	for name, value := range op.Changes {
		if secret(name) {
			sealed.Changes[name] = db.seal.seal(statePlace(op.Gateway, op.User, op.Network, name), value)
		}
	}
	return sealed
}

// stateRow is one value; nil: it goes.
type stateRow struct {
	account int64
	name    string
	sealed  bool
	value   []byte
}

// saveStates writes what saveState has noted, where there is such an account: one that was
// removed meanwhile has nothing.
func (w *archiveWrite) saveStates() error {
	var puts, gone []stateRow
	keys := slices.Collect(maps.Keys(w.states))
	for part := range slices.Chunk(keys, stateRows) {
		ids, err := w.accountIDs(part)
		if err != nil {
			return err
		}
		for key, id := range ids {
			for name, value := range w.states[key] {
				if value == nil {
					gone = append(gone, stateRow{account: id, name: name})
					continue
				}
				puts = append(puts, stateRow{id, name, strings.HasPrefix(name, archive.SealedState), value})
			}
		}
	}
	w.states = nil
	for _, rows := range [][]stateRow{puts, gone} { // in the order of the table
		slices.SortFunc(rows, func(a, b stateRow) int {
			return cmp.Or(cmp.Compare(a.account, b.account), strings.Compare(a.name, b.name))
		})
	}
	for part := range slices.Chunk(puts, stateRows) {
		var args []any
		for _, r := range part {
			args = append(args, r.account, r.name, flag(r.sealed), r.value)
		}
		if err := w.exec("INSERT INTO account_state (account, name, sealed, value) VALUES "+list("(?, ?, ?, ?)", len(part))+
			" ON CONFLICT (account, name) DO UPDATE SET sealed = excluded.sealed, value = excluded.value", args...); err != nil {
			return err
		}
	}
	for len(gone) > 0 {
		n := 1
		for n < min(len(gone), stateRows) && gone[n].account == gone[0].account {
			n++
		}
		args := []any{gone[0].account}
		for _, r := range gone[:n] {
			args = append(args, r.name)
		}
		if err := w.exec("DELETE FROM account_state WHERE account = ? AND name IN ("+list("?", n)+")", args...); err != nil {
			return err
		}
		gone = gone[n:]
	}
	return nil
}

// accountIDs finds the numbers of those accounts that there are. They are not remembered:
// the number of one that is removed may be given to another.
func (w *archiveWrite) accountIDs(keys []accountKey) (map[accountKey]int64, error) {
	args := make([]any, 0, 3*len(keys))
	for _, k := range keys {
		args = append(args, k.gateway, k.user, k.network)
	}
	rows, err := w.tx.QueryContext(w.ctx, "WITH wanted (gateway, jid, network) AS (VALUES "+list("(?, ?, ?)", len(keys))+`)
		SELECT accounts.id, wanted.gateway, wanted.jid, wanted.network FROM wanted
		JOIN users ON users.gateway = wanted.gateway AND users.jid = wanted.jid
		JOIN accounts ON accounts."user" = users.id AND accounts.network = wanted.network`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	ids := make(map[accountKey]int64, len(keys))
	for rows.Next() {
		var id int64
		var k accountKey
		if err := rows.Scan(&id, &k.gateway, &k.user, &k.network); err != nil {
			return nil, err
		}
		ids[k] = id
	}
	return ids, rows.Err()
}

// list is n of the same, with commas between them.
func list(of string, n int) string { return strings.TrimSuffix(strings.Repeat(of+", ", n), ", ") }

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
