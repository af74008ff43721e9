package component

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// writeChunk is the most one write call is given, so that the write deadline
	// measures progress and not the size of the queue.
	writeChunk = 256 << 10
	// keepBuffer is the largest buffer kept in any case. A larger one goes when there
	// is nothing to write and the last write used but a part of it: soon after a
	// burst the stream's own pings are small enough.
	keepBuffer = 256 << 10

	streamEnd = "</stream:stream>"
)

// writer is the queue to the socket. Senders append to it, one goroutine writes
// all that is there with one call: the busier the stream, the fewer the calls.
//
// The queue is bounded in bytes, what is being written included. When it is full
// put makes its caller wait, or says so. When the stream goes down, messages of
// which the server cannot have got all bytes stay queued and are the first to be
// written on the next stream; presence and IQs are dropped, because they are
// answers to a state that is over.
type writer struct {
	limit, reserve int
	timeout        time.Duration

	mu      sync.Mutex
	up      bool
	closing bool
	buf     []byte        // queued
	ends    []stanzaEnd   // where the stanzas in buf end
	flying  int           // bytes being written
	room    chan struct{} // closed when there may be room again; nil when nobody waits
	wake    chan struct{} // tells the goroutine that there is something to do

	stats *counters
}

// stanzaEnd is the end of one stanza in a buffer.
type stanzaEnd struct {
	at      int
	message bool
}

func newWriter(limit, reserve int, timeout time.Duration, stats *counters) *writer {
	return &writer{
		limit: limit, reserve: reserve, timeout: timeout, stats: stats,
		wake: make(chan struct{}, 1),
	}
}

// put queues a finished stanza. With wait it blocks while only the reserved part
// of the queue is free; without it the reserved part may be used, and ErrQueueFull
// says that even that is taken.
func (w *writer) put(ctx context.Context, o *Out, wait bool) error {
	for {
		w.mu.Lock()
		if !w.up || w.closing {
			w.mu.Unlock()
			return ErrDown
		}
		limit := w.limit
		if wait {
			limit -= w.reserve
		}
		if len(w.buf)+w.flying+len(o.buf) <= limit {
			first := len(w.buf) == 0
			w.buf = append(w.buf, o.buf...)
			w.ends = append(w.ends, stanzaEnd{len(w.buf), o.kind == KindMessage})
			w.mu.Unlock()
			if first {
				w.signal()
			}
			return nil
		}
		if !wait {
			w.mu.Unlock()
			return ErrQueueFull
		}
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes to conn what is queued, until the stream goes down, a write fails,
// or the queue is empty after close. It is called once a connection, after up.
func (w *writer) run(conn net.Conn) error {
	var buf []byte
	var ends []stanzaEnd
	last := 0 // bytes in the last write
	for {
		w.mu.Lock()
		if !w.up {
			w.mu.Unlock()
			return nil
		}
		if len(w.buf) == 0 {
			closing := w.closing
			if cap(buf) > max(keepBuffer, 4*last) {
				buf, ends = nil, nil
			}
			if cap(w.buf) > max(keepBuffer, 4*last) {
				w.buf, w.ends = nil, nil
			}
			w.mu.Unlock()
			if closing {
				_, err := w.write(conn, []byte(streamEnd))
				return err
			}
			<-w.wake
			continue
		}
		buf, w.buf = w.buf, buf[:0]
		ends, w.ends = w.ends, ends[:0]
		w.flying, last = len(buf), len(buf)
		w.mu.Unlock()

		n, err := w.write(conn, buf)
		w.written(buf, ends, n, err)
		if err != nil {
			return err
		}
		w.stats.stanzasOut.Add(uint64(len(ends)))
	}
}

// written makes room after a write. After a failed one the messages of which
// not all was written go back to the head of the queue.
func (w *writer) written(buf []byte, ends []stanzaEnd, n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying = 0
	if err != nil {
		w.up = false
		w.buf, w.ends = append(buf, w.buf...), requeue(ends, w.ends, len(buf))
		w.keepMessages(n)
	}
	w.makeRoom()
}

// requeue joins the ends of two buffers of which the first has this size.
func requeue(a, b []stanzaEnd, size int) []stanzaEnd {
	for _, e := range b {
		a = append(a, stanzaEnd{e.at + size, e.message})
	}
	return a
}

// keepMessages drops from the queue what is not a message and what ended within
// the first n bytes, which were written.
func (w *writer) keepMessages(n int) {
	var buf []byte
	var ends []stanzaEnd
	begin := 0
	for _, e := range w.ends {
		if e.message && e.at > n {
			buf = append(buf, w.buf[begin:e.at]...)
			ends = append(ends, stanzaEnd{len(buf), true})
		}
		begin = e.at
	}
	w.buf, w.ends = buf, ends
}

func (w *writer) makeRoom() {
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// write writes b, in pieces, each within the write deadline.
func (w *writer) write(conn net.Conn, b []byte) (int, error) {
	done := 0
	for done < len(b) {
		if err := conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return done, err
		}
		n, err := conn.Write(b[done:min(len(b), done+writeChunk)])
		done += n
		w.stats.bytesOut.Add(uint64(n))
		w.stats.writes.Add(1)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// setUp opens the queue for a new connection.
func (w *writer) setUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up, w.closing = true, false
}

// setDown closes the queue and ends run. Whoever waits for room is told.
func (w *writer) setDown() {
	w.mu.Lock()
	if w.up {
		w.up = false
		w.keepMessages(0)
	}
	w.makeRoom()
	w.mu.Unlock()
	w.signal()
}

// close takes nothing more and lets run end the stream when all is written.
func (w *writer) close() {
	w.mu.Lock()
	w.closing = true
	w.makeRoom()
	w.mu.Unlock()
	w.signal()
}

// isUp reports whether the queue takes stanzas.
func (w *writer) isUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up && !w.closing
}

// queued returns the bytes not written yet.
func (w *writer) queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buf) + w.flying
}
