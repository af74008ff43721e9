package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"transportd/bridges"
)

// Limits of the server.
const (
	openTime    = time.Minute      // for the network to begin to give a file
	stallTime   = 30 * time.Second // without a byte going out or coming in
	maxReads    = 64               // files being read at once
	maxUser     = 8                // of them by links of one user
	chunk       = 64 << 10
	DefaultSize = 100 << 20 // bytes of a file where nothing else is said
)

// Opener begins to read a file from its network. The error is an *bridges.Error.
type Opener func(ctx context.Context, t Target) (*bridges.Media, error)

// Server answers links to files of networks. It is safe for concurrent use.
type Server struct {
	Addr    string // host:port to listen at
	URL     string // how clients reach it, without a slash at the end
	MaxSize int64  // bytes of a file; 0: DefaultSize
	Log     *slog.Logger

	listener net.Listener
	mu       sync.Mutex
	gateways map[string]origin // by component domain
	reading  int
	users    map[string]int
}

// origin is where a gateway's files come from.
type origin struct {
	key  []byte
	open Opener
}

// Serve makes a gateway's files readable. key is random, 32 bytes, and stays the
// same: links outlive the process.
func (s *Server) Serve(domain string, key []byte, open Opener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gateways == nil {
		s.gateways, s.users = make(map[string]origin), make(map[string]int)
	}
	s.gateways[domain] = origin{key, open}
}

// Link is where a file can be read: by whoever has the link, through the account of
// t.User. Empty where the gateway is not served.
func (s *Server) Link(t Target, name string) string {
	s.mu.Lock()
	src, ok := s.gateways[t.Gateway]
	s.mu.Unlock()
	if !ok {
		return ""
	}
	return s.URL + "/" + t.Gateway + "/" + t.token(src.key) + "/" + fileName(name)
}

// Listen opens the port, so that a taken one is known at start.
func (s *Server) Listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("files on %s: %w", s.Addr, err)
	}
	s.listener = l
	return nil
}

// ListenAddr is where it listens, after Listen.
func (s *Server) ListenAddr() string { return s.listener.Addr().String() }

// Run serves until ctx is done. Call it after Listen, once.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	err := srv.Serve(s.listener)
	if stop() {
		return fmt.Errorf("files: %w", err) // it ended by itself
	}
	return nil
}

// ServeHTTP answers GET and HEAD of a link.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This only hands out files.", http.StatusMethodNotAllowed)
		return
	}
	t, src, ok := s.target(r.URL.Path)
	if !ok {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	if !s.begin(t.User) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "Too many files are being read; please try again in a moment.", http.StatusServiceUnavailable)
		return
	}
	defer s.end(t.User)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	late := time.AfterFunc(openTime, cancel)
	m, err := src.open(ctx, t)
	late.Stop()
	if err != nil {
		s.refuse(w, t, err)
		return
	}
	defer func() { _ = m.Close() }()
	s.hand(ctx, cancel, w, r, t, m)
}

// target reads the path of a link: the gateway, the token, and a name that means
// nothing.
func (s *Server) target(path string) (Target, origin, bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 3 {
		return Target{}, origin{}, false
	}
	s.mu.Lock()
	src, ok := s.gateways[parts[0]]
	s.mu.Unlock()
	if !ok {
		return Target{}, origin{}, false
	}
	t, err := parseToken(src.key, parts[0], parts[1])
	return t, src, err == nil
}

func (s *Server) begin(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading >= maxReads || s.users[user] >= maxUser {
		return false
	}
	s.reading++
	s.users[user]++
	return true
}

func (s *Server) end(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading--
	if s.users[user]--; s.users[user] == 0 {
		delete(s.users, user)
	}
}

// statuses say in HTTP why a network does not give a file.
var statuses = map[bridges.ErrorKind]int{
	bridges.NotFound: http.StatusNotFound, bridges.Forbidden: http.StatusForbidden, bridges.TooLarge: http.StatusRequestEntityTooLarge,
	bridges.NeedsAccount: http.StatusForbidden, bridges.BadCredentials: http.StatusForbidden, bridges.Unsupported: http.StatusNotFound,
	bridges.Offline: http.StatusServiceUnavailable, bridges.RateLimited: http.StatusServiceUnavailable,
	bridges.Timeout: http.StatusGatewayTimeout, bridges.TemporaryRefuse: http.StatusServiceUnavailable,
}

func (s *Server) refuse(w http.ResponseWriter, t Target, err error) {
	e := bridges.AsError(err)
	status, text := statuses[e.Kind], e.Text
	if status == 0 {
		status, text = http.StatusBadGateway, "The file cannot be had from its network now."
		s.Log.Warn("a file cannot be handed out", "user", t.User, "network", t.Network, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	http.Error(w, text, status)
}

// shown are media types a browser may show; all else it is to save.
var shown = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/", "video/", "text/plain"}

// hand sends a file, with the type it was said to have: what a browser could run is
// never shown by it.
func (s *Server) hand(ctx context.Context, cancel context.CancelFunc, w http.ResponseWriter, r *http.Request, t Target, m *bridges.Media) {
	limit := s.MaxSize
	if limit <= 0 {
		limit = DefaultSize
	}
	if m.Size > limit {
		http.Error(w, "The file is larger than the gateway hands out.", http.StatusRequestEntityTooLarge)
		return
	}
	typ := typeOf(t.Type, m.Type)
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "private, max-age=86400, immutable")
	h.Set("Referrer-Policy", "no-referrer")
	if !slices.ContainsFunc(shown, func(p string) bool { return strings.HasPrefix(typ, p) }) {
		h.Set("Content-Disposition", "attachment")
	}
	if m.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(m.Size, 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	if err := pump(ctx, cancel, w, m, limit); err != nil && ctx.Err() == nil {
		s.Log.Info("a file was handed out in part", "user", t.User, "network", t.Network, "error", err)
		panic(http.ErrAbortHandler) // the client must not take it for the whole
	}
}

// typeOf is the media type of a file: as its sender said, or its network.
func typeOf(said, network string) string {
	for _, t := range []string{said, network} {
		if t = cleanType(t); t != "" {
			return t
		}
	}
	return "application/octet-stream"
}

// cleanType is a media type without what it does not need; empty where it is none.
func cleanType(s string) string {
	typ, params, err := mime.ParseMediaType(s)
	if err != nil || len(typ) > 100 {
		return ""
	}
	if typ == "text/plain" && params["charset"] != "" {
		return mime.FormatMediaType(typ, map[string]string{"charset": params["charset"]})
	}
	return typ
}

var errSize = errors.New("it is larger than the gateway hands out")

// pump copies as long as something moves, up to limit.
func pump(ctx context.Context, cancel context.CancelFunc, w http.ResponseWriter, m *bridges.Media, limit int64) error {
	control := http.NewResponseController(w)
	stalled := time.AfterFunc(stallTime, cancel)
	defer stalled.Stop()
	buf := make([]byte, chunk)
	var sent int64
	for {
		n, err := m.Read(buf)
		if sent += int64(n); sent > limit {
			return errSize
		}
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(stallTime))
			if _, err := w.Write(buf[:n]); err != nil {
				return nil // the client has gone
			}
			stalled.Reset(stallTime)
		}
		switch {
		case errors.Is(err, io.EOF) && m.Size >= 0 && sent < m.Size:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
