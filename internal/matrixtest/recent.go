package matrixtest

import (
	"cmp"
	"container/list"
	"iter"
	"slices"
)

// recent keeps values by key in the order of their last change, so that what
// changed since a position is found without looking at the rest.
type recent[K comparable, V any] struct {
	list  list.List // of *dated[K, V], oldest first
	byKey map[K]*list.Element
}

type dated[K comparable, V any] struct {
	key K
	val V
	pos int64
}

func (r *recent[K, V]) put(k K, v V, pos int64) {
	if el := r.byKey[k]; el != nil {
		d := el.Value.(*dated[K, V])
		d.val, d.pos = v, pos
		r.list.MoveToBack(el)
		return
	}
	if r.byKey == nil {
		r.byKey = map[K]*list.Element{}
	}
	r.byKey[k] = r.list.PushBack(&dated[K, V]{k, v, pos})
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	el := r.byKey[k]
	if el == nil {
		return v, false
	}
	return el.Value.(*dated[K, V]).val, true
}

func (r *recent[K, V]) drop(k K) {
	if el := r.byKey[k]; el != nil {
		r.list.Remove(el)
		delete(r.byKey, k)
	}
}

// reorder gives every value the position it should have.
func (r *recent[K, V]) reorder(at func(K) int64) {
	all := make([]*dated[K, V], 0, r.list.Len())
	for el := r.list.Front(); el != nil; el = el.Next() {
		d := el.Value.(*dated[K, V])
		d.pos = max(d.pos, at(d.key))
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b *dated[K, V]) int { return cmp.Compare(a.pos, b.pos) })
	r.list.Init()
	for _, d := range all {
		r.byKey[d.key] = r.list.PushBack(d)
	}
}

func (r *recent[K, V]) len() int { return r.list.Len() }

// newest is the position of the last change.
func (r *recent[K, V]) newest() int64 {
	if el := r.list.Back(); el != nil {
		return el.Value.(*dated[K, V]).pos
	}
	return 0
}

// since yields what changed after pos, latest first.
func (r *recent[K, V]) since(pos int64) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for el := r.list.Back(); el != nil; {
			d := el.Value.(*dated[K, V])
			el = el.Prev()
			if d.pos <= pos || !yield(d.key, d.val) {
				return
			}
		}
	}
}
