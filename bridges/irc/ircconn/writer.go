package ircconn

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	writeChunk    = 16 << 10 // most bytes of queued lines in one write
	urgentMax     = 8 << 10  // PONGs and the like that wait; beyond it they are dropped
	fenceLines    = 5        // while throttled, a fence at most every so many lines …
	fenceInterval = 5 * time.Second
	fencePrefix   = "f"
	alivePrefix   = "k"
)

// chunks are buffers for lines that wait: a burst of some lines fits one. A
// connection with nothing to write has none.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

const chunkSize = 2 << 10

// outbox is what waits to be written. Conn.mu guards it.
type outbox struct {
	urgent []byte    // ahead of everything, not limited: PONG, CAP, AUTHENTICATE, QUIT
	queue  []byte    // whole lines
	sizes  []uint32  // of the lines in queue, shifted left; the lowest bit marks a fence
	few    [8]uint32 // memory for the first sizes
	qhead  int       // in queue
	shead  int       // in sizes

	bucket bucket
	queued uint64 // number of the last line queued
	sent   uint64 // number of the last line handed to the system

	wanted     uint64 // last line sent that wants a fence
	covered    uint64 // last line before the last fence
	inFlight   uint64 // line the unanswered fence confirms, 0: none
	fence      uint64 // number of the last fence
	sinceFence int    // lines since then
	fencedAt   time.Duration

	draining bool
	timer    *time.Timer // while lines are held back
	nudge    *time.Timer // since the first of the fences
	nudged   uint        // times the unanswered fence has been helped along
}

func (o *outbox) lines() int { return len(o.sizes) - o.shead }
func (o *outbox) bytes() int { return len(o.queue) - o.qhead }

// Write queues lines, all or none, and never blocks. Lines are numbered from 1
// in the order they are queued; the number of the last one is returned. Errors:
// ErrQueueFull, ErrClosed, ErrLineTooLong, ErrBadLine.
//
// Lines leave in order, as Options.Flood allows, several in one write to the
// socket. After a burst with lines that have Fence set, a PING follows whose
// PONG Read returns with Confirmed: the server has handled every line up to
// that number. At most one such PING is in flight; it is charged to the flood
// limit; while that is used up, one comes at most every 5 lines or 5 seconds.
func (c *Conn) Write(lines ...Line) (last uint64, err error) {
	limit := c.ISupport().LineLen
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	if c.halted() || c.quitting {
		return 0, ErrClosed
	}
	if o.lines()+len(lines) > c.opt.queue.Lines {
		return 0, ErrQueueFull
	}
	o.compact()
	if o.queue == nil {
		o.queue, o.sizes = chunks.Get().(*[chunkSize]byte)[:0], o.few[:0]
	}
	qlen, slen := len(o.queue), len(o.sizes)
	for i := range lines {
		before := len(o.queue)
		if o.queue, err = AppendLine(o.queue, limit, &lines[i]); err != nil {
			break
		}
		size := uint32(len(o.queue)-before) << 1
		if lines[i].Fence {
			size |= 1
		}
		o.sizes = append(o.sizes, size)
	}
	if err == nil && o.bytes() > c.opt.queue.Bytes {
		err = ErrQueueFull
	}
	if err != nil {
		o.queue, o.sizes = o.queue[:qlen], o.sizes[:slen]
		o.compact()
		return 0, err
	}
	o.queued += uint64(len(lines))
	c.kick()
	return o.queued, nil
}

// Send queues one line without tags; see Write.
func (c *Conn) Send(command string, params ...string) error {
	_, err := c.Write(Line{Command: command, Params: params})
	return err
}

// control writes a line of our own ahead of the queue and of the flood limit.
// It reports whether there was room.
func (c *Conn) control(l Line) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted() || len(c.out.urgent) > urgentMax {
		return false
	}
	var err error
	c.out.urgent, err = AppendLine(c.out.urgent, maxBody, &l)
	c.kick()
	return err == nil
}

// Written is the number of the last line handed to the operating system. After
// the connection is over, lines beyond it have certainly not been sent.
func (c *Conn) Written() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.sent
}

// Pending is how many lines wait to be written.
func (c *Conn) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.lines()
}

// kick starts the writer unless it runs. c.mu is held.
func (c *Conn) kick() {
	if c.out.draining || c.halted() {
		return
	}
	if c.out.timer != nil {
		c.out.timer.Stop()
		c.out.timer = nil
	}
	c.out.draining = true
	c.writers.Add(1)
	c.opt.goFunc(c.drain)
}

