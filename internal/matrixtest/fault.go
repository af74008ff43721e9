package matrixtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Cut is where a connection is cut.
type Cut uint8

// Places to cut a connection. With HTTP/2 it is the stream.
const (
	CutNever  Cut = iota
	CutBefore     // nothing was done
	CutAfter      // it was done, and nothing is answered
	CutMiddle     // it was done, and half of the answer is sent
)

// Fault is something that goes wrong with requests. Who and Path say with which;
// the other parts are what happens, in this order, and may be combined.
type Fault struct {
	User   string // full id; empty: anybody's
	Method string // empty: any
	Path   string // part of the path, with its query; empty: any
	Skip   int    // how many requests that fit it lets pass first
	Times  int    // how many requests it happens to; 0: all until Remove

	Hold  <-chan struct{} // requests wait until it is closed
	Delay time.Duration   // and then for so long

	// Status refuses the request before anything is done, with Code and Text.
	Status     int
	Code       string // errcode; empty: no JSON, but a page as proxies send it
	Text       string
	RetryAfter time.Duration // with 429
	Soft       bool          // soft_logout, with M_UNKNOWN_TOKEN
	Location   string        // where a redirection leads, with 3xx

	Cut Cut
	// Stall sends half of the answer and then nothing more, until the client gives up.
	Stall bool

	// Rewrite changes the body of a successful answer.
	Rewrite func(body []byte) []byte
	// Length is a lie: the answer's Content-Length. What is too much is left out, and
	// where too little is there the connection is cut.
	Length int64
	// Pad adds so many bytes to the answer, without ever having them in memory: spaces
	// after JSON, zeroes otherwise.
	Pad int64
}

// RateLimited refuses with 429.
func RateLimited(after time.Duration) Fault {
	return Fault{Status: 429, Code: "M_LIMIT_EXCEEDED", Text: "Too Many Requests", RetryAfter: after}
}

// Broken answers as a proxy does whose server is gone.
func Broken(status int) Fault { return Fault{Status: status} }

// NoJSON makes successful answers a page.
func NoJSON() Fault {
	return Fault{Rewrite: func([]byte) []byte { return []byte(proxyPage) }}
}

const proxyPage = "<html><body><h1>Bad Gateway</h1></body></html>"

// Retyped makes every field of a name, at any depth, have another value.
func Retyped(name string, value any) Fault {
	return Fault{Rewrite: func(b []byte) []byte {
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return b
		}
		retype(v, name, value)
		return encode(v)
	}}
}

func retype(v any, name string, value any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			retype(x, name, value)
		}
	case object:
		for k := range maps.Clone(v) {
			if k == name {
				v[k] = value
			} else {
				retype(v[k], name, value)
			}
		}
	}
}

// Injected is a fault that is on.
type Injected struct {
	Fault
	s    *Server
	left int // -1: all
	hits int
}

// Inject turns a fault on. Of several that fit, the one injected first happens.
func (s *Server) Inject(f Fault) *Injected {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &Injected{Fault: f, s: s, left: -1}
	if f.Times > 0 {
		in.left = f.Times
	}
	s.faults = append(s.faults, in)
	return in
}

// Remove turns the fault off.
func (in *Injected) Remove() {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	in.s.faults = slices.DeleteFunc(in.s.faults, func(x *Injected) bool { return x == in })
}

// Hits is how many requests it has happened to.
func (in *Injected) Hits() int {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	return in.hits
}

// Wait waits until it has happened to n requests.
func (in *Injected) Wait(tb testing.TB, n int) {
	tb.Helper()
	in.s.Wait(tb, "a fault did not happen", func() bool { return in.Hits() >= n })
}

// match takes the fault that fits a request, or nil.
func (s *Server) match(user, method, path string) *Injected {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.User != "" && f.User != user || f.Method != "" && f.Method != method || !strings.Contains(path, f.Path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.hits++
		if f.left--; f.left == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		s.notify()
		return f
	}
	return nil
}

// before waits, and tells whether the connection is to be cut with nothing done.
func (in *Injected) before(q *request) bool {
	if in == nil {
		return false
	}
	if in.Hold != nil {
		wait(q.Context(), in.Hold)
	}
	if in.Delay > 0 {
		t := time.NewTimer(in.Delay)
		defer t.Stop()
		wait(q.Context(), t.C)
	}
	return in.Cut == CutBefore
}

func wait[T any](ctx context.Context, c <-chan T) {
	select {
	case <-c:
	case <-ctx.Done():
	}
}

func (in *Injected) refuse() error {
	if in == nil || in.Status == 0 {
		return nil
	}
	return &Error{Status: in.Status, Code: in.Code, Text: in.Text, RetryAfter: in.RetryAfter, Soft: in.Soft, location: in.Location}
}

// status is what the client sees of an answer's.
func (in *Injected) status(status int) int {
	if in != nil && in.Cut == CutAfter {
		return 0
	}
	return status
}

// send writes an answer, or what the fault makes of it.
func (in *Injected) send(w http.ResponseWriter, h *http.Request, a *answer) {
	header := w.Header()
	for k, v := range a.header {
		header[k] = v
	}
	header.Set("Content-Type", a.typ)
	if in == nil {
		header.Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body) // a client that is gone is gone
		return
	}
	body, length := a.body, int64(-1)
	if in.Status != 0 && in.Code == "" {
		body = []byte(proxyPage)
		header.Set("Content-Type", "text/html")
	}
	if in.Rewrite != nil && a.status < 300 {
		body = in.Rewrite(body)
	}
	length = int64(len(body)) + in.Pad
	if in.Length > 0 {
		length = in.Length
	}
	switch in.Cut {
	case CutAfter:
		panic(http.ErrAbortHandler)
	case CutMiddle:
		body = body[:len(body)/2]
	}
	if in.Stall {
		body = body[:len(body)/2]
	}
	header.Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(a.status)
	_, _ = w.Write(body[:min(int64(len(body)), length)])
	if in.Cut == CutMiddle || in.Stall {
		_ = http.NewResponseController(w).Flush()
		if in.Stall {
			<-h.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	in.pad(h.Context(), w, strings.HasSuffix(a.typ, "json"))
	if in.Length > int64(len(body))+in.Pad {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (in *Injected) pad(ctx context.Context, w io.Writer, text bool) {
	chunk := make([]byte, 64<<10)
	if text {
		for i := range chunk {
			chunk[i] = ' '
		}
	}
	for left := in.Pad; left > 0 && ctx.Err() == nil; left -= int64(len(chunk)) {
		if _, err := w.Write(chunk[:min(left, int64(len(chunk)))]); err != nil {
			return
		}
	}
}
