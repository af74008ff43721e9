package component

import (
	"slices"

	"gosrc.io/xmpp/stanza"
)

// NSForms is the namespace of data forms (XEP-0004).
const NSForms = "jabber:x:data"

// Limits of a submitted form. A form over them is refused as a whole.
const (
	maxFormFields = 256
	maxFormValues = 4096 // of all fields together
)

// Types of a form (XEP-0004 section 3.1).
const (
	FormAsk    = "form"
	FormSubmit = "submit"
	FormCancel = "cancel"
	FormResult = "result"
)

// FieldType is how a field is filled in (XEP-0004 section 3.3).
type FieldType string

// Types of a field. The empty one is a single line of text.
const (
	FieldBoolean     FieldType = "boolean"
	FieldFixed       FieldType = "fixed"
	FieldHidden      FieldType = "hidden"
	FieldJIDMulti    FieldType = "jid-multi"
	FieldJIDSingle   FieldType = "jid-single"
	FieldListMulti   FieldType = "list-multi"
	FieldListSingle  FieldType = "list-single"
	FieldTextMulti   FieldType = "text-multi"
	FieldTextPrivate FieldType = "text-private"
	FieldTextSingle  FieldType = "text-single"
)

// Form is a data form (XEP-0004): questions, answers or results.
type Form struct {
	Type         string // FormAsk, FormSubmit, FormCancel or FormResult
	Title        string
	Instructions []string
	Fields       []FormField
	Reported     []FormField   // the columns of a table
	Items        [][]FormField // its rows: Var and Values
}

// FormField is one field of a form.
type FormField struct {
	Var      string
	Type     FieldType
	Label    string
	Desc     string
	Required bool
	Values   []string
	Options  []Option
	Media    *Media // a picture shown with it
	// Lines lets a text-private field have several lines, as a key has. It is not
	// part of the protocol.
	Lines bool
	// Advanced fields are left out where fields are asked for one by one. It is
	// not part of the protocol.
	Advanced bool
}

// Option is a choice of a list field.
type Option struct{ Label, Value string }

// Value is a field's first value; empty where there is none.
func (f FormField) Value() string {
	if len(f.Values) == 0 {
		return ""
	}
	return f.Values[0]
}

// multi reports whether a field of that type may have several values.
func (t FieldType) multi() bool {
	switch t {
	case FieldTextMulti, FieldListMulti, FieldJIDMulti, FieldFixed, FieldHidden:
		return true
	}
	return false
}

// NewForm makes a form that asks for fields.
func NewForm(title string, instructions []string, fields ...FormField) *Form {
	return &Form{Type: FormAsk, Title: title, Instructions: instructions, Fields: fields}
}

// TypeField is the hidden field that names what a form is about (XEP-0068).
func TypeField(formType string) FormField {
	return FormField{Var: "FORM_TYPE", Type: FieldHidden, Values: []string{formType}}
}

// Field returns the field of that name.
func (f *Form) Field(name string) (FormField, bool) {
	if f == nil {
		return FormField{}, false
	}
	i := slices.IndexFunc(f.Fields, func(c FormField) bool { return c.Var == name })
	if i < 0 {
		return FormField{}, false
	}
	return f.Fields[i], true
}

// Value is the first value of the field of that name; empty where there is none.
func (f *Form) Value(name string) string {
	field, _ := f.Field(name)
	return field.Value()
}

// ParseForm reads the form that is e or a child of e. It returns false where
// there is none. The error is a *StanzaError for a form that is none: of an
// unknown type, with a field twice, or with more fields or values than the limits.
func ParseForm(e *Element) (Form, bool, error) {
	x := e
	if x != nil && (x.Space != NSForms || x.Name != "x") {
		x = e.Child(NSForms, "x")
	}
	if x == nil {
		return Form{}, false, nil
	}
	p := formParser{}
	form, err := p.form(x)
	if err != nil {
		return Form{}, true, err
	}
	return form, true, nil
}

