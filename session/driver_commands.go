package session

import (
	"context"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// addDriverCommands adds what the driver has of its own.
func (m *Manager) addDriverCommands(c *component.Commands) {
	for _, cmd := range m.driverCommands() {
		offer := component.Command{Node: cmd.Verb, Name: cmd.Name, Help: cmd.Help, Allowed: m.admitted}
		for _, f := range cmd.Fields {
			offer.Args = append(offer.Args, f.Name)
		}
		run := m.runDriver(cmd)
		switch cmd.At {
		case bridges.AddressRoom:
			offer.Targets = []component.AddressKind{component.AddressRoom}
		default:
			offer.Verb, offer.Targets = cmd.Verb, []component.AddressKind{component.AddressNetwork}
			if m.info.FixedNetwork != "" { // whose address is the gateway's
				offer.Targets = append(offer.Targets, component.AddressHost)
			}
		}
		offer.Run = m.told(run)
		if len(cmd.Fields) > 0 {
			offer.Run = m.told(func(context.Context, *component.Call) (*component.Step, error) {
				return &component.Step{Form: component.NewForm(cmd.Name, nil, commandFields(cmd.Fields)...), Last: true, Next: run}, nil
			})
		}
		c.Add(offer)
	}
}

func (m *Manager) driverCommands() []bridges.Command {
	if d, ok := m.driver.(bridges.Commander); ok {
		return d.Commands()
	}
	return nil
}

// DriverVerb tells whether a line that was written to a network's address is for a
// command of the driver's, with or without a slash before it.
func (m *Manager) DriverVerb(line string) bool {
	verb := strings.ToLower(strings.TrimPrefix(firstWord(line), "/"))
	for _, cmd := range m.driverCommands() {
		if cmd.Verb == verb && cmd.At == bridges.AddressNetwork {
			return true
		}
	}
	return false
}

func firstWord(s string) string {
	if words := strings.Fields(s); len(words) > 0 {
		return words[0]
	}
	return ""
}

// runDriver does a command of the driver's with what was filled in.
func (m *Manager) runDriver(cmd bridges.Command) component.StepFunc {
	return func(ctx context.Context, call *component.Call) (*component.Step, error) {
		net, place, err := m.linkAt(ctx, call, cmd.At)
		if err != nil {
			return nil, err
		}
		values := make(map[string]string, len(cmd.Fields))
		for _, f := range cmd.Fields {
			values[f.Name] = f.Default
			if call.Values.Has(f.Name) {
				values[f.Name] = strings.Join(call.Values[f.Name], "\n")
			}
		}
		text, err := cmd.Run(ctx, net, place, values)
		if err != nil {
			return nil, err
		}
		return component.Done(text), nil
	}
}

// linkAt is the user's connection at the address a command was sent to.
func (m *Manager) linkAt(ctx context.Context, call *component.Call, at bridges.AddressKind) (bridges.Network, bridges.Place, error) {
	addr := bridges.Address{Network: m.networkAt(call.To)}
	if at == bridges.AddressRoom {
		var err error
		if addr, err = m.roomAt(call.To); err != nil {
			return nil, bridges.Place{}, err
		}
	}
	found := new(struct { // the session may still write it when ctx has ended
		net   bridges.Network
		place bridges.Place
		err   error
	})
	err := m.inside(ctx, call.From.Bare(), func(s *Session) {
		l := s.existing(addr.Network)
		if l == nil || !l.online() {
			found.err = bridges.NewError(bridges.Offline, "You are not connected to the network.")
			return
		}
		found.net = l.net
		if at != bridges.AddressRoom {
			return
		}
		if r := s.rooms[s.resolve(call.To.Bare(), addr).Local]; r != nil && r.entered() {
			found.place.Room = r.id
			return
		}
		found.err = bridges.NewError(bridges.NotJoined, "")
	})
	if err != nil {
		return nil, bridges.Place{}, err
	}
	return found.net, found.place, found.err
}

// commandFieldTypes are how the fields of a driver's command are asked for.
var commandFieldTypes = map[bridges.FieldKind]component.FieldType{
	bridges.FieldText: component.FieldTextSingle, bridges.FieldSecret: component.FieldTextPrivate, bridges.FieldBool: component.FieldBoolean,
	bridges.FieldLines: component.FieldTextMulti, bridges.FieldChoice: component.FieldListSingle,
}

func commandFields(fields []bridges.Field) []component.FormField {
	asked := make([]component.FormField, 0, len(fields))
	for _, f := range fields {
		q := component.FormField{
			Var: f.Name, Type: commandFieldTypes[f.Kind], Label: f.Label, Desc: f.Help, Required: f.Required, Advanced: f.Advanced,
		}
		if f.Default != "" {
			q.Values = []string{f.Default}
		}
		for _, option := range f.Options {
			q.Options = append(q.Options, component.Option{Label: option, Value: option})
		}
		asked = append(asked, q)
	}
	return asked
}
