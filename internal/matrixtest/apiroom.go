package matrixtest

import "strings"

func (s *Server) roomRoutes() []route {
	list := []route{
		{method: "POST", path: v3 + "createRoom", handle: s.createRoom},
		{method: "POST", path: v3 + "join/{room}", handle: s.join},
		{method: "POST", path: v3 + "rooms/{room}/join", handle: s.join},
		{method: "POST", path: v3 + "knock/{room}", handle: s.knock},
		{method: "POST", path: v3 + "rooms/{room}/forget", handle: s.forget},
		{method: "POST", path: v3 + "rooms/{room}/upgrade", handle: s.upgradeRoom},
		{method: "GET", path: v3 + "joined_rooms", handle: s.joinedRooms},
	}
	for action, to := range map[string]string{"leave": "leave", "invite": "invite", "kick": "leave", "ban": "ban", "unban": "leave"} {
		list = append(list, route{method: "POST", path: v3 + "rooms/{room}/" + action, handle: func(q *request) (any, error) {
			return s.member(q, action, to)
		}})
	}
	return list
}

func (s *Server) createRoom(q *request) (any, error) {
	var o RoomOptions
	if err := q.decode(&o); err != nil {
		return nil, err
	}
	r, err := s.make(q.user, o)
	if err != nil {
		return nil, err
	}
	out := object{"room_id": r.ID}
	if alias := r.stateField("m.room.canonical_alias", "alias"); alias != "" {
		out["room_alias"] = alias
	}
	return out, nil
}

// membershipRequest is the body of all that changes memberships.
type membershipRequest struct {
	User   string `json:"user_id"`
	Reason string `json:"reason"`
}

func (q *request) membership() (in membershipRequest, err error) {
	if len(q.body) > 0 {
		err = q.decode(&in)
	}
	return in, err
}

// named is the room a path names by its id or alias, with the servers to ask.
func (q *request) named() (*Room, error) {
	name := q.PathValue("room")
	if !strings.HasPrefix(name, "!") && !strings.HasPrefix(name, "#") {
		return nil, refuse(400, "M_INVALID_PARAM", name+" was not legal room ID or room alias")
	}
	r := q.s.room(name)
	if r == nil {
		return nil, notFound("Room " + name + " not found.")
	}
	v := q.URL.Query()
	via := append(v["via"], v["server_name"]...)
	if strings.HasPrefix(name, "#") {
		_, server, _ := strings.Cut(name, ":")
		via = append(via, server)
		for u := range r.joined { // the alias tells them
			_, server, _ := strings.Cut(u.ID, ":")
			via = append(via, server)
			break
		}
	}
	return r, r.reachable(q.user, via)
}

func (s *Server) join(q *request) (any, error) { return s.enter(q, "join") }

func (s *Server) knock(q *request) (any, error) { return s.enter(q, "knock") }

func (s *Server) enter(q *request, to string) (any, error) {
	in, err := q.membership()
	if err != nil {
		return nil, err
	}
	r, err := q.named()
	if err != nil {
		return nil, err
	}
	if to == "join" && r.membership(q.user.ID) == "join" {
		return object{"room_id": r.ID}, nil
	}
	if _, err := r.setMembership(change{by: q.user, of: q.user, to: to, reason: in.Reason, device: q.dev}); err != nil {
		return nil, err
	}
	return object{"room_id": r.ID}, nil
}

// member changes a membership, the user's own with leave.
func (s *Server) member(q *request, action, to string) (any, error) {
	in, err := q.membership()
	if err != nil {
		return nil, err
	}
	r, err := q.room()
	if err != nil {
		return nil, err
	}
	of := q.user
	if action != "leave" {
		if of, err = s.invitee(in.User); err != nil {
			return nil, err
		}
	}
	old := r.membership(of.ID)
	if action == "unban" && old != "ban" || action == "kick" && old == "ban" {
		return nil, forbidden(of.ID + " is not in that state (" + old + ").")
	}
	_, err = r.setMembership(change{by: q.user, of: of, to: to, reason: in.Reason, device: q.dev})
	return object{}, err
}

func (s *Server) forget(q *request) (any, error) {
	r, err := q.room()
	if err != nil {
		return nil, err
	}
	switch r.membership(q.user.ID) {
	case "join", "invite", "knock":
		return nil, refuse(400, "M_UNKNOWN", "User "+q.user.ID+" is in room "+r.ID)
	}
	q.user.rooms.drop(r)
	return object{}, nil
}

func (s *Server) upgradeRoom(q *request) (any, error) {
	var in struct {
		Version string `json:"new_version"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	r, err := q.inRoom()
	if err != nil {
		return nil, err
	}
	next, err := r.upgrade(q.user, in.Version)
	if err != nil {
		return nil, err
	}
	return object{"replacement_room": next.ID}, nil
}

func (s *Server) joinedRooms(q *request) (any, error) {
	ids := []string{}
	for r := range q.user.joinedRooms() {
		ids = append(ids, r.ID)
	}
	return object{"joined_rooms": ids}, nil
}
