package matrix

import (
	"context"
	"sync"
	"time"

	"transportd/bridges"
)

// Bounds of what is under way for one account.
const (
	maxJobs    = 256 // that wait: one more is refused
	maxWorkers = 4   // at once
)

// jobs are requests that the session has asked for: in order within a lane, beside
// each other otherwise.
type jobs struct {
	workers sync.WaitGroup
	queue   []*job
	busy    map[string]bool // lanes at work
}

// job is one of them. run tells its outcome by itself.
type job struct {
	ref  bridges.Ref
	lane string
	run  func(ctx context.Context)
	// late: what an earlier connection sent of it may be in the first answer, which is
	// waited for.
	late bool
}

// do queues a job.
func (n *network) do(ref bridges.Ref, lane string, run func(ctx context.Context)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.enqueue(&job{ref: ref, lane: lane, run: run})
}

// enqueue queues a job. mu is held.
func (n *network) enqueue(j *job) error {
	if !n.online {
		return errOffline()
	}
	if len(n.jobs.queue) >= maxJobs {
		return errBusy()
	}
	n.jobs.queue = append(n.jobs.queue, j)
	n.work()
	return nil
}

// work starts what can be started. mu is held.
func (n *network) work() {
	held := map[string]bool{}
	for i := 0; i < len(n.jobs.queue) && len(n.jobs.busy) < maxWorkers; {
		j := n.jobs.queue[i]
		if n.jobs.busy[j.lane] || held[j.lane] || j.late && !n.caughtUp {
			held[j.lane] = true
			i++
			continue
		}
		n.jobs.queue = append(n.jobs.queue[:i:i], n.jobs.queue[i+1:]...)
		n.jobs.busy[j.lane] = true
		life := n.life
		n.jobs.workers.Add(1)
		n.sink.Go(func(context.Context) {
			defer n.jobs.workers.Done()
			defer func() {
				n.mu.Lock()
				defer n.mu.Unlock()
				delete(n.jobs.busy, j.lane)
				if n.online {
					n.work()
				}
			}()
			j.run(life)
		})
	}
}

// running is the context of the present Run: what a job came to can be told after the
// connection was lost, but not for longer than the session wants.
func (n *network) running() context.Context {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// tell reports events of a job.
func (n *network) tell(ctx context.Context, events ...bridges.Event) {
	t := n.begin()
	defer t.release()
	for _, ev := range events {
		t.emit(ev)
	}
	if err := t.end(n.running()); err != nil {
		n.log.Debug("matrix: an outcome was not told", "error", err)
	}
}

// outcome reports what a job came to.
func (n *network) outcome(ctx context.Context, ref bridges.Ref, err *bridges.Error) {
	switch {
	case ref == 0:
	case err != nil:
		n.tell(ctx, &bridges.Failed{Ref: ref, Err: err})
	default:
		n.tell(ctx, &bridges.Done{Ref: ref})
	}
}

// simply queues a request whose outcome is Done or Failed.
func (n *network) simply(ref bridges.Ref, lane string, f func(ctx context.Context) error) error {
	return n.do(ref, lane, func(ctx context.Context) { n.outcome(ctx, ref, n.retried(ctx, f)) })
}

// retried makes a request that may be repeated, until it is answered with yes or no or
// the time for it is over. What the homeserver asks to wait is waited.
func (n *network) retried(ctx context.Context, f func(context.Context) error) *bridges.Error {
	deadline := time.Now().Add(n.d.cfg.RetryFor)
	uncertain := false
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		err := n.d.request(ctx, f)
		if err == nil {
			return nil
		}
		uncertain = uncertain || err.Uncertain
		err.Uncertain = uncertain
		switch err.Kind {
		case bridges.RateLimited, bridges.Offline, bridges.Timeout, bridges.TemporaryRefuse:
		default:
			err.Uncertain = false // the last word is no
			return err
		}
		pause := max(wait, err.RetryAfter)
		if time.Now().Add(pause).After(deadline) || !sleep(ctx, pause) {
			return err
		}
	}
}
