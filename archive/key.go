package archive

import "time"

// Key is a line's place in its archive and, as text, its id.
type Key struct {
	At  int64  // microseconds since 1970
	Tie uint32 // tells lines of the same microsecond apart
}

// keyLength is the length of a key as text: 11 digits of five bits for the time,
// 7 for the rest.
const keyLength = 11 + 7

const digits = "0123456789abcdefghjkmnpqrstvwxyz"

var digitValue = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i, c := range []byte(digits) {
		v[c] = int8(i)
	}
	return v
}()

// KeyAt is the first key of a moment.
func KeyAt(t time.Time) Key { return Key{At: t.UnixMicro()} }

// Time is the moment of a key.
func (k Key) Time() time.Time { return time.UnixMicro(k.At).UTC() }

// IsZero tells whether there is no key.
func (k Key) IsZero() bool { return k == Key{} }

// Compare orders keys as time does.
func (k Key) Compare(o Key) int {
	switch {
	case k.At < o.At, k.At == o.At && k.Tie < o.Tie:
		return -1
	case k == o:
		return 0
	}
	return 1
}

// String is the key as a client sees it: text that sorts as the key does.
func (k Key) String() string {
	var b [keyLength]byte
	for i, v := 10, k.At; i >= 0; i-- {
		b[i] = digits[v&31]
		v >>= 5
	}
	for i, v := keyLength-1, k.Tie; i > 10; i-- {
		b[i] = digits[v&31]
		v >>= 5
	}
	return string(b[:])
}

// ParseKey reads what String wrote. False: it is no key of any archive.
func ParseKey(s string) (Key, bool) {
	if len(s) != keyLength {
		return Key{}, false
	}
	var at, tie uint64
	for i := range keyLength {
		d := digitValue[s[i]]
		if d < 0 {
			return Key{}, false
		}
		if i < 11 {
			at = at<<5 | uint64(d)
		} else {
			tie = tie<<5 | uint64(d)
		}
	}
	if tie > 1<<32-1 {
		return Key{}, false
	}
	return Key{At: int64(at), Tie: uint32(tie)}, true
}
