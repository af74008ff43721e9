package ircconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/internal/irctest"
)

// inBubble runs a test against an in-memory server under a fake clock. The
// connection is registered and read in the background; what is read goes to msgs.
func inBubble(t *testing.T, o Options, f func(t *testing.T, c *Conn, s *pipeServer, msgs chan *Message)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, d := pipe(true)
		o.Endpoints, o.Dial, o.Nick = []Endpoint{{Host: "192.0.2.1", Port: 6667}}, d, "alice"
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		msgs := make(chan *Message, 1000)
		go func() {
			defer close(msgs)
			for {
				m, err := c.Read(context.Background())
				if err != nil {
					return
				}
				msgs <- m
			}
		}()
		synctest.Wait()
		<-msgs // 001
		s.forget()
		f(t, c, s, msgs)
		c.Close()
		s.Close()
		synctest.Wait()
	})
}

func say(i int) Line {
	return Line{Command: "PRIVMSG", Params: []string{"#r", fmt.Sprint(i)}}
}

func TestFloodLimit(t *testing.T) {
	inBubble(t, Options{Flood: FloodLimits{Burst: 3, Every: 2 * time.Second}}, func(t *testing.T, c *Conn, s *pipeServer, _ chan *Message) {
		for i := range 6 {
			if n, err := c.Write(say(i)); err != nil || n != uint64(i+1) {
				t.Fatal(n, err)
			}
		}
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{0, 3}, {1999 * time.Millisecond, 3}, {time.Millisecond, 4}, {2 * time.Second, 5}, {2 * time.Second, 6}, {time.Hour, 6}} {
			time.Sleep(step.wait)
			synctest.Wait()
			if got := linesOf(s, "PRIVMSG"); len(got) != step.want || c.Written() != uint64(step.want) || c.Pending() != 6-step.want {
				t.Fatalf("after %v: %d lines written (says %d, %d pending), want %d", step.wait, len(got), c.Written(), c.Pending(), step.want)
			}
		}
		for i, line := range linesOf(s, "PRIVMSG") {
			if line != fmt.Sprintf("PRIVMSG #r %d", i) {
				t.Errorf("line %d is %q", i, line)
			}
		}
	})
}

func linesOf(s *pipeServer, command string) []string {
	return slices.DeleteFunc(s.got(), func(l string) bool { return !strings.HasPrefix(l, command) })
}

// TestPongFirst: PING is answered ahead of held-back lines and of everything that arrived with it.
func TestPongFirst(t *testing.T) {
	inBubble(t, Options{Flood: FloodLimits{Burst: 1, Every: time.Hour}}, func(t *testing.T, c *Conn, s *pipeServer, msgs chan *Message) {
		for i := range 5 {
			c.Write(say(i))
		}
		synctest.Wait()
		s.say(":srv PING :first\r\nPING second\r\n@time=x :srv PING :th ird\r\n:bob!b@h PRIVMSG alice :PING me")
		synctest.Wait()
		want := []string{"PRIVMSG #r 0", "PONG first", "PONG second", "PONG :th ird"}
		if got := s.got(); !slices.Equal(got, want) {
			t.Errorf("server got %q", got)
		}
		if m := <-msgs; m.Command != "PRIVMSG" || m.Last() != "PING me" {
			t.Errorf("read %+v", m)
		}
		if len(msgs) != 0 {
			t.Errorf("PING was handed on")
		}
	})
}

// TestPongBeforeReading: the answer goes out although nobody takes the lines before it.
func TestPongBeforeReading(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	c := dial(t, options(s))
	drainMOTD(t, c)
	alice := s.WaitClient(t, "alice")
	alice.SendBytes([]byte(":x NOTICE alice :1\r\n:x NOTICE alice :2\r\nPING :now\r\n"))
	if m := await(t, c, "NOTICE"); m.Last() != "1" { // one Read, and no more
		t.Fatalf("read %+v", m)
	}
	alice.Expect(t, `^PONG now$`)
	if m := await(t, c, "NOTICE"); m.Last() != "2" {
		t.Fatalf("read %+v", m)
	}
}

