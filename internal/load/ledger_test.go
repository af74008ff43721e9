package main

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTrack(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrived []uint64
		sent    uint64
		want    map[fault]int
		lost    uint64
	}{
		{"in order", []uint64{0, 1, 2}, 3, nil, 0},
		{"nothing", nil, 2, nil, 2},
		{"a gap", []uint64{0, 2}, 3, nil, 1},
		{"the end is missing", []uint64{0, 1}, 4, nil, 2},
		{"twice", []uint64{0, 1, 1}, 2, map[fault]int{faultDoubled: 1}, 0},
		{"late", []uint64{1, 0, 2}, 3, map[fault]int{faultReordered: 1}, 0},
		{"late and twice", []uint64{1, 0, 0, 2}, 3, map[fault]int{faultReordered: 1, faultDoubled: 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tr track
			got := map[fault]int{}
			for _, seq := range c.arrived {
				if _, f := tr.see(seq); f != "" {
					got[f]++
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("faults %v, want %v", got, c.want)
			}
			for f, n := range c.want {
				if got[f] != n {
					t.Errorf("%s: %d, want %d", f, got[f], n)
				}
			}
			if n := tr.lost(c.sent); n != c.lost {
				t.Errorf("lost %d, want %d", n, c.lost)
			}
		})
	}
}

// Whatever arrives in whatever order, distinct arrivals and losses add up to what was sent, and repeats are counted.
func TestTrackAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const sent = 20
		arrived := rapid.SliceOf(rapid.Uint64Range(0, sent-1)).Draw(t, "arrived")
		var tr track
		seen := map[uint64]bool{}
		fresh, doubled := 0, 0
		for _, seq := range arrived {
			isNew, f := tr.see(seq)
			if isNew == seen[seq] {
				t.Fatalf("message %d: fresh %v, seen before %v", seq, isNew, seen[seq])
			}
			seen[seq] = true
			if isNew {
				fresh++
			}
			if f == faultDoubled {
				doubled++
			}
		}
		if lost := int(tr.lost(sent)); fresh != len(seen) || fresh+lost != sent || fresh+doubled != len(arrived) {
			t.Fatalf("%d fresh, %d lost, %d doubled of %d arrivals", fresh, lost, doubled, len(arrived))
		}
	})
}

func TestLedger(t *testing.T) {
	var l ledger
	if l.err() != nil {
		t.Error("an empty ledger has faults")
	}
	for range 2 * maxExamples {
		l.report(faultLost, 2, "somewhere")
	}
	l.report(faultDoubled, 1, "elsewhere")
	err := l.err()
	if !errors.Is(err, errFaults) || !strings.Contains(err.Error(), "1 doubled, 32 lost") || strings.Count(err.Error(), "somewhere") != maxExamples {
		t.Errorf("%v", err)
	}
}

func TestBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := body{rapid.IntRange(0, 99999).Draw(t, "sender"), rapid.Uint64Range(0, 9999999999).Draw(t, "seq"),
			rapid.Int64Range(0, 999999999999999).Draw(t, "stamp")}
		b := appendBody(nil, in.sender, in.seq, in.stamp)
		if len(b) != bodyLen {
			t.Fatalf("%d bytes", len(b))
		}
		if got, err := parseBody(b); err != nil || got != in {
			t.Fatalf("%+v became %+v, %v", in, got, err)
		}
		// No change of a single byte may pass as the same message.
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] ^= 1
		if got, err := parseBody(b); err == nil && got == in {
			t.Fatalf("a change at %d was not seen", at)
		}
	})
	for text, want := range map[string]error{
		"": errNotOurs, "MOTD": errNotOurs, "question": errNotOurs, "quiet: hello there": errNotOurs,
		"q00001 0000000001":           errAltered,
		"q00001 0000000001 and so on": errAltered,
	} {
		if _, err := parseBody([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestUserNumber(t *testing.T) {
	for name, want := range map[string]int{"u1": 1, "u1000": 1000, "bob": 0, "u": 0, "": 0, "ux": 0, "u1x": 0} {
		if got := userNumber([]byte(name)); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
