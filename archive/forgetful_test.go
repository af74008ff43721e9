package archive_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

// forgetful is a database server that can be killed, and forgets its last moment then.
type forgetful struct {
	*archivetest.Model
	mu    sync.Mutex
	done  []batchOf
	epoch int64
	down  int // so many writes find it gone
}

type batchOf struct {
	ops []archive.Op
	at  time.Time
}

func (f *forgetful) ArchiveEpoch() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

func (f *forgetful) WriteArchive(ctx context.Context, ops []archive.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down > 0 {
		f.down--
		return errors.New("gone")
	}
	f.done = append(f.done, batchOf{ops, time.Now()})
	return f.Model.WriteArchive(ctx, ops)
}

// kill makes it forget what it was told in the last moment.
func (f *forgetful) kill(moment time.Duration, down int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
	f.down = down
	kept := f.done[:0]
	*f.Model = *archivetest.NewModel()
	for _, b := range f.done {
		if time.Since(b.at) > moment {
			kept = append(kept, b)
			_ = f.Model.WriteArchive(context.Background(), b.ops)
		}
	}
	f.done = kept
}

// What a database server forgets when it is killed it is told again: that somebody is
// there, lines, and what drivers keep, the latest last.
func TestDatabaseThatForgets(t *testing.T) {
	bubble(t, func(*archive.Archive, *archivetest.Model) {
		d := &forgetful{Model: archivetest.NewModel(), epoch: 1}
		a, err := archive.Open(archive.Options{Backend: d})
		if err != nil {
			t.Fatal(err)
		}
		save := func(i int) {
			if !a.Apply(&archive.SaveState{Gateway: gateway, User: "alice@x", Network: "net", Changes: map[string][]byte{"token": []byte(fmt.Sprint(i)), fmt.Sprint(i): {}}}) {
				t.Fatal("refused")
			}
		}
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		var said []string
		for i := range 60 {
			hear(t, fmt.Sprint(i), m)
			save(i)
			said = append(said, fmt.Sprint("bob: ", i))
			time.Sleep(100 * time.Millisecond)
			if i%9 == 5 {
				d.kill(600*time.Millisecond, i%4)
			}
		}
		time.Sleep(10 * time.Second) // it is told with what comes next
		hear(t, "last", m)
		want(t, a, "alice@x", strings.Join(append(said, "bob: last"), " | "))
		state, err := a.State(context.Background(), gateway, "alice@x", "net", "")
		if err != nil || len(state) != 61 || string(state["token"]) != "59" {
			t.Errorf("there is %q of %d, %v", state["token"], len(state), err)
		}
		// Not what was deleted meanwhile.
		if err := a.Drain(context.Background(), "alice@x"); err != nil {
			t.Fatal(err)
		}
		*d.Model = *archivetest.NewModel()
		d.kill(time.Hour, 0)
		m.Leave()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if n := d.Stored(lobby); n != 0 {
			t.Errorf("%d lines come back", n)
		}
	})
}
