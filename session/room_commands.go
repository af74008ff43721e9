package session

import (
	"context"
	"errors"
	"strconv"

	"transportd/bridges"
	"transportd/component"
)

// Names of the fields of the commands about rooms.
const (
	fieldRoom   = "room"
	fieldRecord = "record"
	fieldKeep   = "persistent"
	fieldOwn    = "own"
)

// What a choice about recording, or about keeping rooms, can be.
const (
	asDefault = "default"
	choiceOn  = "on"
	choiceOff = "off"
)

// AddCommands adds what users can do with their rooms: at the gateway's address, at
// those of networks, and what concerns one room at the room's; and what the driver
// has of its own. It is called before
// component.HandleCommands.
func (m *Manager) AddCommands(c *component.Commands) {
	both := []component.AddressKind{component.AddressHost, component.AddressNetwork}
	add := func(node, name, help string, args []string, run component.StepFunc) {
		c.Add(component.Command{
			Node: node, Verb: node, Name: name, Help: help, Args: args,
			Targets: both, Allowed: m.admitted, Run: m.told(run),
		})
	}
	add("rooms", "List your rooms", "lists the rooms you are in or have settings for: whether you stay in them, and whether they are recorded.", nil, m.listMine)
	add("keep", "Stay in a room", "keeps you in a room when none of your clients is there, also over restarts; where you are not in it, joins it.",
		[]string{fieldRoom}, m.onRoom("Stay in a room", m.runKeep))
	add("drop", "Stay in a room no longer", "leaves a room that you stay in, with all your clients.",
		[]string{fieldRoom}, m.onRoom("Stay in a room no longer", m.runDrop))
	add("record", "Record a room, or not", "says whether what is said in a room is kept: on, off, or default.",
		[]string{fieldRoom, fieldRecord}, m.onRoom("Record a room, or not", m.runRecord, choiceField(fieldRecord, "Keep what is said", asDefault)))
	add("forget", "Forget what was said in a room", "removes what the archive has of a room for you, up to now.",
		[]string{fieldRoom}, m.onRoom("Forget what was said in a room", m.runForget))
	add("defaults", "Settings of rooms without their own, and of chats", "sets what you get in rooms you have not set up: whether they are recorded, and whether you stay in them; and whether you are told what you write to people elsewhere.",
		[]string{fieldRecord, fieldKeep, fieldOwn}, m.askDefaults)
	m.addQuit(c)
	m.addGroups(c)
	m.addBlock(c)
	m.addKnock(c)
	m.addDriverCommands(c)
	c.Add(component.Command{
		Node: "configure", Name: "Your settings of this room", Targets: []component.AddressKind{component.AddressRoom},
		Allowed: m.admitted, Run: m.told(m.askRoom),
	})
}

// told gives the errors of a driver the words users get.
func (m *Manager) told(run component.StepFunc) component.StepFunc {
	return func(ctx context.Context, call *component.Call) (*component.Step, error) {
		step, err := run(ctx, call)
		if be := (*bridges.Error)(nil); errors.As(err, &be) {
			err = StanzaError(err)
		}
		if step != nil && step.Next != nil {
			step.Next = m.told(step.Next)
		}
		return step, err
	}
}

// choiceField asks for one of on, off and what is the default.
func choiceField(name, label, value string) component.FormField {
	return component.FormField{
		Var: name, Type: component.FieldListSingle, Label: label, Required: true, Values: []string{value},
		Options: []component.Option{{Label: "as by default", Value: asDefault}, {Label: "yes", Value: choiceOn}, {Label: "no", Value: choiceOff}},
	}
}

// choiceText and choiceValue turn a choice into a field's value and back.
func choiceText(b *bool) string {
	switch {
	case b == nil:
		return asDefault
	case *b:
		return choiceOn
	}
	return choiceOff
}

func choiceValue(text string) *bool {
	if text == asDefault {
		return nil
	}
	on := text == choiceOn
	return &on
}

// networkAt is the network whose address a command was sent to; empty for the
// gateway's.
func (m *Manager) networkAt(to component.JID) bridges.NetworkID {
	if to.Local == "" {
		return m.info.FixedNetwork
	}
	if a, err := m.driver.Parse(component.UnescapeLocal(to.Local)); err == nil && a.Kind == bridges.AddressNetwork {
		return a.Network
	}
	return ""
}

