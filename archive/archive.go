package archive

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how an archive is kept.
type Options struct {
	Backend Backend
	// Journal is the file that keeps what the database has not taken in yet; empty:
	// none, and a killed process loses that.
	Journal string
	// Database names the database, so that a journal is not played into another.
	Database    string
	JournalSize int // bytes, for a new file; 0: DefaultJournalSize
	Log         *slog.Logger
}

// Archive records lines. It is safe for concurrent use. Close it.
type Archive struct {
	backend Backend
	log     *slog.Logger
	journal *journal // nil: none
	w       writer

	mu      sync.Mutex // before a hall's
	halls   map[Room]*hall
	members map[memberKey]*Member
	ahead   map[Room]int64 // where something in an empty hall was later than our clock is
	reached int64          // the latest our clock was when somebody came or went: it may be set back

	clock func() time.Time

	lines, refused atomic.Int64
}

// Open opens an archive. What a killed process left in the journal is brought to
// the database first; where the database does not take it now, it stays in the
// journal and is tried again. Errors are those of the journal: its file, or
// ErrForeignJournal.
func Open(o Options) (*Archive, error) {
	a := &Archive{backend: o.Backend, log: o.Log, halls: map[Room]*hall{}, members: map[memberKey]*Member{}, ahead: map[Room]int64{}, clock: time.Now}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	var left []Op
	if o.Journal != "" {
		var err error
		if a.journal, left, err = openJournal(o.Journal, o.Database, o.JournalSize); err != nil {
			return nil, err
		}
	}
	a.w.start(a, left)
	if len(left) > 0 {
		a.log.Info("lines that a killed process left behind are stored", "changes", len(left))
	}
	return a, nil
}

// Close brings what waits to the database and ends the archive. What the database
// does not take within some seconds stays in the journal for the next start; without
// one it is lost, and the error says why.
func (a *Archive) Close() error {
	a.mu.Lock()
	halls := slices.Collect(maps.Values(a.halls))
	a.mu.Unlock()
	for _, h := range halls {
		h.settle(time.Time{})
	}
	err := a.w.close()
	if a.journal != nil {
		if err != nil && !errors.Is(err, errClosed) {
			a.log.Warn("what was not stored is in the journal, and is stored at the next start", "err", err)
			err = nil
		}
		err = errors.Join(err, a.journal.close())
	}
	return err
}

// Apply has an op done. When it returns true the op outlives the process; false:
// the database has been refusing for so long that there is no room, and the op is
// not done. It does not block.
//
// Who comes and goes, who gets a line, and that it is taken back, is taken all the
// same, in memory: without that the lines that are stored would be shown to the wrong
// people.
func (a *Archive) Apply(op Op) bool {
	switch op := op.(type) {
	case *Enter, *Leave, *Restrict, *SettlePrivate:
		return a.put(op, true)
	case *Amend:
		return a.put(op, op.Retracted != 0)
	case *SaveState:
		if s, ok := a.backend.(Sealer); ok {
			return a.put(s.SealState(op), false)
		}
	}
	return a.put(op, false)
}

func (a *Archive) put(op Op, vital bool) bool {
	if a.w.put(op, vital) {
		return true
	}
	a.refused.Add(1)
	return false
}

// Relax lets the database catch up where lines come faster than it takes them in:
// whoever brings them from a network waits here, at most relaxTime, while the journal
// is filling up. Nobody waits for a database that takes nothing, but once.
func (a *Archive) Relax(ctx context.Context) {
	if a.journal == nil || !a.journal.crowded.Load() || a.journal.waited.Load() {
		return
	}
	timer := time.NewTimer(relaxTime)
	defer timer.Stop()
	for a.journal.crowded.Load() {
		written, failing := a.w.next()
		if failing {
			return
		}
		select {
		case <-written:
		case <-timer.C:
			a.journal.waited.Store(true)
			return
		case <-ctx.Done():
			return
		}
	}
}

// relaxTime bounds how long a line waits for the database.
const relaxTime = 500 * time.Millisecond

// Flush waits until what was applied before the call is in the database. An error
// says why it is not; it stays where it is and is tried again.
func (a *Archive) Flush(ctx context.Context) error { return a.w.flush(ctx) }

// Drain is Flush for who is about to delete what is stored of a user: it is settled
// which of the lines before are the user's, what comes later stands behind them, and
// the journal no longer has what the database has, so that it cannot come back after a
// kill. It blocks as Flush does.
func (a *Archive) Drain(ctx context.Context, user string) error {
	a.mu.Lock()
	halls, now := slices.Collect(maps.Values(a.halls)), a.now()
	a.mu.Unlock()
	for _, h := range halls {
		if h.knows(user) {
			h.settle(time.Time{})
			h.advance(now)
		}
	}
	if err := a.Flush(ctx); err != nil {
		return err
	}
	a.w.unremember()
	if a.journal != nil {
		a.journal.clear()
	}
	return nil
}

// Stats is a snapshot for metrics.
type Stats struct {
	Lines   int64   // recorded since the start
	Refused int64   // changes that could not be kept
	Waiting int     // changes the database has not taken in
	Journal float64 // the part of the journal in use, 0 to 1
	Failing bool    // the database does not take anything now
}

// Stats returns the present figures.
func (a *Archive) Stats() Stats {
	s := Stats{Lines: a.lines.Load(), Refused: a.refused.Load()}
	s.Waiting, s.Failing = a.w.state()
	if a.journal != nil {
		s.Journal = a.journal.fill()
	}
	return s
}

// NewKey is a key for a one-to-one line of this moment.
func (a *Archive) NewKey(at time.Time) Key { return Key{At: at.UnixMicro(), Tie: tie()} }
