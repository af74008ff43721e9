package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"transportd/archive"
	"transportd/archive/archivetest"
)

const (
	magic       = "transportd journal 1\n"
	smallSize   = 1 << 16
	journalHead = 4096
)

// A journal whose making was cut off is made anew; a file of somebody else's is left
// alone.
func TestJournalThatWasBeingMade(t *testing.T) {
	head := func(s string) []byte { return append([]byte(s), make([]byte, smallSize-len(s))...) }
	for name, c := range map[string]struct {
		content []byte
		fresh   bool
	}{
		"empty":                    {nil, true},
		"a few zeros":              {make([]byte, 100), true},
		"less than a head":         {make([]byte, journalHead-1), true},
		"half of it":               {make([]byte, smallSize/2), true},
		"zeros":                    {make([]byte, smallSize), true},
		"more than it":             {make([]byte, 2*smallSize), true},
		"a piece of the magic":     {head(magic[:7]), true},
		"a short piece":            {[]byte(magic[:7]), true},
		"text":                     {[]byte("something else"), false},
		"long text":                {bytes.Repeat([]byte("else"), smallSize/4), false},
		"nearly the magic":         {head("transportd journal 2\n"), false},
		"text behind zeros":        {append(make([]byte, 50), "else"...), false},
		"the magic, cut off":       {[]byte(magic + "0123456789abcdef"), false},
		"the magic in other words": {head("Transportd"), false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.journal")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			o := archive.Options{Backend: archivetest.NewModel(), Journal: path, Database: "one", JournalSize: smallSize}
			a, err := archive.Open(o)
			if !c.fresh {
				if err == nil {
					_ = a.Close()
					t.Fatal("it is taken for a journal")
				}
				if now, _ := os.ReadFile(path); !bytes.Equal(now, c.content) {
					t.Error("it was changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			hear(t, "one", a.Enter(lobby, "alice@x", "#room@gw", "Alice"))
			archive.Kill(a)
			if info, err := os.Stat(path); err != nil || info.Size() != smallSize {
				t.Errorf("the file has %d bytes (%v)", info.Size(), err)
			}
			if a, err = archive.Open(o); err != nil {
				t.Fatal(err)
			}
			want(t, a, "alice@x", "bob: one")
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Lines under a head that is gone are not thrown away, nor played into whatever
// database there is.
func TestJournalWithoutItsHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	d := archivetest.NewModel()
	d.Fail(errors.New("away"))
	o := archive.Options{Backend: d, Journal: path, Database: "one", JournalSize: smallSize}
	a, err := archive.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	hear(t, "one", a.Enter(lobby, "alice@x", "#room@gw", "Alice"))
	archive.Kill(a)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, journalHead), 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if a, err := archive.Open(o); err == nil {
		_ = a.Close()
		t.Error("it is opened")
	}
}

// A folder that cannot be written to is named.
func TestJournalWhereNothingCanBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "x.journal")
	_, err := archive.Open(archive.Options{Backend: archivetest.NewModel(), Journal: path, Database: "one"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// What has been drained is not in the journal, however soon it is looked.
func TestDrainLeavesNothing(t *testing.T) {
	for i := range 50 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		d := archivetest.NewModel()
		o := archive.Options{Backend: d, Journal: path, Database: "one", JournalSize: smallSize}
		a, err := archive.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		hear(t, "one", a.Enter(lobby, "alice@x", "#room@gw", "Alice"))
		if err := a.Drain(context.Background(), "alice@x"); err != nil {
			t.Fatal(err)
		}
		archive.Kill(a)
		o.Backend = archivetest.NewModel()
		if a, err = archive.Open(o); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if n := o.Backend.(*archivetest.Model).Ops(); n != 0 {
			t.Fatalf("round %d: %d changes come back", i, n)
		}
	}
}

// State as large as it may be finds room in a journal that has not much, and outlives
// the process whole.
func TestLargeState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	d := archivetest.NewModel()
	d.Fail(errors.New("away"))
	o := archive.Options{Backend: d, Journal: path, Database: "one"}
	a, err := archive.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	save := func(changes map[string][]byte) bool {
		return a.Apply(&archive.SaveState{Gateway: gateway, User: "alice@x", Network: "net", Changes: changes})
	}
	large := map[string][]byte{"token": []byte("1")}
	for i := range 1000 {
		large[fmt.Sprintf("room/%04d", i)] = bytes.Repeat([]byte{byte(i)}, 2048)
	}
	filler := map[string][]byte{"filler": make([]byte, archive.MaxState-len("filler"))}
	if !save(filler) || !save(large) {
		t.Fatal("it is refused")
	}
	archive.Kill(a)
	d.Fail(nil)
	if a, err = archive.Open(o); err != nil {
		t.Fatal(err)
	}
	got, err := a.State(context.Background(), gateway, "alice@x", "net", "")
	large["filler"] = filler["filler"]
	if err != nil || !reflect.DeepEqual(got, large) {
		t.Errorf("%d names are back, of %d (%v)", len(got), len(large), err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// One transaction does not become as large as all that waits.
func TestBatchesAreBounded(t *testing.T) {
	bubble(t, func(*archive.Archive, *archivetest.Model) {
		d := &widest{Model: archivetest.NewModel()}
		d.Fail(errors.New("away"))
		a, err := archive.Open(archive.Options{Backend: d})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if !a.Apply(&archive.SaveState{Gateway: gateway, User: "alice@x", Network: "net", Changes: map[string][]byte{fmt.Sprint(i): make([]byte, 1<<20)}}) {
				t.Fatal("refused")
			}
		}
		d.Fail(nil)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if got, _ := d.AccountState(context.Background(), gateway, "alice@x", "net", ""); len(got) != 20 || d.most > 4 {
			t.Errorf("%d are stored, at most %d together", len(got), d.most)
		}
	})
}

// widest remembers the most changes that came together.
type widest struct {
	*archivetest.Model
	most int
}

func (w *widest) WriteArchive(ctx context.Context, ops []archive.Op) error {
	w.most = max(w.most, len(ops))
	return w.Model.WriteArchive(ctx, ops)
}

// Whatever is read as an op is written so that it reads as the same; what is not, is
// an error and nothing worse.
func FuzzDecodeOp(f *testing.F) {
	for _, op := range someOps() {
		f.Add(archive.AppendOp(nil, op))
	}
	f.Add([]byte{8, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		op, err := archive.DecodeOp(b)
		if err != nil {
			return
		}
		again, err := archive.DecodeOp(archive.AppendOp(nil, op))
		if err != nil || !reflect.DeepEqual(again, op) {
			t.Errorf("%+v becomes %+v, %v", op, again, err)
		}
	})
}

// A journal that is cut off under us costs the lines that come then, and not the
// program; what it had is stored.
func TestJournalCutOff(t *testing.T) {
	for _, fails := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "x.journal")
		d := archivetest.NewModel()
		o := archive.Options{Backend: d, Journal: path, Database: "one", JournalSize: smallSize}
		a, err := archive.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		hear(t, "one", m)
		if fails {
			d.Fail(errors.New("away"))
			hear(t, "two", m)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		d.Fail(nil)
		for a.Flush(context.Background()) != nil { // the first may still tell of the fault
		}
		if err := a.Drain(context.Background(), "alice@x"); err != nil {
			t.Error(err)
		}
		if _, ok := m.Record(&archive.Heard{Nick: "bob", Body: "lost"}); ok {
			t.Error("a line is said to be kept")
		}
		seen := "bob: one"
		if fails {
			seen += " | bob: two"
		}
		want(t, a, "alice@x", seen)
		_ = a.Stats()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
