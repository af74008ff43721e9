package matrixtest

import (
	"encoding/json"
)

func (s *Server) stateRoutes() []route {
	list := []route{
		{method: "GET", path: v3 + "rooms/{room}/state", handle: s.allState},
		{method: "GET", path: v3 + "rooms/{room}/members", handle: s.getMembers},
		{method: "GET", path: v3 + "rooms/{room}/joined_members", handle: s.joinedMembers},
	}
	for _, end := range []string{"", "/{$}", "/{key}"} {
		list = append(list,
			route{method: "GET", path: v3 + "rooms/{room}/state/{type}" + end, handle: s.getState},
			route{method: "PUT", path: v3 + "rooms/{room}/state/{type}" + end, handle: s.putState})
	}
	return list
}

// lastSeen is the index behind the last event of a room the user knows of: of the
// user's own leaving, for one who left.
func (r *Room) lastSeen(user string) int {
	if m := r.members[user]; m != nil && m.membership() != "join" && r.visibility() != "world_readable" {
		return m.index + 1
	}
	return len(r.timeline)
}

func (s *Server) allState(q *request) (any, error) {
	r, err := q.reader()
	if err != nil {
		return nil, err
	}
	var w writer
	w.events(r.stateAt(r.lastSeen(q.user.ID), nil), s.view(q.dev))
	return raw(w.b), nil
}

func (s *Server) getState(q *request) (any, error) {
	r, err := q.reader()
	if err != nil {
		return nil, err
	}
	e := r.current(q.PathValue("type"), q.PathValue("key"))
	for last := r.lastSeen(q.user.ID); e != nil && e.index >= last; {
		e = e.was
	}
	if e == nil {
		return nil, notFound("Event not found.")
	}
	if q.query("format") == "event" {
		return raw(e.one(s.view(q.dev))), nil
	}
	return raw(e.Content), nil
}

func (s *Server) putState(q *request) (any, error) {
	r, err := q.room()
	if err != nil {
		return nil, err
	}
	e, err := r.changeState(q.user, q.PathValue("type"), q.PathValue("key"), q.body, q.dev)
	if err != nil {
		return nil, err
	}
	return object{"event_id": e.ID}, nil
}

// changeState checks and makes a state event.
func (r *Room) changeState(u *User, typ, key string, body json.RawMessage, dev *device) (*Event, error) {
	content, err := checkContent(body)
	if err != nil {
		return nil, err
	}
	if typ == "m.room.member" {
		of, err := r.s.invitee(key)
		if err != nil {
			return nil, err
		}
		more := object{}
		if json.Unmarshal(content, &more) != nil {
			return nil, refuse(400, "M_BAD_JSON", "Bad member event.")
		}
		return r.setMembership(change{by: u, of: of, to: field(content, "membership"), more: more, device: dev})
	}
	if err := r.maySend(u.ID, typ, &key); err != nil {
		return nil, err
	}
	switch typ {
	case "m.room.create":
		return nil, forbidden("The room is there already.")
	case "m.room.power_levels":
		err = r.mayLevel(u.ID, content)
	case "m.room.canonical_alias":
		err = r.mayAlias(content)
	}
	if err != nil {
		return nil, err
	}
	if old := r.current(typ, key); old != nil && string(old.Content) == string(content) && old.Sender == u.ID {
		return old, nil // it says nothing new
	}
	return r.add(&Event{Type: typ, Sender: u.ID, StateKey: &key, Content: content, device: dev}), nil
}

// mayAlias checks that the aliases a room calls itself by lead to it.
func (r *Room) mayAlias(content json.RawMessage) error {
	var c struct {
		Alias string   `json:"alias"`
		Alt   []string `json:"alt_aliases"`
	}
	if json.Unmarshal(content, &c) != nil {
		return refuse(400, "M_BAD_JSON", "Bad alias event.")
	}
	if c.Alias != "" {
		c.Alt = append(c.Alt, c.Alias)
	}
	for _, a := range c.Alt {
		if r.s.aliases[a] != r {
			return refuse(400, "M_BAD_ALIAS", "Room alias "+a+" does not point to the room.")
		}
	}
	return nil
}

func (s *Server) getMembers(q *request) (any, error) {
	r, err := q.reader()
	if err != nil {
		return nil, err
	}
	end := r.lastSeen(q.user.ID)
	if at := q.query("at"); at != "" {
		pos, err := position(at)
		if err != nil {
			return nil, err
		}
		end = min(end, r.after(pos))
	}
	only, not := q.query("membership"), q.query("not_membership")
	var w writer
	w.open('{')
	w.key("chunk").open('[')
	v := s.view(q.dev)
	for _, e := range r.stateAt(end, nil) {
		if m := e.membership(); e.member() && (only == "" || m == only) && m != not {
			w.event(e, v)
		}
	}
	w.close(']')
	w.close('}')
	return raw(w.b), nil
}

func (s *Server) joinedMembers(q *request) (any, error) {
	r, err := q.inRoom()
	if err != nil {
		return nil, err
	}
	joined := object{}
	for u := range r.joined {
		one := object{}
		if name := r.members[u.ID].Get("displayname"); name != "" {
			one["display_name"] = name
		}
		if url := r.members[u.ID].Get("avatar_url"); url != "" {
			one["avatar_url"] = url
		}
		joined[u.ID] = one
	}
	return object{"joined": joined}, nil
}
