package ircconn

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// LookupEncoding finds a character set by a name people use ("latin1",
// "windows-1251", "shift_jis"). UTF-8 and the UTF-16 family are refused: they cannot
// be a fallback for bytes that are not UTF-8.
func LookupEncoding(name string) (encoding.Encoding, bool) {
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, false
	}
	canonical, err := htmlindex.Name(e)
	if err != nil || strings.HasPrefix(canonical, "utf-") || canonical == "replacement" || canonical == "x-user-defined" {
		return nil, false
	}
	return e, true
}

// Decode turns the bytes of a line into valid UTF-8. UTF-8 is kept; a
// character cut off at the end of an otherwise good line is dropped (servers cut at
// a number of bytes), but for a single byte behind a short line of ASCII, which is a
// character of the fallback; anything else is read as fallback, nil meaning that
// U+FFFD stands in.
func Decode(line []byte, fallback encoding.Encoding) string {
	if utf8.Valid(line) {
		return string(line)
	}
	if cut := trimPartialRune(line); utf8.Valid(cut) && (len(line)-len(cut) > 1 || len(line) >= cutLength || !isASCII(cut)) {
		return string(cut)
	}
	if fallback != nil {
		if out, err := fallback.NewDecoder().Bytes(line); err == nil {
			return strings.ToValidUTF8(string(out), "\uFFFD")
		}
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}

// cutLength is the length in bytes from which a line may have been cut by a server.
const cutLength = 400

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// trimPartialRune removes the beginning of a multi-byte character from the end.
func trimPartialRune(line []byte) []byte {
	for i := len(line) - 1; i >= 0 && i >= len(line)-3; i-- {
		if utf8.RuneStart(line[i]) {
			if line[i] >= 0xC2 && !utf8.FullRune(line[i:]) {
				return line[:i]
			}
			break
		}
	}
	return line
}
