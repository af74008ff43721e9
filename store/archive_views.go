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
	if p.NoBody {
		add("body = ''")
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
