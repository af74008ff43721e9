package matrixtest

import (
	"slices"
)

func (s *Server) spaceRoutes() []route {
	return []route{
		{method: "GET", path: v1 + "rooms/{room}/hierarchy", handle: s.hierarchy},
		{method: "GET", path: v1 + "room_summary/{room}", handle: s.roomSummary},
	}
}

// accessible tells whether a user may know of a room: is in, invited, or may enter.
func (r *Room) accessible(user string) bool {
	switch r.membership(user) {
	case "join", "invite":
		return true
	case "ban":
		return false
	}
	switch r.joinRule() {
	case "public", "knock", "knock_restricted":
		return true
	case "restricted":
		return r.allowed(user)
	}
	return r.visibility() == "world_readable"
}

func (s *Server) roomSummary(q *request) (any, error) {
	r, err := q.named()
	if err != nil {
		return nil, err
	}
	if !r.accessible(q.user.ID) {
		return nil, notFound("Room not found.")
	}
	o := r.summary()
	o["room_version"], o["membership"] = r.Version, r.membership(q.user.ID)
	if e := r.current("m.room.encryption", ""); e != nil {
		o["encryption"] = e.Get("algorithm")
	}
	return o, nil
}

// step is a room on the way through a hierarchy.
type step struct {
	room  *Room
	depth int
}

// walk lists the rooms below a space, each once, children in their order.
func (r *Room) walk(user string, depth int, suggested bool) []*Room {
	var list []*Room
	todo := []step{{r, 0}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if at.room == nil || !at.room.accessible(user) || slices.Contains(list, at.room) {
			continue
		}
		list = append(list, at.room)
		if at.depth == depth {
			continue
		}
		children := at.room.children(suggested)
		for _, e := range slices.Backward(children) {
			todo = append(todo, step{r.s.rooms[*e.StateKey], at.depth + 1})
		}
	}
	return list
}

type spaceChild struct {
	Via       []string `json:"via"`
	Order     string   `json:"order"`
	Suggested bool     `json:"suggested"`
}

// children are the m.space.child events of a space, in order.
func (r *Room) children(suggested bool) []*Event {
	var list []*Event
	if r.spaceType() != "m.space" {
		return nil
	}
	for k, e := range r.state {
		c := contentOf[spaceChild](e)
		if k.typ == "m.space.child" && len(c.Via) > 0 && (c.Suggested || !suggested) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *Event) int {
		x, y := contentOf[spaceChild](a).Order, contentOf[spaceChild](b).Order
		switch {
		case x == y:
			return int(a.pos - b.pos)
		case x == "":
			return 1
		case y == "" || x < y:
			return -1
		}
		return 1
	})
	return list
}

func (s *Server) hierarchy(q *request) (any, error) {
	r := s.rooms[q.PathValue("room")]
	if r == nil || !r.accessible(q.user.ID) {
		return nil, forbidden("User " + q.user.ID + " not in room " + q.PathValue("room") + ", and room previews are disabled")
	}
	depth, err := q.number("max_depth", 10, 10)
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit", 50, 50)
	if err != nil {
		return nil, err
	}
	suggested := q.query("suggested_only") == "true"
	list := r.walk(q.user.ID, depth, suggested)
	from := 0
	if v := q.query("from"); v != "" {
		pos, err := position(v)
		if err != nil {
			return nil, err
		}
		from = min(int(pos), len(list))
	}
	end := min(len(list), from+max(1, limit))
	rooms := []object{}
	for _, x := range list[from:end] {
		var w writer
		w.open('[')
		for _, e := range x.children(suggested) {
			w.stripped(e, true)
		}
		w.close(']')
		o := x.summary()
		o["children_state"] = rawJSON(w.b)
		rooms = append(rooms, o)
	}
	out := object{"rooms": rooms}
	if end < len(list) {
		out["next_batch"] = token(int64(end))
	}
	return out, nil
}
