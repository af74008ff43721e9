package ircconn

import (
	"runtime"
	"sync"
	"weak"
)

// internTable shares immutable values by key for as long as somebody uses
// them: a thousand connections to one network hold one copy of its tables.
type internTable[T any] struct {
	mu sync.Mutex
	m  map[string]weak.Pointer[T]
}

// get returns the value for key, making it with build where there is none.
func (t *internTable[T]) get(key string, build func(key string) *T) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.m[key].Value(); v != nil {
		return v
	}
	v := build(key)
	p := weak.Make(v)
	if t.m == nil {
		t.m = make(map[string]weak.Pointer[T])
	}
	t.m[key] = p
	runtime.AddCleanup(v, func(key string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.m[key] == p { // not replaced meanwhile
			delete(t.m, key)
		}
	}, key)
	return v
}
