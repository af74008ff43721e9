package session

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

// styled returns a body with Message Styling (XEP-0393) as elements of
// bridges.Markup; empty where nothing in it is styled. The marks stay out.
func styled(body string) string {
	s := styler{}
	s.blocks(strings.Split(body, "\n"), 0)
	if !s.any {
		return ""
	}
	return s.b.String()
}

// maxQuotes bounds how deep quotes may lie in each other.
const maxQuotes = 8

type styler struct {
	b   strings.Builder
	any bool
}

// blocks writes lines: preformatted blocks, quotes and spans (section 5).
func (s *styler) blocks(lines []string, depth int) {
	plain := false // the last thing written is a line that a break must follow
	for i := 0; i < len(lines); i++ {
		switch line := lines[i]; {
		case strings.HasPrefix(line, "```"):
			end := i + 1
			for end < len(lines) && lines[end] != "```" {
				end++
			}
			s.any = true
			s.b.WriteString("<pre><code>")
			for _, l := range lines[i+1 : min(end, len(lines))] {
				s.b.WriteString(html.EscapeString(l))
				s.b.WriteByte('\n')
			}
			s.b.WriteString("</code></pre>")
			i, plain = end, false
		case strings.HasPrefix(line, ">") && depth < maxQuotes:
			var quoted []string
			for ; i < len(lines) && strings.HasPrefix(lines[i], ">"); i++ {
				quoted = append(quoted, strings.TrimPrefix(lines[i][1:], " "))
			}
			i--
			s.any = true
			s.b.WriteString("<blockquote>")
			s.blocks(quoted, depth+1)
			s.b.WriteString("</blockquote>")
			plain = false
		default:
			if plain {
				s.b.WriteString("<br>")
			}
			s.spans(line)
			plain = true
		}
	}
}

// marks are the characters that begin and end a span, and what it is.
var marks = map[byte]string{'*': "strong", '_': "em", '~': "del", '`': "code"}

// spans writes a line with its spans (section 6): a mark opens one at the beginning
// or after a space or another mark, where no space follows; the next same mark
// that no space precedes closes it, and something must stand between.
func (s *styler) spans(line string) {
	for i := 0; i < len(line); {
		name, mark := marks[line[i]], line[i]
		if name == "" || !opens(line, i) {
			r, n := utf8.DecodeRuneInString(line[i:])
			s.b.WriteString(html.EscapeString(string(r)))
			i += n
			continue
		}
		end := closing(line, i)
		if end < 0 {
			s.b.WriteByte(mark)
			i++
			continue
		}
		s.any = true
		s.b.WriteString("<" + name + ">")
		if mark == '`' {
			s.b.WriteString(html.EscapeString(line[i+1 : end]))
		} else {
			s.spans(line[i+1 : end])
		}
		s.b.WriteString("</" + name + ">")
		i = end + 1
	}
}

func opens(line string, i int) bool {
	if i+1 >= len(line) {
		return false
	}
	if after, _ := utf8.DecodeRuneInString(line[i+1:]); unicode.IsSpace(after) {
		return false
	}
	if i == 0 {
		return true
	}
	before, _ := utf8.DecodeLastRuneInString(line[:i])
	return unicode.IsSpace(before) || before < utf8.RuneSelf && marks[byte(before)] != ""
}

func closing(line string, i int) int {
	for j := i + 2; j < len(line); j++ {
		if line[j] != line[i] {
			continue
		}
		if before, _ := utf8.DecodeLastRuneInString(line[:j]); !unicode.IsSpace(before) {
			return j
		}
	}
	return -1
}
