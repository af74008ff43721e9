package component

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/internal/xmpptest"
)

func filler(s *Stream, size int) *Out {
	return NewMessage(s.Domain(), JID{Domain: "b.example"}, "", "f").Elem("", "body", strings.Repeat("x", size))
}

// When the queue is full, Send waits and ends with its context; the read loop's
// own replies have room left, and beyond it are counted and dropped.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pipeRig(t, func(c *StreamConfig) {
			c.QueueBytes, c.ReservedBytes = 1<<20, 200<<10
			c.WriteTimeout, c.IdleTimeout = time.Hour, time.Hour
		})
		c := r.up(t)
		c.Stall()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		sent := 0
		var err error
		for ; err == nil; sent++ {
			err = r.Send(ctx, filler(r.Stream, 10<<10))
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if q := r.Stats().QueuedBytes; q > 824<<10 || q < 800<<10 {
			t.Errorf("%d bytes are queued", q)
		}
		replies := 0
		for _, size := range []int{10 << 10, 10} {
			for r.TrySend(filler(r.Stream, size)) {
				replies++
			}
		}
		if q := r.Stats().QueuedBytes; replies < 19 || r.Stats().Dropped != 2 || q > 1<<20 || q < 1<<20-200 {
			t.Errorf("%d replies were queued, %d dropped, %d bytes are queued", replies, r.Stats().Dropped, q)
		}
		if a := <-ask(t, r.Stream, "b.example", "1", time.Hour); !errors.Is(a.err, ErrQueueFull) {
			t.Errorf("got %v", a.err)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- r.Send(context.Background(), filler(r.Stream, 10<<10)) }()
		synctest.Wait()
		c.Resume()
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		for range sent - 1 + replies + 1 {
			c.Expect("message[@id='f']")
		}
		r.stop()
	})
}

// Whoever waits for room is told when the stream goes down.
func TestWaitingSendersAreToldOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pipeRig(t, func(c *StreamConfig) { c.QueueBytes = 1 << 20 })
		c := r.up(t)
		c.Stall()
		result := make(chan error, 1)
		go func() {
			for {
				if err := r.Send(context.Background(), filler(r.Stream, 100<<10)); err != nil {
					result <- err
					return
				}
			}
		}()
		synctest.Wait()
		c.Break()
		if err := <-result; !errors.Is(err, ErrDown) {
			t.Errorf("got %v", err)
		}
		r.stop()
	})
}

// Messages the server cannot have got are sent on the next stream, in order and
// before anything new; presence and IQs are not.
func TestUnsentMessagesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pipeRig(t)
		c := r.up(t)
		c.Stall()
		b := JID{Domain: "b.example"}
		for _, o := range []*Out{
			NewMessage(r.Domain(), b, "", "1"), NewPresence(r.Domain(), b, "", "2"), NewMessage(r.Domain(), b, "", "3"),
			NewIQ(r.Domain(), b, "result", "4"), NewMessage(r.Domain(), b, "", "5"),
		} {
			if err := r.Send(context.Background(), o); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		c.Break()
		c = r.up(t)
		if err := r.Send(context.Background(), NewMessage(r.Domain(), b, "", "6")); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"1", "3", "5", "6"} {
			c.Expect("message[@id='" + id + "']")
		}
		r.stop()
	})
}

// cutConn takes a number of bytes and then fails.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) SetWriteDeadline(time.Time) error { return nil }

func (c *cutConn) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if n < len(b) {
		return n, net.ErrClosed
	}
	return n, nil
}

func TestWriterKeepsWhatWasCut(t *testing.T) {
	one := func(id string) *Out {
		o := NewMessage(JID{Domain: testDomain}, JID{Domain: "b.example"}, "", id)
		o.finish()
		return o
	}
	size := one("1").Len()
	for _, c := range []struct {
		took int
		want string
	}{
		{0, "1234"}, {1, "1234"}, {size - 1, "1234"}, {size, "234"}, {2*size + 1, "34"}, {3 * size, "4"},
	} {
		var stats counters
		w := newWriter(1<<20, 0, time.Second, &stats)
		w.setUp()
		for _, id := range []string{"1", "2", "3", "4"} {
			if err := w.put(context.Background(), one(id), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.run(&cutConn{left: c.took}); err == nil {
			t.Fatal("the write did not fail")
		}
		w.setDown()
		var ids string
		for _, part := range strings.SplitAfter(string(w.buf), "/>") {
			if part != "" {
				ids += parseOne(t, part).ID
			}
		}
		if ids != c.want {
			t.Errorf("after %d bytes %q are kept, want %q", c.took, ids, c.want)
		}
	}
}

func TestWriterCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := xmpptest.NewPipeServer(t, testDomain, testSecret)
		r := startStreamRig(t, srv, func(c *StreamConfig) { c.Dial = srv.Dial })
		c := r.up(t)
		c.Stall()
		for range 1000 {
			if err := r.Send(context.Background(), filler(r.Stream, 10)); err != nil {
				t.Fatal(err)
			}
		}
		c.Resume()
		for range 1000 {
			c.Expect("message")
		}
		synctest.Wait()
		if st := r.Stats(); st.Writes > 3 || st.StanzasOut != 1000 {
			t.Errorf("%d stanzas took %d writes", st.StanzasOut, st.Writes)
		}
		r.stop()
	})
}

// After a burst the first small write gives the large buffers back.
func TestBuffersAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stats counters
		w := newWriter(16<<20, 1<<10, time.Hour, &stats)
		here, there := net.Pipe()
		w.setUp()
		ended := make(chan error)
		go func() { ended <- w.run(here) }()
		put := func(size int) {
			o := NewMessage(JID{Domain: "a.example"}, JID{Domain: "b.example"}, "", "").Elem("", "body", strings.Repeat("x", size))
			if err := w.put(t.Context(), o, true); err != nil {
				t.Fatal(err)
			}
			o.Release()
		}
		put(10)
		synctest.Wait() // it is being written, and nobody reads
		for range 2 * keepBuffer >> 10 {
			put(1 << 10)
		}
		if cap(w.buf) <= keepBuffer {
			t.Errorf("a burst made room for %d bytes only", cap(w.buf))
		}
		go func() { _, _ = io.Copy(io.Discard, there) }()
		synctest.Wait()
		put(10) // goes to the other buffer, and the large one would be next
		synctest.Wait()
		if w.queued() != 0 || cap(w.buf) > keepBuffer {
			t.Errorf("%d bytes are queued, there is room for %d", w.queued(), cap(w.buf))
		}
		w.setDown()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_, _ = here.Close(), there.Close()
	})
}
