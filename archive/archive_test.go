package archive_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

const gateway = "gw.example"

var lobby = archive.Room{Gateway: gateway, Network: "net", Room: "#room"}

// sights is what a user sees of #room, as "nick: body" joined by " | ".
func sights(t *testing.T, a *archive.Archive, user string) string {
	t.Helper()
	lines, _, err := a.Lines(context.Background(), &archive.Query{Gateway: gateway, User: user, JID: "#room@gw"})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		out = append(out, l.Nick+": "+l.Body)
	}
	return strings.Join(out, " | ")
}

func want(t *testing.T, a *archive.Archive, user, seen string) {
	t.Helper()
	if got := sights(t, a, user); got != seen {
		t.Errorf("%s sees\n%q, not\n%q", user, got, seen)
	}
}

// bubble runs f with an archive over a model, without a journal.
func bubble(t *testing.T, f func(a *archive.Archive, d *archivetest.Model)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := archivetest.NewModel()
		a, err := archive.Open(archive.Options{Backend: d})
		if err != nil {
			t.Fatal(err)
		}
		f(a, d)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

func hear(t *testing.T, body string, members ...*archive.Member) archive.Key {
	t.Helper()
	var first archive.Key
	for i, m := range members {
		key, ok := m.Record(&archive.Heard{Nick: "bob", Body: body})
		if !ok {
			t.Fatal("not recorded")
		}
		if i == 0 {
			first = key
		} else if key != first {
			t.Errorf("%q has key %v for one and %v for another", body, first, key)
		}
	}
	return first
}

func TestSharedOnce(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		hear(t, "one", alice, carol)
		hear(t, "two", carol, alice)
		hear(t, "two", alice, carol) // said again
		want(t, a, "alice@x", "bob: one | bob: two | bob: two")
		want(t, a, "carol@x", "bob: one | bob: two | bob: two")
		if n := d.Stored(lobby); n != 3 {
			t.Errorf("%d lines are stored for 3 that were said", n)
		}
	})
}

// What says nothing is told apart by its other parts, as changes of the subject are.
func TestSharedByWhatElseItHas(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		for _, extra := range []string{"<subject>one</subject>", "<subject>two</subject>"} {
			alice.Record(&archive.Heard{Nick: "bob", Extra: []byte(extra)})
		}
		carol.Record(&archive.Heard{Nick: "bob", Extra: []byte("<subject>two</subject>")}) // she came in between
		time.Sleep(archive.SettleTime + 2*time.Second)
		lines, _, err := a.Lines(context.Background(), &archive.Query{Gateway: gateway, User: "carol@x", JID: "#room@gw"})
		if err != nil || len(lines) != 1 || string(lines[0].Extra) != "<subject>two</subject>" || d.Stored(lobby) != 2 {
			t.Errorf("carol has %v, %v; %d are stored", lines, err, d.Stored(lobby))
		}
	})
}

func TestFloodInterleaved(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		var seen []string
		for i := range 300 { // carol's connection is a hundred lines behind
			alice.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint("line ", i%7)})
			if i >= 100 {
				carol.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint("line ", (i-100)%7)})
			}
			seen = append(seen, fmt.Sprint("bob: line ", i%7))
		}
		want(t, a, "alice@x", strings.Join(seen, " | "))
		want(t, a, "carol@x", strings.Join(seen[:200], " | "))
		if n := d.Stored(lobby); n != 300 {
			t.Errorf("%d lines are stored for 300", n)
		}
	})
}

func TestOnlyOnesOwnTime(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		hear(t, "before", alice)
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		hear(t, "both", alice, carol)
		carol.Leave()
		hear(t, "after", alice)
		want(t, a, "alice@x", "bob: before | bob: both | bob: after")
		want(t, a, "carol@x", "bob: both")
		want(t, a, "mallory@x", "")
	})
}

