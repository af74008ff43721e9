package session

import (
	"context"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// fieldPerson names the person whom a command is about.
const fieldPerson = "person"

// addBlock adds the commands for whom the user does not want to hear of, where the network
// keeps a list of them. A user's server keeps one of its own (XEP-0191) and does not tell
// it to gateways.
func (m *Manager) addBlock(c *component.Commands) {
	if !m.info.Blocks {
		return
	}
	add := func(node, name, help string, args []string, run component.StepFunc) {
		c.Add(component.Command{
			Node: node, Verb: node, Name: name, Help: help, Args: args,
			Targets: []component.AddressKind{component.AddressHost, component.AddressNetwork}, Allowed: m.admitted, Run: m.told(run),
		})
	}
	add("block", "Block somebody", "has the network tell you nothing of somebody any more, in whatever client.", []string{fieldPerson}, m.askBlock("Block somebody", true))
	add("unblock", "Unblock somebody", "ends that somebody is blocked.", []string{fieldPerson}, m.askBlock("Unblock somebody", false))
	add("blocked", "List whom you have blocked", "lists whom you have blocked.", nil, m.listBlocked)
}

func (m *Manager) askBlock(title string, block bool) component.StepFunc {
	return func(context.Context, *component.Call) (*component.Step, error) {
		return &component.Step{
			Form: component.NewForm(title, nil, component.FormField{
				Var: fieldPerson, Type: component.FieldTextSingle, Label: "Person, by address or as on the network", Required: true,
			}),
			Last: true,
			Next: func(ctx context.Context, call *component.Call) (*component.Step, error) {
				addr, err := m.personNamed(call.Values.Get(fieldPerson))
				if err != nil {
					return nil, err
				}
				if err := m.block(ctx, call.From.Bare(), addr, block); err != nil {
					return nil, err
				}
				if block {
					return component.Done(addr.Name + " is blocked: the network tells you nothing of them any more."), nil
				}
				return component.Done(addr.Name + " is not blocked any more."), nil
			},
		}, nil
	}
}

// personNamed is the person that people name by a JID of the gateway's, or as they do on
// the network.
func (m *Manager) personNamed(text string) (bridges.Address, error) {
	text = strings.TrimSpace(text)
	if jid, err := component.ParseJID(text); err == nil && jid.Domain == m.domain.Domain && jid.Local != "" {
		text = ""
		if addr, err := m.driver.Parse(component.UnescapeLocal(jid.Local)); err != nil || addr.Kind == bridges.AddressPerson {
			return addr, err
		}
	}
	addr, err := m.driver.ParsePrompt(text)
	if err == nil && addr.Kind != bridges.AddressPerson {
		err = bridges.NewError(bridges.Invalid, "This is no person.")
	}
	return addr, err
}

// block has the network keep somebody from reaching the user, or no longer.
func (m *Manager) block(ctx context.Context, user component.JID, addr bridges.Address, block bool) error {
	return m.ask(ctx, user, func(s *Session, done func(*component.StanzaError)) {
		l, who, err := s.blocker(addr.Network)
		if err != nil {
			done(StanzaError(err))
			return
		}
		s.act(l, outcomeFunc(func(ev bridges.Event) {
			if failed, ok := ev.(*bridges.Failed); ok {
				done(StanzaError(failed.Err))
				return
			}
			done(nil)
		}), func(ref bridges.Ref) error { return who.Block(ref, l.net.UserID(addr.Name), block) })
	})
}

func (s *Session) blocker(id bridges.NetworkID) (*link, bridges.Blocker, *bridges.Error) {
	l := s.existing(id)
	if l == nil || !l.online() {
		return nil, nil, bridges.NewError(bridges.Offline, "")
	}
	who, ok := l.net.(bridges.Blocker)
	if !ok {
		return nil, nil, bridges.NewError(bridges.Unsupported, "")
	}
	return l, who, nil
}

func (m *Manager) listBlocked(ctx context.Context, call *component.Call) (*component.Step, error) {
	var found []bridges.Blocker
	err := m.inside(ctx, call.From.Bare(), func(s *Session) {
		for _, l := range s.links {
			if _, who, err := s.blocker(l.id); err == nil {
				found = append(found, who)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, StanzaError(bridges.NewError(bridges.Offline, ""))
	}
	var names []string
	for _, who := range found {
		names = append(names, who.Blocked()...)
	}
	if len(names) == 0 {
		return component.Done("You have blocked nobody."), nil
	}
	return component.Done("You have blocked " + strings.Join(names, ", ") + "."), nil
}
