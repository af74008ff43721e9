package archive_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

// Whatever the clock does, while the program runs, over a polite end or a kill: each
// user finds what they were shown, in that order, and nothing of the time they were
// away.
func TestClockThatJumps(t *testing.T) {
	const day = 24 * time.Hour
	for name, jumps := range map[string][]time.Duration{
		"back":             {-day},
		"forward":          {day},
		"there and back":   {day, -day},
		"back a little":    {-time.Second, -time.Second},
		"back and forward": {-day, 2 * day, -3 * day},
	} {
		for _, end := range []string{"goes on", "ends", "is killed"} {
			t.Run(name+", it "+end, func(t *testing.T) { testClock(t, jumps, end) })
		}
	}
}

func testClock(t *testing.T, jumps []time.Duration, end string) {
	d := archivetest.NewModel()
	path := filepath.Join(t.TempDir(), "journal")
	offset := time.Duration(0)
	begin := func() *archive.Archive {
		a, err := archive.Open(archive.Options{Backend: d, Journal: path, Database: "one", JournalSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		archive.SetClock(a, func() time.Time { return time.Now().Round(0).Add(offset) })
		if _, err := a.Begin(context.Background(), gateway); err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := begin()
	heard := map[string][]string{}
	said := 0
	say := func(in map[string]*archive.Member) {
		for range 3 {
			body := fmt.Sprint(said)
			said++
			for user, m := range in {
				if _, ok := m.Record(&archive.Heard{Nick: "bob", Body: body}); !ok {
					t.Fatal("not recorded")
				}
				heard[user] = append(heard[user], "bob: "+body)
			}
		}
	}
	enter := func(user string) *archive.Member { return a.Enter(lobby, user, "#room@gw", user) }
	for _, jump := range append([]time.Duration{0}, jumps...) {
		offset += jump
		if jump != 0 && end != "goes on" {
			if end == "ends" {
				if err := a.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				archive.Kill(a)
			}
			a = begin()
		}
		in := map[string]*archive.Member{"alice@x": enter("alice@x")}
		say(in) // carol is not there
		in["carol@x"] = enter("carol@x")
		say(in)
		in["alice@x"].Leave()
		delete(in, "alice@x")
		say(in)
		in["carol@x"].Leave()
		in["carol@x"] = enter("carol@x")
		say(in)
		if end != "is killed" {
			in["carol@x"].Leave()
			dave := map[string]*archive.Member{"dave@x": enter("dave@x")}
			say(dave)
			dave["dave@x"].Leave()
		}
	}
	for user, lines := range heard {
		want(t, a, user, strings.Join(lines, " | "))
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
