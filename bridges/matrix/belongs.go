package matrix

import (
	"cmp"
	"slices"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// noteBelongs notes a room that the user has come into. It is told with the next answer
// of the homeserver, when it is known whether it is a chat with somebody; those of the
// first answer with that. mu is held.
func (n *network) noteBelongs(rid id.RoomID, old bool) {
	if n.belongs == nil {
		n.belongs = map[id.RoomID]bool{}
	}
	n.belongs[rid] = old
}

// tellBelongs tells of the rooms that were noted, those first in which something was
// said last. The turn is held.
func (t *turn) tellBelongs() {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	var rooms []*room
	for rid := range n.belongs {
		r := n.rooms[rid]
		if r == nil || r.Offered {
			delete(n.belongs, rid)
			continue
		}
		rooms = append(rooms, r)
	}
	slices.SortFunc(rooms, func(a, b *room) int { return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.id, b.id)) })
	for _, r := range rooms {
		old := n.belongs[r.id]
		delete(n.belongs, r.id)
		r.Offered = true
		t.put(stateRoom+string(r.id), r.roomState)
		if _, direct := n.directs[r.id]; direct || r.Space || r.Moved != "" || r.open || r.opening {
			continue
		}
		t.emit(&bridges.Belongs{Name: r.address(), Title: n.titleIn(r), Old: old})
	}
}
