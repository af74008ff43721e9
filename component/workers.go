package component

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
)

// maxUserWork is how much of one user waits or runs at a time.
const maxUserWork = 8

// Workers do what handlers may not wait for: a fixed number of goroutines and a
// bounded queue, of which one user can fill only a small part.
type Workers struct {
	count, limit int
	log          *slog.Logger
	jobs         chan work

	mu      sync.Mutex
	stopped bool
	pending int
	users   map[JID]int
	lanes   map[laneKey][]work // present: one of the lane is queued or runs
}

type laneKey struct {
	user JID
	lane string
}

type work struct {
	laneKey
	do func(context.Context)
}

// NewWorkers makes count workers with room for queue jobs, those at work
// included. They do nothing until Run runs.
func NewWorkers(count, queue int, log *slog.Logger) *Workers {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Workers{
		count: count, limit: queue, log: log,
		jobs:  make(chan work, queue),
		users: make(map[JID]int),
		lanes: make(map[laneKey][]work),
	}
}

// Go queues f for a worker, on behalf of a user, and reports whether there was
// room. It never blocks. What has the same lane, unless that is empty, is done
// one after the other in the order of the calls. The context of f is done when
// the program ends; f is called all the same, so that it can answer somebody.
func (w *Workers) Go(user JID, lane string, f func(context.Context)) bool {
	user = user.Bare()
	j := work{laneKey{user, lane}, f}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.pending >= w.limit || w.users[user] >= maxUserWork {
		return false
	}
	w.pending++
	w.users[user]++
	if lane != "" {
		if waiting, busy := w.lanes[j.laneKey]; busy {
			w.lanes[j.laneKey] = append(waiting, j)
			return true
		}
		w.lanes[j.laneKey] = nil
	}
	w.jobs <- j // has room: it holds as many as may be pending
	return true
}

// Run works until ctx is done, and returns when the last job has ended.
func (w *Workers) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for range w.count {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case j := <-w.jobs:
					w.perform(ctx, j)
				}
			}
		})
	}
	all.Wait()
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	for {
		select {
		case j := <-w.jobs:
			w.perform(ctx, j)
		default:
			return nil
		}
	}
}

// perform does a job and what came into its lane meanwhile.
func (w *Workers) perform(ctx context.Context, j work) {
	for again := true; again; {
		w.guarded(ctx, j)
		j, again = w.done(j)
	}
}

// guarded does a job; a panic in it costs this job alone.
func (w *Workers) guarded(ctx context.Context, j work) {
	defer func() {
		if r := recover(); r != nil {
			w.log.Error("worker panicked", "user", j.user.String(), "panic", r, "stack", string(debug.Stack()))
		}
	}()
	j.do(ctx)
}

// done takes a job off the books and returns the next one of its lane.
func (w *Workers) done(j work) (next work, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending--
	if w.users[j.user]--; w.users[j.user] == 0 {
		delete(w.users, j.user)
	}
	if j.lane == "" {
		return work{}, false
	}
	waiting := w.lanes[j.laneKey]
	if len(waiting) == 0 {
		delete(w.lanes, j.laneKey)
		return work{}, false
	}
	w.lanes[j.laneKey] = waiting[1:]
	return waiting[0], true
}
