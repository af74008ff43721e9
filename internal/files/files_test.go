package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"transportd/bridges"
)

var key = bytes.Repeat([]byte{7}, 32)

func TestTokens(t *testing.T) {
	want := Target{Gateway: "mx.example", User: "juliet@capulet.example", Network: "net", Ref: "mxc://a/b\x00c", Type: "image/png"}
	token := want.token(key)
	if got, err := parseToken(key, "mx.example", token); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for name, other := range map[string]func() (Target, error){
		"another key":     func() (Target, error) { return parseToken(bytes.Repeat([]byte{8}, 32), "mx.example", token) },
		"another gateway": func() (Target, error) { return parseToken(key, "irc.example", token) },
		"cut":             func() (Target, error) { return parseToken(key, "mx.example", token[:len(token)-2]) },
		"empty":           func() (Target, error) { return parseToken(key, "mx.example", "") },
		"huge":            func() (Target, error) { return parseToken(key, "mx.example", strings.Repeat("A", 1<<20)) },
		"a mac alone":     func() (Target, error) { return parseToken(key, "mx.example", strings.Repeat("A", 22)) },
	} {
		if got, err := other(); !errors.Is(err, errLink) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if got, err := parseToken(key, "mx.example", string(changed)); err == nil && got != want {
			t.Errorf("changed at %d: %+v", i, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("AQ")
	t := Target{User: "u", Network: "n", Ref: "r"}
	f.Add(t.token(key))
	f.Fuzz(func(t *testing.T, token string) {
		got, err := parseToken(key, "", token)
		if err == nil && got.token(key) != token && !strings.ContainsAny(token, "\r\n") {
			t.Errorf("%q means %+v, which is written otherwise", token, got)
		}
	})
}

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{
		"cat.png": "cat.png", "": "file", "..": "file", "a/b\\c.txt": "a_b_c.txt", "ü \n.txt": "%C3%BC%20_.txt",
		strings.Repeat("x", 300) + ".jpeg": strings.Repeat("x", 115) + ".jpeg",
	} {
		if got := fileName(name); got != want {
			t.Errorf("fileName(%q) = %q", name, got)
		}
	}
}

// media is a file of a network.
func media(typ string, size int64, body io.Reader) *bridges.Media {
	return &bridges.Media{ReadCloser: io.NopCloser(body), Type: typ, Size: size}
}

// serve is a server whose files come from open.
func serve(t *testing.T, max int64, open Opener) (*Server, *httptest.Server) {
	t.Helper()
	s := &Server{MaxSize: max, Log: slog.New(slog.DiscardHandler)}
	s.Serve("mx.example", key, open)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s, h
}

func get(t *testing.T, url string) (*http.Response, string, error) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

var cat = Target{Gateway: "mx.example", User: "juliet@capulet.example", Network: "net", Ref: "mxc://hs/cat", Type: "image/png"}

func TestServeFile(t *testing.T) {
	var asked atomic.Value
	s, h := serve(t, 100, func(_ context.Context, target Target) (*bridges.Media, error) {
		asked.Store(target)
		switch target.Ref {
		case "gone":
			return nil, bridges.NewError(bridges.NotFound, "It was removed.")
		case "offline":
			return nil, bridges.NewError(bridges.Offline, "Not connected.")
		case "broken":
			return nil, errors.New("secret inside")
		case "large":
			return media("", 101, strings.NewReader("x")), nil
		case "lies":
			return media("", 50, strings.NewReader("short")), nil
		case "endless":
			return media("", -1, strings.NewReader(strings.Repeat("x", 200))), nil
		}
		return media("text/html", -1, strings.NewReader("meow")), nil
	})
	res, body, err := get(t, s.Link(cat, "my cat.png"))
	if err != nil || body != "meow" || res.Header.Get("Content-Type") != "image/png" || res.Header.Get("Content-Disposition") != "" ||
		res.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasSuffix(res.Request.URL.EscapedPath(), "/my%20cat.png") {
		t.Errorf("%q, %v, %v", body, res.Header, err)
	}
	if asked.Load() != cat {
		t.Errorf("asked for %+v", asked.Load())
	}
	html := cat
	html.Type = ""
	if res, _, _ := get(t, s.Link(html, "x")); res.Header.Get("Content-Disposition") != "attachment" || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("a page is shown: %v", res.Header)
	}
	for ref, want := range map[string]int{"gone": 404, "offline": 503, "broken": 502, "large": 413} {
		target := cat
		target.Ref = ref
		if res, body, _ := get(t, s.Link(target, "x")); res.StatusCode != want || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q", ref, res.StatusCode, body)
		}
	}
	for _, ref := range []string{"lies", "endless"} { // the client must not take it for the whole
		target := cat
		target.Ref = ref
		if _, body, err := get(t, s.Link(target, "x")); err == nil {
			t.Errorf("%s: got %q as a whole file", ref, body)
		}
	}
	for _, path := range []string{"/", "/mx.example", "/mx.example/x/y", "/irc.example/" + cat.token(key) + "/x", "/mx.example/" + cat.token(key), "/mx.example/" + cat.token(key) + "/a/b"} {
		if res, _, _ := get(t, h.URL+path); res.StatusCode != 404 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if res, err := http.Post(s.Link(cat, "x"), "text/plain", nil); err != nil || res.StatusCode != 405 {
		t.Errorf("POST: %v, %v", res, err)
	}
}

// TestReadsAreBounded: one user cannot read more than so many files at once.
func TestReadsAreBounded(t *testing.T) {
	hold := make(chan struct{})
	opened := make(chan struct{}, maxUser)
	s, _ := serve(t, 0, func(ctx context.Context, _ Target) (*bridges.Media, error) {
		opened <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return media("", -1, strings.NewReader("x")), nil
	})
	done := make(chan int, maxUser)
	for range maxUser {
		go func() {
			res, _, _ := get(t, s.Link(cat, "x"))
			done <- res.StatusCode
		}()
	}
	for range maxUser {
		<-opened
	}
	if res, _, _ := get(t, s.Link(cat, "x")); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", res.StatusCode)
	}
	close(hold)
	for range maxUser {
		if code := <-done; code != 200 {
			t.Errorf("status %d", code)
		}
	}
	if res, _, _ := get(t, s.Link(cat, "x")); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
}