// roomNamed reads what a user typed for a room: its JID, the part before the @, or at
// a network's address just its name there.
func (m *Manager) roomNamed(to component.JID, text string) (component.JID, bridges.Address, error) {
	if j, err := component.ParseJID(text); err == nil && j.Local != "" && j.Domain == m.domain.Domain {
		addr, err := m.roomAt(j)
		return j.Bare(), addr, err
	}
	addr, err := m.driver.Parse(text)
	if network := m.networkAt(to); network != "" && (err != nil || addr.Kind != bridges.AddressRoom) {
		addr, err = m.driver.Parse(m.driver.Format(bridges.Address{Kind: bridges.AddressRoom, Network: network, Name: text}))
	}
	if err != nil {
		return component.JID{}, addr, err
	}
	if addr.Kind != bridges.AddressRoom {
		return component.JID{}, addr, errNoRoom
	}
	addr.Name = m.fold(addr.Name)
	return m.jid(addr), addr, nil
}

var errNoRoom = bridges.NewError(bridges.NotFound, "This is not the address of a room.")

// roomAt takes the JID of a room apart.
func (m *Manager) roomAt(jid component.JID) (bridges.Address, error) {
	addr, err := m.driver.Parse(component.UnescapeLocal(jid.Local))
	if err == nil && addr.Kind != bridges.AddressRoom {
		err = errNoRoom
	}
	return addr, err
}

// onRoom asks for a room, and what else there is to ask, and goes on with it.
func (m *Manager) onRoom(title string, then func(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error), more ...component.FormField) component.StepFunc {
	return func(_ context.Context, call *component.Call) (*component.Step, error) {
		example := m.driver.Format(bridges.Address{Kind: bridges.AddressRoom, Network: "network", Name: "#channel"})
		if m.networkAt(call.To) != "" {
			example = "#channel"
		}
		fields := append([]component.FormField{{
			Var: fieldRoom, Type: component.FieldTextSingle, Label: "Room, such as " + example, Required: true,
		}}, more...)
		return &component.Step{
			Form: component.NewForm(title, nil, fields...), Last: true,
			Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				jid, addr, err := m.roomNamed(call.To, call.Values.Get(fieldRoom))
				if err != nil {
					return nil, err
				}
				return then(ctx, call, jid, addr)
			},
		}, nil
	}
}

func (m *Manager) runKeep(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error) {
	if err := m.keepRoom(ctx, call.From.Bare(), jid, addr); err != nil {
		return nil, err
	}
	return component.Done("You stay in " + jid.String() + " from now on."), nil
}

func (m *Manager) runDrop(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error) {
	if err := m.dropRoom(ctx, call.From.Bare(), jid, addr); err != nil {
		return nil, err
	}
	return component.Done("You have left " + jid.String() + "."), nil
}

func (m *Manager) runRecord(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error) {
	choice := call.Values.Get(fieldRecord)
	if err := m.setRoom(ctx, call.From.Bare(), jid, addr, roomChange{setRecord: true, record: choiceValue(choice)}); err != nil {
		return nil, err
	}
	switch choice {
	case choiceOn:
		return component.Done("What is said in " + jid.String() + " is kept."), nil
	case choiceOff:
		return component.Done("What is said in " + jid.String() + " is not kept any more. What was kept before stays; “forget” removes it."), nil
	}
	return component.Done("What is said in " + jid.String() + " is kept as your default says."), nil
}

func (m *Manager) runForget(ctx context.Context, call *component.Call, jid component.JID, addr bridges.Address) (*component.Step, error) {
	if err := m.forgetHistory(ctx, call.From.Bare(), jid, addr); err != nil {
		return nil, err
	}
	return component.Done("What was said in " + jid.String() + " is forgotten."), nil
}

// maxListed bounds the rooms in one answer: more would not fit a stanza.
const maxListed = 200

