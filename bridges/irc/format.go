package irc

import (
	"strings"

	"github.com/ergochat/irc-go/ircfmt"
	"golang.org/x/text/encoding"

	"transportd/bridges/irc/ircconn"
)

// plainText is what people said as plain text: without formatting codes, and
// only characters XML 1.0 can carry. raw is valid UTF-8, as ircconn delivers
// it. A line break cannot be in it.
func plainText(raw string) string {
	if isPlain(raw) {
		return raw
	}
	if strings.IndexByte(raw, hexColour) >= 0 {
		raw = stripHexColours(raw)
	}
	return clean(ircfmt.Strip(raw))
}

// fallbackNamed finds an encoding by its name; "utf-8" has no fallback.
func fallbackNamed(name string) (e encoding.Encoding, ok bool) {
	if name == "" || strings.EqualFold(name, "utf-8") || strings.EqualFold(name, "utf8") {
		return nil, true
	}
	return ircconn.LookupEncoding(name)
}

// isPlain tells whether s is printable ASCII, as nearly every line is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// clean removes control characters, but tabs, and the two noncharacters XML
// 1.0 (section 2.2) refuses.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if (r < 0x20 && r != '\t') || r == 0x7f || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s)
}

// hexColour begins a colour in the form RRGGBB[,RRGGBB], which ircfmt leaves in.
const hexColour = '\x04'

func stripHexColours(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, hexColour)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if !hexPrefix(s) {
			continue
		}
		s = s[6:]
		if len(s) > 0 && s[0] == ',' && hexPrefix(s[1:]) {
			s = s[7:]
		}
	}
}

// hexPrefix tells whether s begins with six hexadecimal digits.
func hexPrefix(s string) bool {
	if len(s) < 6 {
		return false
	}
	for i := range 6 {
		c := s[i] | 0x20
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// outLines makes lines for the network of what a user wrote: one for each line
// break, without control characters, empty ones left out. A line of spaces
// counts as empty: servers refuse it with "no text to send".
func outLines(body string) []string {
	if isPlain(body) { // most of what is said
		if body = strings.TrimRight(body, " "); body == "" {
			return nil
		}
		return []string{body}
	}
	var lines []string
	for line := range strings.FieldsFuncSeq(body, isLineBreak) {
		line = strings.TrimRight(clean(strings.ToValidUTF8(line, "\uFFFD")), " \t")
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func isLineBreak(r rune) bool {
	return r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085' || r == '\v' || r == '\f'
}

// oneLine is s as one line: a topic or a reason.
func oneLine(s string) string {
	return strings.Join(outLines(s), " ")
}
