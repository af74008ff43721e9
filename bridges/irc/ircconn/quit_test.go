package ircconn

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"transportd/internal/irctest"
)

func TestQuit(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	o := options(s)
	o.Flood = FloodLimits{Burst: 1, Every: time.Hour}
	c := dial(t, o)
	drainMOTD(t, c)
	alice := s.WaitClient(t, "alice")
	c.Write(say(1), say(2), say(3))
	alice.Expect(t, "PRIVMSG #r 1")
	var read atomic.Pointer[error]
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := c.Read(context.Background()); err != nil {
				read.Store(&err)
				return
			}
		}
	}()
	c.Quit(testContext(t), "good bye\r\nJOIN #evil")
	<-done
	if got := alice.Got(); got[len(got)-1] != "QUIT" { // a reason that cannot be said is left out
		t.Errorf("the last lines are %q", got[len(got)-3:])
	}
	if !isReason(*read.Load(), Closed) {
		t.Errorf("Read returned %v", *read.Load())
	}
	if _, err := c.Write(say(9)); !errors.Is(err, ErrClosed) {
		t.Errorf("Write returned %v", err)
	}
	if c.Written() != 1 {
		t.Errorf("written %d", c.Written())
	}
	c.Quit(testContext(t), "again") // no harm
}

func TestQuitNoAnswer(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, c *Conn, s *pipeServer, _ chan *Message) {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		c.Quit(ctx, "bye")
		if time.Since(start) != 3*time.Second || !slices.Equal(s.got(), []string{"QUIT bye"}) {
			t.Errorf("after %v: %q", time.Since(start), s.got())
		}
	})
}
