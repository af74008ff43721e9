package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// decoder turns what viper read into structs and gathers what is wrong.
type decoder struct {
	file     string            // as shown in problems
	dir      string            // relative file names are meant from here
	over     map[string]string // by key: the variable or flag that set it over the file
	problems Problems
}

func (d *decoder) add(key, format string, args ...any) {
	from := d.file
	item, _, _ := strings.Cut(key[strings.LastIndexByte(key, '.')+1:], "[") // "users" of "users[0]"
	if source, ok := d.over[key[:strings.LastIndexByte(key, '.')+1]+item]; ok {
		from = source
	}
	d.problems = append(d.problems, Problem{File: from, Key: key, Text: fmt.Sprintf(format, args...)})
}

// setBy notes that a variable or a flag has set a key: it is to blame for what is
// wrong there.
func (d *decoder) setBy(source, key string) {
	if d.over == nil {
		d.over = map[string]string{}
	}
	d.over[key] = source
}

// decode fills the struct behind to, strictly. at is the key of raw; allowed
// are keys beside those of the struct.
func (d *decoder) decode(raw map[string]any, to any, at string, allowed ...string) {
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:               to,
		IgnoreUntaggedFields: true,
		MatchName:            func(key, field string) bool { return key == field },
		DecodeHook:           mapstructure.ComposeDecodeHookFunc(durationHook, textHook),
	})
	if err != nil { // only when to is no pointer: a fault of the caller's
		d.add(at, "cannot be decoded: %v", err)
		return
	}
	d.failures(dec.Decode(raw), at)
	d.unknown(raw, reflect.TypeOf(to).Elem(), at, allowed)
	d.absolute(reflect.ValueOf(to).Elem(), "")
}

// unknown reports the keys of a table that nobody reads, but for those allowed.
// The decoder's own list of them ends at the first value that does not fit.
func (d *decoder) unknown(raw map[string]any, t reflect.Type, at string, allowed []string) {
	known := tableKeys(t)
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		field, ok := known[key]
		switch {
		case !ok && !slices.Contains(allowed, key):
			d.add(join(at, key), "unknown key, %s", suggestion(key, slices.AppendSeq(slices.Clone(allowed), maps.Keys(known))))
		case !ok:
		case isTable(field):
			if table, ok := raw[key].(map[string]any); ok {
				d.unknown(table, field, join(at, key), nil)
			}
		case isTableList(field):
			items, _ := raw[key].([]any)
			for i, item := range items {
				if table, ok := item.(map[string]any); ok {
					d.unknown(table, field.Elem(), fmt.Sprintf("%s[%d]", join(at, key), i), nil)
				}
			}
		}
	}
}

// failures takes apart the joined errors of mapstructure.
func (d *decoder) failures(err error, at string) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			d.failures(one, at)
		}
		return
	}
	var deeper *mapstructure.DecodeError
	if de, ok := err.(*mapstructure.DecodeError); ok && !errors.As(de.Unwrap(), &deeper) {
		d.add(join(at, de.Name()), "%s", sentence(de.Unwrap()))
		return
	}
	if inner := errors.Unwrap(err); inner != nil {
		d.failures(inner, at)
		return
	}
	d.add(at, "%s", err)
}

// sentence says what a value should have been.
func sentence(err error) string {
	var wrong *mapstructure.UnconvertibleTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("must be %s, not %s", kindName(wrong.Expected.Type()), valueName(wrong.Value))
	}
	text := err.Error()
	if strings.HasPrefix(text, "source data must be an array or slice") {
		return "must be a list: [\"…\"]"
	}
	if strings.HasPrefix(text, "expected a map") {
		return "must be a table"
	}
	return text
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a table"
	}
	return "a whole number"
}

func valueName(v any) string {
	switch v := v.(type) {
	case string:
		return "a string"
	case bool:
		return fmt.Sprint(v)
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%T", v)
}

// durationHook reads durations with their unit; a bare number would be taken
// for nanoseconds.
func durationHook(from, to reflect.Type, v any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return v, nil
	}
	s, ok := v.(string)
	if ok {
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%v is not a duration: write it with a unit, as \"30s\" or \"5m\"", v)
}

// textHook lets a type read itself from a string.
func textHook(from, to reflect.Type, v any) (any, error) {
	result := reflect.New(to)
	u, ok := result.Interface().(encoding.TextUnmarshaler)
	if !ok {
		return v, nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("must be a string, not %s", valueName(v))
	}
	err := u.UnmarshalText([]byte(s))
	return result.Elem().Interface(), err
}

// absolute makes the values of all keys that end in _file, and of "path",
// absolute.
func (d *decoder) absolute(v reflect.Value, key string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				d.absolute(v.Field(i), tagName(f))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			d.absolute(v.Index(i), key)
		}
	case reflect.String:
		if s := v.String(); s != "" && (strings.HasSuffix(key, "_file") || key == "path") && !filepath.IsAbs(s) {
			v.SetString(filepath.Join(d.dir, s))
		}
	}
}

func join(at, key string) string {
	switch {
	case at == "":
		return key
	case key == "":
		return at
	}
	return at + "." + key
}
