package archive

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Times and sizes of the writer.
const (
	gather = 15 * time.Millisecond // lines of a burst come in one transaction
	// Where so many came in that time, more are waited for: the last page of each
	// archive is written once in a transaction, however many lines are for it.
	manyOps    = 200
	gatherMany = 200 * time.Millisecond
	batchLimit = 10_000  // ops in one transaction
	batchBytes = 4 << 20 // and about how much in them, beyond the first
	retryAfter = time.Second
	writeTime  = 20 * time.Second
	// closeTime is how long the end waits for the database: where there is a journal
	// the next start goes on with it, else a database that is away may come back.
	closeTime, closeTimeAlone = 2 * time.Second, 5 * time.Second
	// queueLimit bounds what waits where there is no journal to do it.
	queueLimit = 100_000
)

var errClosed = errors.New("archive: closed")

// queued is an op and the half of the journal that has it.
type queued struct {
	op Op
	in int // -1: no journal
}

// writer brings ops to the database, in their order, from one goroutine.
type writer struct {
	a *Archive

	mu       sync.Mutex
	queue    []queued
	put0     uint64 // ops taken so far
	done0    uint64 // ops in the database so far
	failing  error  // why the last batch was refused
	tries    int    // of the batch at the head; belongs to run
	hurry    bool   // somebody waits
	closed   bool
	written  chan struct{} // closed, and renewed, after each attempt
	wake     chan struct{} // has room for one
	quit     chan struct{}
	ctx      context.Context // of writes; ends when there is no more time for them
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	watching map[*hall]struct{} // halls with unsettled lines

	lastMu sync.Mutex // before mu; not held while waiting for the database but by run
	last   []written  // what the database had last
	epoch  int64      // of the database then; 0: not known
}

func (w *writer) start(a *Archive, left []Op) {
	w.a = a
	w.written, w.wake, w.quit = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	w.watching = make(map[*hall]struct{})
	w.ctx, w.cancel = context.WithCancel(context.Background())
	if len(left) > 0 {
		pending := a.journal.pending()
		first := 1 - a.journal.active
		for i, op := range left {
			in := a.journal.active
			if i < pending[first] {
				in = first
			}
			w.queue = append(w.queue, queued{op, in})
		}
		w.put0 = uint64(len(left))
		w.hurry = true
		w.wake <- struct{}{}
	}
	w.wg.Go(w.run)
}

// put takes an op over; false: there is no room. For one that is vital there is some in
// memory where the journal has none.
func (w *writer) put(op Op, vital bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	in := -1
	if j := w.a.journal; j != nil {
		var err error
		if in, err = j.append(op); err != nil && (!vital || len(w.queue) >= queueLimit) {
			return false
		} else if err != nil {
			in = -1
		}
	} else if len(w.queue) >= queueLimit {
		return false
	}
	w.queue = append(w.queue, queued{op, in})
	w.put0++
	if len(w.queue) == 1 || len(w.queue) == batchLimit {
		w.nudge()
	}
	return true
}

// nudge wakes the writer.
func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes whenever something waits, until the writer is closed.
func (w *writer) run() {
	tick := time.NewTicker(time.Second)
	tick.Stop()
	ticking := false
	defer tick.Stop()
	for {
		select {
		case <-w.wake:
			for more := true; more; {
				w.linger()
				more = w.batch()
			}
		case <-tick.C:
		case <-w.quit:
			return
		}
		if busy := w.settle(); busy != ticking {
			if ticking = busy; busy {
				tick.Reset(time.Second)
			} else {
				tick.Stop()
			}
		}
	}
}

// linger waits for company for the first op, unless somebody is waiting already
// or there is enough.
func (w *writer) linger() {
	for _, wait := range []time.Duration{gather, gatherMany - gather} {
		w.mu.Lock()
		n := len(w.queue)
		now := w.hurry || w.closed || n >= batchLimit
		w.mu.Unlock()
		if now || wait > gather && n < manyOps {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.wake: // enough, or a hurry
			timer.Stop()
			return
		case <-w.quit:
			timer.Stop()
			return
		}
	}
}

