package session

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
	"transportd/bridges"
)

// What a driver commits while the archive has no room is stored once there is some,
// with everything before it.
func TestCommitsWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.lines = archivetest.NewModel()
		var err error
		if w.archive, err = archive.Open(archive.Options{Backend: w.lines, Journal: filepath.Join(t.TempDir(), "j"), JournalSize: 1 << 16}); err != nil {
			t.Fatal(err)
		}
		w.manager()
		defer func() {
			w.stop()
			if err := w.archive.Close(); err != nil {
				t.Error(err)
			}
		}()
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: map[string]string{}}}}
		w.join("phone", "alice")
		w.net().Commit(map[string][]byte{"token": []byte("0"), "gone": []byte("x")})
		w.news()
		w.lines.Fail(errors.New("away"))
		for i := 0; w.archive.Stats().Refused == 0; i++ {
			w.line("bob", fmt.Sprint("line ", i))
		}
		w.net().Commit(map[string][]byte{"token": []byte("1"), "one": []byte("1"), "gone": nil})
		w.net().Commit(map[string][]byte{"token": []byte("2"), "two": []byte("2")})
		w.news()
		time.Sleep(time.Minute)
		w.lines.Fail(nil)
		time.Sleep(5 * time.Second)
		w.net().Commit(map[string][]byte{"token": []byte("3")})
		w.news()
		got, err := w.net().Account.State.Load(w.t.Context(), "")
		if want := "map[one:1 token:3 two:2]"; err != nil || fmt.Sprintf("%s", got) != want {
			t.Errorf("stored is %s, not %s (%v)", got, want, err)
		}
	})
}

// More than a commit may have is refused to the driver.
func TestCommitTooLarge(t *testing.T) {
	recorded(t, func(w *world) {
		w.store.records["alice@home.example"] = Record{Accounts: []StoredAccount{{Network: "net", Settings: map[string]string{}}}}
		w.join("phone", "alice")
		l := w.m.peek(w.user()).links[0]
		err := l.Commit(w.t.Context(), map[string][]byte{"x": make([]byte, bridges.MaxCommit)})
		if bridges.AsError(err).Kind != bridges.TooLarge {
			t.Errorf("got %v", err)
		}
		if err := l.Commit(w.t.Context(), map[string][]byte{"x": make([]byte, bridges.MaxCommit-1)}); err != nil {
			t.Errorf("got %v", err)
		}
		w.news()
		if got, err := w.net().Account.State.Load(w.t.Context(), "x"); err != nil || len(got["x"]) != bridges.MaxCommit-1 {
			t.Errorf("stored are %d bytes, %v", len(got["x"]), err)
		}
	})
}
