package matrix

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Bounds of what is kept of spaces, and of how much of one is listed.
const (
	maxChildren    = 1000 // of a space
	maxParents     = 20   // that a room names
	hierarchyPage  = 50
	hierarchyPages = 10
	maxOrder       = 50 // characters of a child's place
)

// child is a room of a space (client-server API, "Modelling the tree of spaces").
type child struct {
	Via   []string `json:"via,omitempty"`
	Order string   `json:"order,omitempty"`
	At    int64    `json:"at,omitempty"` // milliseconds
}

const (
	spaceType  = "m.space"
	childType  = "m.space.child"
	parentType = "m.space.parent"
)

// related takes an m.space.child or m.space.parent. It reports whether it says
// something new. mu is held.
func (t *turn) related(r *room, ev *event.Event) bool {
	other, err := checkID(*ev.StateKey)
	if err != nil || other[0] != '!' {
		return false
	}
	rid := id.RoomID(other)
	o := readObject(ev.Content.VeryRaw)
	via := validVia(o.strs("via"))
	changed := false
	if ev.Type.Type == childType {
		was, known := r.Children[rid]
		now := child{Via: via, Order: validOrder(o.str("order")), At: ev.Timestamp}
		switch {
		case len(via) == 0:
			delete(r.Children, rid)
			changed = known
		case known && slices.Equal(was.Via, now.Via) && was.Order == now.Order:
		case known || len(r.Children) < maxChildren:
			if r.Children == nil {
				r.Children = map[id.RoomID]child{}
			}
			r.Children[rid], changed = now, true
		}
	} else {
		was, known := r.Parents[rid]
		switch {
		case len(via) == 0:
			delete(r.Parents, rid)
			changed = known
		case was == ev.Sender:
		case known || len(r.Parents) < maxParents:
			if r.Parents == nil {
				r.Parents = map[id.RoomID]id.UserID{}
			}
			r.Parents[rid], changed = ev.Sender, true
		}
	}
	if changed {
		t.regroup()
	}
	return changed
}

// regroup notes that rooms may be in other spaces now, or spaces be called otherwise. mu
// is held.
func (t *turn) regroup() { t.n.family, t.regrouped = nil, true }

func validVia(servers []string) []string {
	var via []string
	for _, s := range servers {
		if server, ok := foldServer(s); ok && len(via) < maxVia {
			via = append(via, server)
		}
	}
	return via
}

// validOrder is a child's place, where it is one: printable ASCII.
func validOrder(s string) string {
	if len(s) > maxOrder || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return s
}

// parents are the spaces the user is in that a room belongs to: by their own word, or
// by the room's where who wrote it there may speak for the space. mu is held.
func (n *network) parents(rid id.RoomID) []id.RoomID {
	if n.family == nil {
		n.family = map[id.RoomID][]id.RoomID{}
		add := func(space, rid id.RoomID) {
			if space != rid && !slices.Contains(n.family[rid], space) {
				n.family[rid] = append(n.family[rid], space)
			}
		}
		for _, r := range n.rooms {
			if r.Space {
				for rid := range r.Children {
					add(r.id, rid)
				}
			}
			for space, by := range r.Parents {
				if s := n.rooms[space]; s != nil && s.Space && s.powers().level(by) >= s.powers().child {
					add(space, r.id)
				}
			}
		}
	}
	return n.family[rid]
}

// titleIn is a room's name for people, with the space it is in where that is one. mu is
// held.
func (n *network) titleIn(r *room) string {
	title := r.title(n.creds.user)
	if spaces := n.parents(r.id); len(spaces) == 1 && title != "" {
		if space := n.rooms[spaces[0]].title(n.creds.user); space != "" {
			return cutBytes(space, maxTitle) + "/" + title
		}
	}
	return title
}

// retitle reports rooms that are called otherwise because of the spaces they are in. mu
// is held.
func (t *turn) retitle() {
	if !t.regrouped {
		return
	}
	t.regrouped = false
	for _, rid := range slices.Sorted(maps.Keys(t.n.rooms)) {
		if r := t.n.rooms[rid]; r.open && r.shown != t.n.titleIn(r) {
			t.emit(t.n.info(r))
		}
	}
}

// tops are the spaces the user is in that are in no other of them; of a circle of spaces
// one. mu is held.
func (n *network) tops() []*room {
	var spaces, tops []*room
	for _, rid := range slices.Sorted(maps.Keys(n.rooms)) {
		if r := n.rooms[rid]; r.Space {
			spaces = append(spaces, r)
		}
	}
	reached := map[id.RoomID]bool{}
	take := func(r *room) {
		tops = append(tops, r)
		for todo := []id.RoomID{r.id}; len(todo) > 0; {
			at := n.rooms[todo[0]]
			todo = todo[1:]
			if at == nil || !at.Space || reached[at.id] {
				continue
			}
			reached[at.id] = true
			todo = slices.AppendSeq(todo, maps.Keys(at.Children))
		}
	}
	for _, r := range spaces {
		if !slices.ContainsFunc(n.parents(r.id), func(p id.RoomID) bool { return n.rooms[p].Children[r.id].Via != nil }) {
			take(r)
		}
	}
	for _, r := range spaces {
		if !reached[r.id] {
			take(r)
		}
	}
	slices.SortStableFunc(tops, func(a, b *room) int { return strings.Compare(a.title(n.creds.user), b.title(n.creds.user)) })
	return tops
}

