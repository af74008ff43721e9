package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// workload is one thing that is measured.
type workload struct {
	name string
	run  func(*bench, context.Context, workload) error
	load load
	many bool // options.many users instead of one
	room bool // all in one room
	size int  // members of a big channel
	// limit is what the relay may need, in microseconds a message; more makes the run void. 0: no limit.
	limit float64
}

// relayLimits: what a quiet machine of the kind the goals were set on does not exceed.
const (
	limitToXMPP = 1.2
	limitToIRC  = 2.5
)

// The windows: messages in flight. They decide how much of the relay's cost is reading and writing (a window of two: 6 µs a
// message, of 256: 0.2 µs) and are chosen so that it costs about the 1 and 2 µs the goals are multiples of. A message under
// a full load travels in company, but not in a crowd.
const (
	windowToXMPP = 32
	windowToIRC  = 16
	windowMany   = 400
)

var workloads = []workload{
	{name: "irc2xmpp", run: (*bench).throughput, load: load{toXMPP: true, window: windowToXMPP}, limit: limitToXMPP},
	{name: "xmpp2irc", run: (*bench).throughput, load: load{window: windowToIRC}, limit: limitToIRC},
	{name: "irc2xmpp-own", run: (*bench).throughput, load: load{toXMPP: true, window: windowMany}, many: true},
	{name: "xmpp2irc-own", run: (*bench).throughput, load: load{window: windowMany}, many: true},
	{name: "irc2xmpp-shared", run: (*bench).throughput, load: load{toXMPP: true, window: windowMany}, many: true, room: true},
	{name: "xmpp2irc-shared", run: (*bench).throughput, load: load{window: windowMany}, many: true, room: true},
	{name: "latency", run: (*bench).latency, room: true},
	{name: "store", run: (*bench).storing, load: load{toXMPP: true, window: windowMany, stored: true}, many: true},
	{name: "pages", run: (*bench).pages, room: true},
	{name: "retention", run: (*bench).aging, room: true},
	{name: "join-1000", run: (*bench).bigJoin, size: 1000},
	{name: "join-10000", run: (*bench).bigJoin, size: 10000},
	{name: "memory-shared", run: (*bench).memory, room: true},
	{name: "memory-own", run: (*bench).memory},
	{name: "matrix-idle", run: (*bench).matrixIdle},
}

func workloadNames() []string {
	names := make([]string, len(workloads))
	for i, w := range workloads {
		names[i] = w.name
	}
	return names
}

// bench is a whole run.
type bench struct {
	opt *options
	rep *report
	say func(format string, args ...any)
}

// runAll runs the wanted workloads. The report holds what was measured even when one fails; its failures are the error.
func runAll(ctx context.Context, opt *options, say func(string, ...any)) (*report, error) {
	rep := newReport(opt)
	if opt.dir == "" {
		dir, err := os.MkdirTemp("", "load-")
		if err != nil {
			return rep, err
		}
		opt.dir = dir
		if !opt.keep {
			defer os.RemoveAll(dir)
		}
	}
	b := &bench{opt: opt, rep: rep, say: say}
	for _, w := range workloads {
		if len(opt.only) > 0 && !slices.Contains(opt.only, w.name) {
			continue
		}
		say("%s …", w.name)
		if err := w.run(b, ctx, w); err != nil {
			rep.Failures = append(rep.Failures, fmt.Sprintf("%s: %v", w.name, err))
		}
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
	}
	rep.judge()
	if n := len(rep.Failures); n > 0 {
		return rep, fmt.Errorf("%d failures", n)
	}
	return rep, nil
}

// users is how many users a workload of messages has.
func (b *bench) users(w workload) int {
	if w.many {
		return b.opt.many
	}
	return 1
}

// newCrew is so many users in one room, or each in a channel of their own.
func newCrew(users int, room bool) crew {
	return crew{users: users, shared: room, channel: func(i int) string {
		if room {
			return sharedRoom
		}
		return "#c" + strconv.Itoa(i)
	}}
}

