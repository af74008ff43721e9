package main

import (
	"context"
	"fmt"
	"slices"
)

// storing measures how many lines a second come into the database while they are relayed, from the first one said until the
// last one stored.
func (b *bench) storing(ctx context.Context, w workload) error {
	if b.opt.window > 0 {
		w.load.window = b.opt.window
	}
	return b.archived(ctx, newCrew(b.users(w), w.room), func(r *rig) error {
		if _, err := r.joinAll(ctx); err != nil {
			return err
		}
		if _, err := r.run(ctx, w.load, b.opt.warmup); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
		row := &storeRow{Gateway: r.sub.name(), Users: b.users(w), Window: w.load.window}
		for range b.opt.rounds {
			got, err := r.run(ctx, w.load, b.opt.round)
			if err != nil {
				return err
			}
			row.Rounds = append(row.Rounds, got)
		}
		row.sum()
		var err error
		if row.Recorded, err = r.readBack(ctx); err != nil {
			return err
		}
		b.rep.Store = append(b.rep.Store, row)
		b.say("  %s", row)
		return nil
	})
}

// storeRow is how fast lines are stored. In a round all lines are relayed first, and then those are waited for that are not
// in the database yet.
type storeRow struct {
	Gateway       string  `json:"gateway"`
	Users         int     `json:"users"`
	Window        int     `json:"window"`
	Stored        float64 `json:"lines_stored_per_second_median"`
	StoredMin     float64 `json:"lines_stored_per_second_min"`
	Relayed       float64 `json:"lines_relayed_per_second_median"` // not counting the wait at the end
	Drain         float64 `json:"drain_ms_median"`                 // that wait
	CPUPerMessage float64 `json:"cpu_us_per_line_median"`          // of the gateway, storing included
	Recorded      int     `json:"lines_recorded"`
	Rounds        []round `json:"rounds"`
}

// sum fills in the medians.
func (s *storeRow) sum() {
	var stored, relayed, drain, cpu []float64
	for _, r := range s.Rounds {
		stored = append(stored, float64(r.Messages)/r.Stored.Seconds())
		relayed = append(relayed, r.rate())
		drain = append(drain, float64(r.Stored-r.Took)/1e6)
		cpu = append(cpu, r.cpuPerMessage())
	}
	s.Stored, s.Relayed, s.Drain, s.CPUPerMessage = median(stored), median(relayed), median(drain), median(cpu)
	s.StoredMin = slices.Min(stored)
}

func (s *storeRow) String() string {
	return fmt.Sprintf("%s: %.0f lines/s stored (min %.0f), %.2f µs a line", s.Gateway, s.Stored, s.StoredMin, s.CPUPerMessage)
}