// TestFence: one PING after a burst, never two at once, its PONG confirms what was before it.
func TestFence(t *testing.T) {
	fenced := func(i int) Line { l := say(i); l.Fence = true; return l }
	inBubble(t, Options{}, func(t *testing.T, c *Conn, s *pipeServer, msgs chan *Message) {
		c.Write(say(0))
		synctest.Wait()
		if n := linesOf(s, "PING"); len(n) != 0 {
			t.Fatalf("fence without need: %q", n)
		}
		c.Write(fenced(1), fenced(2), say(3))
		synctest.Wait()
		want := []string{"PRIVMSG #r 0", "PRIVMSG #r 1", "PRIVMSG #r 2", "PRIVMSG #r 3", "PING :f1"}
		if got := s.got(); !slices.Equal(got, want) {
			t.Fatalf("server got %q", got)
		}
		c.Write(fenced(4))
		synctest.Wait()
		if n := linesOf(s, "PING"); len(n) != 1 {
			t.Fatalf("two fences at once: %q", n)
		}
		s.say(":srv PONG srv :f7") // not ours
		s.say(":srv 404 alice #r :Cannot send")
		s.say(":srv PONG srv :f1")
		synctest.Wait()
		for _, want := range []struct {
			command   string
			confirmed uint64
		}{{"PONG", 0}, {"404", 0}, {"PONG", 4}} {
			if m := <-msgs; m.Command != want.command || m.Confirmed != want.confirmed {
				t.Errorf("read %+v, want %v", m, want)
			}
		}
		if got := s.got(); got[len(got)-1] != "PING :f2" { // for line 5, held back until now
			t.Errorf("server got %q", got)
		}
		s.say(":srv PONG srv :f1") // again: nothing
		s.say(":srv PONG srv f2")
		synctest.Wait()
		if m := <-msgs; m.Confirmed != 0 {
			t.Errorf("a repeated PONG confirms %d", m.Confirmed)
		}
		if m := <-msgs; m.Confirmed != 5 {
			t.Errorf("confirmed %d, want 5", m.Confirmed)
		}
		time.Sleep(time.Minute)
		if n := linesOf(s, "PING :f"); len(n) != 2 {
			t.Errorf("fences: %q", n)
		}
	})
}

// TestFenceThrottled: while lines are held back, a fence comes at most every 5 lines or 5
// seconds, and it costs a token.
func TestFenceThrottled(t *testing.T) {
	inBubble(t, Options{Flood: FloodLimits{Burst: 2, Every: time.Second}}, func(t *testing.T, c *Conn, s *pipeServer, msgs chan *Message) {
		stop := make(chan struct{})
		go func() { // a server that answers at once
			for range msgs {
			}
			close(stop)
		}()
		start := time.Now()
		for i := range 40 {
			l := say(i)
			l.Fence = true
			c.Write(l)
		}
		answered := 0
		for c.Pending() > 0 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if p := linesOf(s, "PING :f"); len(p) > answered {
				s.say(":srv PONG srv " + p[answered][5:])
				answered++
			}
		}
		pings := len(linesOf(s, "PING :f"))
		took := time.Since(start).Round(time.Second)
		if pings < 8 || pings > 10 {
			t.Errorf("%d fences for 40 lines", pings)
		}
		if want := time.Duration(38+pings-1) * time.Second; took < want-2*time.Second || took > want+2*time.Second {
			t.Errorf("40 lines and %d fences took %v, want about %v", pings, took, want)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := s.got(); !strings.HasPrefix(got[len(got)-1], "PING :f") {
			t.Errorf("no fence after the last line but %q", got[len(got)-1])
		}
		c.Close()
		<-stop
	})
}