// entry is a room the user is in, as lists have it.
func (n *network) entry(r *room) bridges.DirectoryEntry {
	return bridges.DirectoryEntry{
		Name: r.address(), Title: r.title(n.creds.user), Members: r.Joined, Subject: cutBytes(oneLine(r.Topic), maxTitle), Group: r.Space,
	}
}

// Group implements bridges.Grouper: groups are spaces.
func (n *network) Group(ctx context.Context, name string) ([]bridges.DirectoryEntry, error) {
	if _, err := n.asking(); err != nil {
		return nil, err
	}
	if name == "" {
		n.mu.Lock()
		defer n.mu.Unlock()
		var out []bridges.DirectoryEntry
		for _, r := range n.tops() {
			out = append(out, n.entry(r))
		}
		return out, nil
	}
	rid, _, e := n.resolve(ctx, name)
	if e != nil {
		return nil, e
	}
	entries, listed, err := n.hierarchy(ctx, rid)
	n.mu.Lock()
	defer n.mu.Unlock()
	space := n.rooms[rid]
	if space == nil || !space.Space {
		return entries, err
	}
	if err != nil {
		n.log.Info("matrix: a space is listed without what the homeserver knows of it", "error", err)
	}
	// What the homeserver leaves out and the user is in.
	for _, c := range space.children() {
		if r := n.rooms[c]; r != nil && !listed[c] {
			entries = append(entries, n.entry(r))
		}
	}
	return entries, nil
}

// children are the rooms of a space in their order (client-server API, "Ordering of
// children within a space").
func (r *room) children() []id.RoomID {
	return slices.SortedFunc(maps.Keys(r.Children), func(a, b id.RoomID) int {
		x, y := r.Children[a], r.Children[b]
		if (x.Order == "") != (y.Order == "") {
			return strings.Compare(y.Order, x.Order) // those without come last
		}
		return cmp.Or(strings.Compare(x.Order, y.Order), cmp.Compare(x.At, y.At), strings.Compare(string(a), string(b)))
	})
}

// hierarchy asks the homeserver what is directly in a space.
func (n *network) hierarchy(ctx context.Context, space id.RoomID) (entries []bridges.DirectoryEntry, listed map[id.RoomID]bool, err error) {
	depth, from := 1, ""
	listed = map[id.RoomID]bool{space: true}
	vias := map[id.RoomID][]string{}
	for range hierarchyPages {
		var resp *mautrix.RespHierarchy
		if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
			resp, err = cli.Hierarchy(ctx, space, &mautrix.ReqHierarchy{From: from, Limit: hierarchyPage, MaxDepth: &depth})
			return err
		}); err != nil {
			if e := bridges.AsError(err); e.Kind == bridges.Forbidden {
				e.Text = "There is no such space, or your homeserver does not tell you what is in it before you are: then join its address, and look again."
			}
			return entries, listed, err
		}
		for _, c := range resp.Rooms {
			if c == nil {
				continue
			}
			if c.RoomID == space {
				for _, ev := range there(c.ChildrenState) {
					if ev.StateKey != nil {
						vias[id.RoomID(*ev.StateKey)] = validVia(readObject(ev.Content.VeryRaw).strs("via"))
					}
				}
				continue
			}
			e, ok := publicEntry(&c.PublicRoomInfo)
			if !ok || listed[c.RoomID] {
				continue
			}
			listed[c.RoomID] = true
			e.Group = c.RoomType == spaceType
			n.d.remember(e.Name, vias[c.RoomID])
			entries = append(entries, e)
		}
		if resp.NextBatch == "" || resp.NextBatch == from || len(resp.Rooms) == 0 {
			break
		}
		from = resp.NextBatch
	}
	return entries, listed, nil
}

// publicEntry is what a homeserver tells of a room, as lists have it.
func publicEntry(r *mautrix.PublicRoomInfo) (bridges.DirectoryEntry, bool) {
	name := validAlias(string(r.CanonicalAlias))
	if name == "" {
		clean, err := checkID(string(r.RoomID))
		if err != nil || clean[0] != '!' {
			return bridges.DirectoryEntry{}, false
		}
		name = clean
	}
	return bridges.DirectoryEntry{
		Name: name, Title: cutBytes(oneLine(cleanText(r.Name)), maxTitle), Members: r.NumJoinedMembers,
		Subject: cutBytes(oneLine(cleanText(r.Topic)), maxTitle),
	}, true
}

// errSpace is the answer to who wants to enter a space as if it were a room.
func errSpace() *bridges.Error {
	return bridges.NewError(bridges.Unsupported, "This is a space, not a room: you are in it now. Its rooms are listed where your client browses the gateway.")
}
