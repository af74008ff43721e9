package xep

import (
	"slices"

	"transportd/component"
)

// NSRegister is in-band registration (XEP-0077).
const NSRegister = "jabber:iq:register"

// registerNames are the fields XEP-0077 section 14 defines, in its order. Others are
// unknown to clients and belong in the data form.
var registerNames = []string{
	"username", "nick", "password", "name", "first", "last", "email", "address", "city",
	"state", "zip", "phone", "url", "date", "misc", "text", "key",
}

// RegisterField is one of the plain fields of a registration.
type RegisterField struct{ Name, Value string }

// Register is a registration query. In a request Fields are those that were
// sent, in a reply those that are asked for with what is known of them.
type Register struct {
	Instructions string
	Registered   bool
	Remove       bool
	Fields       []RegisterField
	Form         *component.Form
}

// Value returns a plain field, and whether it was there.
func (r Register) Value(name string) (string, bool) {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// ParseRegister reads a registration query. The error is about its form.
func ParseRegister(e *component.Element) (Register, error) {
	q := find(e, NSRegister, "query")
	if q == nil {
		return Register{}, badRequest("The query is missing.")
	}
	var r Register
	for c := range q.Children() {
		if c.Space != NSRegister {
			continue
		}
		switch {
		case c.Name == "instructions":
			r.Instructions = c.Text()
		case c.Name == "registered":
			r.Registered = true
		case c.Name == "remove":
			r.Remove = true
		case slices.Contains(registerNames, c.Name):
			r.Fields = append(r.Fields, RegisterField{c.Name, c.Text()})
		}
	}
	form, ok, err := component.ParseForm(q)
	if err != nil {
		return Register{}, err
	}
	if ok {
		r.Form = &form
	}
	return r, nil
}

// AppendTo writes the query.
func (r Register) AppendTo(o *component.Out) {
	o.Start(NSRegister, "query")
	if r.Registered {
		o.Start("", "registered").End()
	}
	if r.Remove {
		o.Start("", "remove").End()
	}
	if r.Instructions != "" {
		o.Elem("", "instructions", r.Instructions)
	}
	for _, f := range r.Fields {
		o.Elem("", f.Name, f.Value)
	}
	if r.Form != nil {
		r.Form.AppendTo(o)
	}
	o.End()
}
