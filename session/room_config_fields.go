package session

import (
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// configVars are XEP-0045's names of the settings that networks have in common (section
// 16.5.3). A network's own begin with "x-" (XEP-0068 section 3.4).
var configVars = map[string]string{
	bridges.RoomTitle:       "muc#roomconfig_roomname",
	bridges.RoomDescription: "muc#roomconfig_roomdesc",
	bridges.RoomPublic:      "muc#roomconfig_publicroom",
	bridges.RoomMembersOnly: "muc#roomconfig_membersonly",
	bridges.RoomModerated:   "muc#roomconfig_moderatedroom",
	bridges.RoomFreeSubject: "muc#roomconfig_changesubject",
	bridges.RoomPassword:    "muc#roomconfig_roomsecret",
	bridges.RoomLimit:       "muc#roomconfig_maxusers",
}

func configName(name string) string {
	if v, ok := configVars[name]; ok {
		return v
	}
	return "x-" + name
}

var configTypes = map[bridges.FieldKind]component.FieldType{
	bridges.FieldText:   component.FieldTextSingle,
	bridges.FieldSecret: component.FieldTextPrivate,
	bridges.FieldBool:   component.FieldBoolean,
	bridges.FieldLines:  component.FieldTextMulti,
	bridges.FieldChoice: component.FieldListSingle,
}

// configField asks for one setting of a room. Its secrets are shown: who may change
// them knows them.
func configField(f bridges.Field) component.FormField {
	q := component.FormField{Var: configName(f.Name), Type: configTypes[f.Kind], Label: f.Label, Desc: f.Help, Required: f.Required}
	switch f.Kind {
	case bridges.FieldLines:
		if f.Default != "" {
			q.Values = strings.Split(f.Default, "\n")
		}
	case bridges.FieldBool:
		q.Values = []string{boolText(f.Default == "true")}
	case bridges.FieldChoice:
		for _, o := range f.Options {
			q.Options = append(q.Options, component.Option{Value: o})
		}
		fallthrough
	default:
		if f.Default != "" {
			q.Values = []string{f.Default}
		}
	}
	return q
}

// configChanges are the settings in which an answer differs from what they are.
func configChanges(fields []bridges.Field, answer component.Values) map[string]string {
	changes := map[string]string{}
	for _, f := range fields {
		name := configName(f.Name)
		if !answer.Has(name) {
			continue
		}
		value, now := answer.Get(name), f.Default
		switch f.Kind {
		case bridges.FieldBool:
			value, now = boolText(answer.Bool(name)), boolText(f.Default == "true")
		case bridges.FieldLines:
			value = answer.Text(name)
		}
		if value != now {
			changes[f.Name] = value
		}
	}
	return changes
}
