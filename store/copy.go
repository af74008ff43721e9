package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// tables are all tables with rows to copy, those that others refer to before
// them. What is in meta is copied by itself. A test compares the list with the
// schema.
var tables = []string{"users", "preferences", "accounts", "settings", "occupancies", "subscriptions", "gateway_keys",
	"archives", "listeners", "visits", "views", "lines", "privates", "garbage", "user_rooms",
	"account_state", "line_names"}

// Names in meta that do not belong to what is stored, but to where.
const (
	metaCopying = "copying" // the copy into this database has not come to its end
	notCopied   = "'" + metaApplication + "', '" + metaVersion + "', '" + metaOwner + "', '" + metaCopying + "'"
)

const (
	copyRows   = 100    // rows of one statement
	copyCommit = 10_000 // rows of one transaction
	copyReport = 1000   // rows between two reports
)

// CopyProgress is how far the copy of a table has come.
type CopyProgress struct {
	Table       string
	Done, Total int64 // rows
}

// TableCount is how many rows a table has.
type TableCount struct {
	Table string
	Rows  int64
}

// Copy copies all of a database into an empty one, of the same kind or the
// other, and counts again at the end. Sealed values stay as they are, so the key
// file belongs to both. Neither may be in use: ErrInUse. The target must be
// empty: ErrNotEmpty. One whose copy was interrupted says so whenever it is
// opened: ErrIncomplete. Rows go through memory a few at a time; progress, which
// may be nil, is called from the caller's goroutine. Copy blocks until the end.
func Copy(ctx context.Context, from, to Options, progress func(CopyProgress)) (counts []TableCount, err error) {
	source, err := openSource(ctx, from, true)
	if err != nil {
		return nil, err
	}
	defer source.close()
	target, err := newBackend(to)
	if err != nil {
		return nil, err
	}
	if err := target.claim(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = target.release() }()
	pool, err := target.pool(durablePool)
	if err != nil {
		return nil, explain(target, "copy", err)
	}
	defer func() { _ = pool.Close() }()
	if err := makeTarget(ctx, target, pool); err != nil {
		return nil, err
	}
	c := copier{source: source, target: target, pool: pool, progress: progress}
	if counts, err = c.all(ctx); err != nil {
		return nil, err
	}
	return counts, explain(target, "copy", inTx(ctx, pool, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE name = ?", metaCopying)
		return err
	}))
}

// source is a database that is read in one snapshot.
type source struct {
	backend
	pool *sql.DB
	tx   *sql.Tx
}

// openSource begins a snapshot of an existing database of the present schema.
// With alone nobody else may have it open.
func openSource(ctx context.Context, o Options, alone bool) (*source, error) {
	b, err := newBackend(o)
	if err != nil {
		return nil, err
	}
	s := &source{backend: b}
	if err := s.begin(ctx, alone); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *source) begin(ctx context.Context, alone bool) (err error) {
	if err := s.exists(); err != nil {
		return err
	}
	if alone {
		if err := s.claim(ctx); err != nil {
			return err
		}
	}
	if s.pool, err = s.backend.pool(readPool); err != nil {
		return explain(s.backend, "read", err)
	}
	if s.tx, err = s.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return explain(s.backend, "read", err)
	}
	err = checkPresent(ctx, s.backend, s.tx)
	// A file is backed up as it is, also before a migration.
	if _, file := s.backend.(*sqlite); file && !alone && errors.Is(err, ErrOlderSchema) {
		return nil
	}
	return explain(s.backend, "read", err)
}

func (s *source) close() {
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	if s.pool != nil {
		_ = s.pool.Close()
	}
	_ = s.release()
}

// checkComplete refuses a database whose copy was interrupted.
func checkComplete(ctx context.Context, tx *sql.Tx) error {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM meta WHERE name = ?", metaCopying).Scan(&n)
	if err == nil && n > 0 {
		err = ErrIncomplete
	}
	return err
}

// makeTarget makes the tables, and in the same transaction the mark that the
// copy is not complete.
func makeTarget(ctx context.Context, b backend, pool *sql.DB) error {
	var found state
	err := inTx(ctx, pool, func(tx *sql.Tx) (err error) {
		if found, err = b.state(ctx, tx); err == nil && found.ours {
			err = checkComplete(ctx, tx)
		}
		return err
	})
	if err == nil && !found.empty {
		err = ErrNotEmpty
	}
	if err == nil {
		mark := "\nINSERT INTO meta (name, value) VALUES ('" + metaCopying + "', '1');"
		_, err = migrate(ctx, b, pool, schema+mark, migrations)
	}
	return explain(b, "copy", err)
}

