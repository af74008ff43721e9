package component

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Answers that stand for something in the chat, where nothing cannot be sent.
const (
	answerSkip  = "-"  // leave it as it is
	answerEmpty = "--" // make it empty
)

// question is the open question.
func (t *chat) question() string { return t.asking[t.at].question() }

// question asks for a field.
func (f FormField) question() string {
	var b strings.Builder
	b.WriteString(f.label())
	if f.Desc != "" {
		b.WriteString(" (" + strings.TrimSuffix(f.Desc, ".") + ")")
	}
	switch f.Type {
	case FieldBoolean:
		b.WriteString(": yes or no?")
	case FieldListSingle, FieldListMulti:
		b.WriteString(":")
		for i, o := range f.Options {
			fmt.Fprintf(&b, "\n%d. %s", i+1, o.text())
		}
		if f.Type == FieldListMulti {
			b.WriteString("\nSend the numbers, with spaces between them.")
		} else {
			b.WriteString("\nSend the number.")
		}
	case FieldTextMulti, FieldJIDMulti:
		b.WriteString("? One on each line.")
	default:
		b.WriteString("?")
	}
	if hint := f.hint(); hint != "" {
		b.WriteString("\n" + hint)
	}
	if f.Type == FieldTextPrivate {
		b.WriteString("\nYour client or server may keep a copy of this chat; the command forms of your client leave none.")
	}
	return b.String()
}

// hint says what may be sent in place of a value.
func (f FormField) hint() string {
	current := f.shown()
	switch {
	case current != "" && (f.Required || f.Type == FieldBoolean || f.Type == FieldListSingle):
		return "Send " + answerSkip + " for: " + current
	case current != "":
		return "Send " + answerSkip + " for: " + current + ". Send " + answerEmpty + " to leave it empty."
	case f.Required:
		return ""
	case f.Type == FieldTextPrivate:
		return "Send " + answerSkip + " to leave it as it is."
	}
	return "Send " + answerSkip + " to leave it empty."
}

// shown is the field's present value for people; never that of a secret.
func (f FormField) shown() string {
	if f.Type == FieldTextPrivate {
		return ""
	}
	var shown []string
	for _, v := range f.Values {
		if v == "" {
			continue
		}
		shown = append(shown, f.display(v))
	}
	return strings.Join(shown, ", ")
}

func (f FormField) display(v string) string {
	switch f.Type {
	case FieldBoolean:
		if b, _ := parseBool(v); b {
			return "yes"
		}
		return "no"
	case FieldListSingle, FieldListMulti:
		for _, o := range f.Options {
			if o.Value == v {
				return o.text()
			}
		}
	}
	return v
}

func (f FormField) label() string {
	if f.Label != "" {
		return f.Label
	}
	return f.Var
}

func (o Option) text() string {
	if o.Label != "" {
		return oneLine(o.Label)
	}
	return o.Value
}

// reply reads the answer to the field's question. skipped leaves the field
// alone: it has no value, or keeps the one it has.
func (f FormField) reply(body string) (values []string, skipped bool, problem string) {
	switch body {
	case answerSkip:
		if f.Required && f.Value() == "" {
			return nil, false, f.name() + " is needed."
		}
		if f.Type != FieldTextPrivate && len(f.Values) > 0 {
			return f.Values, false, ""
		}
		return nil, true, ""
	case answerEmpty:
		if f.Required {
			return nil, false, f.name() + " is needed."
		}
		return []string{""}, false, ""
	}
	values, problem = f.parse(body)
	return values, false, problem
}

// parse reads a value as people type it.
func (f FormField) parse(text string) ([]string, string) {
	values := []string{text}
	switch f.Type {
	case FieldBoolean:
		switch strings.ToLower(text) {
		case "y", "yes", "on":
			values[0] = "true"
		case "n", "no", "off":
			values[0] = "false"
		}
	case FieldListSingle:
		values[0] = f.choice(text)
	case FieldListMulti:
		values = values[:0]
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;\n\t", r) }) {
			values = append(values, f.choice(word))
		}
	case FieldJIDMulti:
		values = strings.Fields(text)
	}
	return f.check(values)
}

// choice is the value of the option that was named by number, value or label.
func (f FormField) choice(text string) string {
	if i := slices.IndexFunc(f.Options, func(o Option) bool {
		return strings.EqualFold(o.Value, text) || strings.EqualFold(o.text(), text)
	}); i >= 0 {
		return f.Options[i].Value
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(text, ".")); err == nil && n >= 1 && n <= len(f.Options) {
		return f.Options[n-1].Value
	}
	return text
}

// stepIntro is what is said before a step's questions.
func stepIntro(s *Step) string {
	parts := []string{s.Note}
	if s.Form != nil {
		parts = append(parts, strings.Join(s.Form.Instructions, "\n"))
		for _, f := range s.Form.Fields {
			if f.Type == FieldFixed {
				text := strings.Join(f.Values, "\n")
				if f.Label != "" {
					text = f.Label + ": " + text
				}
				parts = append(parts, text)
			}
		}
	}
	return joinParagraphs(parts...)
}

// stepText is the result of a command in words.
func stepText(s *Step) string {
	parts := []string{s.Note}
	if s.Form != nil {
		parts = append(parts, strings.Join(s.Form.Instructions, "\n"), formText(s.Form))
	}
	if text := joinParagraphs(parts...); text != "" {
		return text
	}
	return "Done."
}

// formText shows a result form: a line a field, a line a row of a table.
func formText(form *Form) string {
	var lines []string
	for _, f := range form.Fields {
		if shown := f.shown(); shown != "" && f.Type != FieldHidden {
			if label := f.label(); label != "" {
				shown = label + ": " + shown
			}
			lines = append(lines, shown)
		}
	}
	for _, item := range form.Items {
		var cells []string
		for _, f := range item {
			if shown := f.shown(); shown != "" {
				cells = append(cells, shown)
			}
		}
		lines = append(lines, "• "+strings.Join(cells, " · "))
	}
	return strings.Join(lines, "\n")
}

func joinParagraphs(parts ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), "\n\n")
}
