package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"
	"time"

	"transportd/internal/secret"
)

// Occupancy is one client of a user being in a room.
type Occupancy struct {
	Gateway  string // component domain
	User     string // full JID
	Room     string // room JID
	Nick     string
	Password secret.Text // of the room, empty: none; sealed in the file
	Since    time.Time   // zero: now
}

type occupancyKey struct{ gateway, user, room string }

func (o *Occupancy) passwordPlace() place {
	return place{"occupancies", "password", o.Gateway, o.User, o.Room}
}

// splitFull splits a full JID at its first slash: neither a local part nor a
// domain can hold one.
func splitFull(full string) (bare, resource string, err error) {
	bare, resource, ok := strings.Cut(full, "/")
	if !ok || bare == "" || resource == "" {
		return "", "", fmt.Errorf("%q is not a full JID", full)
	}
	return bare, resource, nil
}

// SaveOccupancy queues that a client is in a room, replacing what was stored
// for that client and room. Errors: ErrBacklog, ErrClosed, the context's.
func (db *DB) SaveOccupancy(ctx context.Context, o Occupancy) error {
	if _, _, err := splitFull(o.User); err != nil {
		return err
	}
	if o.Since.IsZero() {
		o.Since = time.Now()
	}
	return db.queue.put(ctx, occupancyKey{o.Gateway, o.User, o.Room}, &entered{o})
}

// RemoveOccupancy queues that a client is no longer in a room. Errors as
// SaveOccupancy; a client that was not in is none.
func (db *DB) RemoveOccupancy(ctx context.Context, gateway, fullJID, room string) error {
	if _, _, err := splitFull(fullJID); err != nil {
		return err
	}
	key := occupancyKey{gateway, fullJID, room}
	return db.queue.put(ctx, key, &left{key})
}

// entered and left are the two queued changes of an occupancy.
type entered struct{ Occupancy }
type left struct{ occupancyKey }

func (c *entered) apply(ctx context.Context, db *DB, tx *sql.Tx) error {
	bare, resource, err := splitFull(c.User)
	if err != nil {
		return err
	}
	user, err := ensureUser(ctx, tx, c.Gateway, bare, c.Since)
	if err != nil {
		return err
	}
	var password []byte
	if c.Password != "" {
		password = db.seal.seal(c.passwordPlace(), []byte(c.Password.Reveal()))
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO occupancies ("user", resource, room, nick, password, since)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT ("user", resource, room)
		DO UPDATE SET nick = excluded.nick, password = excluded.password, since = excluded.since`, user, resource, c.Room, c.Nick, password, unix(c.Since))
	return err
}

func (c *left) apply(ctx context.Context, _ *DB, tx *sql.Tx) error {
	bare, resource, err := splitFull(c.user)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM occupancies WHERE resource = ? AND room = ? AND "user" =
		(SELECT id FROM users WHERE gateway = ? AND jid = ?)`, resource, c.room, c.gateway, bare)
	return err
}

// Occupancies walks through who is in which room at a gateway, by user, then
// resource, then room, after writing what is queued. A password that does not
// open comes with ErrSealBroken and is empty, and the walk goes on; any other
// error ends it.
func (db *DB) Occupancies(ctx context.Context, gateway string) iter.Seq2[Occupancy, error] {
	return func(yield func(Occupancy, error) bool) {
		if err := db.Flush(ctx); err != nil {
			yield(Occupancy{}, err)
			return
		}
		var jid, resource, room string
		for {
			found, err := page(ctx, db, "occupancies", scanOccupancy, `SELECT gateway, jid, resource, room, nick, password, since
				FROM occupancies JOIN users ON users.id = "user"
				WHERE gateway = ? AND (jid, resource, room) > (?, ?, ?) ORDER BY jid, resource, room LIMIT ?`,
				gateway, jid, resource, room, pageSize)
			if err != nil {
				yield(Occupancy{}, err)
				return
			}
			for _, f := range found {
				o, err := db.openOccupancy(f)
				if !yield(o, err) {
					return
				}
				jid, resource, room = f.bare, f.resource, f.Room
			}
			if len(found) < pageSize {
				return
			}
		}
	}
}

type occupancyRow struct {
	Occupancy
	bare, resource string
	sealed         []byte
}

func scanOccupancy(rows *sql.Rows) (occupancyRow, error) {
	var r occupancyRow
	var since int64
	err := rows.Scan(&r.Gateway, &r.bare, &r.resource, &r.Room, &r.Nick, &r.sealed, &since)
	r.User, r.Since = r.bare+"/"+r.resource, fromUnix(since)
	return r, err
}

func (db *DB) openOccupancy(r occupancyRow) (Occupancy, error) {
	if r.sealed == nil {
		return r.Occupancy, nil
	}
	plain, err := db.seal.open(r.passwordPlace(), r.sealed)
	r.Password = secret.Text(plain)
	return r.Occupancy, err
}

type seenKey struct{ gateway, jid string }

// seen is the queued change of a user's last appearance.
type seen struct {
	seenKey
	at time.Time
}

// Seen queues that a user was there at a time, and makes the user when unknown.
// Errors as SaveOccupancy.
func (db *DB) Seen(ctx context.Context, gateway, bareJID string, at time.Time) error {
	key := seenKey{gateway, bareJID}
	return db.queue.put(ctx, key, &seen{key, at})
}

func (c *seen) apply(ctx context.Context, _ *DB, tx *sql.Tx) error {
	id, err := ensureUser(ctx, tx, c.gateway, c.jid, c.at)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE users SET seen = ? WHERE id = ? AND seen < ?", unix(c.at), id, unix(c.at))
	return err
}
