package session

import "testing"

func TestOccupantIDs(t *testing.T) {
	ids := newOccupantIDs([]byte("0123456789abcdef0123456789abcdef"))
	// Stored by clients, so it may never change.
	const bob = "VfiZe2TWFYhN34hbqF6qD2TQ"
	if got := ids.of("net", "#room", "bob"); got != bob {
		t.Errorf("the id is %q, want %q", got, bob)
	}
	for _, other := range []string{ids.of("net", "#other", "bob"), ids.of("ne", "t#room", "bob"), ids.of("net", "#room", "bo"), newOccupantIDs([]byte("another key")).of("net", "#room", "bob")} {
		if other == bob {
			t.Errorf("%q names two", bob)
		}
	}
	if got := ids.of("net", "#room", "bob"); got != bob {
		t.Errorf("the second time it is %q", got)
	}
}

func BenchmarkOccupantID(b *testing.B) {
	ids := newOccupantIDs(make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		ids.of("net", "#room", "bob")
	}
}
