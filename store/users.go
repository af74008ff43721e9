package store

import (
	"context"
	"database/sql"
	"iter"
	"time"
)

// pageSize is how many rows a walk reads at a time. Between pages no
// transaction is open, so a walk may be as slow as its reader likes.
const pageSize = 200

// User is somebody a gateway has something stored for, registered or not.
type User struct {
	Gateway string // component domain
	JID     string // bare
	Created time.Time
	Seen    time.Time // last seen, to the batch
	Online  bool      // false: logged out, no link is made for them
}

const userColumns = "gateway, jid, created, seen, online"

func scanUser(rows *sql.Rows) (User, error) {
	var u User
	var created, seen int64
	err := rows.Scan(&u.Gateway, &u.JID, &created, &seen, &u.Online)
	u.Created, u.Seen = fromUnix(created), fromUnix(seen)
	return u, err
}

// ensureUser makes the row of a user when there is none, and returns its id.
func ensureUser(ctx context.Context, tx *sql.Tx, gateway, jid string, now time.Time) (int64, error) {
	if _, err := tx.ExecContext(ctx,
		"INSERT INTO users (gateway, jid, created, seen) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		gateway, jid, unix(now), unix(now)); err != nil {
		return 0, err
	}
	return userID(ctx, tx, gateway, jid)
}

func userID(ctx context.Context, tx *sql.Tx, gateway, jid string) (id int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT id FROM users WHERE gateway = ? AND jid = ?", gateway, jid).Scan(&id)
	return id, err
}

// User returns a user, or ErrNotFound.
func (db *DB) User(ctx context.Context, gateway, jid string) (User, error) {
	users, err := page(ctx, db, "user", scanUser, "SELECT "+userColumns+" FROM users WHERE gateway = ? AND jid = ?", gateway, jid)
	if err == nil && len(users) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	return users[0], nil
}

// Users walks through all users of a gateway by JID. An error ends the walk.
func (db *DB) Users(ctx context.Context, gateway string) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		after := ""
		for {
			users, err := page(ctx, db, "users", scanUser,
				"SELECT "+userColumns+" FROM users WHERE gateway = ? AND jid > ? ORDER BY jid LIMIT ?", gateway, after, pageSize)
			if err != nil {
				yield(User{}, err)
				return
			}
			for _, u := range users {
				if !yield(u, nil) {
					return
				}
				after = u.JID
			}
			if len(users) < pageSize {
				return
			}
		}
	}
}

// SetOnline stores whether a user is logged in; the user is made when unknown.
func (db *DB) SetOnline(ctx context.Context, gateway, jid string, online bool) error {
	return db.save(ctx, "set online", func(tx *sql.Tx) error {
		id, err := ensureUser(ctx, tx, gateway, jid, time.Now())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE users SET online = ? WHERE id = ?", online, id)
		return err
	})
}

// DeleteUser removes a user of a gateway with everything stored for them,
// queued writes included. ErrNotFound when there is none.
func (db *DB) DeleteUser(ctx context.Context, gateway, jid string) error {
	// What is queued must not bring the user back after this.
	if err := db.Flush(ctx); err != nil {
		return err
	}
	db.queue.forget()
	defer db.ids.forget()
	return db.save(ctx, "delete user", func(tx *sql.Tx) error {
		if err := discardListener(ctx, tx, gateway, jid); err != nil {
			return err
		}
		return affected(tx.ExecContext(ctx, "DELETE FROM users WHERE gateway = ? AND jid = ?", gateway, jid))
	})
}

// affected turns a statement that met no row into ErrNotFound.
func affected(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = sql.ErrNoRows
	}
	return err
}

// Preferences returns what a user chose at a gateway, by name; empty for a user
// who is not known.
func (db *DB) Preferences(ctx context.Context, gateway, jid string) (map[string]string, error) {
	type pair struct{ name, value string }
	pairs, err := page(ctx, db, "preferences", func(rows *sql.Rows) (p pair, err error) {
		return p, rows.Scan(&p.name, &p.value)
	}, `SELECT name, value FROM preferences JOIN users ON users.id = "user" WHERE gateway = ? AND jid = ?`, gateway, jid)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(pairs))
	for _, p := range pairs {
		out[p.name] = p.value
	}
	return out, nil
}

// SetPreference stores one choice of a user, who is made when unknown; an empty
// value forgets it.
func (db *DB) SetPreference(ctx context.Context, gateway, jid, name, value string) error {
	return db.save(ctx, "set preference", func(tx *sql.Tx) error {
		id, err := ensureUser(ctx, tx, gateway, jid, time.Now())
		if err != nil {
			return err
		}
		if value == "" {
			_, err = tx.ExecContext(ctx, `DELETE FROM preferences WHERE "user" = ? AND name = ?`, id, name)
		} else {
			_, err = tx.ExecContext(ctx, `INSERT INTO preferences ("user", name, value) VALUES (?, ?, ?)
				ON CONFLICT ("user", name) DO UPDATE SET value = excluded.value`, id, name, value)
		}
		return err
	})
}
