package component

import (
	"container/heap"
	"sync"
	"time"
)

// tracker knows the requests that were sent and not answered yet. A request is
// registered before it is written, and only an IQ result or error from the very
// address it was sent to is its answer: ids alone prove nothing, anybody can
// send one.
//
// One timer serves all requests, and every request ends exactly once: by its
// answer, its deadline or the stream's end, whichever takes it out of the map.
type tracker struct {
	mu      sync.Mutex
	pending map[requestKey]*request
	queue   requestQueue // by deadline
	timer   *time.Timer

	stats *counters
}

type requestKey struct {
	id   string
	peer JID
}

type request struct {
	key      requestKey
	deadline time.Time
	index    int // in the queue
	done     func(*Stanza, error)
}

func newTracker(stats *counters) *tracker {
	t := &tracker{pending: make(map[requestKey]*request), stats: stats}
	t.timer = time.AfterFunc(time.Hour, t.expire)
	t.timer.Stop()
	return t
}

// add registers a request. It reports false when the id is in use with that
// peer.
func (t *tracker) add(id string, peer JID, timeout time.Duration, done func(*Stanza, error)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &request{key: requestKey{id, peer}, deadline: time.Now().Add(timeout), done: done}
	if _, used := t.pending[r.key]; used {
		return false
	}
	t.pending[r.key] = r
	heap.Push(&t.queue, r)
	if r.index == 0 {
		t.timer.Reset(timeout)
	}
	return true
}

// take removes a request and returns it, or nil.
func (t *tracker) take(key requestKey) *request {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.pending[key]
	if r != nil {
		delete(t.pending, key)
		heap.Remove(&t.queue, r.index)
	}
	return r
}

// answer gives an IQ result or error to whoever asked. It reports false when
// nobody did. unreadable says that the stanza's content was not understood.
func (t *tracker) answer(s *Stanza, unreadable bool) bool {
	r := t.take(requestKey{s.ID, s.From})
	switch {
	case r == nil:
		t.stats.strays.Add(1)
		return false
	case s.IsError():
		r.done(s, s.StanzaError())
	case unreadable:
		r.done(nil, ErrUnreadable)
	default:
		r.done(s, nil)
	}
	return true
}

// expire ends the requests whose time is over and sets the timer for the next.
func (t *tracker) expire() {
	now := time.Now()
	var over []*request
	t.mu.Lock()
	for len(t.queue) > 0 && !t.queue[0].deadline.After(now) {
		r := heap.Pop(&t.queue).(*request)
		delete(t.pending, r.key)
		over = append(over, r)
	}
	if len(t.queue) > 0 {
		t.timer.Reset(t.queue[0].deadline.Sub(now))
	}
	t.mu.Unlock()
	for _, r := range over {
		t.stats.timeouts.Add(1)
		r.done(nil, ErrTimeout)
	}
}

// failAll ends every request.
func (t *tracker) failAll(err error) {
	t.mu.Lock()
	all := t.queue
	t.queue = nil
	clear(t.pending)
	t.timer.Stop()
	t.mu.Unlock()
	for _, r := range all {
		r.done(nil, err)
	}
}

func (t *tracker) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}

// requestQueue is a heap of requests by deadline.
type requestQueue []*request

func (q requestQueue) Len() int           { return len(q) }
func (q requestQueue) Less(i, k int) bool { return q[i].deadline.Before(q[k].deadline) }

func (q requestQueue) Swap(i, k int) {
	q[i], q[k] = q[k], q[i]
	q[i].index, q[k].index = i, k
}

// Push implements heap.Interface.
func (q *requestQueue) Push(x any) {
	r := x.(*request)
	r.index = len(*q)
	*q = append(*q, r)
}

// Pop implements heap.Interface.
func (q *requestQueue) Pop() any {
	old := *q
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return r
}
