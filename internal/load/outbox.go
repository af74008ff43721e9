package main

import (
	"io"
	"sync"
)

// outbox gathers what is to be written on one connection and writes it in as few calls as possible: whoever flushes while
// another is writing leaves its bytes to that one. What it holds is bounded by the windows of the senders. Safe for
// concurrent use.
type outbox struct {
	w io.Writer

	mu         sync.Mutex
	buf, spare []byte
	busy       bool
	err        error
}

// keepBuffer is the largest buffer an outbox keeps for the next time.
const keepBuffer = 256 << 10

func (o *outbox) add(p []byte) {
	o.mu.Lock()
	o.buf = append(o.buf, p...)
	o.mu.Unlock()
}

// fill lets f append to the buffer; f must not call the outbox.
func (o *outbox) fill(f func([]byte) []byte) {
	o.mu.Lock()
	o.buf = f(o.buf)
	o.mu.Unlock()
}

// flush writes what is there and what is added meanwhile; it blocks as long as the peer does not read.
func (o *outbox) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy {
		return o.err
	}
	o.busy = true
	for len(o.buf) > 0 && o.err == nil {
		b := o.buf
		o.buf, o.spare = o.spare[:0], nil
		o.mu.Unlock()
		_, err := o.w.Write(b)
		o.mu.Lock()
		if cap(b) <= keepBuffer {
			o.spare = b[:0]
		}
		if err != nil {
			o.err = err
		}
	}
	o.busy = false
	return o.err
}

// write is add and flush.
func (o *outbox) write(p []byte) error {
	o.add(p)
	return o.flush()
}
