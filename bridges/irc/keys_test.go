package irc

import (
	"reflect"
	"testing"
)

// settingKeys are the keys of the configuration.
func settingKeys(t *testing.T) []string {
	t.Helper()
	var keys []string
	var walk func(reflect.Type)
	walk = func(s reflect.Type) {
		for i := range s.NumField() {
			f := s.Field(i)
			switch tag := f.Tag.Get("mapstructure"); {
			case tag == ",squash":
				walk(f.Type)
			case tag == "":
				t.Errorf("%s.%s has no key", s.Name(), f.Name)
			default:
				keys = append(keys, tag)
				if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
					walk(f.Type.Elem())
				}
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	return keys
}
