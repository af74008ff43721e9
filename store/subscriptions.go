package store

import (
	"context"
	"database/sql"
	"iter"
	"time"
)

// Subscription is the presence subscription between a user and an address of a
// gateway: the gateway itself, a network, a person.
type Subscription struct {
	Gateway  string // component domain
	User     string // bare JID
	Address  string // bare JID inside the gateway
	Sends    bool   // the address sends its presence to the user (the user subscribed)
	Receives bool   // the address gets the user's presence (it subscribed to the user)
	// Asked: the address has asked for the user's presence and need not again. It is
	// stored with neither direction too; where there is one it is not told.
	Asked bool
}

// PutSubscription stores subscriptions, all of them or none; one with neither
// direction that is not Asked is removed. Users are made when unknown.
func (db *DB) PutSubscription(ctx context.Context, subs ...Subscription) error {
	return db.save(ctx, "put subscription", func(tx *sql.Tx) error {
		for i := range subs {
			if err := putSubscription(ctx, tx, &subs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func putSubscription(ctx context.Context, tx *sql.Tx, s *Subscription) error {
	if !s.Sends && !s.Receives && !s.Asked {
		_, err := tx.ExecContext(ctx, `DELETE FROM subscriptions WHERE address = ? AND "user" =
			(SELECT id FROM users WHERE gateway = ? AND jid = ?)`, s.Address, s.Gateway, s.User)
		return err
	}
	id, err := ensureUser(ctx, tx, s.Gateway, s.User, time.Now())
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO subscriptions ("user", address, sends, receives) VALUES (?, ?, ?, ?)
		ON CONFLICT ("user", address) DO UPDATE SET sends = excluded.sends, receives = excluded.receives`,
		id, s.Address, s.Sends, s.Receives)
	return err
}

const subscriptionQuery = `SELECT gateway, jid, address, sends, receives
	FROM subscriptions JOIN users ON users.id = "user" WHERE `

func scanSubscription(rows *sql.Rows) (s Subscription, err error) {
	err = rows.Scan(&s.Gateway, &s.User, &s.Address, &s.Sends, &s.Receives)
	s.Asked = !s.Sends && !s.Receives
	return s, err
}

// UserSubscriptions returns the subscriptions of one user, by address.
func (db *DB) UserSubscriptions(ctx context.Context, gateway, user string) ([]Subscription, error) {
	return page(ctx, db, "subscriptions", scanSubscription,
		subscriptionQuery+"gateway = ? AND jid = ? ORDER BY address", gateway, user)
}

// Subscriptions walks through all subscriptions of a gateway by user, then
// address. An error ends the walk.
func (db *DB) Subscriptions(ctx context.Context, gateway string) iter.Seq2[Subscription, error] {
	return func(yield func(Subscription, error) bool) {
		var jid, address string
		for {
			found, err := page(ctx, db, "subscriptions", scanSubscription,
				subscriptionQuery+"gateway = ? AND (jid, address) > (?, ?) ORDER BY jid, address LIMIT ?",
				gateway, jid, address, pageSize)
			if err != nil {
				yield(Subscription{}, err)
				return
			}
			for _, s := range found {
				if !yield(s, nil) {
					return
				}
				jid, address = s.User, s.Address
			}
			if len(found) < pageSize {
				return
			}
		}
	}
}
