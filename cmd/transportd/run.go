package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"transportd/archive"
	"transportd/config"
	"transportd/internal/ops"
	"transportd/store"
)

// shutdownTime is how long gateways have to leave their rooms and tell their
// users. With the time the store and the listener take it stays below the 10
// seconds that are promised.
const shutdownTime = 8 * time.Second

// closeTime is the part of shutdownTime the stream has for its polite close.
const closeTime = 3 * time.Second

// daemon is the running program.
type daemon struct {
	cfg      config.Config
	log      *slog.Logger
	store    *store.DB
	archive  *archive.Archive
	files    *filesService
	metrics  *ops.Metrics
	gateways []*gateway

	retention *retention
}

// run is the whole program but for command line and process signals: it serves
// the gateways of the config until ctx is done, then ends them politely. It
// returns nil after a polite end. SIGHUP reloads the config where it came from
// a file.
func run(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	d := &daemon{cfg: cfg, log: log, metrics: ops.NewMetrics(version)}
	log.Info("transportd starts", "version", version, "config", cfg.File(), "gateways", len(cfg.Gateways))
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	where, err := storeOptions(&cfg.Store)
	if err != nil {
		return err
	}
	where.Log, where.Observe = log.With("part", "store"), d.metrics.ObserveStore
	d.store, err = store.Open(ctx, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()
	d.metrics.Gauge("store_queue", "Changes waiting to be written to the database.", func() float64 { return float64(d.store.Queued()) })
	if err := d.openArchive(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.archive.Close()) }()
	d.files = newFiles(&cfg.Files, log.With("part", "files"))
	d.retention = newRetention(d.store, log.With("part", "store"), cfg.Archive)
	for _, gc := range cfg.Gateways {
		g, err := newGateway(ctx, gc, d)
		if err != nil {
			return fmt.Errorf("gateway %s: %w", gc.Name, err)
		}
		d.gateways = append(d.gateways, g)
		d.metrics.AddGateway(gc.Name, g.stats)
	}
	return d.serve(ctx)
}

// storeOptions are where the config has the database.
func storeOptions(c *config.Store) (store.Options, error) {
	address, err := c.ReadPostgres()
	if err != nil {
		return store.Options{}, fmt.Errorf("store.postgres_file: %w", err)
	}
	return store.Options{Path: c.Path, Postgres: address, KeyFile: c.KeyFile}, nil
}

// serve runs everything that runs beside each other and awaits its end.
func (d *daemon) serve(ctx context.Context) error {
	var background sync.WaitGroup
	defer background.Wait()
	// The listener and the watchdog outlive ctx: the end is watched too.
	behind, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	running, stop := context.WithCancel(ctx)
	defer stop()
	if d.cfg.Ops.Listen != "" {
		if err := d.startOps(behind, &background); err != nil {
			return err
		}
	}
	if err := d.files.start(running, &background); err != nil {
		return err
	}
	background.Go(func() { paceCollector(behind) })
	background.Go(func() { d.retention.run(behind) })
	background.Go(func() { ops.Watchdog(behind, d.log, func() bool { return true }) })
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	ended := make(chan error, len(d.gateways))
	for _, g := range d.gateways {
		go func() { ended <- g.run(running) }()
	}
	ops.Notify(d.log, ops.Ready)
	left := len(d.gateways)
	var failure error
	for running.Err() == nil {
		select {
		case <-hup:
			d.reload()
		case err := <-ended: // a gateway ends by itself only for a fault
			left--
			failure = errors.Join(failure, err)
			stop()
		case <-running.Done():
		}
	}
	d.log.Info("transportd ends")
	ops.Notify(d.log, ops.Stopping)
	return errors.Join(failure, d.await(ended, left))
}

// await waits for the gateways' ends, as long as they are given.
func (d *daemon) await(ended <-chan error, left int) (err error) {
	timer := time.NewTimer(shutdownTime + time.Second)
	defer timer.Stop()
	for ; left > 0; left-- {
		select {
		case e := <-ended:
			err = errors.Join(err, e)
		case <-timer.C:
			return errors.Join(err, fmt.Errorf("%d gateways did not end in time", left))
		}
	}
	return err
}

func (d *daemon) startOps(ctx context.Context, background *sync.WaitGroup) error {
	srv := &ops.Server{
		Addr: d.cfg.Ops.Listen, AllowRemote: d.cfg.Ops.AllowRemote, Profile: d.cfg.Ops.Profile,
		Metrics: d.metrics, Ready: d.checks, Log: d.log,
	}
	if err := srv.Listen(ctx); err != nil {
		return err
	}
	d.log.Info("metrics and health", "address", srv.ListenAddr())
	background.Go(func() {
		if err := srv.Run(ctx); err != nil {
			d.log.Error("metrics and health ended", "err", err)
		}
	})
	return nil
}

// checks is what readiness consists of: every stream is up.
func (d *daemon) checks() []ops.Check {
	out := make([]ops.Check, len(d.gateways))
	for i, g := range d.gateways {
		out[i] = g.check()
	}
	return out
}

// reload reads the config again, takes over what can change while running, and
// logs what that was and what waits for a restart. A config with a mistake
// changes nothing.
func (d *daemon) reload() {
	ops.Notify(d.log, "RELOADING=1")
	defer ops.Notify(d.log, ops.Ready)
	next, err := d.cfg.Again()
	if err = checkSections(&next, err); err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) {
			problems = config.Problems{{Text: err.Error()}}
		}
		for _, p := range problems {
			d.log.Error("the config was not reloaded", "problem", p.String())
		}
		return
	}
	merged, changes := d.cfg.Reloaded(&next)
	d.cfg = merged
	if h, ok := d.log.Handler().(*switchHandler); ok {
		h.logging.set(merged.Log)
	}
	d.retention.set(merged.Archive)
	for i, g := range d.gateways {
		g.reload(merged.Gateways[i], merged.Archive)
	}
	for _, c := range changes {
		if c.Live {
			d.log.Info("setting changed", "key", c.Key)
		} else {
			d.log.Warn("setting changed, it takes effect at the next start", "key", c.Key)
		}
	}
	for _, w := range merged.Warnings() {
		d.log.Warn(w)
	}
	d.log.Info("config reloaded", "changes", len(changes))
}
