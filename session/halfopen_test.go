package session

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

// The server has not read anything for a long while when the stream breaks at last:
// all of it comes again, also what is no longer remembered in memory.
func TestLongHalfOpenStream(t *testing.T) {
	for name, run := range map[string]func(*testing.T, func(*world)){"recorded": recorded, "in memory": scenario} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				lines := keptLines
				if name == "recorded" {
					lines = 2 * keptLines
				}
				w.join("phone", "Alice")
				for i := range 2 * historyLines {
					w.line("bob", fmt.Sprint("read ", i))
				}
				time.Sleep(time.Minute)
				w.stream.reads(time.Minute)
				time.Sleep(time.Minute)
				var want []string
				for i := range lines {
					w.line("bob", fmt.Sprint("unread ", i))
					want = append(want, fmt.Sprint("unread ", i))
				}
				time.Sleep(30 * time.Second)
				w.news()
				w.cut()
				w.mend()
				w.answer(nil)
				time.Sleep(time.Second)
				w.wantSaid("phone", want...)
			})
		})
	}
}

// More than can be remembered is told.
func TestLongHalfOpenStreamCut(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("phone", "Alice")
		w.stream.reads(time.Hour)
		for i := range keptLines + 7 {
			w.line("bob", fmt.Sprint("unread ", i))
		}
		w.news()
		w.cut()
		w.mend()
		w.answer(nil)
		if all := strings.Join(w.news(), "\n"); !strings.Contains(all, "7 lines from while") || !strings.Contains(all, "<body>unread 7<") {
			t.Errorf("what was cut is not told:\n%s", all[:min(len(all), 2000)])
		}
	})
}

// A line that waits for room in the stream is passed by the ping that asks what the
// server has read: it is not confirmed by that.
func TestLineThatWaitedIsNotConfirmed(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("phone", "Alice")
		gate := make(chan struct{})
		w.stream.mu.Lock()
		w.stream.block = gate
		w.stream.mu.Unlock()
		w.net().Say(&bridges.Message{Place: bridges.Place{Room: "#room"}, From: bridgetest.Person("bob"), Body: "waited"})
		time.Sleep(10 * time.Second)
		passed := time.Now() // a ping was answered
		time.Sleep(10 * time.Second)
		close(gate)
		synctest.Wait()
		w.stream.mu.Lock()
		w.stream.block = nil
		w.stream.mu.Unlock()
		w.wantSaid("phone", "waited")
		time.Sleep(time.Minute)
		w.stream.reads(time.Since(passed))
		w.cut()
		w.stream.reads(0)
		w.mend()
		w.answer(nil)
		w.wantSaid("phone", "waited")
	})
}

// What the next stream confirms says nothing about the one that broke.
func TestConfirmedByTheNextStream(t *testing.T) {
	scenario(t, func(w *world) {
		w.join("phone", "Alice")
		w.stream.reads(time.Minute)
		w.line("bob", "lost")
		time.Sleep(30 * time.Second)
		w.wantSaid("phone", "lost")
		busy := make(chan struct{}) // the session is busy when the stream breaks, and for long
		w.m.post(w.user(), func(*Session) { <-busy })
		w.m.StreamDown()
		w.stream.reads(0)
		time.Sleep(time.Minute)
		close(busy)
		synctest.Wait()
		w.mend()
		w.answer(nil)
		w.wantSaid("phone", "lost")
	})
}
