package main

import "testing"

func TestCollectorHeadroom(t *testing.T) {
	const mb = 1 << 20
	var p pacer
	allocs := uint64(0)
	tick := func(live, allocated uint64) int {
		allocs += allocated
		percent, _ := p.next(live, allocs)
		return percent
	}
	if got := tick(0, 0); got != 25 { // 1 MB of room over a heap that counts as 4
		t.Errorf("at the start GOGC is %d", got)
	}
	if got := tick(4*mb, 300*mb); got != 600 {
		t.Errorf("under load GOGC is %d", got)
	}
	for range gcQuiet {
		if got := tick(4*mb, 0); got != 600 {
			t.Fatalf("a pause brought it down to %d", got)
		}
	}
	if got := tick(4*mb, 0); got != 25 {
		t.Errorf("in a quiet while GOGC is %d", got)
	}
	if got := tick(8*mb, 100*mb); got != 50 {
		t.Errorf("while users join GOGC is %d", got)
	}
	if got := tick(100*mb, 1000*mb); got != 25 {
		t.Errorf("while many do it is %d", got)
	}
	if got := tick(100*mb, 1000*mb); got != 50 {
		t.Errorf("with much live memory under load GOGC is %d", got)
	}
	if _, changed := p.next(104*mb, allocs+1000*mb); changed {
		t.Error("a small change stops the program")
	}
}
