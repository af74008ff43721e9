package matrixtest

import (
	"encoding/json"
	"strconv"
	"strings"
)

// RoomOptions describe a new room (createRoom).
type RoomOptions struct {
	Name          string       `json:"name"`
	Topic         string       `json:"topic"`
	Alias         string       `json:"room_alias_name"` // without # and server
	Preset        string       `json:"preset"`          // private_chat, trusted_private_chat, public_chat
	Visibility    string       `json:"visibility"`      // public: in the directory
	Invite        []string     `json:"invite"`          // full ids
	Direct        bool         `json:"is_direct"`
	Version       string       `json:"room_version"`
	Creation      object       `json:"creation_content"`
	State         []StateEvent `json:"initial_state"`
	PowerOverride object       `json:"power_level_content_override"`
}

// StateEvent is a piece of state of a new room.
type StateEvent struct {
	Type    string          `json:"type"`
	Key     string          `json:"state_key"`
	Content json.RawMessage `json:"content"`
}

// versions are the room versions there are.
var versions = []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}

func knownVersion(v string) bool {
	n, err := strconv.Atoi(v)
	return err == nil && n >= 1 && n <= len(versions) && strconv.Itoa(n) == v
}

// make builds a room and invites people into it.
func (s *Server) make(u *User, o RoomOptions) (*Room, error) {
	orDefault(&o.Version, s.cfg.RoomVersion)
	if !knownVersion(o.Version) {
		return nil, refuse(400, "M_UNSUPPORTED_ROOM_VERSION", "Unknown room version.")
	}
	alias := ""
	if o.Alias != "" {
		alias = "#" + o.Alias + ":" + s.Name
		if strings.ContainsAny(o.Alias, ":\x00") {
			return nil, refuse(400, "M_INVALID_PARAM", "Invalid alias.")
		}
		if s.aliases[alias] != nil {
			return nil, refuse(400, "M_ROOM_IN_USE", "Room alias already taken.")
		}
	}
	for i, st := range o.State {
		content, err := checkContent(st.Content)
		if err != nil {
			return nil, err
		}
		o.State[i].Content = content
	}
	guests := make([]*User, len(o.Invite))
	for i, id := range o.Invite {
		var err error
		if guests[i], err = s.invitee(id); err != nil {
			return nil, err
		}
	}
	if o.Preset == "" {
		o.Preset = "private_chat"
		if o.Visibility == "public" {
			o.Preset = "public_chat"
		}
	}
	r, err := s.found(u, o)
	if err != nil {
		return nil, err
	}
	r.furnish(u, o, alias)
	for _, g := range guests {
		more := object{}
		if o.Direct {
			more["is_direct"] = true
		}
		if _, err := r.setMembership(change{by: u, of: g, to: "invite", more: more}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// found makes the room with its first two events.
func (s *Server) found(u *User, o RoomOptions) (*Room, error) {
	content := object{}
	for k, v := range o.Creation {
		content[k] = v
	}
	content["room_version"] = o.Version
	if n, _ := strconv.Atoi(o.Version); n < 11 {
		content["creator"] = u.ID
	}
	if creatorsAbove(o.Version) && o.Preset == "trusted_private_chat" && len(o.Invite) > 0 {
		content["additional_creators"] = o.Invite
	}
	hash := s.hash()
	id := "!" + hash
	if !creatorsAbove(o.Version) {
		id = "!" + hash[:18] + u.ID[strings.IndexByte(u.ID, ':'):]
	}
	r := s.newRoom(id, o.Version)
	r.add(&Event{ID: "$" + hash, Type: "m.room.create", Sender: u.ID, StateKey: new(string), Content: encode(content)})
	_, err := r.setMembership(change{by: u, of: u, to: "join"})
	return r, err
}

// furnish adds the state a new room has.
func (r *Room) furnish(u *User, o RoomOptions, alias string) {
	levels := object{
		"users": object{}, "notifications": object{"room": 50}, "users_default": 0, "events_default": 0, "state_default": 50, "ban": 50, "kick": 50, "redact": 50, "invite": 0,
		"events": object{
			"m.room.name": 50, "m.room.power_levels": 100, "m.room.history_visibility": 100, "m.room.canonical_alias": 50,
			"m.room.avatar": 50, "m.room.tombstone": 100, "m.room.server_acl": 100, "m.room.encryption": 100,
		},
	}
	users := levels["users"].(object)
	if !creatorsAbove(o.Version) {
		users[u.ID] = 100
		if o.Preset == "trusted_private_chat" {
			for _, id := range o.Invite {
				users[id] = 100
			}
		}
	}
	for k, v := range o.PowerOverride {
		levels[k] = v
	}
	rule, guests := "invite", "can_join"
	if o.Preset == "public_chat" {
		rule, guests = "public", "forbidden"
	}
	state := []StateEvent{
		{Type: "m.room.power_levels", Content: encode(levels)},
		{Type: "m.room.join_rules", Content: encode(object{"join_rule": rule})},
		{Type: "m.room.history_visibility", Content: encode(object{"history_visibility": "shared"})},
		{Type: "m.room.guest_access", Content: encode(object{"guest_access": guests})},
	}
	state = append(state, o.State...)
	if alias != "" {
		r.s.aliases[alias] = r
		state = append(state, StateEvent{Type: "m.room.canonical_alias", Content: encode(object{"alias": alias})})
	}
	if o.Name != "" {
		state = append(state, StateEvent{Type: "m.room.name", Content: encode(object{"name": o.Name})})
	}
	if o.Topic != "" {
		state = append(state, StateEvent{Type: "m.room.topic", Content: encode(object{"topic": o.Topic})})
	}
	r.public = o.Visibility == "public"
	for _, st := range state {
		r.add(&Event{Type: st.Type, Sender: u.ID, StateKey: &st.Key, Content: st.Content})
	}
}

// upgrade makes a room's successor and leaves a tombstone.
func (r *Room) upgrade(u *User, version string) (*Room, error) {
	if !knownVersion(version) {
		return nil, refuse(400, "M_UNSUPPORTED_ROOM_VERSION", "Unknown room version.")
	}
	if err := r.maySend(u.ID, "m.room.tombstone", new(string)); err != nil {
		return nil, err
	}
	creation := contentOf[object](r.current("m.room.create", ""))
	for _, k := range []string{"creator", "room_version", "additional_creators"} {
		delete(creation, k)
	}
	creation["predecessor"] = object{"room_id": r.ID, "event_id": r.timeline[len(r.timeline)-1].ID}
	var state []StateEvent
	for _, typ := range []string{"m.room.join_rules", "m.room.history_visibility", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.encryption", "m.room.guest_access"} {
		if e := r.current(typ, ""); e != nil {
			state = append(state, StateEvent{Type: typ, Content: e.Content})
		}
	}
	levels := contentOf[object](r.current("m.room.power_levels", ""))
	if users, ok := levels["users"].(object); ok && creatorsAbove(version) {
		delete(users, u.ID)
	}
	next, err := r.s.make(u, RoomOptions{Version: version, Creation: creation, State: state, PowerOverride: levels, Preset: "private_chat"})
	if err != nil {
		return nil, err
	}
	next.public, r.public = r.public, false
	for alias, at := range r.s.aliases {
		if at == r {
			r.s.aliases[alias] = next
		}
	}
	if e := r.current("m.room.canonical_alias", ""); e != nil {
		next.add(&Event{Type: e.Type, Sender: u.ID, StateKey: new(string), Content: e.Content})
		r.add(&Event{Type: e.Type, Sender: u.ID, StateKey: new(string), Content: json.RawMessage("{}")})
	}
	r.add(&Event{Type: "m.room.tombstone", Sender: u.ID, StateKey: new(string),
		Content: encode(object{"body": "This room has been replaced", "replacement_room": next.ID})})
	return next, nil
}

// room finds a room by id or alias.
func (s *Server) room(name string) *Room {
	if strings.HasPrefix(name, "#") {
		return s.aliases[name]
	}
	return s.rooms[name]
}
