package store

import (
	"context"
	"database/sql"
)

func (*postgres) migrated(context.Context, *sql.DB, int) error { return nil }

// indexed leaves the choice to PostgreSQL, which knows how many rows an index has.
func (*postgres) indexed(table, _ string) string { return table }

// rowOverhead is what a row of lines takes beside its columns: its head, and its
// entry in the index.
const rowOverhead = 28 + 48

// bytes is an estimate of what the rows of lines take. The size of the table would
// not do: space that deleted rows took is used again, and never given back.
func (*postgres) bytes(ctx context.Context, db *DB) (n int64, err error) {
	// In a transaction of its own; it reads a sample.
	if err := db.write(ctx, "size", db.batch, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "ANALYZE lines")
		return err
	}); err != nil {
		return 0, err
	}
	err = db.read.QueryRowContext(ctx, `SELECT (greatest(reltuples, 0) * (? + coalesce((SELECT sum(avg_width * (1 - null_frac)) FROM pg_stats
		WHERE schemaname = current_schema() AND tablename = 'lines'), 0)))::bigint
		FROM pg_class WHERE oid = 'lines'::regclass`, rowOverhead).Scan(&n)
	return n, err
}

// giveBack is the work of autovacuum.
func (*postgres) giveBack(context.Context, *DB) error { return nil }
