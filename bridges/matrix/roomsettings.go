package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Names of settings of a room that other networks do not have.
const (
	setJoinRule   = "join_rule"
	setHistory    = "history"
	setEncryption = "encryption"
)

// encryptionAlgorithm is the one there is for rooms (client-server API, "Messaging
// Algorithms").
const encryptionAlgorithm = "m.megolm.v1.aes-sha2"

// setting is one that can be made of a room: a state event.
type setting struct {
	field bridges.Field
	typ   event.Type
	// now is the setting as it is, options what it may be; content is the event's for
	// a value, or why it cannot be that.
	now     func(*room) string
	options func(*room) []string
	content func(r *room, value string) (map[string]any, *bridges.Error)
}

// contentOf makes a content of one field, as it is given.
func contentOf(name string) func(*room, string) (map[string]any, *bridges.Error) {
	return func(_ *room, value string) (map[string]any, *bridges.Error) { return map[string]any{name: value}, nil }
}

// roomSettings are in the order in which they are shown and changed.
var roomSettings = []setting{
	{
		field: bridges.Field{Name: bridges.RoomTitle, Label: "Name"},
		typ:   event.StateRoomName, now: func(r *room) string { return r.Name }, content: contentOf("name"),
	},
	{
		field: bridges.Field{Name: bridges.RoomDescription, Label: "Topic", Kind: bridges.FieldLines},
		typ:   event.StateTopic, now: func(r *room) string { return r.Topic }, content: contentOf("topic"),
	},
	{
		field: bridges.Field{Name: setJoinRule, Label: "Who may enter", Kind: bridges.FieldChoice,
			Help: "public: anybody; invite: who is invited; knock: who is invited, and others may ask for it; restricted: also members of certain other rooms."},
		typ: event.StateJoinRules, now: func(r *room) string { return or(r.JoinRule, string(event.JoinRuleInvite)) }, options: joinRules, content: joinRule,
	},
	{
		field: bridges.Field{Name: setHistory, Label: "Who may read what was said before", Kind: bridges.FieldChoice,
			Help: "world_readable: anybody; shared: members, all of it; invited: since they were invited; joined: since they came."},
		typ: event.StateHistoryVisibility, now: func(r *room) string { return or(r.Visibility, "shared") },
		options: func(*room) []string { return []string{"world_readable", "shared", "invited", "joined"} },
		content: contentOf("history_visibility"),
	},
	{
		field: bridges.Field{Name: setEncryption, Label: "Encrypted", Kind: bridges.FieldBool, Help: "For good: it cannot be switched off again."},
		typ:   event.StateEncryption, now: func(r *room) string { return fmt.Sprint(r.encrypted()) },
		content: func(_ *room, value string) (map[string]any, *bridges.Error) {
			if value != "true" {
				return nil, bridges.NewError(bridges.Forbidden, "Encryption of a room cannot be switched off again.")
			}
			return map[string]any{"algorithm": encryptionAlgorithm}, nil
		},
	},
}

// joinRules are the rules that can be set in a room, by its version: the ones that need
// a list of rooms only where they are in force.
func joinRules(r *room) []string {
	rules := []string{string(event.JoinRulePublic), string(event.JoinRuleInvite)}
	if versionNumber(or(r.Create.Version, "1")) >= 7 {
		rules = append(rules, string(event.JoinRuleKnock))
	}
	if r.JoinRule != "" && !slices.Contains(rules, r.JoinRule) {
		rules = append(rules, r.JoinRule)
		if r.JoinRule == string(event.JoinRuleRestricted) && versionNumber(r.Create.Version) >= 10 {
			rules = append(rules, string(event.JoinRuleKnockRestricted))
		}
		if r.JoinRule == string(event.JoinRuleKnockRestricted) {
			rules = append(rules, string(event.JoinRuleRestricted))
		}
	}
	return rules
}

func joinRule(r *room, value string) (map[string]any, *bridges.Error) {
	content := map[string]any{"join_rule": value}
	if len(r.Allow) > 0 && (value == string(event.JoinRuleRestricted) || value == string(event.JoinRuleKnockRestricted)) {
		content["allow"] = r.Allow
	}
	return content, nil
}

