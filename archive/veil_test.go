package archive_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

// bodies are what lines say.
func bodies(lines []archive.Line) (out []string) {
	for _, l := range lines {
		out = append(out, l.Body)
	}
	return out
}

// walk reads all of what a user sees, a page at a time.
func walk(t *testing.T, a *archive.Archive, user string, limit int, last bool) (all []string) {
	t.Helper()
	q := &archive.Query{Gateway: gateway, User: user, JID: "#room@gw", Limit: limit, Last: last}
	for more := true; more; {
		var lines []archive.Line
		var err error
		if lines, more, err = a.Lines(context.Background(), q); err != nil {
			t.Fatal(err)
		}
		if len(lines) != limit && (more || len(lines) > limit) {
			t.Fatalf("a page of %d has %d lines, and there are more: %v", limit, len(lines), more)
		}
		if more && len(lines) == 0 {
			t.Fatal("an empty page is not the last")
		}
		if len(lines) == 0 {
			break
		}
		if last {
			all, q.Before = append(bodies(lines), all...), lines[0].Key
		} else {
			all, q.After = append(all, bodies(lines)...), lines[len(lines)-1].Key
		}
	}
	return all
}

// While it is not settled who gets lines, those who do not have them get whole pages of
// the others, the end of the archive included, and the right count.
func TestPagesWhileLinesAreNotSettled(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		dave := a.Enter(lobby, "dave@x", "#room@gw", "Dave")
		seen := map[string][]string{}
		for i := range 900 {
			body := fmt.Sprint(i)
			var got []*archive.Member
			switch {
			case i < 30 || i%50 == 0:
				got = []*archive.Member{alice, carol, dave}
			case i%3 == 0:
				got = []*archive.Member{carol, dave}
			default:
				got = []*archive.Member{carol}
			}
			hear(t, body, got...)
			for _, m := range got {
				user := map[*archive.Member]string{alice: "alice@x", carol: "carol@x", dave: "dave@x"}[m]
				seen[user] = append(seen[user], body)
			}
		}
		for range 2 { // settled or not
			for user, want := range seen {
				for _, limit := range []int{1, 7, 50, 1000} {
					for _, last := range []bool{false, true} {
						if got := walk(t, a, user, limit, last); !slices.Equal(got, want) {
							t.Errorf("%s by %d, backwards %v: %d lines, not %d\n%v\n%v", user, limit, last, len(got), len(want), got, want)
						}
					}
				}
				all, _, err := a.Lines(context.Background(), &archive.Query{Gateway: gateway, User: user, JID: "#room@gw"})
				if err != nil || len(all) != len(want) {
					t.Fatal(len(all), err)
				}
				middle := all[len(all)/2].Key
				for _, c := range []struct {
					q    archive.Query
					want int
				}{
					{archive.Query{}, len(want)},
					{archive.Query{Before: middle}, len(want) / 2},
					{archive.Query{After: middle}, len(want) - len(want)/2 - 1},
					{archive.Query{To: all[9].At}, 10},
					{archive.Query{From: all[len(all)-3].At}, 3},
					{archive.Query{From: all[5].At, Before: middle}, len(want)/2 - 5},
					{archive.Query{Nick: "nobody"}, 0},
				} {
					c.q.Gateway, c.q.User, c.q.JID = gateway, user, "#room@gw"
					if n, err := a.Count(context.Background(), &c.q); err != nil || n != c.want {
						t.Errorf("%s: %+v counts %d (%v), not %d", user, c.q, n, err, c.want)
					}
				}
			}
			time.Sleep(archive.SettleTime + 2*time.Second)
		}
	})
}

// meanwhile does something between a read's wait for the database and the read.
type meanwhile struct {
	*archivetest.Model
	then func()
}

func (m *meanwhile) ArchiveLines(ctx context.Context, q *archive.Query) ([]archive.Line, bool, error) {
	if then := m.then; then != nil {
		m.then = nil
		then()
	}
	return m.Model.ArchiveLines(ctx, q)
}

