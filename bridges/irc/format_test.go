package irc

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPlainText(t *testing.T) {
	for in, want := range map[string]string{
		"hello": "hello",
		"\x02bold\x02 \x1ditalic\x1d \x1funder\x1f": "bold italic under",
		"\x1estrike\x1e \x11mono\x11 \x16rev\x0f.":  "strike mono rev.",
		"\x034red\x03 \x0304,12both\x03":            "red both",
		"\x03 no number, \x03,5 neither":            " no number, ,5 neither",
		"\x04ff0000red\x04 \x0400ff00,112233x":      "red x",
		"\x04nothex":                                "nothex",
		"tab\tstays, bell\a goes\x7f":               "tab\tstays, bell goes",
		"\ufffe\uffffnon\u200dcharacters ü 漢":       "non\u200dcharacters ü 漢",
		"\x03123four digits":                        "3four digits",
		"":                                          "",
	} {
		if got := plainText(in); got != want {
			t.Errorf("plainText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOutLines(t *testing.T) {
	for in, want := range map[string]string{
		"one":                       "one",
		"one\ntwo\r\nthree\rfour":   "one|two|three|four",
		"\n\n  \nonly\n\n":          "only",
		"  indented\n\ttab  ":       "  indented|\ttab",
		"a\u2028b\u2029c\u0085d\ve": "a|b|c|d|e",
		"\x01ACTION x\x01\x00":      "ACTION x",
		"\xff":                      "\uFFFD",
		"":                          "",
	} {
		if got := strings.Join(outLines(in), "|"); got != want {
			t.Errorf("outLines(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSplitText(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 20, "short"},
		{"one two three four five six", 16, "one two three|four five six"},
		{"exactly sixteen! and more", 16, "exactly sixteen!|and more"},
		{"aaaaaaaaaaaaaaaaaaaaaaaa", 16, "aaaaaaaaaaaaaaaa|aaaaaaaa"},
		{"ääääääääää", 17, "ääääääää|ää"},
		{"aaaaaaaaaaaaaae\u0301x", 16, "aaaaaaaaaaaaaa|e\u0301x"},
		{"aaaaaaaaaa👩\u200d🔬x", 17, "aaaaaaaaaa|👩\u200d🔬x"},
		{"tiny limit is raised", 1, "tiny limit is|raised"},
	} {
		if got := strings.Join(splitText(c.text, c.limit), "|"); got != c.want {
			t.Errorf("splitText(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

// FuzzSplit: no part is over the limit or breaks a rune, and together they are
// the text, less one space at each break.
func FuzzSplit(f *testing.F) {
	f.Add("one two three four five six seven eight", 16)
	f.Add("größer 漢字 e\u0301e\u0301e\u0301 👩\u200d🔬", 18)
	f.Add(strings.Repeat("x", 1000), 400)
	f.Add("  spaces   everywhere   and  more ", 16)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if !utf8.ValidString(text) || len(text) > 1<<16 || limit > 1<<12 {
			return
		}
		parts := splitText(text, limit)
		kept := 0
		for i, part := range parts {
			if len(part) > max(limit, minSplit) || !utf8.ValidString(part) {
				t.Fatalf("part %d of %q at %d: %q", i, text, limit, part)
			}
			kept += len(part)
		}
		if letters(strings.Join(parts, "")) != letters(text) || kept+len(parts) < len(text) {
			t.Fatalf("%q at %d becomes %q", text, limit, parts)
		}
	})
}

func letters(s string) string { return strings.ReplaceAll(s, " ", "") }

// FuzzPlainText: whatever a network sends becomes text that XML can carry.
func FuzzPlainText(f *testing.F) {
	for _, seed := range []string{"\x0304,05x\x03", "\x04ffffff,000000y", "\x02\x02\x16", "a\x00b", "\uffff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		raw = strings.ToValidUTF8(raw, "\uFFFD") // as it comes from ircconn
		got := plainText(raw)
		for _, r := range got {
			if r != '\t' && (unicode.Is(unicode.Cc, r) && r < 0x80) || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError && !strings.ContainsRune(raw, utf8.RuneError) {
				t.Fatalf("plainText(%q) = %q", raw, got)
			}
		}
		if again := plainText(got); again != got {
			t.Fatalf("plainText(%q) = %q, and again %q", raw, got, again)
		}
	})
}
