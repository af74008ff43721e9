package store

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
)

//go:embed schema.sql
var schema string

// migrations take a database from one version of the schema to the next:
// migrations[i] from i+1 to i+2. Entries are only ever added, at the end.
var migrations = []string{archiveMigration}

//go:embed migrations/002_archive.sql
var archiveMigration string

// applicationID marks the file as ours ("tprt").
const applicationID = 0x74707274

// schemaVersion is the version of schema.sql.
func schemaVersion() int { return len(migrations) + 1 }

// migrate brings the database to the present schema in one transaction, and
// refuses a file of another program or of a newer transportd. It returns the
// version it found, 0 for a new file.
func migrate(ctx context.Context, db *sql.DB, fresh string, steps []string) (int, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	var version, app, tables int
	for _, q := range []struct {
		query string
		to    *int
	}{
		{"PRAGMA user_version", &version},
		{"PRAGMA application_id", &app},
		{"SELECT count(*) FROM sqlite_master", &tables},
	} {
		if err := tx.QueryRowContext(ctx, q.query).Scan(q.to); err != nil {
			return 0, err
		}
	}
	latest := len(steps) + 1
	switch {
	case version == 0 && tables == 0 && app == 0:
		if _, err := tx.ExecContext(ctx, fresh); err != nil {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return 0, err
		}
	case app != applicationID || version < 1:
		return version, ErrNotOurs
	case version > latest:
		return version, fmt.Errorf("%w: it has schema %d, this program knows up to %d; install that version again or restore a backup",
			ErrNewerSchema, version, latest)
	default:
		for i := version - 1; i < len(steps); i++ {
			if _, err := tx.ExecContext(ctx, steps[i]); err != nil {
				return version, fmt.Errorf("migrate schema %d to %d: %w", i+1, i+2, err)
			}
		}
	}
	if version != latest {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", latest)); err != nil {
			return version, err
		}
	}
	return version, tx.Commit()
}
