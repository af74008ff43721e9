package ircconn

import (
	"maps"
	"slices"
	"strings"
)

// CapSet is the capabilities of a connection (IRCv3 capability negotiation,
// version 302). It is immutable and shared between connections with the same.
type CapSet struct {
	offered map[string]string
	on      map[string]bool
}

// On tells whether a capability is on.
func (s *CapSet) On(name string) bool { return s != nil && s.on[name] }

// Offered tells whether the server offers it, and with what value.
func (s *CapSet) Offered(name string) (value string, ok bool) {
	if s == nil {
		return "", false
	}
	value, ok = s.offered[name]
	return value, ok
}

// Names lists what is on, sorted.
func (s *CapSet) Names() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.on))
}

const maxCaps = 256 // more than that from one server is ignored

var (
	capSets internTable[CapSet]
	noCaps  = &CapSet{}
)

// change returns a set with changes applied, interned.
func (s *CapSet) change(edit func(offered map[string]string, on map[string]bool)) *CapSet {
	offered, on := maps.Clone(s.offered), maps.Clone(s.on)
	if offered == nil {
		offered = make(map[string]string)
	}
	if on == nil {
		on = make(map[string]bool)
	}
	edit(offered, on)
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(offered)) {
		key.WriteString(name + "=" + offered[name] + " ")
	}
	key.WriteByte('|')
	for _, name := range slices.Sorted(maps.Keys(on)) {
		key.WriteString(name + " ")
	}
	return capSets.get(key.String(), func(string) *CapSet {
		c := &CapSet{offered: make(map[string]string, len(offered)), on: make(map[string]bool, len(on))}
		for name, value := range offered { // the lines they were cut from must not be kept alive
			c.offered[strings.Clone(name)] = strings.Clone(value)
		}
		for name := range on {
			c.on[strings.Clone(name)] = true
		}
		return c
	})
}

// capHandlers are the subcommands a server sends.
var capHandlers = map[string]func(c *Conn, m *Message){
	"LS":  (*Conn).capLS,
	"NEW": (*Conn).capNew,
	"DEL": (*Conn).capDel,
	"ACK": (*Conn).capAck,
	"NAK": (*Conn).capNak,
}

func (c *Conn) handleCap(m *Message) {
	if h := capHandlers[strings.ToUpper(m.Param(1))]; h != nil && len(m.Params) >= 3 {
		h(c, m)
	}
}

// capLS takes one line of the list; "*" before the list says more follow.
func (c *Conn) capLS(m *Message) {
	c.offer(m.Last())
	if m.Param(2) == "*" && len(m.Params) > 3 {
		return
	}
	if c.reg != nil && !c.reg.listed {
		c.reg.listed = true
		c.request()
	}
}

func (c *Conn) capNew(m *Message) {
	c.offer(m.Last())
	if c.reg == nil || c.reg.listed {
		c.request()
	}
}

func (c *Conn) capDel(m *Message) {
	names := strings.Fields(m.Last())
	c.caps.Store(c.Caps().change(func(offered map[string]string, on map[string]bool) {
		for _, name := range names {
			delete(offered, name)
			delete(on, name)
		}
	}))
	if slices.Contains(names, "sasl") {
		c.saslGone()
	}
}

func (c *Conn) capAck(m *Message) {
	names := strings.Fields(m.Last())
	c.caps.Store(c.Caps().change(func(offered map[string]string, on map[string]bool) {
		for _, name := range names {
			name = strings.TrimLeft(name, "~=")
			if off, found := strings.CutPrefix(name, "-"); found {
				delete(on, off)
			} else if len(on) < maxCaps {
				on[name] = true
			}
		}
	}))
	c.answered()
	if slices.Contains(names, "sasl") {
		c.startSASL()
	}
}

// capNak: one name the server does not like takes its whole line with it, so
// each is asked for by itself.
func (c *Conn) capNak(m *Message) {
	names := strings.Fields(m.Last())
	if len(names) > 1 {
		for _, name := range names {
			c.requestLine(name)
		}
	} else if slices.Contains(names, "sasl") {
		c.saslGone()
	}
	c.answered()
}

// offer notes capabilities the server announces.
func (c *Conn) offer(list string) {
	c.caps.Store(c.Caps().change(func(offered map[string]string, _ map[string]bool) {
		for item := range strings.FieldsSeq(list) {
			name, value, _ := strings.Cut(item, "=")
			if name = strings.TrimLeft(name, "~="); name != "" && len(offered) < maxCaps {
				offered[name] = value
			}
		}
	}))
	if value, ok := c.Caps().Offered("sts"); ok {
		c.opt.sts.learn(c.info.Endpoint, value)
	}
}

// request asks for what is wanted, offered and not on yet. A line that is too
// long is cut by some servers, hence several; sasl goes alone because most depends on it.
func (c *Conn) request() {
	const maxList = 400
	caps := c.Caps()
	var list []string
	size := 0
	for _, name := range append(c.opt.caps[:len(c.opt.caps):len(c.opt.caps)], "cap-notify") {
		if _, ok := caps.Offered(name); !ok || caps.On(name) || name == "sasl" || slices.Contains(list, name) {
			continue
		}
		if size+len(name) > maxList {
			c.requestLine(strings.Join(list, " "))
			list, size = nil, 0
		}
		list = append(list, name)
		size += len(name) + 1
	}
	if len(list) > 0 {
		c.requestLine(strings.Join(list, " "))
	}
	if _, ok := caps.Offered("sasl"); ok && c.opt.sasl != nil && c.sasl == nil && c.account == "" {
		if caps.On("sasl") {
			c.startSASL()
		} else {
			c.requestLine("sasl")
		}
	}
}

func (c *Conn) requestLine(names string) {
	if c.control(Line{Command: "CAP", Params: []string{"REQ", names}}) && c.reg != nil {
		c.reg.unanswered++
	}
}

// answered counts a reply to a request made while registering.
func (c *Conn) answered() {
	if c.reg != nil && c.reg.unanswered > 0 {
		c.reg.unanswered--
	}
}
