package archive

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestKeyText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys := []Key{{}, {0, 1}, {1, 0}, {1 << 54, 1<<32 - 1}}
	for range 1000 {
		keys = append(keys, Key{r.Int64N(1 << 55), r.Uint32()})
	}
	for _, k := range keys {
		if got, ok := ParseKey(k.String()); !ok || got != k {
			t.Fatalf("%v reads back as %v, %v", k, got, ok)
		}
	}
	slices.SortFunc(keys, Key.Compare)
	if !slices.IsSortedFunc(keys, func(a, b Key) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	}) {
		t.Error("keys as text do not sort as keys do")
	}
}

func TestKeyGarbage(t *testing.T) {
	for _, s := range []string{"", "x", "0123456789abcdefg", "0123456789abcdefghj", "ilou00000000000000", "00000000000zzzzzzz", "0000000000\x00aaaaaaa"} {
		if k, ok := ParseKey(s); ok {
			t.Errorf("%q was read as %v", s, k)
		}
	}
}
