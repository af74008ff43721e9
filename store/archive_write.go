package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"transportd/archive"
)

var _ archive.Backend = (*DB)(nil)

// lineRows are the numbers of lines one statement inserts; the rest of a batch
// goes with the smaller ones.
var lineRows = [...]int{64, 8, 1}

// lineShapes are what statements insert: lines that others said to everybody and
// that have no names, and any. Half as many values are most of what a line costs.
var lineShapes = [...]struct{ columns, row string }{
	{"archive, at, tie, seen, self, nick, body, occupant", "(?, ?, ?, 0, 0, ?, ?, ?)"},
	{"archive, at, tie, seen, self, nick, body, occupant, id, netid, extra", "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
}

const (
	plainLines = iota
	anyLines
)

// lineStmts are the statements, by shape and number of lines.
type lineStmts [len(lineShapes)][len(lineRows)]*sql.Stmt

func insertLines(shape, rows int) string {
	s := lineShapes[shape]
	return "INSERT INTO lines (" + s.columns + ") VALUES " + strings.TrimSuffix(strings.Repeat(s.row+", ", rows), ", ") + " ON CONFLICT DO NOTHING"
}

// lineRow is a line that is to be inserted, and its place among them.
type lineRow struct {
	archive, seen int64
	n             int
	*archive.Line
}

// compare orders rows as the table does, and the same line said twice as it came.
func (r lineRow) compare(o lineRow) int {
	if r.archive != o.archive {
		return cmp.Compare(r.archive, o.archive)
	}
	if c := r.Compare(o.Key); c != 0 {
		return c
	}
	return cmp.Compare(r.n, o.n)
}

// plain tells whether a row is of the first shape.
func (r lineRow) plain() bool {
	return r.seen == 0 && !r.Self && r.ID == "" && r.NetID == "" && len(r.Extra) == 0
}

// appendValues appends a row's values for a shape.
func (r lineRow) appendValues(to []any, shape int) []any {
	l := r.Line
	if shape == plainLines {
		return append(to, r.archive, l.At, int64(l.Tie), l.Nick, l.Body, optional(l.Occupant))
	}
	return append(to, r.archive, l.At, int64(l.Tie), r.seen, flag(l.Self), l.Nick, l.Body, optional(l.Occupant),
		optional(l.ID), optional(l.NetID), optionalBytes(l.Extra))
}

// archiveWrite is one transaction of changes to archives.
type archiveWrite struct {
	db        *DB
	ctx       context.Context
	tx        *sql.Tx
	age       int // of the numbers remembered when it began
	archives  map[archive.Room]int64
	listeners map[listenerKey]int64
	lines     []lineRow // not inserted yet
	states    map[accountKey]map[string][]byte
	values    []any // of one statement
	inserts   lineStmts
	bound     lineStmts // the same in this transaction
}

// WriteArchive implements archive.Backend. It is one transaction on the batch
// connection (synchronous=NORMAL).
func (db *DB) WriteArchive(ctx context.Context, ops []archive.Op) error {
	w := &archiveWrite{db: db, ctx: ctx, archives: map[archive.Room]int64{}, listeners: map[listenerKey]int64{}}
	inserts, err := db.prepareInserts(ctx)
	if err != nil {
		return db.explain("archive", err)
	}
	err = db.write(ctx, "archive", db.batch, func(tx *sql.Tx) error {
		w.tx, w.age = tx, db.ids.age()
		w.inserts = inserts
		for _, op := range ops {
			if err := w.apply(op); err != nil {
				return fmt.Errorf("%T: %w", op, err)
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
		return w.saveStates()
	})
	if err == nil {
		db.ids.learn(w)
	}
	return err
}

func (w *archiveWrite) apply(op archive.Op) error {
	switch op := op.(type) {
	case *archive.AddLine:
		return w.addLine(op)
	case *archive.Enter:
		return w.enter(op)
	case *archive.Leave:
		return w.leave(op)
	case *archive.Restrict:
		return w.restrict(op)
	case *archive.Amend:
		return w.amend(op)
	case *archive.AddPrivate:
		return w.addPrivate(op)
	case *archive.SettlePrivate:
		return w.settlePrivate(op)
	case *archive.SaveState:
		w.saveState(op)
		return nil
	}
	return fmt.Errorf("there is no change of this kind")
}

func (w *archiveWrite) exec(query string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

// seen is who sees a line, as a number.
func (w *archiveWrite) seen(r *archive.Room, only, except string) (int64, error) {
	switch {
	case only != "":
		return w.listener(r.Gateway, only)
	case except != "":
		id, err := w.listener(r.Gateway, except)
		return -id, err
	}
	return 0, nil
}

func (w *archiveWrite) addLine(op *archive.AddLine) error {
	id, err := w.archive(op.Room)
	if err != nil {
		return err
	}
	l := &op.Line
	seen, err := w.seen(&op.Room, l.Only, l.Except)
	if err != nil {
		return err
	}
	w.lines = append(w.lines, lineRow{id, seen, len(w.lines), l})
	if !op.Named {
		return nil
	}
	return w.exec("INSERT INTO line_names (archive, netid, at, tie) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", id, l.NetID, l.At, int64(l.Tie))
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func optionalBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// flush inserts the lines that were gathered, in the order of the table: what lies
// together is written together, whatever the number of rooms. Of lines with the same
// key the first one stays.
func (w *archiveWrite) flush() error {
	slices.SortFunc(w.lines, lineRow.compare)
	left := w.lines
	for i, rows := range lineRows {
		for len(left) >= rows {
			if err := w.insert(i, left[:rows]); err != nil {
				return err
			}
			left = left[rows:]
		}
	}
	clear(w.lines)
	w.lines = w.lines[:0]
	return nil
}

// insert inserts as many lines as the statements of an index take.
func (w *archiveWrite) insert(index int, rows []lineRow) error {
	shape := plainLines
	if slices.ContainsFunc(rows, func(r lineRow) bool { return !r.plain() }) {
		shape = anyLines
	}
	w.values = w.values[:0]
	for _, r := range rows {
		w.values = r.appendValues(w.values, shape)
	}
	stmt := w.bound[shape][index]
	if stmt == nil {
		stmt = w.tx.StmtContext(w.ctx, w.inserts[shape][index])
		w.bound[shape][index] = stmt
	}
	_, err := stmt.ExecContext(w.ctx, w.values...)
	return err
}

// prepareInserts returns the statements that insert lines, made once for the
// connection. Not inside a transaction: there is but one connection.
func (db *DB) prepareInserts(ctx context.Context) (lineStmts, error) {
	db.ids.mu.Lock()
	defer db.ids.mu.Unlock()
	for shape := range lineShapes {
		for i, rows := range lineRows {
			if db.lineInserts[shape][i] != nil {
				continue
			}
			stmt, err := db.batch.PrepareContext(ctx, insertLines(shape, rows))
			if err != nil {
				return db.lineInserts, err
			}
			db.lineInserts[shape][i] = stmt
		}
	}
	return db.lineInserts, nil
}

func (w *archiveWrite) enter(op *archive.Enter) error {
	id, err := w.archive(op.Room)
	if err != nil {
		return err
	}
	listener, err := w.listener(op.Room.Gateway, op.User)
	if err != nil {
		return err
	}
	if err := w.exec("INSERT INTO views (listener, jid, archive) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", listener, op.JID, id); err != nil {
		return err
	}
	return w.exec("INSERT INTO visits (listener, archive, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", listener, id, op.At)
}

func (w *archiveWrite) leave(op *archive.Leave) error {
	listener, err := w.known(op.Room.Gateway, op.User)
	if err != nil || listener == 0 {
		return err
	}
	id, err := w.archive(op.Room)
	if err != nil {
		return err
	}
	return w.exec("UPDATE visits SET until = ? WHERE listener = ? AND archive = ? AND until IS NULL AND since < ?", op.At, listener, id, op.At)
}

func (w *archiveWrite) restrict(op *archive.Restrict) error {
	id, err := w.archive(op.Room)
	if err != nil {
		return err
	}
	// Who is not known any more was deleted meanwhile: what was theirs alone is nobody's.
	seen := int64(0)
	for user, sign := range map[string]int64{op.Only: 1, op.Except: -1} {
		if user == "" {
			continue
		}
		listener, err := w.known(op.Room.Gateway, user)
		if err != nil {
			return err
		}
		if seen = sign * listener; listener == 0 && user == op.Only {
			if err := w.flush(); err != nil {
				return err
			}
			return w.drop(id, op.Key)
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.exec("UPDATE lines SET seen = ? WHERE archive = ? AND at = ? AND tie = ?", seen, id, op.Key.At, int64(op.Key.Tie))
}

// drop removes a line and its names.
func (w *archiveWrite) drop(id int64, key archive.Key) error {
	for _, table := range []string{"line_names", "lines"} {
		if err := w.exec("DELETE FROM "+table+" WHERE archive = ? AND at = ? AND tie = ?", id, key.At, int64(key.Tie)); err != nil {
			return err
		}
	}
	return nil
}

func (w *archiveWrite) amend(op *archive.Amend) error {
	id, err := w.archive(op.Room)
	if err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.exec("UPDATE lines SET body = ?, extra = ?, edited = ?, retracted = ? WHERE archive = ? AND at = ? AND tie = ?",
		op.Body, optionalBytes(op.Extra), op.Edited, op.Retracted, id, op.Key.At, int64(op.Key.Tie))
}
