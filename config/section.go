package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Section is a driver's part of a gateway's settings, not yet decoded.
type Section struct {
	raw  map[string]any
	key  string // "gateways[irc].irc"
	file string
	dir  string
}

// NewSection makes a section from values, for tests and programs without a
// file. Relative file names are meant from dir.
func NewSection(raw map[string]any, dir string) Section {
	return Section{raw: raw, dir: dir}
}

// Decode fills the struct behind to, which carries mapstructure tags and the
// driver's defaults, as strictly as the rest: unknown keys are errors. Then it
// asks the struct's ValidateAll() []error, or Validate() error whose joined
// errors are taken apart. The error is a Problems with everything wrong; what the
// struct says of a value that could not be read is left out.
func (s Section) Decode(to any) error {
	d := &decoder{file: s.file, dir: s.dir}
	d.decode(maps.Clone(s.raw), to, s.key)
	found := slices.Clone(d.problems)
	var errs []error
	switch v := to.(type) {
	case interface{ ValidateAll() []error }:
		errs = v.ValidateAll()
	case interface{ Validate() error }:
		errs = flattenErrors(v.Validate())
	}
	for _, err := range errs {
		if !found.mention(err.Error()) {
			d.add(s.key, "%s", err)
		}
	}
	return d.problems.err()
}

// flattenErrors takes joined errors apart, however deep they were joined; what
// was said before a join is said before each of its errors.
func flattenErrors(err error) []error {
	switch e := err.(type) {
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var out []error
		for _, one := range e.Unwrap() {
			out = append(out, flattenErrors(one)...)
		}
		return out
	}
	inner := errors.Unwrap(err)
	parts := flattenErrors(inner)
	if len(parts) < 2 {
		return []error{err}
	}
	before := strings.TrimSuffix(err.Error(), inner.Error())
	for i, part := range parts {
		parts[i] = errors.New(before + part.Error())
	}
	return parts
}