// drain writes what may be written now and ends; a timer starts it again when
// lines are held back.
func (c *Conn) drain() {
	defer c.writers.Done()
	for {
		c.mu.Lock()
		chunk := c.chunk()
		if chunk == nil {
			c.rest()
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if err := c.writeSocket(chunk); err != nil {
			c.writeFailed(err)
			return
		}
		if cap(chunk) == chunkSize {
			chunks.Put((*[chunkSize]byte)(chunk[:chunkSize]))
		}
	}
}

func (c *Conn) writeSocket(b []byte) error {
	if err := c.sock.SetWriteDeadline(time.Now().Add(c.opt.writeTimeout)); err != nil {
		return err
	}
	_, err := c.sock.Write(b)
	return err
}

// chunk takes from the outbox what may be written now, nil for nothing. The
// fence that covers it is part of it. c.mu is held.
func (c *Conn) chunk() []byte {
	o := &c.out
	if c.halted() {
		return nil
	}
	now := time.Since(c.info.Since)
	b := o.urgent
	o.urgent = nil
	if o.lines() > 0 && o.bucket.every == 0 && len(b) == 0 && o.bytes() <= writeChunk && o.qhead == 0 {
		b = o.takeAll()
	}
	for o.lines() > 0 && len(b) < writeChunk && o.bucket.take(now) {
		size := int(o.sizes[o.shead] >> 1)
		b = append(b, o.queue[o.qhead:o.qhead+size]...)
		o.passed(o.sizes[o.shead])
		o.qhead += size
		o.shead++
	}
	o.compact()
	if o.fenceDue() && o.fenceWait(now) == 0 {
		b = o.appendFence(b, now)
		if o.nudge == nil && c.info.TLS != nil {
			o.nudge = time.AfterFunc(nudgeAfter, c.nudge)
		}
	}
	return b
}

// takeAll hands over the whole queue without copying it.
func (o *outbox) takeAll() []byte {
	b := o.queue
	for _, size := range o.sizes[o.shead:] {
		o.passed(size)
	}
	o.queue, o.sizes, o.qhead, o.shead = nil, nil, 0, 0
	return b
}

// passed notes that a line goes to the system.
func (o *outbox) passed(size uint32) {
	o.sent++
	o.sinceFence++
	if size&1 != 0 {
		o.wanted = o.sent
	}
}

// compact gives memory back: all of it when the queue is empty.
func (o *outbox) compact() {
	switch {
	case o.lines() == 0:
		o.queue, o.sizes, o.qhead, o.shead = nil, nil, 0, 0
	case o.qhead > len(o.queue)/2:
		o.queue = append([]byte(nil), o.queue[o.qhead:]...)
		o.sizes = append([]uint32(nil), o.sizes[o.shead:]...)
		o.qhead, o.shead = 0, 0
	}
}

// fenceDue: lines have been sent that want one, and none is in flight.
func (o *outbox) fenceDue() bool { return o.inFlight == 0 && o.wanted > o.covered }

// fenceWait is how long a fence must wait: not at all at the end of a burst
// while the limit has room, otherwise for 5 lines or 5 seconds.
func (o *outbox) fenceWait(now time.Duration) time.Duration {
	if o.sinceFence >= fenceLines || o.fence == 0 {
		return 0
	}
	interval := max(0, o.fencedAt+fenceInterval-now)
	if o.lines() > 0 {
		return interval
	}
	return min(interval, o.bucket.wait(now))
}

func (o *outbox) appendFence(b []byte, now time.Duration) []byte {
	o.fence++
	o.inFlight, o.covered = o.sent, o.sent
	o.sinceFence, o.fencedAt = 0, now
	o.bucket.charge(now)
	b = append(b, "PING :"+fencePrefix...)
	b = strconv.AppendUint(b, o.fence, 10)
	return append(b, '\r', '\n')
}

// rest ends the writer and sets the timer for what is held back. c.mu is held.
func (c *Conn) rest() {
	o := &c.out
	o.draining = false
	if c.halted() {
		return
	}
	now := time.Since(c.info.Since)
	wait := time.Duration(-1)
	if o.lines() > 0 {
		wait = o.bucket.wait(now)
	}
	if o.fenceDue() {
		if w := o.fenceWait(now); wait < 0 || w < wait {
			wait = w
		}
	}
	if wait >= 0 {
		o.timer = time.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.kick()
		})
	}
}

// confirm takes the PONG of a fence and returns the line it confirms, 0 when
// it is no fence of ours.
func (c *Conn) confirm(token string) uint64 {
	if len(token) <= len(fencePrefix) || token[:len(fencePrefix)] != fencePrefix {
		return 0
	}
	n, err := strconv.ParseUint(token[len(fencePrefix):], 10, 64)
	if err != nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	if o.inFlight == 0 || n != o.fence {
		return 0
	}
	line := o.inFlight
	o.inFlight, o.nudged = 0, 0
	if o.fenceDue() {
		c.kick()
	}
	return line
}

// Quit sends QUIT ahead of everything queued, which is given up, waits until
// the server has closed the connection or ctx ends, and closes it. A reader must
// be calling Read meanwhile, or Quit waits for ctx.
func (c *Conn) Quit(ctx context.Context, reason string) {
	l := Line{Command: "QUIT", Params: []string{reason}}
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	if !c.quitting {
		c.quitting = true
		c.gone = make(chan struct{})
		c.out.queue, c.out.sizes, c.out.qhead, c.out.shead = nil, nil, 0, 0
		var err error
		if c.out.urgent, err = AppendLine(c.out.urgent, c.ISupport().LineLen, &l); err != nil {
			c.out.urgent = append(c.out.urgent, "QUIT\r\n"...)
		}
		c.kick()
	}
	gone := c.gone
	c.mu.Unlock()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	c.Close()
}

// halted: nothing can be written any more. c.mu is held.
func (c *Conn) halted() bool { return c.dead || c.broken != nil }

// writeFailed ends writing. Reading goes on for a moment: the server's reason
// may have arrived and not been read yet.
func (c *Conn) writeFailed(err error) {
	f := &Failure{Reason: Closed, Text: "The connection to " + c.info.Endpoint.Host + " was lost.", Err: err}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.Reason, f.Text = Timeout, c.info.Endpoint.Host+" does not take any more data."
	}
	c.mu.Lock()
	f.Registered = c.welcome != ""
	c.broken = f
	c.out.draining = false
	c.mu.Unlock()
	if f.Reason == Timeout {
		c.end(f)
		return
	}
	_ = c.sock.SetReadDeadline(time.Now().Add(goodbyeWait)) // fails only when it is closed
}