func TestQueueFull(t *testing.T) {
	inBubble(t, Options{Flood: FloodLimits{Burst: 1, Every: time.Hour}, Queue: QueueLimits{Lines: 5, Bytes: 200}},
		func(t *testing.T, c *Conn, s *pipeServer, _ chan *Message) {
			c.Write(say(0))
			synctest.Wait()
			if _, err := c.Write(say(1), say(2), say(3)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(say(4), say(5), say(6)); !errors.Is(err, ErrQueueFull) {
				t.Errorf("too many lines: %v", err)
			}
			long := Line{Command: "PRIVMSG", Params: []string{"#r", strings.Repeat("x", 180)}}
			if _, err := c.Write(long); !errors.Is(err, ErrQueueFull) {
				t.Errorf("too many bytes: %v", err)
			}
			if _, err := c.Write(say(4), Line{Command: "PRIVMSG", Params: []string{"a b", "c"}}); !errors.Is(err, ErrBadLine) {
				t.Errorf("bad line: %v", err)
			}
			if n, err := c.Write(say(4)); err != nil || n != 5 { // nothing of what was refused is counted
				t.Errorf("line %d, %v", n, err)
			}
			if c.Pending() != 4 {
				t.Errorf("%d pending", c.Pending())
			}
			s.say("PING :x") // answered all the same
			synctest.Wait()
			if p := linesOf(s, "PONG"); len(p) != 1 {
				t.Errorf("%q", p)
			}
		})
}

func TestKeepalive(t *testing.T) {
	inBubble(t, Options{PingEvery: 3 * time.Minute, PingTimeout: time.Minute}, func(t *testing.T, c *Conn, s *pipeServer, msgs chan *Message) {
		start := time.Now()
		time.Sleep(2 * time.Minute)
		s.say(":x NOTICE alice :still here")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if p := linesOf(s, "PING"); len(p) != 0 {
			t.Fatalf("asked too early: %q", p)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p := linesOf(s, "PING"); len(p) != 1 {
			t.Fatalf("server got %q", s.got())
		}
		s.say(":srv PONG srv " + linesOf(s, "PING")[0][5:])
		synctest.Wait()
		<-msgs // the notice
		if len(msgs) != 0 {
			t.Error("our own PONG was handed on")
		}
		for range msgs { // silence until Read gives up
		}
		if _, err := c.Read(context.Background()); !isReason(err, Timeout) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 9*time.Minute {
			t.Errorf("gave up after %v, want 9m", took)
		}
	})
}

func isReason(err error, want Reason) bool {
	var f *Failure
	return errors.As(err, &f) && f.Reason == want && f.Registered
}

// TestStalledServer: a server that does not read costs the write timeout, and no caller waits for it.
func TestStalledServer(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	o := options(s)
	o.Queue = QueueLimits{Lines: 1 << 20, Bytes: 64 << 20}
	o.WriteTimeout = 300 * time.Millisecond
	c := dial(t, o)
	drainMOTD(t, c)
	s.WaitClient(t, "alice").Stall()
	long := Line{Command: "PRIVMSG", Params: []string{"#r", strings.Repeat("x", 450)}}
	for i := range 40000 { // more than the sockets hold
		if _, err := c.Write(long); err != nil {
			if !errors.Is(err, ErrClosed) || i < 100 {
				t.Fatal(err)
			}
			break
		}
	}
	for {
		_, err := c.Read(testContext(t))
		if err == nil {
			continue
		}
		if !isReason(err, Timeout) {
			t.Errorf("error %v", err)
		}
		break
	}
	if n := c.Written(); n == 0 || n > 40000 {
		t.Errorf("written %d", n)
	}
}

func TestOrderUnderLoad(t *testing.T) {
	s := irctest.Start(t, irctest.Config{})
	bob := s.Puppet("bob")
	bob.Do("JOIN #r")
	c := dial(t, options(s))
	c.Send("JOIN", "#r")
	await(t, c, "366")
	const n = 5000
	go func() {
		for i := range n {
			l := say(i)
			l.Fence = true
			for {
				if _, err := c.Write(l); err == nil {
					break
				} else if !errors.Is(err, ErrQueueFull) {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	}()
	confirmed, echoes := uint64(0), 0
	for confirmed < n+1 { // the JOIN is line 1
		m, err := c.Read(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		switch m.Command {
		case "PRIVMSG":
			if m.Last() != fmt.Sprint(echoes) {
				t.Fatalf("echo %q, want %d", m.Last(), echoes)
			}
			echoes++
		case "PONG":
			if m.Confirmed <= confirmed {
				t.Fatalf("confirmed %d after %d", m.Confirmed, confirmed)
			}
			confirmed = m.Confirmed
			if uint64(echoes) < confirmed-1 {
				t.Fatalf("line %d confirmed before its echo (%d)", confirmed, echoes)
			}
		}
	}
	if pings := s.Counters().Commands["PING"]; pings > n/2 {
		t.Errorf("%d fences for %d lines: writes are not coalesced", pings, n)
	}
}
