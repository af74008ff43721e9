package component

import (
	"encoding/xml"
	"strconv"
	"strings"
	"unicode/utf8"
)

// textFlags says what a stanza holds somewhere, so that the common one, which
// holds none of it, needs no second look at its parts.
type textFlags uint8

const (
	hasEntity textFlags = 1 << iota // an ampersand
	hasReturn                       // a carriage return
	hasCDEnd                        // the end of a CDATA section
)

// checkText looks over a whole stanza: it must be valid UTF-8 and hold no
// character that XML 1.0 forbids.
func checkText(s string) (flags textFlags, err *parseError) {
	control, wide := scanWords(s)
	if control {
		for i := range len(s) {
			switch c := s[i]; {
			case c >= 0x20 || c == '\t' || c == '\n':
			case c == '\r':
				flags |= hasReturn
			default:
				return 0, errCharacter
			}
		}
	}
	if wide {
		if !utf8.ValidString(s) {
			return 0, errEncoding
		}
		if strings.Contains(s, "\uFFFE") || strings.Contains(s, "\uFFFF") {
			return 0, errCharacter
		}
	}
	if strings.IndexByte(s, '&') >= 0 {
		flags |= hasEntity
	}
	if strings.IndexByte(s, ']') >= 0 && strings.Contains(s, "]]>") {
		flags |= hasCDEnd
	}
	return flags, nil
}

// scanWords reports whether s holds bytes below 0x20 and above 0x7F. It looks at
// eight bytes at a time.
func scanWords(s string) (control, wide bool) {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	var low, high uint64
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		low |= (w - 0x20*ones) &^ w
		high |= w
	}
	for ; i < len(s); i++ {
		control = control || s[i] < 0x20
		high |= uint64(s[i])
	}
	return control || low&highs != 0, high&highs != 0
}

// unescape replaces the entities and character references in text or in a
// value, and folds line ends as an XML processor does.
func (p *parser) unescape(s string) (string, *parseError) {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return foldReturns(s), nil
	}
	b := p.scratch[:0]
	for ; i >= 0; i = strings.IndexByte(s, '&') {
		b = append(b, foldReturns(s[:i])...)
		s = s[i+1:]
		end := strings.IndexByte(s, ';')
		if end < 0 {
			return "", errEntity
		}
		r, err := referent(s[:end])
		if err != nil {
			return "", err
		}
		b = utf8.AppendRune(b, r)
		s = s[end+1:]
	}
	b = append(b, foldReturns(s)...)
	if cap(b) <= readBuffer {
		p.scratch = b
	}
	return string(b), nil
}

// referent returns the character an entity or character reference stands
// for. Only the five predefined entities exist in XMPP.
func referent(name string) (rune, *parseError) {
	switch name {
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "amp":
		return '&', nil
	case "apos":
		return '\'', nil
	case "quot":
		return '"', nil
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, errEntity
	}
	base := 10
	if digits, ok = strings.CutPrefix(digits, "x"); ok {
		base = 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return 0, errEntity
	}
	if n > utf8.MaxRune || !legalRune(rune(n)) {
		return 0, errReference
	}
	return rune(n), nil
}

// legalRune reports whether XML 1.0 allows a character (production 2).
func legalRune(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xD800:
		return true
	}
	return r >= 0xE000 && r != 0xFFFE && r != 0xFFFF && r <= utf8.MaxRune
}

// foldReturns turns CR LF and CR into LF (XML 1.0, 2.11).
func foldReturns(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// wellFormedName decides about a name that is not ASCII. Such names are legal
// and do not occur in XMPP, so encoding/xml, slow and with the same tables as
// the servers' parser, may decide.
func wellFormedName(name string) bool {
	t, err := xml.NewDecoder(strings.NewReader("<" + name + "/>")).RawToken()
	if err != nil {
		return false
	}
	start, ok := t.(xml.StartElement)
	return ok && len(start.Attr) == 0
}
