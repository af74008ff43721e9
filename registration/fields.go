package registration

import (
	"maps"
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// Names of the form fields that are the registration's own.
const (
	fieldNetwork   = "network"         // as drivers name it
	fieldForget    = "forget-secrets"  // stored secrets to be forgotten
	fieldUnchecked = "save-unchecked"  // save what could not be checked
	fieldConfirm   = "confirm-removal" // do remove it
)

// formType is the FORM_TYPE of the forms (XEP-0077 section 6).
const formType = "jabber:iq:register"

// fieldTypes are the form's words for the driver's kinds of field.
var fieldTypes = map[bridges.FieldKind]component.FieldType{
	bridges.FieldText:   component.FieldTextSingle,
	bridges.FieldSecret: component.FieldTextPrivate,
	bridges.FieldBool:   component.FieldBoolean,
	bridges.FieldLines:  component.FieldTextMulti,
	bridges.FieldChoice: component.FieldListSingle,
}

// formFields asks for a driver's fields, with what is known of the account, and of
// nothing else that is stored. Secrets are never shown, only that there is one. No
// secret has to be given to change an account that is stored: its driver may keep
// something else in its place.
func formFields(fields []bridges.Field, known *Account, stored bool) []component.FormField {
	asked := make([]component.FormField, 0, len(fields)+1)
	var secrets []component.Option
	for _, f := range fields {
		q := component.FormField{
			Var: f.Name, Type: fieldTypes[f.Kind], Label: f.Label, Desc: f.Help,
			Required: f.Required, Advanced: f.Advanced,
		}
		value, set := known.value(f)
		if !set {
			value = f.Default
		}
		switch f.Kind {
		case bridges.FieldSecret:
			q.Lines = true // a key has some; the driver knows what has none
			switch {
			case set:
				q.Required = false
				q.Desc = joinSentences(q.Desc, "One is known; leave this blank to keep it.")
				secrets = append(secrets, component.Option{Label: f.Label, Value: f.Name})
			case stored && q.Required:
				q.Required = false
				q.Desc = joinSentences(q.Desc, "You are logged in; leave this blank to stay so.")
			}
		case bridges.FieldLines:
			if value != "" {
				q.Values = strings.Split(value, "\n")
			}
		case bridges.FieldChoice:
			q.Options = options(f, value)
			fallthrough
		default:
			if value != "" {
				q.Values = []string{value}
			}
		}
		asked = append(asked, q)
	}
	if len(secrets) > 0 {
		asked = append(asked, component.FormField{
			Var: fieldForget, Type: component.FieldListMulti, Label: "Forget stored secrets",
			Options: secrets, Advanced: true,
		})
	}
	return asked
}

// options are a choice's, with the value that is set now.
func options(f bridges.Field, value string) []component.Option {
	var list []component.Option
	for _, o := range f.Options {
		list = append(list, component.Option{Value: o})
	}
	if value != "" && !slices.Contains(f.Options, value) {
		list = append(list, component.Option{Value: value})
	}
	return list
}

func joinSentences(a, b string) string {
	switch "" {
	case a:
		return b
	case b:
		return a
	}
	if !strings.HasSuffix(a, ".") && !strings.HasSuffix(a, ":") {
		a += "."
	}
	return a + " " + b
}

// value is what is stored for a field.
func (a *Account) value(f bridges.Field) (string, bool) {
	if a == nil {
		return "", false
	}
	from := a.Settings
	if f.Kind == bridges.FieldSecret {
		from = a.Secrets
	}
	v, ok := from[f.Name]
	return v, ok
}

// merge puts answers over what is stored. A field that was not answered keeps
// its value, or gets its default in a new account; a blank secret keeps the
// stored one, a blank text removes it.
func merge(fields []bridges.Field, stored *Account, answers component.Values) Account {
	a := Account{Settings: make(map[string]string), Secrets: make(map[string]string)}
	if stored != nil {
		a.Network = stored.Network
		maps.Copy(a.Settings, stored.Settings)
		maps.Copy(a.Secrets, stored.Secrets)
	}
	for _, f := range fields {
		if f.Name == fieldNetwork {
			continue
		}
		if !answers.Has(f.Name) {
			if stored == nil && f.Default != "" && f.Kind != bridges.FieldSecret {
				a.Settings[f.Name] = f.Default
			}
			continue
		}
		value := strings.Trim(answers.Text(f.Name), "\n")
		switch {
		case f.Kind == bridges.FieldSecret && value != "":
			a.Secrets[f.Name] = value
		case f.Kind == bridges.FieldSecret:
		case value == "":
			delete(a.Settings, f.Name)
		default:
			a.Settings[f.Name] = value
		}
	}
	for _, name := range answers[fieldForget] {
		delete(a.Secrets, name)
	}
	return a
}

// joinNames lists names in a sentence.
func joinNames(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// all are the settings as a driver wants them.
func (a *Account) all() map[string]string {
	m := maps.Clone(a.Settings)
	if m == nil {
		m = make(map[string]string)
	}
	maps.Copy(m, a.Secrets)
	return m
}
