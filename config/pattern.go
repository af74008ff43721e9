package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Pattern stands for a set of bare JIDs: "*" (everyone), "example.org" (its
// users), "*.example.org" (the users of all its subdomains, not its own) or
// "romeo@example.org" (one user).
type Pattern struct{ user, domain string }

// ParsePattern reads a pattern; case does not matter.
func ParsePattern(s string) (Pattern, error) {
	s = strings.ToLower(s)
	if s == "*" {
		return Pattern{domain: "*"}, nil
	}
	user, domain, hasUser := strings.Cut(s, "@")
	if !hasUser {
		user, domain = "", s
	}
	rest := domain
	if !hasUser {
		rest = strings.TrimPrefix(domain, "*.")
	}
	switch {
	case s == "":
		return Pattern{}, errors.New("a pattern is empty")
	case strings.Contains(s, "/"):
		return Pattern{}, fmt.Errorf("%q has a resource: patterns are for bare JIDs", s)
	case hasUser && (user == "" || strings.Contains(user, "*")):
		return Pattern{}, fmt.Errorf("%q: before the @ stands one user name, without *", s)
	case !validDomain(rest):
		return Pattern{}, fmt.Errorf("%q is not a pattern: write *, example.org, *.example.org or user@example.org", s)
	}
	return Pattern{user, domain}, nil
}

// Everyone tells whether the pattern is "*".
func (p Pattern) Everyone() bool { return p.domain == "*" }

// String returns the pattern as it is written.
func (p Pattern) String() string {
	if p.user != "" {
		return p.user + "@" + p.domain
	}
	return p.domain
}

// MarshalText returns the pattern as it is written.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePattern.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePattern(string(text))
	return err
}

// Match tells whether a JID, bare or full, belongs to the set. The JID is
// folded to lower case as servers deliver it (RFC 7622).
func (p Pattern) Match(jid string) bool {
	bare, _, _ := strings.Cut(jid, "/")
	user, domain, ok := strings.Cut(bare, "@")
	if !ok {
		user, domain = "", bare
	}
	switch {
	case domain == "":
		return false
	case p.domain == "*":
		return true
	case p.user != "":
		return user == p.user && domain == p.domain
	case strings.HasPrefix(p.domain, "*."):
		return len(domain) >= len(p.domain) && strings.HasSuffix(domain, p.domain[1:])
	}
	return domain == p.domain
}

// Matches tells whether any of the patterns matches a JID.
func Matches(patterns []Pattern, jid string) bool {
	for _, p := range patterns {
		if p.Match(jid) {
			return true
		}
	}
	return false
}

// validDomain tells whether s can be a domain part: labels of letters, digits
// and hyphens, letters of any script, or an address.
func validDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r <= ' ' || r == 0x7f || r < 0x80 && !isAlnum(r) && r != '-' && r != '_' {
				return false
			}
		}
	}
	return true
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// Rate is so many in a span of time, all of which may come at once. The zero
// value is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// Unlimited tells whether there is no limit.
func (r Rate) Unlimited() bool { return r.Count == 0 }

// String returns the rate as it is written: "30/1m" or "off".
func (r Rate) String() string {
	if r.Unlimited() {
		return "off"
	}
	return strconv.Itoa(r.Count) + "/" + shortDuration(r.Per)
}

// shortDuration writes a duration without the zero units behind it.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns the rate as it is written.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "30/1m" (30 a minute) or "off" (no limit).
func (r *Rate) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "off" {
		*r = Rate{}
		return nil
	}
	count, per, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(count)
	d, err2 := time.ParseDuration(per)
	if !ok || err != nil || err2 != nil || n <= 0 || d <= 0 {
		return fmt.Errorf("%q is not a rate: write \"30/1m\" for 30 a minute, or \"off\"", s)
	}
	*r = Rate{n, d}
	return nil
}