// batch writes one batch and tells whether another waits already. While the
// database refuses it is tried again every second.
func (w *writer) batch() bool {
	w.mu.Lock()
	n := w.fitting()
	if n == 0 {
		w.hurry = false
		w.mu.Unlock()
		return false
	}
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = w.queue[i].op
	}
	w.mu.Unlock()

	err := w.write(ops)
	if err != nil && w.tries >= salvageAfter {
		ops, err = w.salvage(ops, err)
	}
	if err == nil {
		err = w.remember(ops)
	}

	w.mu.Lock()
	if (err == nil) != (w.failing == nil) {
		w.report(err)
	}
	w.failing = err
	w.tries++
	var halves [2]int
	if err == nil {
		w.tries = 0
		for _, q := range w.queue[:n] {
			if q.in >= 0 {
				halves[q.in]++
			}
		}
		w.took(n)
		w.done0 += uint64(n)
		if w.a.journal != nil { // before anybody hears of it: Drain empties it then
			w.a.journal.release(halves)
		}
	}
	more := len(w.queue) > 0
	if !more {
		w.hurry = false
	}
	close(w.written)
	w.written = make(chan struct{})
	closed := w.closed
	w.mu.Unlock()
	if err == nil {
		return more
	}
	if closed {
		return false
	}
	select {
	case <-time.After(retryAfter):
	case <-w.quit:
	}
	return true
}

// took removes the first n ops from the queue. What is left is moved to its start only
// where it is no more than what went: a long queue is not moved with each batch.
func (w *writer) took(n int) {
	left := len(w.queue) - n
	if left > n {
		clear(w.queue[:n])
		w.queue = w.queue[n:]
		return
	}
	copy(w.queue, w.queue[n:])
	clear(w.queue[left:])
	if w.queue = w.queue[:left]; left == 0 && cap(w.queue) > batchLimit {
		w.queue = nil
	}
}

// fitting is how many ops the next transaction takes.
func (w *writer) fitting() int {
	size := 0
	for i := range w.queue {
		if size += weight(w.queue[i].op); i == batchLimit || i > 0 && size > batchBytes {
			return i
		}
	}
	return len(w.queue)
}

func (w *writer) write(ops []Op) error {
	ctx, cancel := context.WithTimeout(w.ctx, writeTime)
	defer cancel()
	return w.a.backend.WriteArchive(ctx, ops)
}

func (w *writer) report(err error) {
	if err != nil {
		w.a.log.Error("lines cannot be stored now; they are kept and tried again", "err", err)
		return
	}
	w.a.log.Info("lines can be stored again")
}

// taken is how many ops there have been; done, how many of them the database has.
func (w *writer) taken() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put0
}

func (w *writer) done() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done0
}

// flush waits until what was put before is in the database.
func (w *writer) flush(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	upTo := w.put0
	for first := true; w.done0 < upTo; first = false {
		if w.failing != nil && !first {
			return w.failing
		}
		if w.closed {
			return errClosed
		}
		w.hurry = true
		w.nudge()
		written := w.written
		failing := w.failing
		w.mu.Unlock()
		var err error
		select {
		case <-written:
		case <-ctx.Done():
			err = ctx.Err()
			if failing != nil {
				err = failing
			}
		}
		w.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// next is closed after the next attempt to write; failing tells that the last one
// was refused.
func (w *writer) next() (written <-chan struct{}, failing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written, w.failing != nil
}

func (w *writer) state() (waiting int, failing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue), w.failing != nil
}

// watch has a hall's lines settled when their time has come.
func (w *writer) watch(h *hall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.watching[h]; !known && !w.closed {
		w.watching[h] = struct{}{}
		w.nudge()
	}
}

// settle looks after the halls that are watched, and tells whether there are any
// left.
func (w *writer) settle() bool {
	w.mu.Lock()
	halls := make([]*hall, 0, len(w.watching))
	for h := range w.watching {
		halls = append(halls, h)
	}
	w.mu.Unlock()
	for _, h := range halls {
		if h.settle(time.Now()) {
			continue
		}
		w.mu.Lock()
		delete(w.watching, h)
		w.mu.Unlock()
		if h.settle(time.Now()) { // something came in between
			w.watch(h)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.watching) > 0
}

// close writes what waits, for some seconds, and ends the goroutine.
func (w *writer) close() error {
	patience := closeTimeAlone
	if w.a.journal != nil {
		patience = closeTime
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := w.flush(ctx)
	for err != nil && ctx.Err() == nil && w.a.journal == nil {
		err = w.flush(ctx)
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.closed = true
	close(w.quit)
	w.mu.Unlock()
	w.cancel() // one that hangs
	w.wg.Wait()
	return err
}
