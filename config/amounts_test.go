package config

import (
	"testing"
	"time"
)

func TestAgeText(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * day, "36h": 36 * time.Hour, "off": 0, "1m": time.Minute} {
		var a Age
		if err := a.UnmarshalText([]byte(text)); err != nil || time.Duration(a) != want || a.String() != text {
			t.Errorf("%s is %v, written %q, %v", text, time.Duration(a), a, err)
		}
	}
	for _, text := range []string{"", "0", "0d", "90", "d", "-1d", "1.5d", "99999d", "1s", "-1h", "3w"} {
		if err := new(Age).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for an age", text)
		}
	}
}

func TestSizeText(t *testing.T) {
	for text, want := range map[string]int64{"500MB": 5e8, "2GiB": 2 << 30, "off": 0, "17B": 17, "3KiB": 3 << 10} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want || s.String() != text {
			t.Errorf("%s is %d, written %q, %v", text, s, s, err)
		}
	}
	for _, text := range []string{"", "0", "0B", "500", "MB", "-1GB", "1.5GB", "9999999999999GiB", "1TB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a size", text)
		}
	}
}
