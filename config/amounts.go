package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Age is a long span of time, which may be written in days. The zero value is no
// limit.
type Age time.Duration

// String returns the age as it is written: "90d", "36h" or "off".
func (a Age) String() string {
	d := time.Duration(a)
	switch {
	case d == 0:
		return "off"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return shortDuration(d)
}

// MarshalText returns the age as it is written.
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads "90d", a duration such as "36h", or "off".
func (a *Age) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "off" {
		*a = 0
		return nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			*a = Age(time.Duration(n) * day)
			return nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= time.Minute {
		*a = Age(d)
		return nil
	}
	return fmt.Errorf("%q is not an age: write \"90d\" for 90 days, \"36h\", or \"off\" for no limit", s)
}

// Size is a number of bytes. The zero value is no limit.
type Size int64

// sizeUnits are what sizes may be written in, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// String returns the size as it is written: "500MB", "2GiB" or "off".
func (s Size) String() string {
	if s == 0 {
		return "off"
	}
	for _, u := range sizeUnits {
		if int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "" // bytes divide everything
}

// MarshalText returns the size as it is written.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads "500MB", "2GiB" or "off".
func (s *Size) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*s = 0
		return nil
	}
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write \"500MB\", \"2GiB\", or \"off\" for no limit", text)
}
