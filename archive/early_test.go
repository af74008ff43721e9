package archive_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

// stuck is a database whose writes wait while hold is there.
type stuck struct {
	*archivetest.Model
	hold chan struct{}
}

func (s *stuck) WriteArchive(ctx context.Context, ops []archive.Op) error {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Model.WriteArchive(ctx, ops)
}

// Who asks for what is long stored does not wait for what is being stored; who asks
// for more than that, does.
func TestOldPagesDoNotWait(t *testing.T) {
	for _, owner := range []string{"", "alice@x"} {
		synctest.Test(t, func(t *testing.T) {
			db := &stuck{Model: archivetest.NewModel()}
			a, err := archive.Open(archive.Options{Backend: db})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}()
			room := lobby
			room.Owner = owner
			alice := a.Enter(room, "alice@x", "#room@gw", "Alice")
			var keys []archive.Key
			say := func(in archive.Heard) archive.Key {
				key, ok := alice.Record(&in)
				if !ok {
					t.Fatal("not recorded")
				}
				return key
			}
			for i := range 10 {
				keys = append(keys, say(archive.Heard{Nick: "bob", Body: fmt.Sprint(i)}))
				time.Sleep(time.Second)
			}
			if err := a.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}

			ask := func(name string, q archive.Query, want string, waits bool) {
				t.Helper()
				q.Gateway, q.User, q.JID = gateway, "alice@x", "#room@gw"
				if q.Limit == 0 {
					q.Limit = 3
				}
				var got []string
				done := false
				go func() {
					lines, _, err := a.Lines(t.Context(), &q)
					if err != nil {
						t.Error(err)
					}
					for _, l := range lines {
						got = append(got, l.Body)
					}
					done = true
				}()
				synctest.Wait()
				if done == waits {
					t.Errorf("owner %q, %s: done at once is %v", owner, name, done)
				}
				if !done {
					close(db.hold)
					synctest.Wait()
					db.hold = make(chan struct{})
				}
				if s := strings.Join(got, " "); s != want {
					t.Errorf("owner %q, %s: %q, want %q", owner, name, s, want)
				}
			}
			db.hold = make(chan struct{})
			fresh := func() { // on its way, as long as nobody waits for it
				say(archive.Heard{Nick: "bob", Body: "new"})
				time.Sleep(time.Second)
			}
			fresh()
			ask("before a line", archive.Query{Before: keys[5], Last: true}, "2 3 4", false)
			ask("up to a time", archive.Query{To: keys[2].At, Last: true}, "0 1 2", false)
			ask("from the beginning", archive.Query{}, "0 1 2", false)
			ask("behind a line", archive.Query{After: keys[3]}, "4 5 6", false)
			ask("the rest", archive.Query{After: keys[7]}, "8 9 new", true)
			fresh()
			ask("the last", archive.Query{Last: true}, "9 new new", true)
			say(archive.Heard{Nick: "bob", Body: "in between", At: time.UnixMicro(keys[4].At + 1), InPlace: true})
			ask("before a line, where one comes in between", archive.Query{Before: keys[5], Last: true}, "3 4 in between", true)
			alice.Amend(keys[1], "better", nil, time.Now())
			ask("from the beginning, while a line is changed", archive.Query{}, "0 better 2", true)
			fresh()
			alice.Leave()
			ask("of who has left", archive.Query{Before: keys[5], Last: true}, "3 4 in between", true)
			alice = a.Enter(room, "alice@x", "#room@gw", "Alice")
			ask("of who has come back", archive.Query{Before: keys[5], Last: true}, "3 4 in between", true)
			ask("of who has been there for a while", archive.Query{Before: keys[5], Last: true}, "3 4 in between", false)
			close(db.hold)
		})
	}
}
