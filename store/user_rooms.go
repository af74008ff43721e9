package store

import (
	"context"
	"database/sql"
	"time"

	"transportd/internal/secret"
)

// UserRoom is what a user has chosen for a room.
type UserRoom struct {
	Gateway    string // component domain
	User       string // bare JID
	JID        string // of the room, bare
	Record     *bool  // nil: as the user's other rooms
	Persistent bool   // the user stays in without a client
	Nick       string // to come back with; empty: the account's
	Password   secret.Text
}

func (r *UserRoom) passwordPlace() place {
	return place{"user_rooms", "password", r.Gateway, r.User, r.JID}
}

// SaveUserRoom stores what a user has chosen for a room, replacing what was chosen
// before; the user is made when unknown. When it returns nil it is on the disk.
func (db *DB) SaveUserRoom(ctx context.Context, r UserRoom) error {
	return db.save(ctx, "save room", func(tx *sql.Tx) error {
		user, err := ensureUser(ctx, tx, r.Gateway, r.User, time.Now())
		if err != nil {
			return err
		}
		var record, password any
		if r.Record != nil {
			record = flag(*r.Record)
		}
		if r.Password != "" {
			password = db.seal.seal(r.passwordPlace(), []byte(r.Password.Reveal()))
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO user_rooms ("user", jid, record, persistent, nick, password) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT ("user", jid) DO UPDATE SET record = excluded.record, persistent = excluded.persistent,
			nick = excluded.nick, password = excluded.password`, user, r.JID, record, flag(r.Persistent), r.Nick, password)
		return err
	})
}

// RemoveUserRoom forgets what a user has chosen for a room. That there was nothing
// is no error.
func (db *DB) RemoveUserRoom(ctx context.Context, gateway, user, jid string) error {
	return db.save(ctx, "remove room", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM user_rooms WHERE jid = ? AND "user" =
			(SELECT id FROM users WHERE gateway = ? AND users.jid = ?)`, jid, gateway, user)
		return err
	})
}

// UserRooms returns what a user has chosen for rooms, by JID. With ErrSealBroken
// some come without the password that does not open.
func (db *DB) UserRooms(ctx context.Context, gateway, user string) ([]UserRoom, error) {
	type row struct {
		UserRoom
		sealed []byte
	}
	rows, err := page(ctx, db, "rooms", func(rows *sql.Rows) (r row, err error) {
		var record sql.NullInt64
		var persistent int64
		err = rows.Scan(&r.JID, &record, &persistent, &r.Nick, &r.sealed)
		if record.Valid {
			on := record.Int64 == 1
			r.Record = &on
		}
		r.Gateway, r.User, r.Persistent = gateway, user, persistent == 1
		return r, err
	}, `SELECT user_rooms.jid, record, persistent, nick, password FROM user_rooms JOIN users ON users.id = "user"
		WHERE gateway = ? AND users.jid = ? ORDER BY user_rooms.jid`, gateway, user)
	if err != nil {
		return nil, err
	}
	out := make([]UserRoom, len(rows))
	for i := range rows {
		r := &rows[i]
		if r.sealed != nil {
			plain, e := db.seal.open(r.passwordPlace(), r.sealed)
			if e != nil {
				err = e
			}
			r.Password = secret.Text(plain)
		}
		out[i] = r.UserRoom
	}
	return out, err
}

// PersistentUsers returns, by JID, the users of a gateway who stay in some room
// without a client and are not logged out.
func (db *DB) PersistentUsers(ctx context.Context, gateway string) ([]string, error) {
	return page(ctx, db, "persistent users", func(rows *sql.Rows) (jid string, err error) {
		return jid, rows.Scan(&jid)
	}, `SELECT jid FROM users WHERE gateway = ? AND online = 1
		AND EXISTS (SELECT 1 FROM user_rooms WHERE "user" = users.id AND persistent = 1) ORDER BY jid`, gateway)
}
