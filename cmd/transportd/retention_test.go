package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"transportd/config"
	"transportd/store"
)

// trims is a store that notes what it is asked to remove.
type trims struct {
	mu  sync.Mutex
	all []store.TrimOptions
	err error
}

func (t *trims) TrimArchive(_ context.Context, o store.TrimOptions) (store.TrimResult, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, o)
	return store.TrimResult{Lines: 7}, t.err
}

func (t *trims) asked() []store.TrimOptions {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.all)
}

func (t *trims) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		db := &trims{}
		r := newRetention(db, slog.New(slog.NewTextHandler(&log, nil)), config.Archive{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.run(ctx) }()
		time.Sleep(firstTrim + trimEvery - time.Second)
		synctest.Wait()
		if len(db.asked()) != 1 || db.asked()[0] != (store.TrimOptions{}) {
			t.Fatalf("without limits %+v is asked for", db.asked())
		}
		db.fail(errors.New("disk gone"))
		r.limits.Store(&config.Archive{MaxAge: config.Age(24 * time.Hour), MaxSize: 1 << 20})
		time.Sleep(time.Second)
		synctest.Wait()
		want := store.TrimOptions{OlderThan: time.Now().Add(-24 * time.Hour), MaxBytes: 1 << 20}
		if len(db.asked()) != 2 || db.asked()[1] != want {
			t.Errorf("%+v is asked for, not %+v", db.asked(), want)
		}
		db.fail(nil)
		r.set(*r.limits.Load()) // as it is: nothing to do
		synctest.Wait()
		if len(db.asked()) != 2 {
			t.Errorf("looked at after a reload that changed nothing: %+v", db.asked())
		}
		r.set(config.Archive{MaxAge: config.Age(time.Hour)})
		synctest.Wait()
		if want = (store.TrimOptions{OlderThan: time.Now().Add(-time.Hour)}); len(db.asked()) != 3 || db.asked()[2] != want {
			t.Errorf("after a reload %+v is asked for, not %+v", db.asked(), want)
		}
		time.Sleep(trimEvery)
		synctest.Wait()
		if len(db.asked()) != 4 {
			t.Errorf("%d looks a while later, want 4", len(db.asked()))
		}
		stop()
		<-ended
		if s := log.String(); strings.Count(s, "lines=7") != 4 || !strings.Contains(s, "disk gone") {
			t.Errorf("logged is\n%s", s)
		}
	})
}
