package store

import (
	"context"
	"database/sql"
	"time"

	"transportd/archive"
)

// ArchiveEpoch implements archive.Backend.
func (db *DB) ArchiveEpoch() int64 { return db.backend.epoch() }

// CloseVisits implements archive.Backend.
func (db *DB) CloseVisits(ctx context.Context, gateway string, at time.Time) error {
	now := at.UnixMicro()
	const ours = " AND archive IN (SELECT id FROM archives WHERE gateway = ?)"
	// On the disk: nothing closes them again before the next start.
	return db.save(ctx, "close visits", func(tx *sql.Tx) error {
		for _, step := range []struct {
			query string
			args  []any
		}{
			// Nobody but who is there brings lines: what is later than now was heard in these.
			{`UPDATE visits SET until = (SELECT max(at) + 1 FROM lines WHERE lines.archive = visits.archive)
				WHERE until IS NULL AND (SELECT max(at) FROM lines WHERE lines.archive = visits.archive AND at >= since) >= ?` + ours, []any{now, gateway}},
			{"UPDATE visits SET until = since + 1 WHERE until IS NULL AND since >= ?" + ours, []any{now, gateway}},
			{"UPDATE visits SET until = ? WHERE until IS NULL" + ours, []any{now, gateway}},
		} {
			if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// ArchivesAhead implements archive.Backend.
func (db *DB) ArchivesAhead(ctx context.Context, gateway string, at int64) (map[archive.Room]int64, error) {
	type entry struct {
		room archive.Room
		at   int64
	}
	out := map[archive.Room]int64{}
	for _, query := range []string{
		"SELECT archive, max(until) AS latest FROM visits WHERE until > ? GROUP BY archive",
		"SELECT id AS archive, (SELECT max(at) FROM lines WHERE archive = archives.id) AS latest FROM archives WHERE (SELECT max(at) FROM lines WHERE archive = archives.id) > ?",
	} {
		found, err := page(ctx, db, "archives ahead", func(rows *sql.Rows) (e entry, err error) {
			return e, rows.Scan(&e.room.Gateway, &e.room.Network, &e.room.Room, &e.room.Owner, &e.at)
		}, `SELECT archives.gateway, network, room, coalesce(jid, ''), latest FROM (`+query+`) AS found JOIN archives ON archives.id = found.archive
			LEFT JOIN listeners ON listeners.id = owner LEFT JOIN users ON users.id = listeners."user" WHERE archives.gateway = ?`, at, gateway)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			out[e.room] = max(out[e.room], e.at)
		}
	}
	return out, nil
}
