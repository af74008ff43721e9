package store

import (
	"database/sql"
	"errors"
	"sync"
	"time"

	"transportd/archive"
)

// archiveIDs remembers the numbers of archives and listeners, so that a line needs
// no look-up. Numbers of what is deleted are forgotten.
type archiveIDs struct {
	mu        sync.Mutex
	forgotten int // how often
	archives  map[archive.Room]int64
	listeners map[listenerKey]int64
}

type listenerKey struct{ gateway, jid string }

// maxRemembered bounds the numbers remembered of each kind.
const maxRemembered = 20_000

func (c *archiveIDs) archive(r archive.Room) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.archives[r]
}

func (c *archiveIDs) listener(k listenerKey) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listeners[k]
}

// age is how often numbers have been forgotten.
func (c *archiveIDs) age() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgotten
}

// learn takes over what a transaction has found, once it is committed: unless
// something was deleted since it began.
func (c *archiveIDs) learn(w *archiveWrite) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != w.age {
		return
	}
	if c.archives == nil || len(c.archives)+len(w.archives) > maxRemembered {
		c.archives = make(map[archive.Room]int64)
	}
	if c.listeners == nil || len(c.listeners)+len(w.listeners) > maxRemembered {
		c.listeners = make(map[listenerKey]int64)
	}
	for k, id := range w.archives {
		c.archives[k] = id
	}
	for k, id := range w.listeners {
		c.listeners[k] = id
	}
}

func (c *archiveIDs) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.archives, c.listeners = nil, nil
	c.forgotten++
}

// archive is the number of an archive, which is made where there is none.
func (w *archiveWrite) archive(r archive.Room) (int64, error) {
	if id := w.archives[r]; id != 0 {
		return id, nil
	}
	if id := w.db.ids.archive(r); id != 0 {
		w.archives[r] = id
		return id, nil
	}
	owner := int64(0)
	if r.Owner != "" {
		var err error
		if owner, err = w.listener(r.Gateway, r.Owner); err != nil {
			return 0, err
		}
	}
	if err := w.exec("INSERT INTO archives (gateway, network, room, owner) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		r.Gateway, r.Network, r.Room, owner); err != nil {
		return 0, err
	}
	var id int64
	err := w.tx.QueryRowContext(w.ctx, "SELECT id FROM archives WHERE gateway = ? AND network = ? AND room = ? AND owner = ?",
		r.Gateway, r.Network, r.Room, owner).Scan(&id)
	w.archives[r] = id
	return id, err
}

// listener is the number of a user, who is made where there is none.
func (w *archiveWrite) listener(gateway, jid string) (int64, error) {
	key := listenerKey{gateway, jid}
	if id := w.listeners[key]; id != 0 {
		return id, nil
	}
	if id := w.db.ids.listener(key); id != 0 {
		w.listeners[key] = id
		return id, nil
	}
	user, err := ensureUser(w.ctx, w.tx, gateway, jid, time.Now())
	if err != nil {
		return 0, err
	}
	if err := w.exec(`INSERT INTO listeners ("user") VALUES (?) ON CONFLICT DO NOTHING`, user); err != nil {
		return 0, err
	}
	var id int64
	err = w.tx.QueryRowContext(w.ctx, `SELECT id FROM listeners WHERE "user" = ?`, user).Scan(&id)
	w.listeners[key] = id
	return id, err
}

// known is the number of a user, 0 where there is none: what ends something must
// not bring a user back who has been deleted since it began.
func (w *archiveWrite) known(gateway, jid string) (id int64, err error) {
	key := listenerKey{gateway, jid}
	if id = w.listeners[key]; id == 0 {
		id = w.db.ids.listener(key)
	}
	if id != 0 {
		return id, nil
	}
	err = w.tx.QueryRowContext(w.ctx, `SELECT listeners.id FROM listeners JOIN users ON users.id = "user"
		WHERE users.gateway = ? AND users.jid = ?`, gateway, jid).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}