func TestFetch(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cat.png":
			_, _ = fmt.Fprint(w, "meow")
		case "/moved":
			http.Redirect(w, r, "/cat.png", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, "ftp://inside/", http.StatusFound)
		case "/large":
			w.Header().Set("Content-Length", "1000")
		case "/endless":
			for range 100 {
				_, _ = fmt.Fprint(w, strings.Repeat("x", 100))
				w.(http.Flusher).Flush()
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer h.Close()
	f := NewFetcher(100, true)
	read := func(f *Fetcher, path string) (string, *bridges.Error) {
		r, err := f.Upload(h.URL+path, "", "", -1).Open(t.Context())
		if err != nil {
			return "", bridges.AsError(err)
		}
		defer func() { _ = r.Close() }()
		b, err := io.ReadAll(r)
		return string(b), bridges.AsError(err)
	}
	for _, path := range []string{"/cat.png", "/moved"} {
		if got, err := read(f, path); err != nil || got != "meow" {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for path, want := range map[string]bridges.ErrorKind{
		"/gone": bridges.NotFound, "/large": bridges.TooLarge, "/endless": bridges.TooLarge, "/loop": bridges.Offline, "/inside": bridges.Invalid,
	} {
		if got, err := read(f, path); err == nil || err.Kind != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if got, err := read(NewFetcher(100, false), "/cat.png"); err == nil || err.Kind != bridges.Forbidden {
		t.Errorf("from this machine: %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Upload(h.URL+"/cat.png", "", "", -1).Open(ctx); bridges.AsError(err).Kind != bridges.Timeout {
		t.Errorf("under an ended context: %v", err)
	}
	if u := f.Upload(h.URL+"/a/my%20cat.png?x=1", "", "", -1); u.Name != "my cat.png" {
		t.Errorf("named %q", u.Name)
	}
	for address, want := range map[string]bool{"https://a/b": true, "http://a": true, "aesgcm://a/b": false, "https://u:p@a/": false, "file:///etc/passwd": false, "": false} {
		if Fetchable(address) != want {
			t.Errorf("Fetchable(%q) is %t", address, !want)
		}
	}
}