// inTx runs f in one transaction.
func inTx(ctx context.Context, pool *sql.DB, f func(*sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// copier copies the rows of one snapshot.
type copier struct {
	source   *source
	target   backend
	pool     *sql.DB
	progress func(CopyProgress)
}

// all copies every table and counts what has arrived.
func (c *copier) all(ctx context.Context) ([]TableCount, error) {
	if _, err := c.table(ctx, "meta", "WHERE name NOT IN ("+notCopied+")"); err != nil {
		return nil, err
	}
	var counts []TableCount
	for _, name := range tables {
		n, err := c.table(ctx, name, "")
		if err != nil {
			return nil, err
		}
		last, err := c.source.lastID(ctx, c.source.tx, name)
		if err != nil {
			return nil, explain(c.source.backend, "copy "+name, err)
		}
		var arrived int64
		err = inTx(ctx, c.pool, func(tx *sql.Tx) error {
			if err := c.target.renumber(ctx, tx, name, last); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, "SELECT count(*) FROM "+name).Scan(&arrived)
		})
		if err != nil {
			return nil, explain(c.target, "copy "+name, err)
		}
		if arrived != n {
			return nil, fmt.Errorf("copy %s: %s: %d rows arrived of %d", name, c.target.label(), arrived, n)
		}
		counts = append(counts, TableCount{name, n})
	}
	return counts, nil
}

// table copies one table and returns its number of rows.
func (c *copier) table(ctx context.Context, name, where string) (int64, error) {
	p := CopyProgress{Table: name}
	if err := c.source.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+name+" "+where).Scan(&p.Total); err != nil {
		return 0, explain(c.source.backend, "copy "+name, err)
	}
	c.report(p)
	rows, err := c.source.tx.QueryContext(ctx, "SELECT * FROM "+name+" "+where)
	if err != nil {
		return 0, explain(c.source.backend, "copy "+name, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, explain(c.source.backend, "copy "+name, err)
	}
	for more := true; more; {
		before := p.Done
		if err := inTx(ctx, c.pool, func(tx *sql.Tx) error { return c.some(ctx, tx, rows, columns, &p) }); err != nil {
			return 0, explain(c.target, "copy "+name, err)
		}
		more = p.Done-before == copyCommit
	}
	if err := rows.Err(); err != nil {
		return 0, explain(c.source.backend, "copy "+name, err)
	}
	if p.Done != p.Total {
		return 0, fmt.Errorf("copy %s: %s: %d rows were read of %d", name, c.source.label(), p.Done, p.Total)
	}
	c.report(p)
	return p.Total, nil
}

// some copies rows until there are no more, or a transaction's worth is done.
func (c *copier) some(ctx context.Context, tx *sql.Tx, rows *sql.Rows, columns []string, p *CopyProgress) error {
	many, err := tx.PrepareContext(ctx, insertText(p.Table, columns, copyRows))
	if err != nil {
		return err
	}
	one, err := tx.PrepareContext(ctx, insertText(p.Table, columns, 1))
	if err != nil {
		return err
	}
	batch := make([]any, 0, copyRows*len(columns))
	for end := p.Done + copyCommit; p.Done < end && rows.Next(); p.Done++ {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if batch = append(batch, row...); len(batch) == cap(batch) {
			if _, err := many.ExecContext(ctx, batch...); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if p.Done%copyReport == 0 {
			c.report(*p)
		}
	}
	for ; len(batch) > 0; batch = batch[len(columns):] {
		if _, err := one.ExecContext(ctx, batch[:len(columns)]...); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) report(p CopyProgress) {
	if c.progress != nil {
		c.progress(p)
	}
}

// insertText is the statement that writes some rows at once.
func insertText(table string, columns []string, rows int) string {
	row := "(" + strings.Repeat("?, ", len(columns)-1) + "?)"
	return "INSERT INTO " + table + ` ("` + strings.Join(columns, `", "`) + `") VALUES ` +
		strings.Repeat(row+", ", rows-1) + row
}
