package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Limits of the queue of the background writer.
const (
	// QueueLimit is how many different changes may wait to be written. Beyond
	// it callers wait while writing succeeds, and get ErrBacklog when it fails.
	QueueLimit = 8192

	linger     = 20 * time.Millisecond // gathers a storm of joins into one commit
	retryAfter = time.Second
	closeWait  = 5 * time.Second
)

// change is one queued write. A later change with the same key takes its place.
type change interface {
	apply(ctx context.Context, db *DB, tx *sql.Tx) error
}

// queue writes changes in batches from one goroutine of its own, which exists
// only while something waits.
type queue struct {
	db *DB

	mu      sync.Mutex
	pending map[any]change
	last    map[any]recent // written in the last moment, where the database may forget it
	epoch   int64          // of the database then
	writing int            // changes on their way to the disk
	failing error          // why the last batch was not written, nil when it was
	running bool           // the writer goroutine exists
	closed  bool           //
	done    chan struct{}  // closed, and renewed, after each batch, written or not
	quit    chan struct{}  // closed by close: no lingering
	wg      sync.WaitGroup
}

func newQueue(db *DB) *queue {
	return &queue{db: db, pending: map[any]change{}, done: make(chan struct{}), quit: make(chan struct{})}
}

// recent is a change that was written at a time.
type recent struct {
	change
	at time.Time
}

// recentTime is for how long a change is kept that the database may forget.
const recentTime = 3 * time.Second

// wrote notes what was written, and queues again what the database may have forgotten
// since. The caller holds mu.
func (q *queue) wrote(batch map[any]change) {
	epoch := q.db.backend.epoch()
	if epoch == 0 {
		return
	}
	if q.epoch != 0 && epoch != q.epoch {
		for key, r := range q.last {
			_, newer := q.pending[key]
			if _, written := batch[key]; !newer && !written {
				q.pending[key] = r.change
			}
		}
	}
	q.epoch = epoch
	if q.last == nil {
		q.last = make(map[any]recent)
	}
	now := time.Now()
	for key, c := range batch {
		q.last[key] = recent{c, now}
	}
	maps.DeleteFunc(q.last, func(_ any, r recent) bool { return now.Sub(r.at) > recentTime })
}

// forget forgets what was written: it is about to be deleted.
func (q *queue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = nil
}

// put queues a change. It blocks only while the queue is full and the disk is
// merely slow. Errors: ErrBacklog, ErrClosed, the context's.
func (q *queue) put(ctx context.Context, key any, c change) error {
	for {
		q.mu.Lock()
		_, known := q.pending[key]
		switch {
		case q.closed:
			q.mu.Unlock()
			return ErrClosed
		case known || len(q.pending) < QueueLimit:
			q.pending[key] = c
			if !q.running {
				q.running = true
				q.wg.Go(q.run)
			}
			q.mu.Unlock()
			return nil
		case q.failing != nil:
			err := q.failing
			q.mu.Unlock()
			return fmt.Errorf("%w: %w", ErrBacklog, err)
		}
		done := q.done
		q.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrBacklog, ctx.Err())
		}
	}
}

// run writes until nothing waits. A batch that fails stays queued and is tried
// again every second; it is logged when that begins and when it ends.
func (q *queue) run() {
	wait := linger
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-q.quit:
			timer.Stop()
		}
		err := q.writeBatch()
		q.mu.Lock()
		if (err == nil) != (q.failing == nil) {
			q.report(err)
		}
		q.failing = err
		close(q.done)
		q.done = make(chan struct{})
		if len(q.pending) == 0 || (q.closed && err != nil) {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		wait = linger
		if err != nil {
			wait = retryAfter
		}
	}
}

func (q *queue) report(err error) {
	if err != nil {
		q.db.log.Error("who is in which room cannot be stored now; it is kept and tried again", "err", err)
		return
	}
	q.db.log.Info("who is in which room can be stored again")
}

// writeBatch writes all that waits in one transaction. What could not be
// written goes back, unless something newer has come for the same key.
func (q *queue) writeBatch() error {
	q.mu.Lock()
	batch := q.pending
	q.pending, q.writing = make(map[any]change, min(len(batch), 64)), len(batch)
	q.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*busyTimeout)
	defer cancel()
	err := q.db.write(ctx, "batch", q.db.batch, func(tx *sql.Tx) error {
		for _, c := range batch {
			if err := c.apply(ctx, q.db, tx); err != nil {
				return err
			}
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = 0
	if err == nil {
		q.wrote(batch)
		return nil
	}
	for key, c := range batch {
		if _, newer := q.pending[key]; !newer {
			q.pending[key] = c
		}
	}
	return err
}

// flush waits until what was queued before the call is written, or returns why
// it was not.
func (q *queue) flush(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Two batches: one may be on its way without what came last.
	for range 2 {
		if !q.running {
			break
		}
		done := q.done
		q.mu.Unlock()
		select {
		case <-done:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return ctx.Err()
		}
		if q.failing != nil {
			return q.failing
		}
	}
	if len(q.pending) > 0 && q.failing != nil {
		return q.failing
	}
	return nil
}

// close refuses further changes, writes what waits and ends the goroutine.
func (q *queue) close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.closed = true
	close(q.quit)
	q.mu.Unlock()
	q.wg.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.pending); n > 0 {
		return fmt.Errorf("%d changes of who is in which room were not stored: %w", n, errors.Join(q.failing, ErrBacklog))
	}
	return nil
}

// Flush waits until everything queued before the call is written. An error says
// why it was not; it stays queued and is tried again.
func (db *DB) Flush(ctx context.Context) error {
	return db.queue.flush(ctx)
}

// Queued is how many changes are not on the disk yet, at most QueueLimit and a
// batch.
func (db *DB) Queued() int {
	db.queue.mu.Lock()
	defer db.queue.mu.Unlock()
	return len(db.queue.pending) + db.queue.writing
}
