package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"transportd/config"
)

// logging is the program's log, whose level and form can change while it runs.
type logging struct {
	level slog.LevelVar
	json  atomic.Bool
	log   *slog.Logger
}

// newLogging makes a log that writes to w.
func newLogging(w io.Writer, c config.Log) *logging {
	l := &logging{}
	l.set(c)
	opts := &slog.HandlerOptions{Level: &l.level}
	l.log = slog.New(&switchHandler{l, slog.NewTextHandler(w, opts), slog.NewJSONHandler(w, opts)})
	return l
}

// set takes over level and form, also for loggers derived earlier.
func (l *logging) set(c config.Log) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the config was checked: it is one of four words
	}
	l.level.Set(level)
	l.json.Store(c.Format == "json")
}

// switchHandler hands each record to one of two handlers with the same
// attributes.
type switchHandler struct {
	logging *logging
	asText  slog.Handler
	asJSON  slog.Handler
}

func (h *switchHandler) now() slog.Handler {
	if h.logging.json.Load() {
		return h.asJSON
	}
	return h.asText
}

func (h *switchHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.asText.Enabled(ctx, level)
}

func (h *switchHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.now().Handle(ctx, r)
}

func (h *switchHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &switchHandler{h.logging, h.asText.WithAttrs(attrs), h.asJSON.WithAttrs(attrs)}
}

func (h *switchHandler) WithGroup(name string) slog.Handler {
	return &switchHandler{h.logging, h.asText.WithGroup(name), h.asJSON.WithGroup(name)}
}
