package store

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

// trimStep is how many lines one transaction deletes: few, so that lines that are
// to be stored hardly wait.
const trimStep = 500

// trimPause is between two of them.
const trimPause = 5 * time.Millisecond

// discardListener marks what a user alone has in archives as garbage: it is
// deleted piece by piece, by TrimArchive.
func discardListener(ctx context.Context, tx *sql.Tx, gateway, jid string) error {
	for _, query := range []string{
		`INSERT INTO garbage (archive, listener) SELECT DISTINCT archive, listener FROM views
			JOIN listeners ON listeners.id = listener JOIN users ON users.id = listeners."user"
			WHERE gateway = ? AND users.jid = ? ON CONFLICT DO NOTHING`,
		`INSERT INTO garbage (archive, listener) SELECT archives.id, 0 FROM archives
			JOIN listeners ON listeners.id = owner JOIN users ON users.id = listeners."user"
			WHERE users.gateway = ? AND users.jid = ? ON CONFLICT DO NOTHING`,
	} {
		if _, err := tx.ExecContext(ctx, query, gateway, jid); err != nil {
			return err
		}
	}
	return nil
}

// ForgetArchive makes a user forget what was said in a room until now: the lines
// nobody else sees are deleted, step by step, and the user no longer sees the others.
// An error may leave some of them; to call it again goes on.
//
// settle, which may be nil, is called in between: it lets everything be stored that
// was said before.
func (db *DB) ForgetArchive(ctx context.Context, gateway, user, jid string, settle func(context.Context) error) error {
	var views []view
	err := db.readArchive(ctx, "forget archive", func(r *archiveRead) (err error) {
		views, err = r.views(gateway, user, jid)
		return err
	})
	if err != nil {
		return err
	}
	upTo := make([]int64, len(views))
	if err := db.save(ctx, "forget archive", func(tx *sql.Tx) error {
		for i, v := range views {
			upTo[i] = time.Now().UnixMicro()
			var last sql.NullInt64 // which may be later than our clock
			if err := tx.QueryRowContext(ctx, "SELECT max(at) FROM lines WHERE archive = ?", v.archive).Scan(&last); err != nil {
				return err
			}
			upTo[i] = max(upTo[i], last.Int64+1)
			if err := forgetVisits(ctx, tx, v, upTo[i]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if settle != nil {
		if err := settle(ctx); err != nil {
			return err
		}
	}
	// Not as garbage, which would take what the user says afterwards along; and on the
	// disk, so that no crash brings it back.
	t := trim{db: db, ctx: ctx, pool: db.durable}
	for i, v := range views {
		where, args := "archive = ? AND at < ?", []any{v.archive, upTo[i]}
		if v.shared {
			where, args = where+" AND seen = ? AND seen > 0", append(args, v.listener)
		}
		if err := t.lines(where, args...); err != nil {
			return err
		}
	}
	return nil
}

// forgetVisits makes a listener not have been there up to a time. A visit that is not
// over goes on from then.
func forgetVisits(ctx context.Context, tx *sql.Tx, v view, upTo int64) error {
	var since sql.NullInt64 // of the latest that is not over
	if err := tx.QueryRowContext(ctx, "SELECT max(since) FROM visits WHERE until IS NULL AND listener = ? AND archive = ?", v.listener, v.archive).Scan(&since); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM visits WHERE listener = ? AND archive = ?", v.listener, v.archive); err != nil {
		return err
	}
	if !since.Valid {
		return nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO visits (listener, archive, since) VALUES (?, ?, ?)", v.listener, v.archive, max(since.Int64, upTo))
	return err
}

// TrimOptions bound what archives hold.
type TrimOptions struct {
	OlderThan time.Time // lines from before are deleted; zero: none for their age
	MaxBytes  int64     // about how much they may take; 0: no bound. The oldest lines of all go first.
}

// TrimResult is what was deleted.
type TrimResult struct {
	Lines, Privates, Archives int64
}

// privateGrace keeps one-to-one lines that nobody could be given yet, whatever
// their age.
const privateGrace = 30 * 24 * time.Hour

// TrimArchive deletes what is too old or too much, and what users who are gone have
// left, in small transactions, until it is done or ctx is. It may take long; lines
// are stored and read meanwhile.
func (db *DB) TrimArchive(ctx context.Context, o TrimOptions) (TrimResult, error) {
	t := trim{db: db, ctx: ctx, pool: db.batch}
	err := t.run(o)
	db.ids.forget()
	return t.result, err
}

type trim struct {
	db     *DB
	pool   *sql.DB
	ctx    context.Context
	result TrimResult
}

func (t *trim) run(o TrimOptions) error {
	if err := t.garbage(); err != nil {
		return err
	}
	if !o.OlderThan.IsZero() {
		if err := t.older(o.OlderThan); err != nil {
			return err
		}
	}
	if o.MaxBytes > 0 {
		if err := t.smaller(o.MaxBytes); err != nil {
			return err
		}
	}
	if err := t.empty(); err != nil {
		return err
	}
	return t.db.backend.giveBack(t.ctx, t.db)
}

// step runs one small statement in a transaction of its own and tells how many
// rows it met.
func (t *trim) step(query string, args ...any) (n int64, err error) {
	return t.together([]string{query}, args...)
}

// together is step for statements with the same arguments; of the last one it tells
// how many rows it met.
func (t *trim) together(queries []string, args ...any) (n int64, err error) {
	err = t.db.write(t.ctx, "trim", t.pool, func(tx *sql.Tx) error {
		for _, query := range queries {
			res, err := tx.ExecContext(t.ctx, query, args...)
			if err != nil {
				return err
			}
			if n, err = res.RowsAffected(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && n > 0 {
		select {
		case <-time.After(trimPause):
		case <-t.ctx.Done():
			err = t.ctx.Err()
		}
	}
	return n, err
}

// lines deletes lines of an archive that fit a condition, with their names, step by
// step.
func (t *trim) lines(where string, args ...any) error {
	these := " WHERE (archive, at, tie) IN (SELECT archive, at, tie FROM lines WHERE " + where + " ORDER BY archive, at, tie LIMIT ?)"
	for {
		n, err := t.together([]string{"DELETE FROM line_names" + these, "DELETE FROM lines" + these}, append(slices.Clone(args), trimStep)...)
		t.result.Lines += n
		if err != nil || n < trimStep {
			return err
		}
	}
}

type trash struct{ archive, listener int64 }

// garbage deletes what users who are gone have left.
func (t *trim) garbage() error {
	all, err := page(t.ctx, t.db, "garbage", func(rows *sql.Rows) (g trash, err error) {
		return g, rows.Scan(&g.archive, &g.listener)
	}, "SELECT archive, listener FROM garbage ORDER BY listener, archive")
	if err != nil {
		return err
	}
	for _, g := range all {
		where, args := "archive = ?", []any{g.archive}
		if g.listener != 0 {
			where, args = "archive = ? AND seen = ? AND seen > 0", []any{g.archive, g.listener}
		}
		if err := t.lines(where, args...); err != nil {
			return err
		}
		if _, err := t.step("DELETE FROM garbage WHERE archive = ? AND listener = ?", g.archive, g.listener); err != nil {
			return err
		}
	}
	return nil
}

// archives are the numbers of all archives.
func (t *trim) archives() ([]int64, error) {
	return page(t.ctx, t.db, "archives", func(rows *sql.Rows) (id int64, err error) {
		return id, rows.Scan(&id)
	}, "SELECT id FROM archives ORDER BY id")
}

// older deletes lines from before a time.
func (t *trim) older(than time.Time) error {
	all, err := t.archives()
	if err != nil {
		return err
	}
	for _, id := range all {
		if err := t.lines("archive = ? AND at < ?", id, than.UnixMicro()); err != nil {
			return err
		}
	}
	for {
		n, err := t.step(`DELETE FROM privates WHERE (listener, at, tie) IN
			(SELECT listener, at, tie FROM privates WHERE at < ? AND (pending = 0 OR at < ?) LIMIT ?)`,
			than.UnixMicro(), time.Now().Add(-privateGrace).UnixMicro(), trimStep)
		t.result.Privates += n
		if err != nil || n < trimStep {
			return err
		}
	}
}

// smaller deletes the oldest lines of all until what is left fits.
func (t *trim) smaller(limit int64) error {
	for {
		size, err := t.db.ArchiveSize(t.ctx)
		if err != nil || size <= limit {
			return err
		}
		before := t.result.Lines
		if err := t.oldest(float64(size-limit) / float64(size)); err != nil {
			return err
		}
		if t.result.Lines == before {
			return nil // what is over is not lines
		}
	}
}

// oldest deletes about this part of all lines, the oldest first: up to the time
// that so many of them come before.
func (t *trim) oldest(part float64) error {
	var first, last sql.NullInt64
	ids, err := t.archives()
	if err != nil {
		return err
	}
	for _, id := range ids {
		var a, b sql.NullInt64
		if err := t.db.read.QueryRowContext(t.ctx, "SELECT min(at), max(at) FROM lines WHERE archive = ?", id).Scan(&a, &b); err != nil {
			return t.db.explain("trim", err)
		}
		if a.Valid && (!first.Valid || a.Int64 < first.Int64) {
			first = a
		}
		if b.Valid && (!last.Valid || b.Int64 > last.Int64) {
			last = b
		}
	}
	if !first.Valid {
		return nil
	}
	// The cut is found by halving the span of time: lines are not spread evenly.
	total, err := t.before(ids, last.Int64+1)
	if err != nil {
		return err
	}
	low, high := first.Int64, last.Int64+1
	for range 40 {
		if high-low <= 1 {
			break
		}
		mid := low + (high-low)/2
		n, err := t.before(ids, mid)
		if err != nil {
			return err
		}
		if float64(n) < part*float64(total) {
			low = mid
		} else {
			high = mid
		}
		if d := float64(n) - part*float64(total); d >= 0 && d <= 0.01*float64(total) {
			high = mid
			break
		}
	}
	for _, id := range ids {
		if err := t.lines("archive = ? AND at < ?", id, high); err != nil {
			return err
		}
	}
	return nil
}

// before counts the lines from before a time.
func (t *trim) before(ids []int64, at int64) (total int64, err error) {
	for _, id := range ids {
		var n int64
		if err := t.db.read.QueryRowContext(t.ctx, "SELECT count(*) FROM lines WHERE archive = ? AND at < ?", id, at).Scan(&n); err != nil {
			return 0, t.db.explain("trim", err)
		}
		total += n
	}
	return total, nil
}

// empty removes archives that nobody can see any more, with their lines, and
// visits of which no line is left.
func (t *trim) empty() error {
	unseen, err := page(t.ctx, t.db, "unseen archives", func(rows *sql.Rows) (id int64, err error) {
		return id, rows.Scan(&id)
	}, "SELECT id FROM archives WHERE NOT EXISTS (SELECT 1 FROM views WHERE archive = archives.id)")
	if err != nil {
		return err
	}
	for _, id := range unseen {
		if err := t.unseen(id); err != nil {
			return err
		}
	}
	return t.visits()
}

// unseen removes an archive, unless somebody has come in meanwhile.
func (t *trim) unseen(id int64) error {
	if err := t.lines("archive = ? AND NOT EXISTS (SELECT 1 FROM views WHERE views.archive = lines.archive)", id); err != nil {
		return err
	}
	n, err := t.step("DELETE FROM archives WHERE id = ? AND NOT EXISTS (SELECT 1 FROM views WHERE archive = archives.id)", id)
	t.result.Archives += n
	t.db.ids.forget() // at once: the trim may go on for long
	return err
}

// visits removes those that are over and of which no line is left.
func (t *trim) visits() error {
	type visit struct{ listener, archive, since int64 }
	var last visit
	for {
		// Read outside a transaction that writes: there may be very many.
		over, err := page(t.ctx, t.db, "visits", func(rows *sql.Rows) (v visit, err error) {
			return v, rows.Scan(&v.listener, &v.archive, &v.since)
		}, `SELECT listener, archive, since FROM visits WHERE (listener, archive, since) > (?, ?, ?) AND until IS NOT NULL AND
			NOT EXISTS (SELECT 1 FROM lines WHERE lines.archive = visits.archive AND at >= since AND at < until)
			ORDER BY listener, archive, since LIMIT ?`, last.listener, last.archive, last.since, trimStep)
		if err != nil || len(over) == 0 {
			return err
		}
		last = over[len(over)-1]
		err = t.db.write(t.ctx, "trim", t.db.batch, func(tx *sql.Tx) error {
			for _, v := range over {
				if _, err := tx.ExecContext(t.ctx, "DELETE FROM visits WHERE listener = ? AND archive = ? AND since = ? AND until IS NOT NULL",
					v.listener, v.archive, v.since); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(over) < trimStep {
			return err
		}
	}
}

// ArchiveSize is about how many bytes the database takes.
func (db *DB) ArchiveSize(ctx context.Context) (int64, error) {
	n, err := db.backend.bytes(ctx, db)
	return n, db.explain("size", err)
}