// A line that did not reach everybody is not shown to whom it did not reach:
// neither at once nor later.
func TestKeptFromOne(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		dave := a.Enter(lobby, "dave@x", "#room@gw", "Dave")
		hear(t, "all", alice, carol, dave)
		hear(t, "not dave", alice, carol)
		hear(t, "only carol", carol)
		for range 2 {
			want(t, a, "alice@x", "bob: all | bob: not dave")
			want(t, a, "carol@x", "bob: all | bob: not dave | bob: only carol")
			want(t, a, "dave@x", "bob: all")
			time.Sleep(archive.SettleTime + 2*time.Second)
		}
		// Late: the line has been given up as not dave's, so it becomes his own.
		hear(t, "not dave", dave)
		time.Sleep(archive.SettleTime + 2*time.Second)
		want(t, a, "dave@x", "bob: all | bob: not dave")
		want(t, a, "alice@x", "bob: all | bob: not dave")
		if n := d.Stored(lobby); n != 4 {
			t.Errorf("%d lines are stored", n)
		}
	})
}

// Who got a line that others did not, and leaves before that is settled, keeps it;
// the others still do not see it.
func TestLeavingAfterTheLineCame(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		a.Enter(lobby, "dave@x", "#room@gw", "Dave")
		a.Enter(lobby, "eve@x", "#room@gw", "Eve")
		hear(t, "operators", alice, carol)
		alice.Leave()
		carol.Leave()
		time.Sleep(archive.SettleTime + 2*time.Second)
		want(t, a, "alice@x", "bob: operators")
		want(t, a, "carol@x", "bob: operators")
		want(t, a, "dave@x", "")
		want(t, a, "eve@x", "")
	})
}

// Who leaves and comes back sees at once what they got before.
func TestBackBeforeTheLineIsSettled(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		hear(t, "one", alice)
		time.Sleep(time.Second)
		alice.Leave()
		a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		want(t, a, "alice@x", "bob: one")
		want(t, a, "carol@x", "")
	})
}

func TestLeavingBeforeTheLineCame(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		hear(t, "in the air", alice)
		carol.Leave()
		want(t, a, "carol@x", "")
		want(t, a, "alice@x", "bob: in the air")
	})
}

// Whatever order lines reach users in: each finds them in the archive in that order.
func TestEachOnesOrder(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		carol.Record(&archive.Heard{Nick: "bob", Body: "his"})
		alice.Record(&archive.Heard{Nick: "Alice", Body: "hers", Self: true}) // shown before his, on her connection
		alice.Record(&archive.Heard{Nick: "bob", Body: "his"})
		carol.Record(&archive.Heard{Nick: "Alice", Body: "hers"})
		for range 2 {
			want(t, a, "alice@x", "Alice: hers | bob: his")
			want(t, a, "carol@x", "bob: his | Alice: hers")
			time.Sleep(archive.SettleTime + 2*time.Second)
		}
	})
}

// Somebody's connection is further behind than lines are remembered: what they get in
// the end is all there, in order, for everybody.
func TestFarBehind(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		const lines = 3000
		var seen []string
		for i := range lines {
			alice.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint(i)})
			seen = append(seen, fmt.Sprint("bob: ", i))
		}
		for i := range lines {
			carol.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint(i)})
		}
		for range 2 {
			want(t, a, "alice@x", strings.Join(seen, " | "))
			want(t, a, "carol@x", strings.Join(seen, " | "))
			time.Sleep(archive.SettleTime + 2*time.Second)
		}
	})
}

// What a user says stands in the archive as the user wrote it, for the others as
// they heard it.
// Who leaves keeps the lines they were shown, and only they do, though it is settled later who was.
func TestLeavingBeforeOthersAreSettled(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		var in []*archive.Member
		for _, name := range []string{"alice", "carol", "dave", "erin"} {
			in = append(in, a.Enter(lobby, name+"@x", "#room@gw", name))
		}
		hear(t, "to alice and carol", in[0], in[1])
		hear(t, "to alice", in[0])
		hear(t, "to all but erin", in[0], in[1], in[2])
		for _, m := range in {
			m.Leave()
		}
		want(t, a, "alice@x", "bob: to alice and carol | bob: to alice | bob: to all but erin")
		want(t, a, "carol@x", "bob: to alice and carol | bob: to all but erin")
		want(t, a, "dave@x", "bob: to all but erin")
		want(t, a, "erin@x", "")
	})
}

