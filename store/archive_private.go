package store

import (
	"context"
	"database/sql"

	"transportd/archive"
)

// PendingPrivate implements archive.Backend.
func (db *DB) PendingPrivate(ctx context.Context, gateway, user string, limit int) ([]archive.Private, error) {
	return page(ctx, db, "pending", scanPrivate, "SELECT "+privateFields+` FROM privates
		JOIN listeners ON listeners.id = listener JOIN users ON users.id = listeners."user"
		WHERE gateway = ? AND jid = ? AND pending = 1 ORDER BY at, tie LIMIT ?`, gateway, user, limit)
}

const privateFields = "at, tie, peer, nick, via, privates.id, body, sent, pending, netid, privates.extra"

func scanPrivate(rows *sql.Rows) (p archive.Private, err error) {
	var tie, sent, pending int64
	var netid sql.NullString
	err = rows.Scan(&p.At, &tie, &p.Peer, &p.Nick, &p.Via, &p.ID, &p.Body, &sent, &pending, &netid, &p.Extra)
	p.NetID = netid.String
	p.Tie, p.Out, p.Pending = uint32(tie), sent == 1, pending == 1
	return p, err
}

// PendingUsers implements archive.Backend.
func (db *DB) PendingUsers(ctx context.Context, gateway string) ([]string, error) {
	return page(ctx, db, "pending users", func(rows *sql.Rows) (jid string, err error) {
		return jid, rows.Scan(&jid)
	}, `SELECT jid FROM users JOIN listeners ON listeners."user" = users.id
		WHERE gateway = ? AND EXISTS (SELECT 1 FROM privates WHERE listener = listeners.id AND pending = 1) ORDER BY jid`, gateway)
}

func (w *archiveWrite) addPrivate(op *archive.AddPrivate) error {
	listener, err := w.listener(op.Gateway, op.User)
	if err != nil {
		return err
	}
	p := &op.Private
	return w.exec(`INSERT INTO privates (listener, at, tie, peer, nick, via, id, body, sent, pending, netid, extra)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		listener, p.At, int64(p.Tie), p.Peer, p.Nick, p.Via, p.ID, p.Body, flag(p.Out), flag(p.Pending), optional(p.NetID), optionalBytes(p.Extra))
}

func (w *archiveWrite) settlePrivate(op *archive.SettlePrivate) error {
	listener, err := w.known(op.Gateway, op.User)
	if err != nil || listener == 0 {
		return err
	}
	return w.exec("UPDATE privates SET pending = ? WHERE listener = ? AND at = ? AND tie = ?",
		flag(op.Again), listener, op.Key.At, int64(op.Key.Tie))
}
