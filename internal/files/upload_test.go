package files

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"transportd/bridges"
)

// slotsFunc are places made by a function.
type slotsFunc func(name, typ string, size int64) (Slot, error)

func (f slotsFunc) Slot(_ context.Context, name, typ string, size int64) (Slot, error) {
	return f(name, typ, size)
}

// shelf is an upload service over HTTP.
type shelf struct {
	*httptest.Server
	asked     atomic.Int32 // places
	name, typ string       // of the last one

	mu           sync.Mutex
	status       int
	header, body string // of what was put
}

// answer sets what is answered from now on, and forgets what was put.
func (s *shelf) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.header, s.body = status, "", ""
}

func (s *shelf) has() (header, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header, s.body
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{status: http.StatusCreated}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/put", http.StatusTemporaryRedirect)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil && r.Method == http.MethodPut {
			s.body, s.header = string(b), r.Header.Get("Authorization")+" "+r.Header.Get("Content-Type")
		}
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) slots(path string) slotsFunc {
	return func(name, typ string, size int64) (Slot, error) {
		s.asked.Add(1)
		s.name, s.typ = name, typ
		return Slot{Put: s.URL + path, Get: s.URL + "/get", Header: http.Header{"Authorization": {"Bearer x"}}}, nil
	}
}

func opens(m *bridges.Media, err error) func(context.Context) (*bridges.Media, error) {
	return func(context.Context) (*bridges.Media, error) { return m, err }
}

func meow(size int64) func(context.Context) (*bridges.Media, error) {
	return opens(media("image/png", size, strings.NewReader("meow")), nil)
}

func TestPut(t *testing.T) {
	s := newShelf(t)
	u := NewUploader(s.slots("/put"), 100, true, slog.New(slog.DiscardHandler))
	get, err := u.Put(t.Context(), &bridges.File{Name: "a/cat.png"}, meow(4))
	header, body := s.has()
	if err != nil || get != s.URL+"/get" || body != "meow" || header != "Bearer x image/png" || s.name != "a_cat.png" || s.typ != "image/png" {
		t.Errorf("%q, %v; the service has %q, %q for %q, %q", get, err, header, body, s.name, s.typ)
	}
	if _, err := u.Put(t.Context(), &bridges.File{Size: 4, Type: "text/x"}, meow(-1)); err != nil || s.typ != "text/x" {
		t.Errorf("of a size only its sender tells: %v, %q", err, s.typ)
	}
}

// TestPutRefused: what is the file's own fault is no reason to refuse others.
func TestPutRefused(t *testing.T) {
	s := newShelf(t)
	tooLarge := slotsFunc(func(string, string, int64) (Slot, error) {
		return Slot{}, bridges.NewError(bridges.TooLarge, "too large")
	})
	for _, c := range []struct {
		name  string
		slots Slots
		file  bridges.File
		open  func(context.Context) (*bridges.Media, error)
		kind  bridges.ErrorKind
		asks  int32
	}{
		{"said to be large", s.slots("/put"), bridges.File{Size: 101}, nil, bridges.TooLarge, 0},
		{"large", s.slots("/put"), bridges.File{Size: 1}, meow(101), bridges.TooLarge, 0},
		{"of no size", s.slots("/put"), bridges.File{}, meow(-1), bridges.Unsupported, 0},
		{"gone", s.slots("/put"), bridges.File{}, opens(nil, bridges.NewError(bridges.NotFound, "")), bridges.NotFound, 0},
		{"breaks", s.slots("/put"), bridges.File{}, opens(media("", 50, iotest.ErrReader(bridges.NewError(bridges.Timeout, ""))), nil), bridges.Timeout, 1},
		{"shorter than said", s.slots("/put"), bridges.File{}, meow(50), bridges.Unsupported, 1},
		{"longer than said", s.slots("/put"), bridges.File{}, meow(2), bridges.Unsupported, 1},
		{"large for the service", tooLarge, bridges.File{}, meow(4), bridges.TooLarge, 0},
	} {
		s.asked.Store(0)
		u := NewUploader(c.slots, 100, true, slog.New(slog.DiscardHandler))
		if get, err := u.Put(t.Context(), &c.file, c.open); get != "" || bridges.AsError(err).Kind != c.kind || s.asked.Load() != c.asks {
			t.Errorf("%s: %q, %v, %d", c.name, get, err, s.asked.Load())
		}
		if u.resting() {
			t.Errorf("%s: others are refused", c.name)
		}
	}
}

// TestPutFails: a service that does not work is left alone for a while.
func TestPutFails(t *testing.T) {
	s := newShelf(t)
	refuses := slotsFunc(func(string, string, int64) (Slot, error) { return Slot{}, bridges.NewError(bridges.Forbidden, "no") })
	https := slotsFunc(func(string, string, int64) (Slot, error) {
		return Slot{Put: "https://127.0.0.1:1/", Get: "https://a/"}, nil
	})
	nowhere := slotsFunc(func(string, string, int64) (Slot, error) {
		return Slot{Put: "file:///etc/passwd", Get: "https://a/"}, nil
	})
	for _, c := range []struct {
		name    string
		slots   Slots
		trusted bool
		status  int
	}{
		{"refuses", refuses, true, 0},
		{"full", s.slots("/put"), true, http.StatusInsufficientStorage},
		{"sends elsewhere", s.slots("/moved"), true, http.StatusCreated},
		{"without TLS", s.slots("/put"), false, http.StatusCreated},
		{"at a private address", https, false, 0},
		{"no address", nowhere, true, 0},
	} {
		s.answer(c.status)
		u := NewUploader(c.slots, 100, c.trusted, slog.New(slog.DiscardHandler))
		get, err := u.Put(t.Context(), &bridges.File{}, meow(4))
		if e := bridges.AsError(err); get != "" || e == nil || e.Kind == bridges.Internal || strings.Contains(e.Error(), s.URL) {
			t.Errorf("%s: %q, %v", c.name, get, err)
		}
		if _, body := s.has(); c.status != http.StatusInsufficientStorage && body != "" {
			t.Errorf("%s: it was put: %q", c.name, body)
		}
		if _, err := u.Put(t.Context(), &bridges.File{}, nil); !errors.Is(err, errResting) {
			t.Errorf("%s: the next one: %v", c.name, err)
		}
	}
}

func TestPutRestsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		u := NewUploader(slotsFunc(func(string, string, int64) (Slot, error) {
			asked++
			return Slot{}, bridges.NewError(bridges.Forbidden, "no")
		}), 100, true, slog.New(slog.DiscardHandler))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = u.Put(ended, &bridges.File{}, meow(4)) // nobody waits for it: that tells nothing
		_, _ = u.Put(t.Context(), &bridges.File{}, meow(4))
		_, _ = u.Put(t.Context(), &bridges.File{}, meow(4))
		if asked != 2 {
			t.Errorf("asked %d times at first", asked)
		}
		time.Sleep(restTime)
		_, _ = u.Put(t.Context(), &bridges.File{}, meow(4))
		if asked != 3 {
			t.Errorf("asked %d times in the end", asked)
		}
	})
}
