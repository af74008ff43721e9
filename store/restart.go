package store

import (
	"context"
	"database/sql"
)

// LoggedIn returns, by JID, the users of a gateway who have an account and are
// logged in: those whose links are made again after a restart.
func (db *DB) LoggedIn(ctx context.Context, gateway string) ([]string, error) {
	return page(ctx, db, "logged in", func(rows *sql.Rows) (jid string, err error) {
		return jid, rows.Scan(&jid)
	}, `SELECT jid FROM users WHERE gateway = ? AND online = 1
		AND EXISTS (SELECT 1 FROM accounts WHERE "user" = users.id) ORDER BY jid`, gateway)
}
