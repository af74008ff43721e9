package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector's headroom is how much may be allocated between two
// collections. Go's own rule, as much again as is live, is wrong at both ends
// for a daemon whose live heap goes from 3 MB to hundreds: with few users it
// collects many times a second while lines pour in, and with many who are idle
// it keeps half of the memory for nothing. So the headroom follows what is
// allocated: two seconds' worth, within bounds.
const (
	quietRoom = 1 << 20  // bytes, at least …
	quietPart = 16       // … and one in so many live bytes, or the first second of a burst only collects
	busyRoom  = 24 << 20 // bytes, at most while the heap is small …
	busyPart  = 2        // … and one in so many live bytes beyond
	// While what is live grows, as when hundreds of users join at once, less: what
	// stays lies between what goes, and the more of that there is at a time, the more
	// pages are never empty again.
	growingRoom = 4 << 20
	growingPart = 4       // one in so many live bytes
	growing     = 8       // it grows when it is more by one in so many, in a tick
	smallest    = 4 << 20 // live bytes below which nothing changes, as before the first collection
	// It rises within a second and falls after a quiet while.
	gcTick  = time.Second
	gcQuiet = 20 // ticks
)

// paceCollector keeps the collector's headroom in step until ctx is done.
// Whoever sets GOGC decides instead.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(gcTick)
	defer tick.Stop()
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	var pace pacer
	for {
		metrics.Read(samples)
		live := samples[0].Value.Uint64() + samples[1].Value.Uint64() + samples[2].Value.Uint64()
		if percent, changed := pace.next(live, samples[3].Value.Uint64()); changed {
			debug.SetGCPercent(percent)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// pacer decides on the GOGC of the next second.
type pacer struct {
	allocs uint64 // bytes ever allocated, at the last tick
	live   uint64 // at the last tick
	room   uint64
	quiet  int // ticks that wanted less
	set    int
}

// next takes the live bytes and the bytes ever allocated. Setting GOGC stops the
// program for some microseconds, so small changes are left alone.
func (p *pacer) next(live, allocs uint64) (percent int, changed bool) {
	live = max(live, smallest)
	want := max(2*(allocs-p.allocs), quietRoom, live/quietPart)
	most := max(busyRoom, live/busyPart)
	if p.live > 0 && live > p.live+p.live/growing {
		most = max(growingRoom, live/growingPart)
	}
	want = min(want, most)
	p.allocs, p.live = allocs, live
	switch {
	case want >= p.room:
		p.room, p.quiet = want, 0
	case p.quiet < gcQuiet:
		p.quiet++
	default:
		p.room, p.quiet = want, 0
	}
	percent = int(p.room * 100 / live)
	if percent >= p.set*9/10 && percent <= p.set*11/10 {
		return p.set, false
	}
	p.set = percent
	return percent, true
}