func TestOwnLines(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		carol.Record(&archive.Heard{Nick: "Alice", Body: "first"})
		carol.Record(&archive.Heard{Nick: "Alice", Body: "second"})
		alice.Record(&archive.Heard{Nick: "Alice", Body: "first\nsecond", ID: "id1", Self: true})
		carol.Record(&archive.Heard{Nick: "bob", Body: "[@] hush", Private: true})
		want(t, a, "alice@x", "Alice: first\nsecond")
		want(t, a, "carol@x", "Alice: first | Alice: second | bob: [@] hush")
		l, ok, err := a.Recent(context.Background(), gateway, "alice@x", "#room@gw", "id1")
		if err != nil || !ok || l.Body != "first\nsecond" {
			t.Errorf("the line is not found by its id: %v %v %v", l, ok, err)
		}
		alice.Renamed("Alison")
		carol.Record(&archive.Heard{Nick: "Alison", Body: "third"})
		time.Sleep(archive.SettleTime + 2*time.Second)
		want(t, a, "alice@x", "Alice: first\nsecond")
		alice.Retract(l.Key, []byte("<gone/>"), time.Now())
		lines, _, _ := a.Lines(context.Background(), &archive.Query{Gateway: gateway, User: "alice@x", JID: "#room@gw"})
		if len(lines) != 1 || lines[0].Retracted == 0 || lines[0].Body != "" || string(lines[0].Extra) != "<gone/>" || lines[0].Key != l.Key {
			t.Errorf("taken back, the line is %+v", lines)
		}
	})
}

func TestOrderAndClock(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		now := time.Now()
		times := []time.Duration{0, 0, 5 * time.Second, time.Hour, -time.Minute}
		var keys []archive.Key
		for i, d := range times {
			key, _ := m.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint(i), At: now.Add(d)})
			keys = append(keys, key)
		}
		if !slices.IsSortedFunc(keys, archive.Key.Compare) {
			t.Errorf("keys of what was shown in order: %v", keys)
		}
		if d := keys[4].Time().Sub(now); d > archive.ClockDoubt {
			t.Errorf("a clock an hour ahead drags lines %v into the future", d)
		}
		for i := range 3 { // of one millisecond
			m.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint("old ", i), At: now.Add(-time.Hour), InPlace: true})
		}
		want(t, a, "alice@x", "bob: old 0 | bob: old 1 | bob: old 2 | bob: 0 | bob: 1 | bob: 2 | bob: 3 | bob: 4")
	})
}

func TestPlayback(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		at := time.Now()
		m.Record(&archive.Heard{Nick: "bob", Body: "lol", At: at})
		m.Record(&archive.Heard{Nick: "bob", Body: "lol", At: at.Add(time.Millisecond)})
		m.Record(&archive.Heard{Nick: "bob", Body: "x", NetID: "n1", At: at})
		taken := map[archive.Key]bool{}
		for _, c := range []struct {
			in  archive.Heard
			has bool
		}{
			{archive.Heard{Nick: "bob", Body: "lol", At: at}, true},
			{archive.Heard{Nick: "bob", Body: "lol", At: at}, true},
			{archive.Heard{Nick: "bob", Body: "lol", At: at}, false}, // a third one is another
			{archive.Heard{Nick: "bob", Body: "lol", At: at.Add(-time.Hour)}, false},
			{archive.Heard{Nick: "bob", Body: "x", NetID: "n1", At: at}, true},
			{archive.Heard{Nick: "bob", Body: "x", NetID: "n1", At: at}, true}, // the network says it twice
			{archive.Heard{Nick: "bob", Body: "x", NetID: "n2", At: at}, false},
			{archive.Heard{Nick: "eve", Body: "x", At: at}, false},
		} {
			if has, err := a.Has(context.Background(), gateway, "alice@x", "#room@gw", &c.in, taken); err != nil || has != c.has {
				t.Errorf("%+v: %v %v", c.in, has, err)
			}
		}
	})
}

