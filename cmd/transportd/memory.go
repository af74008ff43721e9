package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector's headroom: how much may be allocated between two collections.
// Go's own rule, as much again as is live, is wrong at both ends for a daemon
// whose live heap goes from 3 MB to hundreds: with few users it collects many
// times a second while lines pour in, with many it keeps half of the memory
// unused. So the headroom is fixed while the heap is small, and a part of it
// beyond.
const (
	headroom     = 12 << 20 // bytes, at least
	headroomPart = 2        // one in so many bytes that are live
	smallest     = 4 << 20  // live bytes below which nothing changes, as before the first collection
	gcPause      = 10 * time.Second
)

// paceCollector keeps the collector's target in step with the live heap until
// ctx is done. Whoever sets GOGC decides instead.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(gcPause)
	defer tick.Stop()
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	last := 0
	for {
		metrics.Read(samples)
		var live uint64
		for _, s := range samples {
			live += s.Value.Uint64()
		}
		// Setting it stops the program for some microseconds: not for nothing.
		if p := collectorPercent(live); p < last*9/10 || p > last*11/10 {
			debug.SetGCPercent(p)
			last = p
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// collectorPercent is the GOGC for so many live bytes.
func collectorPercent(live uint64) int {
	live = max(live, smallest)
	room := max(headroom, live/headroomPart)
	return int(room * 100 / live)
}
