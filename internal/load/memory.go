package main

import (
	"context"
	"time"
)

// footprint is what so many idle users cost.
type footprint struct {
	Users       int           `json:"users"`
	Shared      bool          `json:"shared"`
	PSSBefore   int64         `json:"pss_before_bytes"`
	PSSAfter    int64         `json:"pss_after_bytes"`
	PSSJoined   int64         `json:"pss_just_joined_bytes"`
	Joined      time.Duration `json:"joined_in_ns"`
	JoinCPU     time.Duration `json:"join_cpu_ns"`
	IdlePercent float64       `json:"idle_cpu_percent"`
	IdleFor     time.Duration `json:"idle_for_ns"`
	Settled     time.Duration `json:"settled_for_ns"`
}

// perUser is KiB of resident memory for each user.
func (f footprint) perUser() float64 {
	return float64(f.PSSAfter-f.PSSBefore) / 1024 / float64(f.Users)
}

// measureMemory joins all users, leaves them alone for settle and looks at the memory then; the processor time is taken
// over the last idle of it. Nothing is forced upon the gateway.
func (r *rig) measureMemory(ctx context.Context, settle, idle time.Duration) (footprint, error) {
	f := footprint{Users: len(r.users) - 1, Shared: r.shared, Settled: settle, IdleFor: min(idle, settle)}
	if err := r.sub.prepare(ctx, r); err != nil {
		return f, err
	}
	if err := r.rest(ctx, min(settle, 5*time.Second)); err != nil {
		return f, err
	}
	var err error
	if f.PSSBefore, err = r.p.pss(); err != nil {
		return f, err
	}
	cpu0, err := r.p.cpu()
	if err != nil {
		return f, err
	}
	if f.Joined, err = r.joinAll(ctx); err != nil {
		return f, err
	}
	cpu1, err := r.p.cpu()
	if err != nil {
		return f, err
	}
	f.JoinCPU = cpu1 - cpu0
	if f.PSSJoined, err = r.p.pss(); err != nil {
		return f, err
	}
	if err := r.rest(ctx, settle-f.IdleFor); err != nil {
		return f, err
	}
	if cpu0, err = r.p.cpu(); err != nil {
		return f, err
	}
	start := time.Now()
	if err := r.rest(ctx, f.IdleFor); err != nil {
		return f, err
	}
	if cpu1, err = r.p.cpu(); err != nil {
		return f, err
	}
	f.IdlePercent = 100 * (cpu1 - cpu0).Seconds() / time.Since(start).Seconds()
	if f.PSSAfter, err = r.p.pss(); err != nil {
		return f, err
	}
	if err := r.fence(ctx); err != nil { // everyone is still there
		return f, err
	}
	return f, r.led.err()
}

// rest waits while nothing is done.
func (r *rig) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.down:
		return r.led.err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
