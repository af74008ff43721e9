package matrixtest

// setPresence changes a user's presence and tells those who share a room.
func (u *User) setPresence(state, text string) {
	s, p := u.s, &u.presence
	if s.cfg.NoPresence {
		return
	}
	old := p.state
	if old == "" {
		old = "offline"
	}
	if state == "online" {
		p.active = s.cfg.Now()
	}
	if old == state && p.text == text {
		return
	}
	p.state, p.text, p.pos = state, text, s.next()
	u.presences.put(u, struct{}{}, p.pos)
	for r := range u.joinedRooms() {
		for other := range r.watching {
			other.presences.put(u, struct{}{}, p.pos)
			other.wakeUp()
		}
	}
	u.wakeUp()
}

// acquaintances are those in the user's rooms whose presence was ever told.
func (u *User) acquaintances() map[*User]struct{} {
	out := map[*User]struct{}{}
	if u.presence.pos > 0 {
		out[u] = struct{}{}
	}
	if u.s.cfg.NoPresence {
		return out
	}
	for r := range u.joinedRooms() {
		for other := range r.joined {
			if other.presence.pos > 0 {
				out[other] = struct{}{}
			}
		}
	}
	return out
}

func (u *User) joinedRooms() map[*Room]struct{} {
	out := make(map[*Room]struct{}, u.rooms.len())
	for r := range u.rooms.since(-1) {
		if _, in := r.joined[u]; in {
			out[r] = struct{}{}
		}
	}
	return out
}

// introduce tells a newcomer and the members of each other's presence.
func (s *Server) introduce(r *Room, u *User) {
	if u.presence.pos > 0 {
		for other := range r.watching {
			other.presences.put(u, struct{}{}, s.pos)
		}
	}
	if len(u.devices) == 0 || s.cfg.NoPresence {
		return
	}
	for other := range r.joined {
		if other.presence.pos > 0 {
			u.presences.put(other, struct{}{}, s.pos)
		}
	}
}

// presenceEvent appends what a client gets to know of a user's presence.
func (w *writer) presenceEvent(u *User, v view) {
	w.open('{')
	w.key("content").open('{')
	u.presenceFields(w, v)
	w.close('}')
	w.key("sender").str(u.ID)
	w.key("type").str("m.presence")
	w.close('}')
}

func (u *User) presenceFields(w *writer, v view) {
	p := u.presence
	state := p.state
	if state == "" {
		state = "offline"
	}
	w.key("presence").str(state)
	if !p.active.IsZero() {
		w.key("last_active_ago").int(max(0, v.now.Sub(p.active).Milliseconds()))
		w.key("currently_active").bool(state == "online")
	}
	if p.text != "" {
		w.key("status_msg").str(p.text)
	}
}

// sharesRoom tells whether two users are in a room together.
func (u *User) sharesRoom(other *User) bool {
	if u == other {
		return true
	}
	for r := range u.joinedRooms() {
		if _, in := r.joined[other]; in {
			return true
		}
	}
	return false
}

func (s *Server) getPresence(q *request) (any, error) {
	u := s.users[q.PathValue("user")]
	if u == nil {
		return nil, notFound("No such user.")
	}
	if !q.user.sharesRoom(u) {
		return nil, forbidden("You are not allowed to see their presence.")
	}
	var w writer
	w.open('{')
	u.presenceFields(&w, s.view(nil))
	w.close('}')
	return raw(w.b), nil
}

func (s *Server) putPresence(q *request) (any, error) {
	var in struct {
		Presence string `json:"presence"`
		Text     string `json:"status_msg"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	if q.PathValue("user") != q.user.ID {
		return nil, forbidden("Cannot set the presence of another user.")
	}
	switch in.Presence {
	case "online", "unavailable", "offline", "busy":
	default:
		return nil, refuse(400, "M_BAD_JSON", "Unknown presence.")
	}
	q.user.setPresence(in.Presence, in.Text)
	return object{}, nil
}
