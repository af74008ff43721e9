package irc

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// nowhere is a sink that takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Emit(context.Context, bridges.Event) error       { return nil }
func (nowhere) Commit(context.Context, map[string][]byte) error { return nil }
func (nowhere) Go(func(context.Context))                        {}

// seated is a link without a connection, in one channel of so many members.
func seated(tb testing.TB, d *Driver, members int) *network {
	link, err := d.Open(bridges.Account{Network: "libera", Nick: "alice"}, nowhere{})
	if err != nil {
		tb.Fatal(err)
	}
	n := link.(*network)
	n.nick, n.phase, n.runID = "alice", phaseOnline, newRunID()
	n.levels = levelsOf([]ircconn.PrefixMode{{Mode: 'o', Symbol: '@'}, {Mode: 'v', Symbol: '+'}})
	r := n.begin("#room", time.Now())
	for i := range members {
		n.names(r, fmt.Sprintf("User%d!u%d@host%d.example.net", i, i, i))
	}
	r.entered = true
	r.roster.clip()
	return n
}

// BenchmarkLineToEvent is a line from the socket to the event the session
// gets, in a channel of 500.
func BenchmarkLineToEvent(b *testing.B) {
	n := seated(b, testDriver(b, closed), 500)
	const raw = ":User77!u77@host77.example.net PRIVMSG #room :a line of some eighty letters, as people write them when they have to say something"
	b.ReportAllocs()
	for b.Loop() {
		m, err := ircconn.ParseMessage(raw)
		if err != nil {
			b.Fatal(err)
		}
		n.mu.Lock()
		n.handle(m)
		n.mu.Unlock()
		if err := n.flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNames10000(b *testing.B) {
	d := testDriver(b, closed)
	b.ReportAllocs()
	for b.Loop() {
		seated(b, d, 10000)
	}
}

func BenchmarkSplit(b *testing.B) {
	text := fmt.Sprintf("%0400d and some words behind it %0300d", 1, 2)
	b.ReportAllocs()
	for b.Loop() {
		splitText(text, 400)
	}
}

// TestMemoryOfSharedChannel: what many users know of the same members is held
// once; each of them pays some 16 bytes a member.
func TestMemoryOfSharedChannel(t *testing.T) {
	const users, members = 200, 500
	d := testDriver(t, closed)
	keep := []*network{seated(t, d, members)} // the records themselves
	before := heap()
	for range users {
		keep = append(keep, seated(t, d, members))
	}
	each := float64(heap()-before) / users
	runtime.KeepAlive(keep)
	t.Logf("%.0f bytes a user in a channel of %d", each, members)
	if each > 16*members+4096 {
		t.Errorf("%.0f bytes a user, more than 16 a member and 4 KiB", each)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
