package matrixtest

import (
	"slices"
	"strconv"
	"strings"
)

func (s *Server) directoryRoutes() []route {
	return []route{
		{method: "GET", path: v3 + "directory/room/{alias}", handle: s.getAlias, open: true},
		{method: "PUT", path: v3 + "directory/room/{alias}", handle: s.putAlias},
		{method: "DELETE", path: v3 + "directory/room/{alias}", handle: s.deleteAlias},
		{method: "GET", path: v3 + "rooms/{room}/aliases", handle: s.roomAliases},
		{method: "GET", path: v3 + "directory/list/room/{room}", handle: s.getListed, open: true},
		{method: "PUT", path: v3 + "directory/list/room/{room}", handle: s.putListed},
		{method: "GET", path: v3 + "publicRooms", handle: s.publicRooms, open: true},
		{method: "POST", path: v3 + "publicRooms", handle: s.publicRooms},
	}
}

func (s *Server) getAlias(q *request) (any, error) {
	r := s.aliases[q.PathValue("alias")]
	if r == nil {
		return nil, notFound("Room alias " + q.PathValue("alias") + " not found.")
	}
	return object{"room_id": r.ID, "servers": r.servers()}, nil
}

// servers are those whose users are in the room, sorted; its own for a room that
// is empty.
func (r *Room) servers() []string {
	var list []string
	for u := range r.joined {
		_, server, _ := strings.Cut(u.ID, ":")
		if !slices.Contains(list, server) {
			list = append(list, server)
		}
	}
	if len(list) == 0 {
		list = []string{r.s.Name}
	}
	slices.Sort(list)
	return list
}

func (s *Server) putAlias(q *request) (any, error) {
	var in struct {
		Room string `json:"room_id"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	alias := q.PathValue("alias")
	if !strings.HasPrefix(alias, "#") || !s.local(alias) || len(alias) > 255 {
		return nil, refuse(400, "M_INVALID_PARAM", "Invalid alias.")
	}
	r := s.rooms[in.Room]
	switch {
	case r == nil:
		return nil, refuse(400, "M_UNKNOWN", "Room does not exist.")
	case s.aliases[alias] != nil:
		return nil, refuse(409, "M_UNKNOWN", "Room alias already exists.")
	case r.membership(q.user.ID) != "join":
		return nil, forbidden("User " + q.user.ID + " not in room " + r.ID)
	}
	s.aliases[alias] = r
	return object{}, nil
}

func (s *Server) deleteAlias(q *request) (any, error) {
	alias := q.PathValue("alias")
	r := s.aliases[alias]
	if r == nil {
		return nil, notFound("Room alias not found.")
	}
	if r.maySend(q.user.ID, "m.room.canonical_alias", new(string)) != nil {
		return nil, forbidden("You don't have permission to delete the alias.")
	}
	delete(s.aliases, alias)
	return object{}, nil
}

func (s *Server) roomAliases(q *request) (any, error) {
	r, err := q.reader()
	if err != nil {
		return nil, err
	}
	list := []string{}
	for alias, at := range s.aliases {
		if at == r {
			list = append(list, alias)
		}
	}
	slices.Sort(list)
	return object{"aliases": list}, nil
}

func (s *Server) getListed(q *request) (any, error) {
	r := s.rooms[q.PathValue("room")]
	if r == nil {
		return nil, notFound("Unknown room.")
	}
	if r.public {
		return object{"visibility": "public"}, nil
	}
	return object{"visibility": "private"}, nil
}

func (s *Server) putListed(q *request) (any, error) {
	var in struct {
		Visibility string `json:"visibility"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	r, err := q.inRoom()
	if err != nil {
		return nil, err
	}
	if err := r.maySend(q.user.ID, "m.room.canonical_alias", new(string)); err != nil {
		return nil, err
	}
	r.public = in.Visibility != "private"
	return object{}, nil
}

// summary is what the directory and spaces tell of a room.
func (r *Room) summary() object {
	o := object{
		"room_id": r.ID, "num_joined_members": len(r.joined), "join_rule": r.joinRule(),
		"world_readable": r.visibility() == "world_readable", "guest_can_join": r.stateField("m.room.guest_access", "guest_access") == "can_join",
	}
	for name, v := range map[string]string{
		"name": r.stateField("m.room.name", "name"), "topic": r.stateField("m.room.topic", "topic"),
		"avatar_url": r.stateField("m.room.avatar", "url"), "canonical_alias": r.stateField("m.room.canonical_alias", "alias"),
		"room_type": r.spaceType(),
	} {
		if v != "" {
			o[name] = v
		}
	}
	return o
}

func (s *Server) publicRooms(q *request) (any, error) {
	var in struct {
		Limit  int    `json:"limit"`
		Since  string `json:"since"`
		Filter struct {
			Term  string    `json:"generic_search_term"`
			Types []*string `json:"room_types"`
		} `json:"filter"`
	}
	if q.Method == "POST" {
		if err := q.decode(&in); err != nil {
			return nil, err
		}
	} else {
		var err error
		if in.Limit, err = q.number("limit", 0, 1000); err != nil {
			return nil, err
		}
		in.Since = q.query("since")
	}
	if server := q.query("server"); server != "" && server != s.Name {
		return nil, refuse(502, "M_UNKNOWN", "Failed to fetch room list from "+server)
	}
	term, list := strings.ToLower(in.Filter.Term), []*Room{}
	for _, r := range s.order {
		o := strings.ToLower(strings.Join([]string{r.stateField("m.room.name", "name"), r.stateField("m.room.topic", "topic"), r.stateField("m.room.canonical_alias", "alias")}, "\n"))
		typ := func(t *string) bool { return t == nil && r.spaceType() == "" || t != nil && *t == r.spaceType() }
		if r.public && strings.Contains(o, term) && (in.Filter.Types == nil || slices.ContainsFunc(in.Filter.Types, typ)) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *Room) int { return len(b.joined) - len(a.joined) })
	from, total := 0, len(list)
	if in.Since != "" {
		pos, err := position(in.Since)
		if err != nil {
			return nil, err
		}
		from = min(int(pos), total)
	}
	end := total
	if in.Limit > 0 {
		end = min(total, from+in.Limit)
	}
	chunk := []object{}
	for _, r := range list[from:end] {
		chunk = append(chunk, r.summary())
	}
	out := object{"chunk": chunk, "total_room_count_estimate": total}
	if end < total {
		out["next_batch"] = "s" + strconv.Itoa(end)
	}
	if from > 0 {
		out["prev_batch"] = "s" + strconv.Itoa(max(0, from-in.Limit))
	}
	return out, nil
}

// sortedUsers are all users by their ids.
func (s *Server) sortedUsers() []*User {
	list := make([]*User, 0, len(s.users))
	for _, u := range s.users {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *User) int { return strings.Compare(a.ID, b.ID) })
	return list
}
