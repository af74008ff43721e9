package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"transportd/config"
	"transportd/store"
)

// When archives are looked at: soon after the start, then now and then.
const (
	firstTrim = time.Minute
	trimEvery = 10 * time.Minute
)

// trimmer is what of the store removes lines.
type trimmer interface {
	TrimArchive(ctx context.Context, o store.TrimOptions) (store.TrimResult, error)
}

// retention removes lines that are older, or more, than the settings allow, and what
// users who are gone have left.
type retention struct {
	db     trimmer
	log    *slog.Logger
	limits atomic.Pointer[config.Archive] // replaced by a reload
	look   chan struct{}                  // has room for one: look at once
}

func newRetention(db trimmer, log *slog.Logger, limits config.Archive) *retention {
	r := &retention{db: db, log: log, look: make(chan struct{}, 1)}
	r.limits.Store(&limits)
	return r
}

// set puts other limits into use, from now on.
func (r *retention) set(limits config.Archive) {
	if old := r.limits.Swap(&limits); old.MaxAge == limits.MaxAge && old.MaxSize == limits.MaxSize {
		return
	}
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// run does so until ctx is done.
func (r *retention) run(ctx context.Context) {
	timer := time.NewTimer(firstTrim)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.look:
		}
		r.trim(ctx)
		timer.Reset(trimEvery)
	}
}

func (r *retention) trim(ctx context.Context) {
	limits := r.limits.Load()
	o := store.TrimOptions{MaxBytes: int64(limits.MaxSize)}
	if age := time.Duration(limits.MaxAge); age > 0 {
		o.OlderThan = time.Now().Add(-age)
	}
	began := time.Now()
	gone, err := r.db.TrimArchive(ctx, o)
	if gone != (store.TrimResult{}) {
		r.log.Info("lines removed from archives", "lines", gone.Lines, "private", gone.Privates, "archives", gone.Archives,
			"took", time.Since(began).Round(time.Millisecond).String())
	}
	if err != nil && ctx.Err() == nil {
		r.log.Error("archives were not looked at to their end", "err", err)
	}
}
