package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// migrated makes files from before archives able to give space back piece by
// piece. They are small.
func (*sqlite) migrated(ctx context.Context, db *sql.DB, from int) error {
	if from > 1 {
		return nil
	}
	_, err := db.ExecContext(ctx, "VACUUM")
	return err
}

// indexed is needed where SQLite would not choose the index by itself.
func (*sqlite) indexed(table, index string) string { return table + " INDEXED BY " + index }

// bytes is the size of the file without free space in it.
func (*sqlite) bytes(ctx context.Context, db *DB) (int64, error) {
	var pages, free, size int64
	for _, p := range []struct {
		name string
		to   *int64
	}{{"page_count", &pages}, {"freelist_count", &free}, {"page_size", &size}} {
		if err := db.read.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(p.to); err != nil {
			return 0, err
		}
	}
	return (pages - free) * size, nil
}

const (
	keptPages = 256 // free pages that stay in the file: they are used again soon
	giveStep  = 128 // pages given back in one transaction
)

func (*sqlite) giveBack(ctx context.Context, db *DB) error {
	for {
		var before, after int64
		if err := db.read.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&before); err != nil {
			return db.explain("trim", err)
		}
		if before < keptPages {
			return nil
		}
		err := db.write(ctx, "trim", db.batch, func(tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", giveStep))
			if err != nil {
				return err
			}
			for rows.Next() { // a page each
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&after)
		})
		if err != nil || after >= before {
			return err
		}
		select {
		case <-time.After(trimPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
