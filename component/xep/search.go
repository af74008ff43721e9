package xep

import (
	"slices"

	"transportd/component"
)

// NSSearch is searching (XEP-0055).
const NSSearch = "jabber:iq:search"

// searchNames are the fields XEP-0055 section 5 defines, in its order. Others
// belong in the data form.
var searchNames = []string{"first", "last", "nick", "email"}

// SearchField is one of the plain fields of a search.
type SearchField struct{ Name, Value string }

// SearchItem is something that was found, in plain fields.
type SearchItem struct {
	JID    component.JID
	Fields []SearchField
}

// Search is a search query: the fields that can be asked about, those that are,
// or with Items or a form of type result what was found.
type Search struct {
	Instructions string
	Fields       []SearchField
	Items        []SearchItem
	Form         *component.Form
	// Page writes which part of the result this is (XEP-0059); nil: it is all.
	Page func(*component.Out)
}

// Value returns a plain field.
func (s Search) Value(name string) string {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// ParseSearch reads a search query. The error is about its form.
func ParseSearch(e *component.Element) (Search, error) {
	q := find(e, NSSearch, "query")
	if q == nil {
		return Search{}, badRequest("The query is missing.")
	}
	var s Search
	for c := range q.Children() {
		switch {
		case c.Space != NSSearch:
		case c.Name == "instructions":
			s.Instructions = c.Text()
		case c.Name == "item":
			s.Items = append(s.Items, SearchItem{JID: jid(c.Attr("jid")), Fields: searchFields(c)})
		}
	}
	s.Fields = searchFields(q)
	form, ok, err := component.ParseForm(q)
	if err != nil {
		return Search{}, err
	}
	if ok {
		s.Form = &form
	}
	return s, nil
}

func searchFields(e *component.Element) []SearchField {
	var fields []SearchField
	for c := range e.Children() {
		if c.Space == NSSearch && slices.Contains(searchNames, c.Name) {
			fields = append(fields, SearchField{c.Name, c.Text()})
		}
	}
	return fields
}

// AppendTo writes the query.
func (s Search) AppendTo(o *component.Out) {
	o.Start(NSSearch, "query")
	if s.Instructions != "" {
		o.Elem("", "instructions", s.Instructions)
	}
	for _, f := range s.Fields {
		o.Elem("", f.Name, f.Value)
	}
	for _, item := range s.Items {
		o.Start("", "item")
		if text := jidText(item.JID); text != "" {
			o.Attr("jid", text)
		}
		for _, f := range item.Fields {
			o.Elem("", f.Name, f.Value)
		}
		o.End()
	}
	if s.Form != nil {
		s.Form.AppendTo(o)
	}
	if s.Page != nil {
		s.Page(o)
	}
	o.End()
}