// throughput measures all gateways turn by turn.
func (b *bench) throughput(ctx context.Context, w workload) error {
	var rigs []*rig
	defer func() {
		for _, r := range rigs {
			r.close()
		}
	}()
	if b.opt.window > 0 {
		w.load.window = b.opt.window
	}
	var rows []*throughputRow
	for _, s := range b.opt.subjects() {
		r, err := newRig(ctx, s, b.opt, newCrew(b.users(w), w.room))
		if err != nil {
			return err
		}
		rigs = append(rigs, r)
		if _, err := r.joinAll(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
		if _, err := r.run(ctx, w.load, b.opt.warmup); err != nil {
			return fmt.Errorf("%s: warm-up: %w", s.name(), err)
		}
		rows = append(rows, &throughputRow{Workload: w.name, Gateway: s.name(), Users: b.users(w), Shared: w.room,
			Window: w.load.window, limit: w.limit})
	}
	for range b.opt.rounds {
		for i, r := range rigs {
			got, err := r.run(ctx, w.load, b.opt.round)
			if err != nil {
				return fmt.Errorf("%s: %w", rows[i].Gateway, err)
			}
			rows[i].Rounds = append(rows[i].Rounds, got)
		}
	}
	for i, row := range rows {
		if err := rigs[i].checkArchive(ctx, row); err != nil {
			return fmt.Errorf("%s: %w", row.Gateway, err)
		}
		row.sum(rows[0])
		row.compare(rows)
		b.rep.Throughput = append(b.rep.Throughput, row)
		b.say("  %s", row)
	}
	return nil
}

// each runs f for every gateway by itself; one that fails does not keep the others from being measured.
func (b *bench) each(ctx context.Context, who crew, f func(*rig) error) error {
	return b.eachOf(ctx, b.opt.subjects(), who, f)
}

func (b *bench) eachOf(ctx context.Context, subjects []subject, who crew, f func(*rig) error) error {
	var first error
	for _, s := range subjects {
		r, err := newRig(ctx, s, b.opt, who)
		if err == nil {
			err = f(r)
			r.close()
		}
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	return first
}

func (b *bench) latency(ctx context.Context, w workload) error {
	return b.each(ctx, newCrew(b.opt.latUsers, w.room), func(r *rig) error {
		if err := r.warm(ctx, b.opt.warmup); err != nil {
			return err
		}
		got, err := r.measureLatency(ctx, b.opt.latency)
		if err != nil {
			return err
		}
		b.rep.Latency = append(b.rep.Latency, latencyRow{Gateway: r.sub.name(), Users: b.opt.latUsers, Ways: got})
		b.say("  %s", r.sub.name())
		return nil
	})
}

func (b *bench) bigJoin(ctx context.Context, w workload) error {
	one := crew{users: 1, channel: func(int) string { return bigChannel(w.size) }}
	return b.each(ctx, one, func(r *rig) error {
		got, err := r.measureBigJoin(ctx, w.size)
		if err != nil {
			return err
		}
		b.rep.Joins = append(b.rep.Joins, joinRow{Gateway: r.sub.name(), bigJoin: got})
		b.say("  %s: %v", r.sub.name(), got.Took.Round(time.Millisecond))
		return nil
	})
}

func (b *bench) memory(ctx context.Context, w workload) error {
	users := b.opt.users
	if w.room {
		users = b.opt.shared
	}
	return b.each(ctx, newCrew(users, w.room), func(r *rig) error {
		got, err := r.measureMemory(ctx, b.opt.settle, b.opt.idle)
		if err != nil {
			return err
		}
		b.rep.Memory = append(b.rep.Memory, memoryRow{Gateway: r.sub.name(), footprint: got})
		b.say("  %s: %.1f KiB a user", r.sub.name(), got.perUser())
		return nil
	})
}
