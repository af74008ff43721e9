package config

import (
	"testing"
	"time"
)

func TestPatternMatch(t *testing.T) {
	cases := []struct {
		pattern  string
		yes, not []string
	}{
		{"*", []string{"a@b", "b", "a@b/c"}, []string{"", "a@"}},
		{"Example.org", []string{"a@example.org", "example.org", "a@example.org/x@y"}, []string{"a@sub.example.org", "a@xexample.org", "example.org@evil.net", "a@evil.net/example.org"}},
		{"*.example.org", []string{"a@b.example.org", "a@c.b.example.org"}, []string{"a@example.org", "a@.example.org.net", "a@xexample.org", "a@evil/b.example.org"}},
		{"Romeo@Example.net", []string{"romeo@example.net", "romeo@example.net/r"}, []string{"example.net", "juliet@example.net", "romeo@example.net.evil", "xromeo@example.net"}},
		{"bücher.example", []string{"a@bücher.example"}, []string{"a@bucher.example"}},
		{"localhost", []string{"a@localhost"}, []string{"a@local"}},
		{"192.0.2.1", []string{"a@192.0.2.1"}, nil},
	}
	for _, c := range cases {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, jid := range c.yes {
			if !p.Match(jid) {
				t.Errorf("%s does not match %q", c.pattern, jid)
			}
		}
		for _, jid := range c.not {
			if p.Match(jid) {
				t.Errorf("%s matches %q", c.pattern, jid)
			}
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%s reads back as %s, %v", c.pattern, again, err)
		}
	}
	if (Pattern{}).Match("a@b") || (Pattern{}).Everyone() {
		t.Error("the zero pattern lets somebody in")
	}
}

func TestRateText(t *testing.T) {
	for text, want := range map[string]Rate{
		"30/1m": {30, time.Minute}, "1/500ms": {1, 500 * time.Millisecond}, "off": {}, "7/1h": {7, time.Hour}, "3/1h30m": {3, 90 * time.Minute},
		"20/10m": {20, 10 * time.Minute}, "2/1m30s": {2, 90 * time.Second},
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%s: %v, %v", text, r, err)
		}
		if out, err := r.MarshalText(); err != nil || string(out) != text {
			t.Errorf("%s is written %s, %v", text, out, err)
		}
	}
	for _, text := range []string{"", "30", "30/", "/1m", "0/1m", "-1/1m", "30/0s", "30/-1m", "30/1", "x/1m", "30/1m/2"} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, r)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*", "a.b", "*.a.b", "x@y.z", "@", "a@b@c", "*.*", "ü@ß"} {
		f.Add(s, "x@a.b/r")
	}
	f.Fuzz(func(t *testing.T, s, jid string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%q reads back as %q, %v", s, again, err)
		}
		if p.Match(jid) && !p.Everyone() && !p.Match(jid+"/resource") {
			t.Errorf("%q matches %q only without a resource", s, jid)
		}
	})
}