func (m *Manager) listMine(ctx context.Context, call *component.Call) (*component.Step, error) {
	network := m.networkAt(call.To)
	rooms, err := m.Rooms(ctx, call.From.Bare(), network)
	if err != nil {
		return nil, err
	}
	if len(rooms) == 0 {
		return component.Done("You are in no room, and have settings for none."), nil
	}
	form := &component.Form{Type: component.FormResult, Title: "Your rooms", Reported: []component.FormField{
		{Var: fieldRoom, Type: component.FieldJIDSingle, Label: "Room"},
		{Var: "network", Type: component.FieldTextSingle, Label: "Network"},
		{Var: "state", Type: component.FieldTextSingle, Label: "State"},
		{Var: fieldKeep, Type: component.FieldTextSingle, Label: "You stay in it"},
		{Var: fieldRecord, Type: component.FieldTextSingle, Label: "Recorded"},
	}}
	step := &component.Step{Form: form}
	if len(rooms) > maxListed {
		step.Note = "These are the first rooms only; ask at a network's address for those there."
		rooms = rooms[:maxListed]
	}
	for _, r := range rooms {
		form.Items = append(form.Items, []component.FormField{
			{Var: fieldRoom, Values: []string{r.JID.String()}},
			{Var: "network", Values: []string{string(r.Network)}},
			{Var: "state", Values: []string{r.State}},
			{Var: fieldKeep, Values: []string{yesNo(r.Persistent)}},
			{Var: fieldRecord, Values: []string{yesNo(r.Recorded)}},
		})
	}
	return step, nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// askRoom asks for the user's settings of the room a command was sent to.
func (m *Manager) askRoom(ctx context.Context, call *component.Call) (*component.Step, error) {
	jid := call.To.Bare()
	addr, err := m.roomAt(jid)
	if err != nil {
		return nil, err
	}
	set, stays, err := m.roomSetting(ctx, call.From.Bare(), jid)
	if err != nil {
		return nil, err
	}
	return &component.Step{
		Form: component.NewForm("Your settings of this room", []string{"These are your own: nobody else in the room notices."},
			component.FormField{Var: fieldKeep, Type: component.FieldBoolean, Label: "Stay in the room when you are not connected", Values: []string{boolText(stays)}},
			choiceField(fieldRecord, "Keep what is said, so that you can read it later", choiceText(set.Record))),
		Last: true,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			var ch roomChange
			if v := call.Values.Bool(fieldKeep); call.Values.Has(fieldKeep) && v != stays {
				ch.persistent = &v
			}
			if v := call.Values.Get(fieldRecord); v != "" && v != choiceText(set.Record) {
				ch.setRecord, ch.record = true, choiceValue(v)
			}
			if ch == (roomChange{}) {
				return component.Done("Nothing was changed."), nil
			}
			if err := m.setRoom(ctx, call.From.Bare(), jid, addr, ch); err != nil {
				return nil, err
			}
			return component.Done("The settings are stored."), nil
		},
	}, nil
}

// askDefaults asks for what the user gets in rooms without a choice.
func (m *Manager) askDefaults(ctx context.Context, call *component.Call) (*component.Step, error) {
	d, err := m.userDefaults(ctx, call.From.Bare())
	if err != nil {
		return nil, err
	}
	p := m.policy()
	return &component.Step{
		Form: component.NewForm("Settings of rooms without their own, and of chats",
			[]string{"By default this gateway keeps what is said: " + yesNo(p.Record) + "; keeps you in rooms without a client: " + yesNo(p.Persistent) + "."},
			choiceField(fieldRecord, "Keep what is said", choiceText(d.Record)),
			choiceField(fieldKeep, "Stay in rooms I enter", choiceText(d.Persistent)),
			component.FormField{
				Var: fieldOwn, Type: component.FieldBoolean, Label: "Tell me what I write to people with other clients, where it cannot be shown as mine",
				Values: []string{strconv.FormatBool(d.NoteOwn != nil && *d.NoteOwn)},
			}),
		Last: true,
		Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
			own := d.NoteOwn
			if call.Values.Has(fieldOwn) {
				v := call.Values.Bool(fieldOwn)
				own = &v
			}
			d := Defaults{Record: choiceValue(call.Values.Get(fieldRecord)), Persistent: choiceValue(call.Values.Get(fieldKeep)), NoteOwn: own}
			if err := m.setDefaults(ctx, call.From.Bare(), d); err != nil {
				return nil, err
			}
			return component.Done("The settings are stored. Rooms you are in already stay as they are until you enter them again, or set them up one by one."), nil
		},
	}, nil
}
