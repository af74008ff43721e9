package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// Check is one thing that must be so for the daemon to be ready.
type Check struct {
	Name string // "stream irc"
	OK   bool
	Text string // why not, in words
}

// Server answers /metrics, /healthz and /readyz.
type Server struct {
	Addr        string // host:port
	AllowRemote bool   // an address other machines reach is meant
	Profile     bool   // /debug/pprof/ too
	Metrics     *Metrics
	Ready       func() []Check // must not block; nil: always ready
	Log         *slog.Logger

	listener net.Listener
}

// Listen opens the port, so that a taken one is known at start. It refuses an
// address that is not loopback unless AllowRemote is set.
func (s *Server) Listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("metrics and health on %s: %w", s.Addr, err)
	}
	if addr := l.Addr().(*net.TCPAddr); !addr.IP.IsLoopback() && !s.AllowRemote {
		_ = l.Close()
		return fmt.Errorf("metrics and health: %s can be reached from other machines, which was not allowed", s.Addr)
	}
	s.listener = l
	return nil
}

// ListenAddr is where it listens, after Listen.
func (s *Server) ListenAddr() string { return s.listener.Addr().String() }

// Run serves until ctx is done, then lets requests under way finish for a
// second. Call it after Listen, once.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(s.listener)
	if stop() {
		return fmt.Errorf("metrics and health: %w", err) // it ended by itself
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", s.ready)
	if s.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// ready answers 200 when everything is, else 503; the body has a line for each
// check.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	var checks []Check
	if s.Ready != nil {
		checks = s.Ready()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, c := range checks {
		if !c.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	for _, c := range checks {
		text := "ok"
		if !c.OK {
			text = "not ready"
		}
		if c.Text != "" {
			text += ": " + c.Text
		}
		_, _ = fmt.Fprintf(w, "%s: %s\n", c.Name, text)
	}
	if len(checks) == 0 {
		_, _ = fmt.Fprintln(w, "ok")
	}
}
