package ops

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var quiet = slog.New(slog.DiscardHandler)

// full returns stats in which every figure has a value of its own.
func full() GatewayStats {
	var s GatewayStats
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint64:
			f.SetUint(uint64(100 + i))
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]uint64{"x": uint64(100 + i)}))
		}
	}
	return s
}

func TestEveryFigureIsExportedOnce(t *testing.T) {
	m := NewMetrics("v1")
	stats := full()
	m.AddGateway("irc", func() GatewayStats { return stats })
	m.AddGateway("other", func() GatewayStats { return GatewayStats{} })
	m.Gauge("test_queue", "A test.", func() float64 { return 7 })
	m.ObserveStore("user", time.Millisecond)
	text := scrape(t, m)
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Bool {
			continue
		}
		if n := strings.Count(text, fmt.Sprintf(" %d\n", 100+i)); n != 1 {
			t.Errorf("%s is exported %d times", v.Type().Field(i).Name, n)
		}
	}
	for _, want := range []string{
		`transportd_stream_up{gateway="irc"} 1`, `transportd_stream_up{gateway="other"} 0`, `transportd_info{version="v1"} 1`,
		`transportd_errors_total{condition="x",gateway="irc"}`, "transportd_test_queue 7", `transportd_store_seconds_count{op="user"} 1`,
		"go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the scrape", want)
		}
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	m := NewMetrics("v1")
	m.AddGateway("irc", full)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	_, body := get(t, serve(t, &Server{Addr: "127.0.0.1:0", Metrics: m, Log: quiet}), "/metrics")
	return body
}

// serve runs a server until the test ends, and checks that it ends.
func serve(t *testing.T, s *Server) (base string) {
	t.Helper()
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if c, err := net.Dial("tcp", s.ListenAddr()); err == nil {
			_ = c.Close()
			t.Error("it listens after its end")
		}
	})
	return "http://" + s.ListenAddr()
}

func get(t *testing.T, base, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestHealth(t *testing.T) {
	checks := []Check{{Name: "stream a", OK: true, Text: "The stream is up."}, {Name: "stream b", Text: "not authorized"}}
	base := serve(t, &Server{Addr: "127.0.0.1:0", Metrics: NewMetrics(""), Log: quiet, Ready: func() []Check { return checks }})
	if code, body := get(t, base, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	code, body := get(t, base, "/readyz")
	if code != 503 || body != "stream a: ok: The stream is up.\nstream b: not ready: not authorized\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	checks = []Check{{Name: "stream a", OK: true}}
	if code, body := get(t, base, "/readyz"); code != 200 || body != "stream a: ok\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	for _, path := range []string{"/", "/debug/pprof/"} {
		if code, _ := get(t, base, path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	resp, err := http.Post(base+"/healthz", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 405 {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestProfileAndReadyWithoutChecks(t *testing.T) {
	base := serve(t, &Server{Addr: "127.0.0.1:0", Metrics: NewMetrics(""), Log: quiet, Profile: true})
	if code, _ := get(t, base, "/debug/pprof/goroutine?debug=1"); code != 200 {
		t.Errorf("profile: %d", code)
	}
	if code, body := get(t, base, "/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
}

func TestOnlyLoopbackUnlessAllowed(t *testing.T) {
	s := &Server{Addr: "0.0.0.0:0", Metrics: NewMetrics(""), Log: quiet}
	if err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "reached from other machines") {
		t.Errorf("got %v", err)
	}
	s.AllowRemote = true
	serve(t, s)
}

func TestATakenPortIsToldAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := &Server{Addr: l.Addr().String(), Metrics: NewMetrics(""), Log: quiet}
	if err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

// manager plays the service manager's end of sd_notify.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 256)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	Notify(quiet, Ready) // without a manager: nothing
	c := manager(t)
	Notify(quiet, Ready, Stopping)
	if a, b := heard(t, c), heard(t, c); a != "READY=1" || b != "STOPPING=1" {
		t.Errorf("%q %q", a, b)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	var log strings.Builder
	Notify(slog.New(slog.NewTextHandler(&log, nil)), Ready)
	if !strings.Contains(log.String(), "could not be told") {
		t.Errorf("log %q", log.String())
	}
}

func TestWatchdog(t *testing.T) {
	Watchdog(t.Context(), quiet, func() bool { t.Error("asked without a watchdog"); return true })
	c := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	asked := 0
	go func() {
		defer close(done)
		Watchdog(ctx, quiet, func() bool { asked++; return asked > 1 }) // the first answer is no
	}()
	for range 2 {
		if s := heard(t, c); s != "WATCHDOG=1" {
			t.Errorf("heard %q", s)
		}
	}
	cancel()
	<-done
	if asked < 3 {
		t.Errorf("told %d times what it was asked 2 times for", asked)
	}
}