func TestDatabaseAway(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		hear(t, "one", m)
		if err := a.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		d.Fail(errors.New("no disk"))
		hear(t, "two", m)
		if _, _, err := a.Lines(context.Background(), &archive.Query{Gateway: gateway, User: "alice@x", JID: "#room@gw"}); err == nil {
			t.Error("reading succeeds while the last line cannot be stored")
		}
		if !a.Stats().Failing {
			t.Error("the fault does not show")
		}
		d.Fail(nil)
		want(t, a, "alice@x", "bob: one | bob: two")
		if s := a.Stats(); s.Failing || s.Waiting != 0 || s.Refused != 0 {
			t.Errorf("after the fault: %+v", s)
		}
	})
}

// A line that no database can take does not hold up the others for ever.
func TestPoison(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		d.Poison("bad")
		m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		for _, s := range []string{"one", "bad", "two"} {
			hear(t, s, m)
		}
		time.Sleep(time.Minute)
		want(t, a, "alice@x", "bob: one | bob: two")
		if n := a.Stats().Refused; n != 1 {
			t.Errorf("%d are counted as given up", n)
		}
	})
}

func TestJournalOutlivesProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	d := archivetest.NewModel()
	d.Fail(errors.New("away"))
	a, err := archive.Open(archive.Options{Backend: d, Journal: path, Database: "one", JournalSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
	var said []string
	for i := range 2000 {
		hear(t, fmt.Sprint(i), m)
		said = append(said, fmt.Sprint("bob: ", i))
	}
	archive.Kill(a)

	if _, err := archive.Open(archive.Options{Backend: d, Journal: path, Database: "two"}); !errors.Is(err, archive.ErrForeignJournal) {
		t.Errorf("the journal of one database opened with another: %v", err)
	}
	d.Fail(nil)
	b, err := archive.Open(archive.Options{Backend: d, Journal: path, Database: "one"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, b, "alice@x", strings.Join(said, " | "))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	before := d.Ops()
	c, err := archive.Open(archive.Options{Backend: d, Journal: path, Database: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil || d.Ops() != before {
		t.Errorf("%d changes came back that the database had (%v)", d.Ops()-before, err)
	}
}

// What is deleted after a Drain does not come back when the process is killed.
func TestDrainEmptiesTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	d := archivetest.NewModel()
	a, err := archive.Open(archive.Options{Backend: d, Journal: path, Database: "one"})
	if err != nil {
		t.Fatal(err)
	}
	m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
	hear(t, "one", m)
	if err := a.Drain(context.Background(), "alice@x"); err != nil {
		t.Fatal(err)
	}
	hear(t, "two", m)
	if err := a.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	archive.Kill(a)
	after := archivetest.NewModel()
	b, err := archive.Open(archive.Options{Backend: after, Journal: path, Database: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := after.Ops(); n != 1 { // “two”, which nobody has deleted
		t.Errorf("%d changes come back", n)
	}
}

func TestJournalFull(t *testing.T) {
	d := archivetest.NewModel()
	d.Fail(errors.New("away"))
	a, err := archive.Open(archive.Options{Backend: d, Journal: filepath.Join(t.TempDir(), "x.journal"), Database: "one", JournalSize: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
	kept := 0
	for i := range 5000 {
		if _, ok := m.Record(&archive.Heard{Nick: "bob", Body: fmt.Sprint(i)}); ok {
			kept++
		}
	}
	if kept == 5000 || kept < 200 {
		t.Fatalf("%d of 5000 fit into 64 KiB", kept)
	}
	if s := a.Stats(); s.Refused != int64(5000-kept) || s.Journal < 0.9 {
		t.Errorf("%+v", s)
	}
	d.Fail(nil)
	if err := a.Flush(context.Background()); err != nil {
		if err = a.Flush(context.Background()); err != nil { // the first may still report the fault
			t.Fatal(err)
		}
	}
	for i := range 5000 { // room again, many times over
		hear(t, fmt.Sprint("later ", i), m)
		if i%100 == 0 {
			if err := a.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if n := d.Stored(lobby); n != kept+5000 {
		t.Errorf("%d lines are stored, not %d", n, kept+5000)
	}
}

// someOps are ops of all kinds.
func someOps() []archive.Op {
	room := archive.Room{"g", "n", "#r", "o"}
	key := archive.Key{12345678, 9}
	return []archive.Op{
		&archive.AddLine{room, archive.Line{Key: key, Only: "a", Self: true, Nick: "n", Body: strings.Repeat("ü", 5000), ID: "i", NetID: "x", Occupant: "o", Extra: []byte("<x/>"), Edited: 5, Retracted: 6}, false},
		&archive.AddLine{room, archive.Line{Key: key, Except: "b"}, false}, &archive.AddLine{room, archive.Line{Key: key, NetID: "$x"}, true},
		&archive.Enter{room, "u", "j", -1}, &archive.Leave{room, "u", 1 << 60},
		&archive.Restrict{room, key, "", "e"}, &archive.Amend{room, key, "b", []byte("y"), 1, 2},
		&archive.AddPrivate{"g", "u", archive.Private{key, "p", "n", "v", "i", "b", "", nil, true, false}},
		&archive.AddPrivate{"g", "u", archive.Private{key, "p", "n", "v", "i", "b", "", []byte("<x/>"), true, false}},
		&archive.AddPrivate{"g", "u", archive.Private{key, "p", "n", "v", "i", "b", "$y", nil, false, true}},
		&archive.SaveState{"g", "u", "n", map[string][]byte{"token": []byte("s1"), "sealed/key": {0, 255}, "empty": {}, "gone": nil}, false},
		&archive.SaveState{"g", "u", "n", map[string][]byte{}, false},
		&archive.SaveState{"g", "u", "n", map[string][]byte{"sealed/key": {1, 255}}, true},
		&archive.SettlePrivate{"g", "u", key, true},
	}
}

func TestOpsInJournal(t *testing.T) {
	for _, op := range someOps() {
		b := archive.AppendOp(nil, op)
		got, err := archive.DecodeOp(b)
		if err != nil || !reflect.DeepEqual(got, op) {
			t.Errorf("%+v reads back as %+v, %v", op, got, err)
		}
		for n := range len(b) {
			if n > 40 && n < len(b)-40 {
				continue
			}
			if _, err := archive.DecodeOp(b[:n]); err == nil {
				t.Errorf("%T cut off at %d is read", op, n)
			}
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	d := &nothing{archivetest.NewModel()}
	a, err := archive.Open(archive.Options{Backend: d, Journal: filepath.Join(b.TempDir(), "x.journal"), Database: "one"})
	if err != nil {
		b.Fatal(err)
	}
	m := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
	in := &archive.Heard{Nick: "bob", Body: "a line of about eighty bytes, as people write them in channels all day long, yes", Occupant: "account"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := m.Record(in); !ok {
			b.StopTimer()
			_ = a.Flush(context.Background())
			b.StartTimer()
		}
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
}

// nothing takes everything and keeps none of it.
type nothing struct{ *archivetest.Model }

func (nothing) WriteArchive(context.Context, []archive.Op) error { return nil }

// A network's clock that is behind ours does not put the first lines before the
// visit in which they were heard.
func TestNetworkClockBehind(t *testing.T) {
	d := archivetest.NewModel()
	a, err := archive.Open(archive.Options{Backend: d})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	for _, owner := range []string{"", "alice"} {
		room := archive.Room{Gateway: "g", Network: "n", Room: "#r" + owner, Owner: owner}
		m := a.Enter(room, "alice", room.Room, "Alice")
		for i := range 3 {
			if _, ok := m.Record(&archive.Heard{Nick: "bob", Body: strings.Repeat("x", i+1), At: time.Now().Add(-time.Minute)}); !ok {
				t.Fatal("not recorded")
			}
		}
		lines, _, err := a.Lines(t.Context(), &archive.Query{Gateway: "g", User: "alice", JID: room.Room, Limit: 10})
		if err != nil || len(lines) != 3 || lines[0].Body != "x" || lines[2].Body != "xxx" {
			t.Errorf("owner %q: %v, %v", owner, lines, err)
		}
	}
}

// Lines that come faster than the database takes them in wait for it and are all
// stored, in a journal that holds but a part of them.
func TestRelax(t *testing.T) {
	d := &slowWrites{Model: archivetest.NewModel()}
	a, err := archive.Open(archive.Options{Backend: d, Journal: filepath.Join(t.TempDir(), "j"), JournalSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	m := a.Enter(lobby, "alice", lobby.Room, "Alice")
	for i := range 5000 {
		a.Relax(t.Context())
		if _, ok := m.Record(&archive.Heard{Nick: "bob", Body: strings.Repeat("x", 100)}); !ok {
			t.Fatalf("line %d was not taken", i)
		}
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := d.Stored(lobby); n != 5000 {
		t.Errorf("%d lines are stored", n)
	}
	// A database that takes nothing holds nobody up for long.
	d.Fail(errors.New("no"))
	for range 2000 {
		a.Relax(t.Context())
		m.Record(&archive.Heard{Nick: "bob", Body: strings.Repeat("x", 100)})
	}
	d.Fail(nil)
}

// slowWrites is a database that takes a while for each transaction.
type slowWrites struct{ *archivetest.Model }

func (d *slowWrites) WriteArchive(ctx context.Context, ops []archive.Op) error {
	time.Sleep(time.Millisecond)
	return d.Model.WriteArchive(ctx, ops)
}

// twice is a database to which everything comes twice, as after a kill.
type twice struct{ *archivetest.Model }

func (d twice) WriteArchive(ctx context.Context, ops []archive.Op) error {
	return errors.Join(d.Model.WriteArchive(ctx, ops), d.Model.WriteArchive(ctx, ops))
}

// Who leaves and comes back at once, many times over, is there each time, also when all
// of it is repeated.
func TestComingAndGoingAtOnce(t *testing.T) {
	bubble(t, func(*archive.Archive, *archivetest.Model) {
		a, err := archive.Open(archive.Options{Backend: twice{archivetest.NewModel()}})
		if err != nil {
			t.Fatal(err)
		}
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		var seen []string
		for i := range 5 {
			alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
			hear(t, fmt.Sprint(i), alice, carol)
			alice.Leave()
			if i%2 == 1 {
				carol.Record(&archive.Heard{Nick: "bob", Body: "without her"})
			}
			seen = append(seen, fmt.Sprint("bob: ", i))
			if i == 2 { // nobody is in
				carol.Leave()
				carol = a.Enter(lobby, "carol@x", "#room@gw", "Carol")
			}
		}
		a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		want(t, a, "alice@x", strings.Join(seen, " | "))
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Who comes and goes while the journal is full is there from then on, and not after that.
func TestComingAndGoingWhileTheJournalIsFull(t *testing.T) {
	d := archivetest.NewModel()
	a, err := archive.Open(archive.Options{Backend: d, Journal: filepath.Join(t.TempDir(), "j"), Database: "one", JournalSize: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
	carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
	dave := a.Enter(lobby, "dave@x", "#room@gw", "Dave")
	hear(t, "all", alice, carol, dave)
	d.Fail(errors.New("away"))
	for i := 0; ; i++ {
		body := fmt.Sprintf("%d %0300d", i, 0)
		if _, ok := alice.Record(&archive.Heard{Nick: "bob", Body: body, Private: true}); !ok {
			break
		}
	}
	for a.Apply(&archive.SaveState{}) { // to the last byte
	}
	alice.Leave()
	erin := a.Enter(lobby, "erin@x", "#room@gw", "Erin")
	d.Fail(nil)
	for a.Flush(context.Background()) != nil { // the first may still tell of the fault
	}
	hear(t, "later", carol, dave, erin)
	want(t, a, "carol@x", "bob: all | bob: later")
	want(t, a, "erin@x", "bob: later")
	if got := sights(t, a, "alice@x"); strings.Contains(got, "later") {
		t.Errorf("who has left sees %q", got)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
