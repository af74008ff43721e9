package store

import (
	"context"
	"database/sql"
	"math"
	"slices"

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
