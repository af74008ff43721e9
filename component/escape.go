package component

import (
	"strings"
	"unicode/utf8"
)

// EscapeLocal turns any name into a local part that servers leave as it is, by
// XEP-0106 and an extension of it. [UnescapeLocal] is the inverse.
//
// A byte is written as a backslash and two lower-case hexadecimal digits. Escaped
// are
//   - the ten characters of XEP-0106, the backslash only where it and what
//     follows would read as an escape of ours;
//   - A to Z, because XMPP folds case;
//   - ASCII control characters;
//   - characters that are not ASCII and not stable under both nodeprep (RFC
//     6122, A) and PRECIS UsernameCaseMapped (RFC 8265, 3.3), byte by byte in
//     UTF-8: capitals, compatibility forms, symbols, and what is written from right
//     to left, which may not share a local part with Latin letters.
//
// Two things have no UTF-8 of their own and are written as sequences that never
// occur in it: a space at the beginning or end, where XEP-0106 forbids \20, as
// \c0\a0; a byte that is no UTF-8 as an unpaired surrogate, \ed\b2\80 to
// \ed\b3\bf. NUL, carriage return and line feed become U+FFFD: no name holds them,
// and none must come out of an address.
//
// A percent sign stays: it separates the parts of a gateway's addresses. A name
// that holds one is to have it written as \25, which [UnescapeLocal] knows.
//
// The result may be longer than the 1023 bytes a local part may have. Such a name
// has no address: [ParseJID] and the outgoing guard refuse it.
func EscapeLocal(name string) string {
	if !needsEscape(name) {
		return name
	}
	out := escapeLocal(name, unstableRune)
	if !stableLocal(out) {
		// Not one character but their combination is unstable.
		out = escapeLocal(name, func(rune) bool { return true })
	}
	return out
}

// needsEscape reports whether name is anything but harmless ASCII.
func needsEscape(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || localByte[c] || c == '\\' {
			return true
		}
	}
	return false
}

// localByte marks the ASCII characters that are always escaped.
var localByte = func() (t [utf8.RuneSelf]bool) {
	for c := range 0x21 {
		t[c] = true
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = true
	}
	for _, c := range []byte("\"&'/:<>@\x7f") {
		t[c] = true
	}
	return t
}()

// escapeLocal escapes name; unstable decides about what is not ASCII.
func escapeLocal(name string, unstable func(rune) bool) string {
	var b []byte
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		c := name[i]
		switch {
		case c == 0 || c == '\r' || c == '\n':
			b = appendHex(b, "\uFFFD")
		case c == ' ' && (i == 0 || i == len(name)-1):
			b = append(b, edgeSpace...)
		case c == '\\':
			b = append(b, c)
			if _, size := unescapeAt(name[i:]); size > 0 {
				b = append(b, "5c"...)
			}
		case c < utf8.RuneSelf:
			if localByte[c] {
				b = appendHex(b, name[i:i+1])
			} else {
				b = append(b, c)
			}
		case r == utf8.RuneError && n == 1:
			b = appendHex(b, surrogate(c))
		case unstable(r):
			b = appendHex(b, name[i:i+n])
		default:
			b = append(b, name[i:i+n]...)
		}
		i += n
	}
	return string(b)
}

const (
	edgeSpace = `\c0\a0`
	hexDigits = "0123456789abcdef"
)

func appendHex(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, '\\', hexDigits[s[i]>>4], hexDigits[s[i]&15])
	}
	return b
}

// surrogate returns the three bytes that stand for a byte that is no UTF-8:
// U+DC00 and the byte, encoded as if it were a character.
func surrogate(c byte) string {
	return string([]byte{0xED, 0xB0 | c>>6, 0x80 | c&0x3F})
}

// UnescapeLocal is the inverse of [EscapeLocal]. What is no escape stays as it
// is, so any local part has a meaning. The result never holds NUL, CR or LF, but
// may hold other control characters.
func UnescapeLocal(local string) string {
	if strings.IndexByte(local, '\\') < 0 {
		return local
	}
	b := make([]byte, 0, len(local))
	for i := 0; i < len(local); {
		if local[i] == '\\' {
			if s, n := unescapeAt(local[i:]); n > 0 {
				b = append(b, s...)
				i += n
				continue
			}
		}
		b = append(b, local[i])
		i++
	}
	return string(b)
}

// unescapeAt reads the escape s begins with. It returns what it stands for and
// its length, 0 when s begins with none.
func unescapeAt(s string) (string, int) {
	c, ok := hexByte(s)
	if !ok {
		return "", 0
	}
	if c < utf8.RuneSelf {
		if c == 0 || c == '\r' || c == '\n' || (!localByte[c] && c != '\\' && c != '%') {
			return "", 0
		}
		return string(rune(c)), 3
	}
	var seq [utf8.UTFMax]byte
	seq[0] = c
	n := 1
	for ; n < sequenceLen(c); n++ {
		if seq[n], ok = hexByte(s[3*n:]); !ok {
			return "", 0
		}
	}
	switch {
	case n == 2 && seq[0] == 0xC0 && seq[1] == 0xA0:
		return " ", 6
	case n == 3 && seq[0] == 0xED && seq[1]&^1 == 0xB2 && seq[2]&0xC0 == 0x80:
		return string([]byte{seq[1]<<6 | seq[2]&0x3F}), 9
	case n == 1 || !utf8.Valid(seq[:n]):
		return "", 0
	}
	return string(seq[:n]), 3 * n
}

// hexByte reads a backslash and two hexadecimal digits.
func hexByte(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '\\' {
		return 0, false
	}
	hi := strings.IndexByte(hexDigits, s[1])
	lo := strings.IndexByte(hexDigits, s[2])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

// sequenceLen returns how many bytes a UTF-8 sequence has by its first one.
func sequenceLen(c byte) int {
	switch {
	case c >= 0xF0:
		return 4
	case c >= 0xE0:
		return 3
	case c >= 0xC0:
		return 2
	}
	return 1
}
