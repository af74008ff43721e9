package main

import "testing"

func TestCollectorHeadroom(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 300}, // before the first collection
		{4 << 20, 300},
		{12 << 20, 100},
		{24 << 20, 50},
		{1 << 30, 50}, // never less, or it collects all the time
	} {
		if got := collectorPercent(c.live); got != c.want {
			t.Errorf("%d live bytes: GOGC %d, want %d", c.live, got, c.want)
		}
	}
}
