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

// flickering is a database that cannot be had for some writes.
type flickering struct {
	*archivetest.Model
	mu     sync.Mutex
	writes int
	away   func(write, ops int) bool
}

func (f *flickering) WriteArchive(ctx context.Context, ops []archive.Op) error {
	f.mu.Lock()
	f.writes++
	away := f.away != nil && f.away(f.writes, len(ops))
	f.mu.Unlock()
	if away {
		return errors.New("away")
	}
	return f.Model.WriteArchive(ctx, ops)
}

// A database that goes away while the changes of a refused batch are tried one by one
// costs none of those that could not be tried.
func TestDatabaseAwayDuringSalvage(t *testing.T) {
	bubble(t, func(*archive.Archive, *archivetest.Model) {
		d := &flickering{Model: archivetest.NewModel()}
		d.Poison("bad")
		single := 0
		d.away = func(_, ops int) bool {
			if ops > 1 {
				return false
			}
			single++
			return single > 2 && single < 12 // two are stored, then it is gone for a while
		}
		a, err := archive.Open(archive.Options{Backend: d})
		if err != nil {
			t.Fatal(err)
		}
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		var said []string
		for i := range 20 {
			if i == 3 {
				hear(t, "bad", m)
				continue
			}
			hear(t, fmt.Sprint(i), m)
			said = append(said, fmt.Sprint("bob: ", i))
		}
		time.Sleep(time.Minute)
		want(t, a, "alice@x", strings.Join(said, " | "))
		if n := a.Stats().Refused; n != 1 {
			t.Errorf("%d are given up", n)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

// However many lines in a row no database can take, they hold up none behind them.
func TestManyPoisonedInRow(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		d.Poison("bad")
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		if err := a.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			hear(t, "bad", m)
		}
		hear(t, "one", m)
		for range 10 {
			hear(t, "bad", m)
		}
		time.Sleep(time.Minute)
		want(t, a, "alice@x", "bob: one")
		if n := a.Stats().Refused; n != 20 {
			t.Errorf("%d are given up", n)
		}
	})
}

// hanging is a database that answers a write only when it is given up.
type hanging struct{ *archivetest.Model }

func (hanging) WriteArchive(ctx context.Context, _ []archive.Op) error {
	<-ctx.Done()
	return ctx.Err()
}

// A database that hangs does not keep the process from ending.
func TestCloseWhileTheDatabaseHangs(t *testing.T) {
	bubble(t, func(*archive.Archive, *archivetest.Model) {
		a, err := archive.Open(archive.Options{Backend: hanging{archivetest.NewModel()}})
		if err != nil {
			t.Fatal(err)
		}
		hear(t, "one", a.Enter(lobby, "alice@x", "#room@gw", "Alice"))
		begun := time.Now()
		if err := a.Close(); err == nil {
			t.Error("nothing is said of what is lost")
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("it takes %v", took)
		}
	})
}
