package testenv

import (
	"context"
	"sync"
)

// inbox keeps what a client receives until a test takes it, in any order. It
// grows without bound: it lives as long as one test.
type inbox[T any] struct {
	mu    sync.Mutex
	items []item[T]
	more  chan struct{} // closed and replaced at every change
	err   error         // why nothing more comes
}

type item[T any] struct {
	value T
	taken bool
}

func (b *inbox[T]) put(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, item[T]{value: v})
	b.wake()
}

func (b *inbox[T]) close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	b.wake()
}

// reopen: more can come again.
func (b *inbox[T]) reopen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = nil
}

func (b *inbox[T]) wake() {
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

// take waits for the first item that matches and was not taken, and takes it.
func (b *inbox[T]) take(ctx context.Context, match func(T) bool) (T, error) {
	next := 0
	for {
		b.mu.Lock()
		for ; next < len(b.items); next++ {
			if it := &b.items[next]; !it.taken && match(it.value) {
				it.taken = true
				v := it.value
				b.mu.Unlock()
				return v, nil
			}
		}
		err := b.err
		if b.more == nil {
			b.more = make(chan struct{})
		}
		more := b.more
		b.mu.Unlock()
		var zero T
		if err != nil {
			return zero, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return zero, context.Cause(ctx)
		}
	}
}

// peek is the first item that matches and was not taken.
func (b *inbox[T]) peek(match func(T) bool) (T, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range b.items {
		if !it.taken && match(it.value) {
			return it.value, true
		}
	}
	var zero T
	return zero, false
}

// all is everything that has come.
func (b *inbox[T]) all() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]T, len(b.items))
	for i, it := range b.items {
		list[i] = it.value
	}
	return list
}

// rest is what was not taken.
func (b *inbox[T]) rest() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []T
	for _, it := range b.items {
		if !it.taken {
			list = append(list, it.value)
		}
	}
	return list
}

// forget takes everything that has come.
func (b *inbox[T]) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.items {
		b.items[i].taken = true
	}
}
