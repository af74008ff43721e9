package component

import (
	"strings"
	"testing"
)

func TestParseJID(t *testing.T) {
	long := strings.Repeat("x", 1023)
	for _, c := range []struct {
		in   string
		want JID
	}{
		{"example.org", JID{"", "example.org", ""}},
		{"a@example.org", JID{"a", "example.org", ""}},
		{"a@example.org/r", JID{"a", "example.org", "r"}},
		{"example.org/r", JID{"", "example.org", "r"}},
		{"A@EXAMPLE.org/R", JID{"a", "example.org", "R"}},
		{"É@Ü.example/É", JID{"é", "ü.example", "É"}},
		{"b/r@s", JID{"", "b", "r@s"}}, // the library refuses this one
		{"a@b/c/d", JID{"a", "b", "c/d"}},
		{"a@b/@/", JID{"a", "b", "@/"}},
		{"#chan%irc.example.net@gw/We@ird nick", JID{"#chan%irc.example.net", "gw", "We@ird nick"}},
		{"[a]{b}^|`\\20c@gw", JID{"[a]{b}^|`\\20c", "gw", ""}},
		{"a@b.", JID{"a", "b", ""}},
		{"a@[::1]", JID{"a", "[::1]", ""}},
		{long + "@" + long + "/" + long, JID{long, long, long}},
		{"b/\u00a0", JID{"", "b", "\u00a0"}},
		{"b/\ufffd", JID{"", "b", "\ufffd"}},
	} {
		got, err := ParseJID(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseJID(%q) = %#v, %v, want %#v", c.in, got, err, c.want)
		}
	}
}

func TestParseJIDRefuses(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for _, s := range []string{
		"", "@", "/", "..", "b..", strings.Repeat("Ⱥ", 511) + "@b", "@b", "a@", "a@/r", "b/", "a@b/", ".", "a@b@c", "a b@c", "a@b c", "a\x00@b", "a@b/\x01", "a@b/\x7f",
		"a'b@c", "a\"b@c", "a&b@c", "a:b@c", "<a>@b", "a@b%c", "a@b#", "\xff@b", "a@\xff", "a@b/\xff", "a\u00a0@b", "a@b/\u0085",
		"a@b/\ufffe", "a\ufffd@b", long + "@b", "a@" + long, "a@b/" + long,
	} {
		if j, err := ParseJID(s); err == nil {
			t.Errorf("ParseJID(%q) = %#v, want an error", s, j)
		}
	}
}

func TestJIDParts(t *testing.T) {
	j := JID{"a", "b", "c"}
	if j.Bare() != (JID{"a", "b", ""}) || j.Bare().WithResource("d") != (JID{"a", "b", "d"}) || j.IsBare() || !j.Bare().IsBare() {
		t.Error("the parts are mixed up")
	}
	if j.IsZero() || !(JID{}).IsZero() {
		t.Error("only the zero JID is zero")
	}
	if c := j.Clone(); c != j {
		t.Errorf("the clone is %v", c)
	}
}

func FuzzParseJID(f *testing.F) {
	for _, s := range []string{"a@b/c", "b", "A@B/C", "É@Ü/x", "a@b/c@d/e", "@", "\xff@b", "a@b.", "İ@b", "a@K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j, err := ParseJID(s)
		if err != nil {
			return
		}
		if err := j.check(); err != nil {
			t.Fatalf("%q was read as %#v, of which check says %v", s, j, err)
		}
		text := j.String()
		if string(j.AppendTo(nil)) != text {
			t.Fatalf("AppendTo and String differ for %#v", j)
		}
		again, err := ParseJID(text)
		if err != nil || again != j {
			t.Fatalf("%q was read as %#v, and that as %#v, %v", s, j, again, err)
		}
	})
}
