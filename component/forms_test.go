package component

import (
	"reflect"
	"strings"
	"testing"
)

// inForm puts XML into a stanza and parses the form in it. What is no XML has none.
func inForm(xml string) (Form, bool, error) {
	s, err := ParseStanza(`<iq type='set' id='1' from='juliet@example.org/balcony' to='irc.example.org'><query xmlns='jabber:iq:register'>` + xml + `</query></iq>`)
	if err != nil {
		return Form{}, false, nil
	}
	return ParseForm(s.Payload())
}

func TestFormRoundTrip(t *testing.T) {
	want := Form{
		Type: FormResult, Title: "A & B", Instructions: []string{"one", "two"},
		Fields: []FormField{
			TypeField("urn:test"),
			{Var: "nick", Type: FieldTextSingle, Label: "<Nick>", Desc: "As others see you", Required: true, Values: []string{"j\"ulie"}},
			{Type: FieldFixed, Values: []string{"a section"}},
			{Var: "net", Type: FieldListSingle, Options: []Option{{"One", "1"}, {"", "2"}}},
			{Var: "empty", Values: []string{""}},
		},
		Reported: []FormField{{Var: "jid", Type: FieldJIDSingle, Label: "User"}},
		Items:    [][]FormField{{{Var: "jid", Values: []string{"a@b"}}}, {{Var: "jid", Values: []string{"c@d"}}}},
	}
	o := NewMessage(JID{Domain: "irc.example.org"}, JID{Domain: "b"}, "", "")
	want.AppendTo(o)
	xml, err := Encode(o, "irc.example.org")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseStanza(xml)
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := ParseForm(s.Element)
	if !ok || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, %v\nwant %+v", got, ok, err, want)
	}
}

func TestParseFormIgnoresForeign(t *testing.T) {
	form, ok, err := inForm(`<x xmlns='urn:other' type='submit'/>` +
		`<x xmlns='jabber:x:data' type='submit'><field xmlns='urn:other' var='a'/><field var='b'><value xmlns='urn:other'>no</value><value>yes</value></field></x>`)
	if !ok || err != nil || len(form.Fields) != 1 || form.Value("b") != "yes" {
		t.Errorf("got %+v, %v, %v", form, ok, err)
	}
	if _, ok, err := inForm(`<nick>a</nick>`); ok || err != nil {
		t.Errorf("a form where there is none: %v, %v", ok, err)
	}
}

// FuzzForm reads forms from anybody: whatever is accepted can be written and
// read again, and checking it against a form of ours yields only values that
// keep to the form.
func FuzzForm(f *testing.F) {
	f.Add(`<x xmlns='jabber:x:data' type='submit'><field var='nick'><value>julie</value></field></x>`)
	f.Add(`<x xmlns='jabber:x:data' type='submit'><field var='rooms'><value>#a
#b</value></field><field var='tls'><value>maybe</value></field></x>`)
	f.Add(`<x xmlns='jabber:x:data' type='result'><reported><field var='a'/></reported><item><field var='a'><value/></field></item></x>`)
	f.Add(`<x xmlns='jabber:x:data' type='form'><field type='list-single' var='net'><option label='x'><value>1</value></option><required/></field></x>`)
	f.Add(`<x xmlns='jabber:x:data' type='cancel'/>`)
	asked := NewForm("", nil,
		FormField{Var: "nick", Type: FieldTextSingle, Required: true},
		FormField{Var: "rooms", Type: FieldTextMulti},
		FormField{Var: "tls", Type: FieldBoolean},
		FormField{Var: "net", Type: FieldListSingle, Options: []Option{{Value: "1"}}},
		FormField{Var: "who", Type: FieldJIDMulti},
		FormField{Var: "pass", Type: FieldTextPrivate},
	)
	f.Fuzz(func(t *testing.T, xml string) {
		form, ok, err := inForm(xml)
		if !ok || err != nil {
			return
		}
		o := NewIQ(JID{Domain: "irc.example.org"}, JID{Domain: "b"}, "set", "1")
		form.AppendTo(o)
		again, err := Encode(o, "irc.example.org")
		if err != nil {
			return // larger than what we would send
		}
		s, err := ParseStanza(again)
		if err != nil {
			t.Fatalf("%v in %s", err, again)
		}
		second, ok, err := ParseForm(s.Element)
		if !ok || err != nil || len(second.Fields) != len(form.Fields) {
			t.Fatalf("%q was written as %q: %v", xml, again, err)
		}
		values, problems := asked.Check(&form)
		if len(problems) == 0 && values.Get("nick") == "" {
			t.Error("a needed field is empty and nothing is wrong")
		}
		for name, all := range values {
			field, _ := asked.Field(name)
			if len(all) > 1 && !field.Type.multi() {
				t.Errorf("%s has %d values", name, len(all))
			}
			for _, v := range all {
				if len(v) > maxLineValue || strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("%s has the value %q", name, v)
				}
			}
		}
		if refilled := asked.Refill(&form); len(refilled.Fields) != len(asked.Fields) || refilled.Value("pass") != "" {
			t.Error("a form that is asked again has changed, or shows a secret")
		}
	})
}
