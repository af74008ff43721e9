package irctest

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder keeps lines and lets tests wait for them.
type recorder struct {
	off     bool
	mu      sync.Mutex
	lines   []string
	next    int
	changed chan struct{}
}

func (r *recorder) add(line string) {
	if r.off {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func (r *recorder) expect(tb testing.TB, what, pattern string) string {
	tb.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(Patience)
	for {
		r.mu.Lock()
		for i := r.next; i < len(r.lines); i++ {
			if re.MatchString(r.lines[i]) {
				r.next = i + 1
				line := r.lines[i]
				r.mu.Unlock()
				return line
			}
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			r.mu.Lock()
			defer r.mu.Unlock()
			tb.Fatalf("irctest: no line %s matches %s; there were:\n%s", what, pattern, strings.Join(r.lines[r.next:], "\n"))
		}
	}
}