// mayState tells whether somebody may change a state event of a room.
func (p *powers) mayState(user id.UserID, typ string) bool {
	need, special := p.state[typ]
	if !special {
		need = p.stateDefault
	}
	return p.level(user) >= need
}

// RoomSettings implements bridges.RoomConfigurer. What the user may not change of it
// is shown, with a word about that. No I/O.
func (n *network) RoomSettings(_ context.Context, rid bridges.RoomID) ([]bridges.Field, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online {
		return nil, errOffline()
	}
	r := n.rooms[id.RoomID(rid)]
	if r == nil {
		return nil, errNotIn()
	}
	may := false
	fields := make([]bridges.Field, 0, len(roomSettings))
	for _, s := range roomSettings {
		f := s.field
		f.Default = s.now(r)
		if s.options != nil {
			f.Options = s.options(r)
			if f.Default != "" && !slices.Contains(f.Options, f.Default) {
				f.Options = append(f.Options, f.Default)
			}
		}
		if r.powers().mayState(n.creds.user, s.typ.Type) {
			may = true
		} else {
			f.Help += " (You may not change this.)"
		}
		fields = append(fields, f)
	}
	if !may {
		return nil, nil
	}
	return fields, nil
}

// ConfigureRoom implements bridges.RoomConfigurer. What is not allowed is refused
// before anything is changed, as far as that is known here.
func (n *network) ConfigureRoom(ref bridges.Ref, rid bridges.RoomID, changes map[string]string) error {
	return n.do(ref, string(rid), func(ctx context.Context) {
		var wanted []stateChange
		for _, s := range roomSettings {
			value, asked := changes[s.field.Name]
			if !asked {
				continue
			}
			c, err := n.settingChange(id.RoomID(rid), &s, value)
			if err != nil {
				n.outcome(ctx, ref, err)
				return
			}
			if c.content != nil {
				wanted = append(wanted, c)
			}
		}
		for _, c := range wanted {
			if err := n.setState(ctx, id.RoomID(rid), c.typ, c.content); err != nil {
				n.outcome(ctx, ref, err)
				return
			}
		}
		n.outcome(ctx, ref, nil)
	})
}

type stateChange struct {
	typ     event.Type
	content map[string]any // nil: it is so already
}

// settingChange is what is to be changed for a setting, or why that may not be.
func (n *network) settingChange(rid id.RoomID, s *setting, value string) (stateChange, *bridges.Error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[rid]
	switch {
	case r == nil:
		return stateChange{}, errNotIn()
	case value == s.now(r):
		return stateChange{typ: s.typ}, nil
	case !r.powers().mayState(n.creds.user, s.typ.Type):
		return stateChange{}, bridges.NewError(bridges.Forbidden, "You may not change this in this room: “"+s.field.Label+"”.")
	case s.options != nil && !slices.Contains(s.options(r), value):
		return stateChange{}, bridges.NewError(bridges.Invalid, "“"+printable(value)+"” cannot be set here: “"+s.field.Label+"”.")
	}
	content, err := s.content(r, value)
	return stateChange{s.typ, content}, err
}

// setState changes a state event of a room, and tells of it at once: its echo is
// nothing new then.
func (n *network) setState(ctx context.Context, rid id.RoomID, typ event.Type, content map[string]any) *bridges.Error {
	raw, e := json.Marshal(content)
	if e != nil {
		return bridges.AsError(e)
	}
	var ev id.EventID
	if err := n.retried(ctx, func(ctx context.Context) error {
		resp, err := n.client().SendStateEvent(ctx, rid, typ, "", json.RawMessage(raw))
		if err == nil {
			ev = resp.EventID
		}
		return err
	}); err != nil {
		return err
	}
	t := n.begin()
	defer t.release()
	defer n.endOf(ctx, t)
	n.mu.Lock()
	r := n.rooms[rid]
	n.mu.Unlock()
	if r == nil {
		return nil
	}
	made := &event.Event{ID: ev, RoomID: rid, Type: typ, StateKey: new(string), Sender: n.creds.user, Timestamp: time.Now().UnixMilli()}
	made.Content.VeryRaw = raw
	if t.state(ctx, r, made, true) {
		t.put(stateRoom+string(rid), r.roomState)
	}
	return nil
}