// formParser counts what a form has over all of its parts.
type formParser struct{ fields, values int }

func (p *formParser) form(x *Element) (Form, error) {
	form := Form{Type: x.Attr("type")}
	if !slices.Contains([]string{FormAsk, FormSubmit, FormCancel, FormResult}, form.Type) {
		return form, badForm("The form has no type that is known.")
	}
	for c := range x.Children() {
		if c.Space != NSForms {
			continue
		}
		switch c.Name {
		case "title":
			form.Title = c.Text()
		case "instructions":
			form.Instructions = append(form.Instructions, c.Text())
		case "field":
			field, err := p.field(c)
			if err != nil {
				return form, err
			}
			if field.Var == "" && field.Type != FieldFixed {
				return form, badForm("A field of the form has no name.")
			}
			if _, twice := form.Field(field.Var); twice && field.Var != "" {
				return form, badForm("A field of the form is there twice.")
			}
			form.Fields = append(form.Fields, field)
		case "reported", "item":
			row, err := p.row(c)
			if err != nil {
				return form, err
			}
			if c.Name == "reported" {
				form.Reported = row
			} else {
				form.Items = append(form.Items, row)
			}
		}
	}
	return form, nil
}

func (p *formParser) row(e *Element) ([]FormField, error) {
	var row []FormField
	for c := range e.Children() {
		if c.Space != NSForms || c.Name != "field" {
			continue
		}
		field, err := p.field(c)
		if err != nil {
			return nil, err
		}
		row = append(row, field)
	}
	return row, nil
}

func (p *formParser) field(e *Element) (FormField, error) {
	p.fields++
	f := FormField{Var: e.Attr("var"), Type: FieldType(e.Attr("type")), Label: e.Attr("label")}
	for c := range e.Children() {
		if c.Space != NSForms {
			continue
		}
		switch c.Name {
		case "value":
			p.values++
			f.Values = append(f.Values, c.Text())
		case "option":
			p.values++
			f.Options = append(f.Options, Option{Label: c.Attr("label"), Value: c.Child("", "value").Text()})
		case "required":
			f.Required = true
		case "desc":
			f.Desc = c.Text()
		}
	}
	if p.fields > maxFormFields || p.values > maxFormValues {
		return f, badForm("The form is too large.")
	}
	return f, nil
}

func badForm(text string) *StanzaError {
	return NewStanzaError(stanza.ErrorTypeModify, "bad-request", text)
}

// AppendTo writes the form.
func (f *Form) AppendTo(o *Out) {
	o.Start(NSForms, "x").Attr("type", f.Type)
	if f.Title != "" {
		o.Elem("", "title", f.Title)
	}
	for _, line := range f.Instructions {
		o.Elem("", "instructions", line)
	}
	if len(f.Reported) > 0 {
		appendRow(o, "reported", f.Reported)
	}
	for _, field := range f.Fields {
		field.appendTo(o)
	}
	for _, item := range f.Items {
		appendRow(o, "item", item)
	}
	o.End()
}

func appendRow(o *Out, name string, fields []FormField) {
	o.Start("", name)
	for _, field := range fields {
		field.appendTo(o)
	}
	o.End()
}

func (f FormField) appendTo(o *Out) {
	o.Start("", "field").OptAttr("var", f.Var).OptAttr("type", string(f.Type)).OptAttr("label", f.Label)
	if f.Desc != "" {
		o.Elem("", "desc", f.Desc)
	}
	if f.Required {
		o.Start("", "required").End()
	}
	for _, v := range f.Values {
		o.Elem("", "value", v)
	}
	if f.Media != nil {
		f.Media.appendTo(o)
	}
	for _, opt := range f.Options {
		o.Start("", "option").OptAttr("label", opt.Label).Elem("", "value", opt.Value).End()
	}
	o.End()
}