// What is settled, or comes, while the database is read is shown to whom it reached,
// and to nobody else.
func TestSettledWhileReading(t *testing.T) {
	for name, c := range map[string]struct {
		then func(a *archive.Archive, alice, carol, dave *archive.Member, line func(string, ...*archive.Member))
		want string
	}{
		"settled as not hers": {func(_ *archive.Archive, _, carol, _ *archive.Member, _ func(string, ...*archive.Member)) {
			carol.Leave()
			time.Sleep(archive.SettleTime + 2*time.Second)
		}, "bob: all"},
		"she gets it": {func(_ *archive.Archive, alice, _, _ *archive.Member, line func(string, ...*archive.Member)) {
			line("secret", alice)
		}, "bob: all | bob: secret"},
		"all get it": {func(_ *archive.Archive, alice, _, dave *archive.Member, line func(string, ...*archive.Member)) {
			line("secret", dave)
			line("secret", alice)
		}, "bob: all | bob: secret"},
		"another comes, which she does not get": {func(a *archive.Archive, _, carol, _ *archive.Member, line func(string, ...*archive.Member)) {
			line("another", carol)
			_ = a.Flush(context.Background())
		}, "bob: all"},
		"she leaves": {func(_ *archive.Archive, alice, _, _ *archive.Member, _ func(string, ...*archive.Member)) {
			alice.Leave()
		}, "bob: all"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(*archive.Archive, *archivetest.Model) {
				d := &meanwhile{Model: archivetest.NewModel()}
				a, err := archive.Open(archive.Options{Backend: d})
				if err != nil {
					t.Fatal(err)
				}
				alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
				carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
				dave := a.Enter(lobby, "dave@x", "#room@gw", "Dave")
				line := func(body string, members ...*archive.Member) {
					for _, m := range members {
						if _, ok := m.Record(&archive.Heard{Nick: "bob", Body: body}); !ok {
							t.Error("not recorded")
						}
					}
				}
				line("all", alice, carol, dave)
				line("secret", carol)
				d.then = func() { c.then(a, alice, carol, dave, line) }
				want(t, a, "alice@x", c.want)
				if d.then != nil {
					t.Error("nothing happened meanwhile")
				}
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A line the network names is found by that name by each who has a copy of it.
func TestNamesOfCopies(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		in := map[string]*archive.Member{}
		for _, name := range []string{"alice", "carol", "dave", "erin"} {
			in[name] = a.Enter(lobby, name+"@x", "#room@gw", name)
		}
		h := archive.Heard{Nick: "bob", Body: "b", NetID: "$1", Named: true}
		in["alice"].Record(&h)
		in["carol"].Record(&h)
		own := h
		own.Self = true
		in["erin"].Record(&own)
		for range 2 {
			for name, want := range map[string]int{"alice": 1, "carol": 1, "dave": 0, "erin": 1, "eve": 0} {
				lines, err := a.ByNetID(context.Background(), gateway, name+"@x", "#room@gw", []string{"$1", "$2"})
				if err != nil || len(lines) != want || want == 1 && lines[0].NetID != "$1" {
					t.Errorf("%s finds %+v (%v)", name, lines, err)
				}
			}
			time.Sleep(archive.SettleTime + 2*time.Second)
		}
		if got := strings.Join(walk(t, a, "alice@x", 5, false), " "); got != "b" {
			t.Errorf("alice has %q", got)
		}
	})
}

// Before what a user has is deleted it is settled what that is, and it does not come
// back: nothing of it is told to the database afterwards.
func TestDrainSettles(t *testing.T) {
	bubble(t, func(a *archive.Archive, d *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		carol := a.Enter(lobby, "carol@x", "#room@gw", "Carol")
		dave := a.Enter(lobby, "dave@x", "#room@gw", "Dave")
		a.Enter(lobby, "erin@x", "#room@gw", "Erin")
		hear(t, "alice's", alice)
		hear(t, "alice's and carol's", alice, carol)
		alice.Leave()
		if err := a.Drain(context.Background(), "alice@x"); err != nil {
			t.Fatal(err)
		}
		before := d.Ops()
		time.Sleep(archive.SettleTime + 2*time.Second)
		if err := a.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := d.Ops() - before; n != 0 {
			t.Errorf("the database is told of %d changes afterwards", n)
		}
		hear(t, "alice's and carol's", dave) // late: his own copy
		want(t, a, "carol@x", "bob: alice's and carol's")
		want(t, a, "dave@x", "bob: alice's and carol's")
		want(t, a, "erin@x", "")
	})
}

// What comes after what was before has been deleted stands behind it, also where the
// network's clock is behind ours.
func TestDrainAndAClockBehind(t *testing.T) {
	bubble(t, func(a *archive.Archive, _ *archivetest.Model) {
		alice := a.Enter(lobby, "alice@x", "#room@gw", "Alice")
		time.Sleep(time.Minute)
		now := time.Now()
		if err := a.Drain(context.Background(), "alice@x"); err != nil {
			t.Fatal(err)
		}
		key, ok := alice.Record(&archive.Heard{Nick: "bob", Body: "b", At: now.Add(-2 * time.Second)})
		if !ok || key.At <= now.UnixMicro() {
			t.Errorf("it stands at %v, before %v", key.Time(), now)
		}
	})
}
