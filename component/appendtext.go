package component

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a byte needs before it may stand in XML.
const (
	plain     = iota // nothing
	escapeAll        // an entity everywhere
	escapeAtt        // a character reference, in attribute values only
	illegal          // XML 1.0 forbids it: left out
	wide             // part of a multi-byte character: look closer
)

// class is indexed by byte.
var class = func() (t [256]uint8) {
	for i := range 0x20 {
		t[i] = illegal
	}
	t['\t'], t['\n'] = escapeAtt, escapeAtt
	t['\r'] = escapeAll
	for _, c := range []byte(`<>&"'`) {
		t[c] = escapeAll
	}
	for i := 0x80; i < 0x100; i++ {
		t[i] = wide
	}
	return t
}()

// reference returns what stands for a character that cannot stand for itself.
func reference(c byte) string {
	switch c {
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '&':
		return "&amp;"
	case '"':
		return "&quot;"
	case '\'':
		return "&apos;"
	case '\t':
		return "&#x9;"
	case '\n':
		return "&#xA;"
	default:
		return "&#xD;"
	}
}

// appendText appends character data: markup escaped, a carriage return as a
// reference (a parser would read it as a line feed), invalid UTF-8 as U+FFFD,
// and without the characters XML 1.0 forbids.
func appendText(b []byte, s string) []byte { return appendEscaped(b, s, escapeAtt) }

// appendAttr appends an attribute value: as appendText, with tab and line feed
// as references, because a parser would read them as spaces.
func appendAttr(b []byte, s string) []byte { return appendEscaped(b, s, 0xff) }

// appendEscaped does the work; bytes of the class verbatim pass as they are.
func appendEscaped(b []byte, s string, verbatim uint8) []byte {
	done := 0
	for i := plainPrefix(s); i < len(s); {
		c := class[s[i]]
		if c == plain || c == verbatim {
			i++
			continue
		}
		if c == wide {
			r, n := utf8.DecodeRuneInString(s[i:])
			if (r != utf8.RuneError || n > 1) && r != 0xFFFE && r != 0xFFFF {
				i += n
				continue
			}
			b = append(b, s[done:i]...)
			if r == utf8.RuneError {
				b = append(b, "\uFFFD"...)
			}
			i += n
			done = i
			continue
		}
		b = append(b, s[done:i]...)
		if c != illegal {
			b = append(b, reference(s[i])...)
		}
		i++
		done = i
	}
	return append(b, s[done:]...)
}

// plainPrefix is how many bytes at the start of s need nothing. It looks at eight
// at a time and stops before the first eight in which one may need something.
func plainPrefix(s string) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote := w ^ '"'*ones
		ampersand := (w | ones) ^ '\''*ones // or apostrophe
		angle := (w | 2*ones) ^ '>'*ones    // or the other one
		found := (w-0x20*ones)&^w | (quote-ones)&^quote | (ampersand-ones)&^ampersand | (angle-ones)&^angle | w
		if found&highs != 0 {
			break
		}
	}
	return i
}

// nameByte marks the ASCII characters of element and attribute names: 1 for
// those that may begin one, 2 for those that may only follow.
var nameByte = func() (t [256]uint8) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = 1, 1
	}
	t['_'] = 1
	for c := '0'; c <= '9'; c++ {
		t[c] = 2
	}
	t['-'], t['.'] = 2, 2
	return t
}()

// validName reports whether s may name an element or attribute we write: a
// name without a prefix.
func validName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return wellFormedName(s)
		}
		if k := nameByte[s[i]]; k == 0 || (k == 2 && i == 0) {
			return false
		}
	}
	return true
}

// validSpace reports whether s may be the namespace of something we write: no
// white space, nothing XML forbids, and none of the two reserved ones.
func validSpace(s string) bool {
	for i := range len(s) {
		if c := class[s[i]]; c == wide {
			return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !legalRune(r) })
		} else if s[i] <= ' ' {
			return false
		}
	}
	return s != NSXML && s != nsXMLNS
}
