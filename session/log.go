package session

import (
	"context"
	"log/slog"
)

// tagged is a handler that adds attributes when something is logged. The
// handlers of slog format them at once and keep the text, which for every user,
// link and room adds up to kilobytes nobody reads.
type tagged struct {
	slog.Handler
	attrs [2]slog.Attr // the second may be empty
}

// tag returns a logger with one more attribute.
func tag(log *slog.Logger, key, value string) *slog.Logger {
	attr := slog.String(key, value)
	if t, ok := log.Handler().(*tagged); ok && t.attrs[1].Key == "" {
		return slog.New(&tagged{t.Handler, [2]slog.Attr{t.attrs[0], attr}})
	}
	return slog.New(&tagged{log.Handler(), [2]slog.Attr{attr}})
}

func (t *tagged) list() []slog.Attr {
	if t.attrs[1].Key == "" {
		return t.attrs[:1]
	}
	return t.attrs[:]
}

// Handle implements slog.Handler.
func (t *tagged) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(t.list()...)
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t *tagged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return t.Handler.WithAttrs(t.list()).WithAttrs(attrs)
}

// WithGroup implements slog.Handler.
func (t *tagged) WithGroup(name string) slog.Handler {
	return t.Handler.WithAttrs(t.list()).WithGroup(name)
}
