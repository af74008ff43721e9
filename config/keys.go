package config

import (
	"encoding"
	"maps"
	"reflect"
	"strings"
	"time"
)

// tagName returns the key of a struct field, empty for one without.
func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// squashed tells whether the keys of a field's struct stand beside it.
func squashed(f reflect.StructField) bool {
	return strings.Contains(f.Tag.Get("mapstructure"), ",squash")
}

// isTable tells whether a type is written as a table of keys.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isTableList tells whether a type is written as a list of tables.
func isTableList(t reflect.Type) bool { return t.Kind() == reflect.Slice && isTable(t.Elem()) }

// tableKeys are the keys of one table and what stands behind them.
func tableKeys(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		if squashed(field) {
			maps.Copy(out, tableKeys(field.Type))
		} else if name := tagName(field); name != "" {
			out[name] = field.Type
		}
	}
	return out
}

// walkKeys calls f for every key a struct type reads, tables included. The keys
// inside a list of tables have "[]" behind the list's name.
func walkKeys(t reflect.Type, at string, f func(key string, t reflect.Type)) {
	for i := range t.NumField() {
		field := t.Field(i)
		if squashed(field) {
			walkKeys(field.Type, at, f)
			continue
		}
		name := tagName(field)
		if name == "" {
			continue
		}
		key := join(at, name)
		switch {
		case isTable(field.Type):
			f(key, field.Type)
			walkKeys(field.Type, key, f)
		case isTableList(field.Type):
			f(key+"[]", field.Type)
			walkKeys(field.Type.Elem(), key+"[]", f)
		default:
			f(key, field.Type)
		}
	}
}

// Keys lists the keys that a pointer to a struct with mapstructure tags reads,
// without the tables that hold them; lists of tables show as "name[]".
func Keys(v any) []string {
	var out []string
	walkKeys(reflect.TypeOf(v).Elem(), "", func(key string, t reflect.Type) {
		if !isTable(t) && !strings.HasSuffix(key, "[]") {
			out = append(out, key)
		}
	})
	return out
}

// settable are the keys one value can be given to from outside the file: all
// that are neither tables nor lists of tables.
func settable(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	walkKeys(t, "", func(key string, t reflect.Type) {
		if !isTable(t) && !strings.Contains(key, "[]") {
			out[key] = t
		}
	})
	return out
}

// coerce turns text from the environment or a flag into what a file would have
// held for a key of this type. What does not fit stays text and is reported by
// the decoder.
func coerce(text string, t reflect.Type) any {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return text
	case t.Kind() == reflect.Slice:
		list := []any{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list
	case t.Kind() == reflect.Bool:
		switch text {
		case "true":
			return true
		case "false":
			return false
		}
	case t.Kind() == reflect.Int:
		var n int64
		for i, r := range text {
			if r < '0' || r > '9' || i > 9 {
				return text
			}
			n = n*10 + int64(r-'0')
		}
		return n
	}
	return text
}

// LiveKeys lists the keys that take effect at a reload, in the order of the
// types; those of a gateway begin with "gateways".
func LiveKeys() []string {
	var out []string
	var walk func(t reflect.Type, at string, live bool)
	walk = func(t reflect.Type, at string, live bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			name := tagName(f)
			if name == "" {
				continue
			}
			key, fieldLive := join(at, name), live || f.Tag.Get("reload") == "live"
			switch {
			case isTable(f.Type):
				walk(f.Type, key, fieldLive)
			case isTableList(f.Type):
				walk(f.Type.Elem(), key, fieldLive)
			case fieldLive:
				out = append(out, key)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "", false)
	return out
}
