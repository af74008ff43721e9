package archive_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"transportd/archive"
	"transportd/archive/archivetest"
)

// listener is a user whose connection is behind the channel by some lines.
type listener struct {
	user  string
	m     *archive.Member // nil: out
	next  int             // of the channel's lines, the one that comes next
	heard []string
}

// Whatever the distance between the connections of several users, whoever comes, goes,
// misses lines and comes back, and however often the same is said: each finds exactly
// what they were shown, in that order, at any moment.
func TestDrift(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(a *archive.Archive, d *archivetest.Model) { drift(t, a, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func drift(t *testing.T, a *archive.Archive, r *rand.Rand) {
	var all []*listener
	for i := range 2 + r.IntN(4) {
		all = append(all, &listener{user: fmt.Sprint("u", i, "@x")})
	}
	var channel []string
	words := 1 + r.IntN(50)
	check := func(l *listener) {
		t.Helper()
		for _, last := range []bool{false, true} {
			if got := walk(t, a, l.user, 500+r.IntN(1500), last); !slices.Equal(got, l.heard) {
				at := 0
				for at < min(len(got), len(l.heard)) && got[at] == l.heard[at] {
					at++
				}
				t.Fatalf("%s finds %d lines and was shown %d; number %d differs", l.user, len(got), len(l.heard), at)
			}
		}
		if n, err := a.Count(context.Background(), &archive.Query{Gateway: gateway, User: l.user, JID: "#room@gw"}); err != nil || n != len(l.heard) {
			t.Fatalf("%s has %d lines and was shown %d (%v)", l.user, n, len(l.heard), err)
		}
	}
	for range 50 {
		l := all[r.IntN(len(all))]
		switch n := r.IntN(10); {
		case l.m == nil:
			l.m, l.next = a.Enter(lobby, l.user, "#room@gw", l.user), len(channel)
		case n == 0:
			l.m.Leave()
			l.m = nil
		case n < 4: // more is said
			for range r.IntN(700) {
				channel = append(channel, fmt.Sprint(r.IntN(words)))
			}
		default: // the connection catches up a little
			for range r.IntN(1 + len(channel) - l.next) {
				body := channel[l.next]
				l.next++
				if r.IntN(200) == 0 {
					continue // the network kept it from them
				}
				if _, ok := l.m.Record(&archive.Heard{Nick: "bob", Body: body}); !ok {
					t.Fatal("not recorded")
				}
				l.heard = append(l.heard, body)
			}
		}
		time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		if r.IntN(12) == 0 {
			check(all[r.IntN(len(all))])
		}
	}
	for range 2 {
		for _, l := range all {
			check(l)
		}
		time.Sleep(archive.SettleTime + 2*time.Second)
	}
}
