package matrixtest

import "encoding/json"

// change is a membership event somebody asks for.
type change struct {
	by     *User
	of     *User
	to     string // join, invite, leave, ban, knock
	reason string
	more   object // other parts of the content
	device *device
}

// setMembership checks and makes a membership event.
func (r *Room) setMembership(c change) (*Event, error) {
	if err := r.mayMembership(c); err != nil {
		return nil, err
	}
	content := object{}
	for k, v := range c.more {
		content[k] = v
	}
	content["membership"] = c.to
	if c.reason != "" {
		content["reason"] = c.reason
	}
	if c.to == "join" || c.to == "invite" || c.to == "knock" {
		if _, set := content["displayname"]; !set && c.of.name != "" {
			content["displayname"] = c.of.name
		}
		if _, set := content["avatar_url"]; !set && c.of.avatar != "" {
			content["avatar_url"] = c.of.avatar
		}
	}
	return r.add(&Event{Type: "m.room.member", Sender: c.by.ID, StateKey: &c.of.ID, Content: encode(content), device: c.device}), nil
}

func (r *Room) mayMembership(c change) error {
	old, p := r.membership(c.of.ID), &r.power
	mine, theirs := p.of(c.by.ID), p.of(c.of.ID)
	in := r.membership(c.by.ID) == "join"
	switch {
	case c.to == "join":
		return r.mayJoin(c, old)
	case c.to == "knock":
		return r.mayKnock(c, old)
	case c.to == "leave" && c.by == c.of:
		if old == "ban" || old == "leave" {
			return forbidden("User " + c.of.ID + " is not in the room (" + old + ").")
		}
		return nil
	case !in:
		return forbidden("User " + c.by.ID + " not in room " + r.ID)
	case c.to == "invite":
		if old == "ban" {
			return forbidden(c.of.ID + " is banned from the room")
		}
		if old == "join" {
			return forbidden(c.of.ID + " is already in the room.")
		}
		return enough(mine >= p.Invite)
	case c.to == "leave" && old == "ban":
		return enough(mine >= p.Ban && mine > theirs)
	case c.to == "leave":
		if old == "leave" {
			return forbidden(c.of.ID + " is not in the room.")
		}
		return enough(mine >= p.Kick && mine > theirs)
	case c.to == "ban":
		return enough(mine >= p.Ban && mine > theirs)
	}
	return refuse(400, "M_BAD_JSON", "Unknown membership.")
}

func enough(ok bool) error {
	if ok {
		return nil
	}
	return forbidden("You don't have permission to do that.")
}

func (r *Room) mayJoin(c change, old string) error {
	if c.by != c.of {
		return forbidden("Cannot force another user to join.")
	}
	switch rule := r.joinRule(); {
	case old == "ban":
		return forbidden("You are banned from this room.")
	case old == "join", old == "invite", rule == "public":
		return nil
	case (rule == "restricted" || rule == "knock_restricted") && r.allowed(c.of.ID):
		return nil
	case len(r.timeline) == 1: // the creator comes in
		return nil
	}
	return forbidden("You are not invited to this room.")
}

// allowed tells whether a user is in a room that join_rules name.
func (r *Room) allowed(user string) bool {
	rules := contentOf[struct {
		Allow []struct {
			Room string `json:"room_id"`
		} `json:"allow"`
	}](r.current("m.room.join_rules", ""))
	for _, a := range rules.Allow {
		if other := r.s.rooms[a.Room]; other != nil && other.membership(user) == "join" {
			return true
		}
	}
	return false
}

func (r *Room) mayKnock(c change, old string) error {
	rule := r.joinRule()
	switch {
	case c.by != c.of:
		return forbidden("Cannot knock for another user.")
	case rule != "knock" && rule != "knock_restricted":
		return forbidden("This room does not take knocks.")
	case old == "ban":
		return forbidden("You are banned from this room.")
	case old == "join" || old == "invite":
		return forbidden("You are already in the room or invited.")
	}
	return nil
}

// remote tells whether no account of the server is in the room.
func (r *Room) remote() bool {
	for u := range r.joined {
		if r.s.local(u.ID) {
			return false
		}
	}
	return true
}

// reachable tells whether a user's server finds the room, with the servers that
// were given. Only the id of a room before version 12 names one itself.
func (r *Room) reachable(u *User, via []string) error {
	if !r.remote() || !creatorsAbove(r.Version) || r.membership(u.ID) == "invite" || !r.s.local(u.ID) {
		return nil
	}
	for _, server := range via {
		for member := range r.joined {
			if hasServer(member.ID, server) {
				return nil
			}
		}
	}
	return notFound("Can't join remote room because no servers that are in the room have been provided.")
}

func hasServer(id, server string) bool {
	return len(id) > len(server) && id[len(id)-len(server):] == server && id[len(id)-len(server)-1] == ':'
}

// setProfile changes a user's name or picture and tells all their rooms.
func (u *User) setProfile(name, avatar string) {
	if name == u.name && avatar == u.avatar {
		return
	}
	u.name, u.avatar = name, avatar
	for r := range u.joinedRooms() {
		content := map[string]json.RawMessage{}
		_ = json.Unmarshal(r.members[u.ID].Content, &content)
		content["displayname"], content["avatar_url"] = encode(name), encode(avatar)
		for k, v := range map[string]string{"displayname": name, "avatar_url": avatar} {
			if v == "" {
				delete(content, k)
			}
		}
		delete(content, "reason")
		r.add(&Event{Type: "m.room.member", Sender: u.ID, StateKey: &u.ID, Content: encode(content)})
	}
	u.s.notify()
}
