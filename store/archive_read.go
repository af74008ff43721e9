package store

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"

	"transportd/archive"
)

// ArchiveLines implements archive.Backend.
func (db *DB) ArchiveLines(ctx context.Context, q *archive.Query) (lines []archive.Line, more bool, err error) {
	err = db.readArchive(ctx, "archive lines", func(r *archiveRead) error {
		views, err := r.views(q.Gateway, q.User, q.JID)
		if err != nil {
			return err
		}
		for _, v := range views {
			found, err := r.page(v, q, q.Limit+1)
			if err != nil {
				return err
			}
			lines = append(lines, found...)
		}
		if len(views) > 1 {
			slices.SortFunc(lines, func(a, b archive.Line) int { return a.Compare(b.Key) })
		}
		return nil
	})
	if more = len(lines) > q.Limit; more && q.Last {
		lines = lines[len(lines)-q.Limit:]
	} else if more {
		lines = lines[:q.Limit]
	}
	return lines, more, err
}

// ArchiveCount implements archive.Backend.
func (db *DB) ArchiveCount(ctx context.Context, q *archive.Query) (n int, err error) {
	err = db.readArchive(ctx, "archive count", func(r *archiveRead) error {
		views, err := r.views(q.Gateway, q.User, q.JID)
		if err != nil {
			return err
		}
		for _, v := range views {
			err := r.parts(v, q, func(p *part) (bool, error) {
				var part int
				where, args := p.where()
				err := r.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+r.from(p)+" WHERE "+where, args...).Scan(&part)
				n += part
				return true, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// ArchiveByKey implements archive.Backend.
func (db *DB) ArchiveByKey(ctx context.Context, gateway, user, jid string, keys []archive.Key) (lines []archive.Line, err error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, archive.Key.Compare)
	err = db.readArchive(ctx, "archive by id", func(r *archiveRead) error {
		views, err := r.views(gateway, user, jid)
		if err != nil {
			return err
		}
		for _, k := range slices.Compact(keys) {
			q := &archive.Query{From: k.At, To: k.At, Limit: math.MaxInt32}
			for _, v := range views {
				found, err := r.page(v, q, q.Limit)
				if err != nil {
					return err
				}
				lines = append(lines, slices.DeleteFunc(found, func(l archive.Line) bool { return l.Key != k })...)
			}
		}
		return nil
	})
	return lines, err
}

// ArchiveRoom implements archive.Backend.
func (db *DB) ArchiveRoom(ctx context.Context, gateway, user, jid string) (room archive.Room, ok bool, err error) {
	err = db.readArchive(ctx, "archive of a room", func(r *archiveRead) error {
		views, err := r.views(gateway, user, jid)
		if err != nil || len(views) == 0 {
			return err
		}
		ok = true
		return r.tx.QueryRowContext(ctx, `SELECT archives.gateway, network, room, coalesce(jid, '') FROM archives
			LEFT JOIN listeners ON listeners.id = owner LEFT JOIN users ON users.id = listeners."user" WHERE archives.id = ?`,
			views[len(views)-1].archive).Scan(&room.Gateway, &room.Network, &room.Room, &room.Owner)
	})
	return room, ok, err
}

// ArchiveRecent implements archive.Backend.
func (db *DB) ArchiveRecent(ctx context.Context, gateway, user, jid, id string) (line archive.Line, ok bool, err error) {
	err = db.readArchive(ctx, "own line", func(r *archiveRead) error {
		views, err := r.views(gateway, user, jid)
		if err != nil {
			return err
		}
		for _, v := range slices.Backward(views) {
			q := &archive.Query{Self: true, Last: true, Limit: recentLines}
			found, err := r.page(v, q, q.Limit)
			if err != nil {
				return err
			}
			for _, l := range slices.Backward(found) {
				if l.ID == id {
					line, ok = l, true
					return nil
				}
			}
		}
		return nil
	})
	return line, ok, err
}

// recentLines is among how many of a user's own lines one is looked for by its id.
const recentLines = 2000

// archiveRead is one snapshot of archives.
type archiveRead struct {
	db  *DB
	ctx context.Context
	tx  *sql.Tx
}

func (db *DB) readArchive(ctx context.Context, op string, f func(*archiveRead) error) error {
	start := time.Now()
	defer func() { db.observe(op, time.Since(start)) }()
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return db.explain(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	return db.explain(op, f(&archiveRead{db: db, ctx: ctx, tx: tx}))
}

// view is an archive as one listener sees it.
type view struct {
	archive, listener int64
	shared            bool
}

// views are the archives a user knows under a room's JID, the oldest first: more
// than one where the room's address came to mean another place.
func (r *archiveRead) views(gateway, user, jid string) ([]view, error) {
	rows, err := r.tx.QueryContext(r.ctx, `SELECT archives.id, listeners.id, owner FROM users
		JOIN listeners ON listeners."user" = users.id JOIN views ON views.listener = listeners.id
		JOIN archives ON archives.id = archive
		WHERE users.gateway = ? AND users.jid = ? AND views.jid = ? ORDER BY archives.id`, gateway, user, jid)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []view
	for rows.Next() {
		var v view
		var owner int64
		if err := rows.Scan(&v.archive, &v.listener, &owner); err != nil {
			return nil, err
		}
		v.shared = owner == 0
		out = append(out, v)
	}
	return out, rows.Err()
}

// part is a stretch of an archive in which one condition decides who sees a line.
type part struct {
	*archive.Query
	view
	since, until int64 // the stretch, until exclusive
	own          bool  // lines for this listener alone
}

// where is the condition for lines of the part that fit the query.
func (p *part) where() (string, []any) {
	// One narrow stretch of time. The keys are compared only where they limit it
	// further: PostgreSQL would begin to read at them otherwise, however far away.
	from, to := max(p.since, p.From, p.After.At), p.until
	if p.To != 0 && p.To < to {
		to = p.To + 1
	}
	before := !p.Before.IsZero() && p.Before.At < to
	if before {
		to = p.Before.At + 1
	}
	cond, args := []string{"archive = ?"}, []any{p.archive}
	add := func(c string, a ...any) { cond, args = append(cond, c), append(args, a...) }
	if p.own {
		add("seen = ? AND seen > 0", p.listener)
	}
	add("at >= ? AND at < ?", from, to)
	if !p.After.IsZero() && p.After.At == from {
		add("(at, tie) > (?, ?)", p.After.At, int64(p.After.Tie))
	}
	if before {
		add("(at, tie) < (?, ?)", p.Before.At, int64(p.Before.Tie))
	}
	if p.shared && !p.own {
		add("seen <= 0 AND seen <> ?", -p.listener)
	}
	if p.Nick != "" {
		add("lower(nick) = lower(?)", p.Nick)
	}
	if p.Occupant != "" {
		add("occupant = ?", p.Occupant)
	}
	if p.Self {
		add("self = 1")
	}
	return strings.Join(cond, " AND "), args
}

// from is the table, with the index that SQLite would not choose by itself: it does
// not know that few lines are for one listener alone.
func (r *archiveRead) from(p *part) string {
	if p.own {
		return r.db.backend.indexed("lines", "lines_own")
	}
	return "lines"
}

// forever is later than every line.
const forever = math.MaxInt64

// parts calls f for each part of what a listener sees, in the order the query
// wants, until f says that it is enough.
func (r *archiveRead) parts(v view, q *archive.Query, f func(*part) (goOn bool, err error)) error {
	if !v.shared {
		_, err := f(&part{Query: q, view: v, until: forever})
		return err
	}
	if _, err := f(&part{Query: q, view: v, until: forever, own: true}); err != nil {
		return err
	}
	if q.Self {
		return nil // one's own lines are for oneself alone
	}
	visits, err := r.visits(v, q, false)
	if err != nil {
		return err
	}
	for i := range visits {
		if i == fewVisits {
			return r.manyVisits(v, q, &visits[i-1], f)
		}
		if goOn, err := f(&visits[i]); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// fewVisits are looked at one by one, whether anything was said in them or not.
const fewVisits = 16

// manyVisits calls f for the visits beyond one in which something was said: a user
// may have hundreds of others.
func (r *archiveRead) manyVisits(v view, q *archive.Query, last *part, f func(*part) (bool, error)) error {
	visits, err := r.visits(v, q, true)
	if err != nil {
		return err
	}
	for i := range visits {
		p := &visits[i]
		if q.Last && p.until > last.since || !q.Last && p.since < last.until {
			continue
		}
		if goOn, err := f(p); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// visits are the stretches of an archive that a listener was there for and that
// the query can have to do with, in the order it wants them; with said only those in
// which there are lines, which costs a look into the index for each.
func (r *archiveRead) visits(v view, q *archive.Query, said bool) ([]part, error) {
	low, high := max(q.From, q.After.At), int64(forever)
	if q.To != 0 {
		high = q.To
	}
	if !q.Before.IsZero() {
		high = min(high, q.Before.At)
	}
	query, args := `SELECT since, coalesce(until, ?) FROM visits
		WHERE listener = ? AND archive = ? AND since <= ? AND coalesce(until, ?) > ?`,
		[]any{int64(forever), v.listener, v.archive, high, int64(forever), low}
	if said {
		// Not EXISTS, which PostgreSQL turns into a join that reads far more.
		query += ` AND (SELECT at FROM lines WHERE lines.archive = visits.archive AND at >= since AND at < coalesce(until, ?)
			ORDER BY at LIMIT 1) IS NOT NULL`
		args = append(args, int64(forever))
	}
	rows, err := r.tx.QueryContext(r.ctx, query+" ORDER BY since", args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []part
	for rows.Next() {
		p := part{Query: q, view: v}
		if err := rows.Scan(&p.since, &p.until); err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && out[n-1].until >= p.since {
			out[n-1].until = max(out[n-1].until, p.until)
			continue
		}
		out = append(out, p)
	}
	if q.Last {
		slices.Reverse(out)
	}
	return out, rows.Err()
}

const lineFields = "at, tie, seen, self, nick, body, id, netid, occupant, extra, edited, retracted"

// page reads at most limit lines of a view, in rising order.
func (r *archiveRead) page(v view, q *archive.Query, limit int) ([]archive.Line, error) {
	order := "at, tie"
	if q.Last {
		order = "at DESC, tie DESC"
	}
	var own, heard []archive.Line
	err := r.parts(v, q, func(p *part) (bool, error) {
		where, args := p.where()
		list := &heard
		if p.own {
			list = &own
		}
		err := r.collect(list, "SELECT "+lineFields+" FROM "+r.from(p)+" WHERE "+where+" ORDER BY "+order+" LIMIT ?", append(args, limit-len(*list))...)
		return len(*list) < limit, err
	})
	if err != nil {
		return nil, err
	}
	if q.Last {
		slices.Reverse(own)
		slices.Reverse(heard)
	}
	all := heard
	if len(own) > 0 {
		all = mergeLines(own, heard)
	}
	if len(all) > limit && q.Last {
		return all[len(all)-limit:], nil
	}
	return all[:min(len(all), limit)], nil
}

// mergeLines merges two lists in rising order.
func mergeLines(a, b []archive.Line) []archive.Line {
	out := make([]archive.Line, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Compare(b[0].Key) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func (r *archiveRead) collect(to *[]archive.Line, query string, args ...any) error {
	rows, err := r.tx.QueryContext(r.ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var l archive.Line
		var tie, seen, self int64
		var id, netid, occupant sql.NullString
		if err := rows.Scan(&l.At, &tie, &seen, &self, &l.Nick, &l.Body, &id, &netid, &occupant, &l.Extra, &l.Edited, &l.Retracted); err != nil {
			return err
		}
		l.Tie, l.Self = uint32(tie), self == 1
		l.ID, l.NetID, l.Occupant = id.String, netid.String, occupant.String
		*to = append(*to, l)
	}
	return rows.Err()
}

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
