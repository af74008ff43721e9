package component

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscapeLocal(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"", ""},
		{"#chan", "#chan"},
		{"nick%irc.example.net", "nick%irc.example.net"},
		{"[a]{b}^c|d`e_-", "[a]{b}^c|d`e_-"},
		{"space cadet", `space\20cadet`},
		{`call me "ishmael"`, `call\20me\20\22ishmael\22`},
		{"at&t guy", `at\26t\20guy`},
		{"d'artagnan", `d\27artagnan`},
		{"/.fanboy", `\2f.fanboy`},
		{"::foo::", `\3a\3afoo\3a\3a`},
		{"<foo>", `\3cfoo\3e`},
		{"user@host", `user\40host`},
		{`c:\net`, `c\3a\net`},
		{`c:\\net`, `c\3a\\net`},
		{`c:\cool stuff`, `c\3a\cool\20stuff`},
		{`c:\5commas`, `c\3a\5c5commas`},
		{`nick\20`, `nick\5c20`},
		{`\5c`, `\5c5c`},
		{`\\20`, `\\5c20`},
		{`\25`, `\5c25`},
		{`foo\bar`, `foo\bar`}, // \ba alone is no character
		{`\c3\a9`, `\5cc3\a9`},
		{"Nick", `\4eick`},
		{"AZ", `\41\5a`},
		{" a ", `\c0\a0a\c0\a0`},
		{" ", `\c0\a0`},
		{"a\x02b", `a\02b`},
		{"é", "é"},
		{"É", `\c3\89`},
		{"e\u0301", `e\cc\81`},
		{"ß", `\c3\9f`}, // nodeprep makes "ss" of it
		{"☃", `\e2\98\83`},
		{"ﬁ", `\ef\ac\81`},
		{"\u05d0", `\d7\90`}, // may not stand beside Latin letters
		{"кот", "кот"},
		{"日本", "日本"},
		{"a\xffb", `a\ed\b3\bfb`},
		{"a\r\nb", `a\ef\bf\bd\ef\bf\bdb`},
	} {
		got := EscapeLocal(c.name)
		if got != c.want {
			t.Errorf("EscapeLocal(%q) = %q, want %q", c.name, got, c.want)
		}
		if back := UnescapeLocal(got); back != withoutBreaks(c.name) {
			t.Errorf("UnescapeLocal(%q) = %q, want %q", got, back, c.name)
		}
	}
}

func TestUnescapeLocalLeavesWhatIsNoEscape(t *testing.T) {
	for _, s := range []string{`\`, `\2`, `\2g`, `\00`, `\0a`, `\0d`, `\30`, `\7`, `\c3`, `\c3\41x`[:4], `\ed\a0\80`, `\c0\80`, `\f5\80\80\80`, `\5B`} {
		if got := UnescapeLocal(s); got != s {
			t.Errorf("UnescapeLocal(%q) = %q, want it unchanged", s, got)
		}
	}
	if got := UnescapeLocal(`100\25`); got != "100%" {
		t.Errorf(`UnescapeLocal("100\25") = %q`, got)
	}
}

func withoutBreaks(s string) string {
	return strings.NewReplacer("\x00", "\uFFFD", "\r", "\uFFFD", "\n", "\uFFFD").Replace(s)
}

func FuzzEscapeLocal(f *testing.F) {
	for _, s := range []string{"", "#chan", `a\20b`, ` \5c20 `, "Ünïcode", "e\u0301", "\u05d0b", "\xff\xfe", "l·l", "\u200d", "a\u00adb", `\c3\a9`, `\ed\b2\80`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		out := EscapeLocal(name)
		if back := UnescapeLocal(out); back != withoutBreaks(name) {
			t.Fatalf("%q escapes to %q and back to %q", name, out, back)
		}
		if out == "" {
			return
		}
		if !stableLocal(out) || !stableLocal("#x%"+out+"%irc.example.net") {
			t.Fatalf("%q escapes to %q, which is not stable", name, out)
		}
		j := JID{Local: out, Domain: "gw.example"}
		got, err := ParseJID(j.String())
		if len(out) > maxJIDPart {
			if err == nil {
				t.Fatalf("a local part of %d bytes was accepted", len(out))
			}
			return
		}
		if err != nil || got != j {
			t.Fatalf("%q becomes the address %q, which parses to %#v, %v", name, j, got, err)
		}
		if strings.ContainsAny(UnescapeLocal(name), "\x00\r\n") && !strings.ContainsAny(name, "\x00\r\n") {
			t.Fatalf("a line break came out of %q", name)
		}
	})
}

func TestSafeResource(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{"Nick", "Nick", true},
		{"two words", "two words", true},
		{"Zoë", "Zoë", true},
		{"a/b@c", "a/b@c", true},
		{"☃", "☃", true},
		{"🐱", "🐱", true},
		{"", "_", false},
		{"a\x02b", "a_b", false},
		{"ﬁ", "fi", false},
		{"e\u0301", "é", false},
		{"a\u200bb", "a_b", false},
		{"a\u00a0b", "a b", false},
		{"a\xffb", "a_b", false},
		{"\u05d0", "\u05d0", true},
		{"\u05d0a", "_a", false},
		{strings.Repeat("é", 600), strings.Repeat("é", 511), false},
	} {
		got, ok := SafeResource(c.in)
		if got != c.want || ok != c.ok {
			t.Errorf("SafeResource(%q) = %q, %v, want %q, %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

func FuzzSafeResource(f *testing.F) {
	for _, s := range []string{"Nick", "a\u0301", "\u05d0a", "\xff", "ﷺ", "\u0345", "a\u00a0", "\u0627\u0661"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, ok := SafeResource(s)
		if ok && out != s {
			t.Fatalf("%q was altered to %q without saying so", s, out)
		}
		if out == "" || len(out) > maxJIDPart || !utf8.ValidString(out) || !stableResource(out) {
			t.Fatalf("%q became %q, which is not stable", s, out)
		}
	})
}
