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
// what differs, by key. live tells whether a driver takes a key of its section
// at run time; nil: none.
func (c *Config) Reloaded(next *Config, live func(driver, key string) bool) (Config, []Change) {
	out := *c
	out.options = next.options
	m := merger{live: live}
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

type merger struct {
	live    func(driver, key string) bool
	changes []Change
}

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

// section does the same for the keys of a driver's section.
func (m *merger) section(to, from *Gateway) {
	if to.Driver != from.Driver {
		return // noted as a change of driver
	}
	merged := map[string]any{}
	for key, v := range to.Section.raw {
		merged[key] = v
	}
	keys := map[string]bool{}
	for key := range to.Section.raw {
		keys[key] = true
	}
	for key := range from.Section.raw {
		keys[key] = true
	}
	for key := range keys {
		v, present := from.Section.raw[key]
		if reflect.DeepEqual(to.Section.raw[key], v) {
			continue
		}
		live := m.live != nil && m.live(to.Driver, key)
		m.changes = append(m.changes, Change{join(to.Section.key, key), live})
		switch {
		case live && present:
			merged[key] = v
		case live:
			delete(merged, key)
		}
	}
	to.Section.raw = merged
}
