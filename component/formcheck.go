package component

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what is filled in, in bytes.
const (
	maxLineValue = 1024  // one value
	maxTextValue = 16384 // all values of a field together
)

// Values are the answers to a form that was checked: by field name. A field the
// answer left out has no entry.
type Values map[string][]string

// Get is the first value of a field; empty where there is none.
func (v Values) Get(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

// Has reports whether the answer has the field at all.
func (v Values) Has(name string) bool { _, ok := v[name]; return ok }

// Bool reports whether a boolean field is set.
func (v Values) Bool(name string) bool { b, _ := parseBool(v.Get(name)); return b }

// Text is all values of a field as lines.
func (v Values) Text(name string) string { return strings.Join(v[name], "\n") }

func parseBool(s string) (value, ok bool) {
	switch s {
	case "1", "true":
		return true, true
	case "0", "false", "":
		return false, true
	}
	return false, false
}

// Check reads the answer to form f. What is wrong with it comes back in
// sentences for the user, one a field; fields nobody asked for are passed over.
func (f *Form) Check(answer *Form) (Values, []string) {
	values := make(Values)
	var problems []string
	for _, asked := range f.Fields {
		if asked.Type == FieldFixed || asked.Var == "" {
			continue
		}
		given, ok := answer.Field(asked.Var)
		if !ok {
			if asked.Required && asked.Value() == "" && asked.Type != FieldHidden {
				problems = append(problems, asked.name()+" is needed.")
			}
			continue
		}
		got, problem := asked.check(given.Values)
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		values[asked.Var] = got
	}
	return values, problems
}

// name is what the user knows the field as.
func (f FormField) name() string {
	if f.Label != "" {
		return "“" + f.Label + "”"
	}
	return "“" + f.Var + "”"
}

// check reads a field's values and says what is wrong with them, if anything.
func (f FormField) check(given []string) (values []string, problem string) {
	values, problem = f.shape(given)
	if problem != "" {
		return nil, problem
	}
	if f.Required && !slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
		return nil, f.name() + " is needed."
	}
	for i, v := range values {
		if problem = f.checkValue(&v); problem != "" {
			return nil, problem
		}
		values[i] = v
	}
	return values, ""
}

// shape cuts lines, drops space nobody meant and looks at the sizes.
func (f FormField) shape(given []string) ([]string, string) {
	total := 0
	var values []string
	for _, v := range given {
		total += len(v)
		if f.lines() {
			for line := range strings.Lines(v) {
				values = append(values, strings.TrimRight(line, "\r\n"))
			}
			continue
		}
		if f.Type != FieldTextPrivate {
			v = strings.TrimSpace(v)
		}
		values = append(values, v)
	}
	if total > maxTextValue || slices.ContainsFunc(values, func(v string) bool { return len(v) > maxLineValue }) {
		return nil, f.name() + " is too long."
	}
	if len(values) > 1 && !f.Type.multi() && !f.Lines {
		return nil, f.name() + " takes one value."
	}
	if f.Type == FieldListMulti || f.Type == FieldJIDMulti {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	}
	return values, ""
}

// lines reports whether what is filled in is cut into lines.
func (f FormField) lines() bool { return f.Type == FieldTextMulti || f.Lines }

func (f FormField) checkValue(v *string) string {
	if strings.ContainsAny(*v, "\r\n\x00") || !utf8.ValidString(*v) {
		return f.name() + " takes one line."
	}
	if *v == "" {
		return ""
	}
	switch f.Type {
	case FieldBoolean:
		b, ok := parseBool(*v)
		if !ok {
			return f.name() + " takes yes or no."
		}
		*v = "false"
		if b {
			*v = "true"
		}
	case FieldListSingle, FieldListMulti:
		if !slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == *v }) {
			return f.name() + " takes one of the choices."
		}
	case FieldJIDSingle, FieldJIDMulti:
		j, err := ParseJID(*v)
		if err != nil {
			return f.name() + " takes an address such as juliet@example.org."
		}
		*v = j.String()
	}
	return ""
}

// Refill returns the form with the values of an answer in its place, for the
// next try. Secrets are not sent back.
func (f *Form) Refill(answer *Form) *Form {
	again := *f
	again.Fields = slices.Clone(f.Fields)
	for i := range again.Fields {
		field := &again.Fields[i]
		given, ok := answer.Field(field.Var)
		switch {
		case !ok || field.Type == FieldFixed || field.Type == FieldHidden:
		case field.Type == FieldTextPrivate:
			field.Values = nil
		default:
			if _, problem := field.shape(given.Values); problem == "" {
				field.Values = given.Values
			}
		}
	}
	return &again
}
