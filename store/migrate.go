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
// migrations[i] from i+1 to i+2. Entries are only ever added, at the end. They
// are written for SQLite, as schema.sql is; PostgreSQL gets a translation.
var migrations = []string{archiveMigration, stateMigration}

//go:embed migrations/002_archive.sql
var archiveMigration string

//go:embed migrations/003_state.sql
var stateMigration string

// schemaVersion is the version of schema.sql.
func schemaVersion() int { return len(migrations) + 1 }

// migrate brings the database to the present schema in one transaction, and
// refuses one of another program or of a newer transportd. It returns the
// version it found, 0 for a new database.
func migrate(ctx context.Context, b backend, db *sql.DB, fresh string, steps []string) (int, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	found, err := b.state(ctx, tx)
	if err != nil {
		return 0, err
	}
	latest := len(steps) + 1
	switch {
	case found.empty:
		if _, err := tx.ExecContext(ctx, b.translate(fresh)); err != nil {
			return 0, err
		}
	case !found.ours || found.version < 1:
		return found.version, ErrNotOurs
	case found.version > latest:
		return found.version, fmt.Errorf("%w: it has schema %d, this program knows up to %d; install that version again or restore a backup",
			ErrNewerSchema, found.version, latest)
	default:
		for i := found.version - 1; i < len(steps); i++ {
			if _, err := tx.ExecContext(ctx, b.translate(steps[i])); err != nil {
				return found.version, fmt.Errorf("migrate schema %d to %d: %w", i+1, i+2, err)
			}
		}
	}
	if found.version != latest {
		if err := b.stamp(ctx, tx, latest); err != nil {
			return found.version, err
		}
	}
	return found.version, tx.Commit()
}
