package config

import (
	"reflect"
	"slices"
	"strings"
)

// Change is a key whose value differs between two configurations. Values are
// not kept: some are secrets.
type Change struct {
	Key  string
	Live bool // takes effect now; false: at the next start
}

// Reloaded returns c with everything of next that can change while running, and
// what differs, by key. A driver's section never changes while running.
func (c *Config) Reloaded(next *Config) (Config, []Change) {
	out := *c
	out.options = next.options
	var m merger
	m.structs(reflect.ValueOf(&out).Elem(), reflect.ValueOf(next).Elem(), "", false)
	out.Gateways = slices.Clone(c.Gateways)
	for i := range out.Gateways {
		g := &out.Gateways[i]
		at := "gateways[" + g.Name + "]"
		j := slices.IndexFunc(next.Gateways, func(n Gateway) bool { return n.Name == g.Name })
		if j < 0 {
			m.changes = append(m.changes, Change{Key: at})
			continue
		}
		m.structs(reflect.ValueOf(g).Elem(), reflect.ValueOf(&next.Gateways[j]).Elem(), at, false)
		m.section(g, &next.Gateways[j])
	}
	for _, n := range next.Gateways {
		if !slices.ContainsFunc(c.Gateways, func(g Gateway) bool { return g.Name == n.Name }) {
			m.changes = append(m.changes, Change{Key: "gateways[" + n.Name + "]"})
		}
	}
	slices.SortFunc(m.changes, func(a, b Change) int { return strings.Compare(a.Key, b.Key) })
	return out, m.changes
}

type merger struct{ changes []Change }

// structs copies the live fields of from to to and notes all that differ.
func (m *merger) structs(to, from reflect.Value, at string, live bool) {
	for i := range to.NumField() {
		f := to.Type().Field(i)
		name := tagName(f)
		if name == "" || name == "gateways" {
			continue
		}
		key, fieldLive := join(at, name), live || f.Tag.Get("reload") == "live"
		a, b := to.Field(i), from.Field(i)
		switch {
		case isTable(f.Type):
			m.structs(a, b, key, fieldLive)
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			m.changes = append(m.changes, Change{key, fieldLive})
			if fieldLive {
				a.Set(b)
			}
		}
	}
}

// section notes the keys of a driver's section that differ.
func (m *merger) section(old, next *Gateway) {
	if old.Driver != next.Driver {
		return // noted as a change of driver
	}
	keys := map[string]bool{}
	for _, raw := range []map[string]any{old.Section.raw, next.Section.raw} {
		for key := range raw {
			keys[key] = true
		}
	}
	for key := range keys {
		if !reflect.DeepEqual(old.Section.raw[key], next.Section.raw[key]) {
			m.changes = append(m.changes, Change{Key: join(old.Section.key, key)})
		}
	}
}
