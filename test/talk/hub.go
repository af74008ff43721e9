package talk

import (
	"maps"
	"slices"
	"sync"

	"transportd/bridges"
)

// Hub is the network: people in rooms. Its methods may be called from anywhere.
type Hub struct {
	mu     sync.Mutex
	rooms  map[bridges.RoomID]map[bridges.UserID]bool
	people map[bridges.UserID]*person
	only   map[bridges.RoomID]bridges.UserID // who alone may speak there; none: everybody
}

// person is somebody of the network: of an account where link is set.
type person struct {
	nick string
	link *link
}

// NewHub makes an empty network.
func NewHub() *Hub {
	return &Hub{rooms: map[bridges.RoomID]map[bridges.UserID]bool{}, people: map[bridges.UserID]*person{}, only: map[bridges.RoomID]bridges.UserID{}}
}

// What the network does, hub.mu held.

func (h *Hub) members(room bridges.RoomID, but bridges.UserID) []bridges.Member {
	var out []bridges.Member
	for _, user := range slices.Sorted(maps.Keys(h.rooms[room])) {
		if user != but {
			out = append(out, member(h.people[user].nick))
		}
	}
	return out
}

// toRoom tells something to everybody in a room but one.
func (h *Hub) toRoom(room bridges.RoomID, but bridges.UserID, ev bridges.Event) {
	for user := range h.rooms[room] {
		if p := h.people[user]; user != but && p.link != nil {
			p.link.tell(ev)
		}
	}
}

func (h *Hub) enter(room bridges.RoomID, user bridges.UserID) {
	if h.rooms[room] == nil {
		h.rooms[room] = map[bridges.UserID]bool{}
	}
	if !h.rooms[room][user] {
		h.rooms[room][user] = true
		h.toRoom(room, user, &bridges.Joined{Room: room, Member: member(h.people[user].nick)})
	}
}

func (h *Hub) leave(room bridges.RoomID, user bridges.UserID, kind bridges.LeftKind) {
	if h.rooms[room][user] {
		delete(h.rooms[room], user)
		h.toRoom(room, user, &bridges.Left{Room: room, Member: member(h.people[user].nick), Kind: kind})
	}
}

func (h *Hub) say(nick string, to bridges.Place, kind bridges.MessageKind, body string) *bridges.Error {
	ev := &bridges.Message{Place: to, From: member(nick), Kind: kind, Body: body}
	switch p, only := h.people[to.User], h.only[to.Room]; {
	case only != "" && only != id(nick):
		return bridges.NewError(bridges.Forbidden, "You may not speak here.")
	case to.Room != "":
		h.toRoom(to.Room, id(nick), ev)
	case p == nil:
		return bridges.NewError(bridges.NotFound, "There is nobody of that name.")
	case p.link != nil:
		ev.Place = bridges.Place{User: id(nick)}
		p.link.tell(ev)
	}
	return nil
}
