package matrix

import (
	"slices"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// member is somebody who is in a room.
type member struct {
	name   string // display name
	avatar string
}

// nickOf is what somebody is called in a room, whether they are in or not.
func (r *room) nickOf(user id.UserID) string {
	if r.nicks != nil {
		if nick := r.nicks.nick(user); nick != "" {
			return nick
		}
	}
	p, _ := r.profileOf(user)
	if r.nicks != nil {
		return r.nicks.besides(user, p.Name)
	}
	return person(user, p.Name).Nick
}

// member is somebody of the room as the session knows people: with a standing only
// where they are in.
func (n *network) memberOf(r *room, user id.UserID) bridges.Member {
	m := person(user, "")
	m.Nick = r.nickOf(user)
	membership := "leave"
	if p := r.people[user]; p != nil || user == n.creds.user {
		membership = "join"
		if p != nil {
			m.Avatar = p.avatar
		}
	}
	m.Role, m.Affiliation = r.powers().standing(user, membership, r.public())
	return m
}

// others are the members of a room but the user: those with power first, then by
// nick. mu is held.
func (n *network) others(r *room) []bridges.Member {
	out := make([]bridges.Member, 0, len(r.people))
	for user := range r.people {
		if user != n.creds.user {
			out = append(out, n.memberOf(r, user))
		}
	}
	slices.SortFunc(out, func(a, b bridges.Member) int {
		if a.Affiliation != b.Affiliation {
			return int(b.Affiliation) - int(a.Affiliation)
		}
		if a.Nick < b.Nick {
			return -1
		}
		return 1
	})
	return out
}

// Members implements bridges.Network.
func (n *network) Members(id_ bridges.RoomID) (self bridges.Member, others []bridges.Member, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(id_)]
	if r == nil || !r.open {
		return bridges.Member{}, nil, false
	}
	return n.memberOf(r, n.creds.user), n.others(r), true
}

// Member implements bridges.Network.
func (n *network) Member(id_ bridges.RoomID, user bridges.UserID) (bridges.Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(id_)]
	if r == nil || !r.open {
		return bridges.Member{}, false
	}
	who := id.UserID(user)
	if r.people[who] == nil && who != n.creds.user {
		return bridges.Member{}, false
	}
	return n.memberOf(r, who), true
}

// enter notes that somebody is in a room, or has another name there, and reports what
// that changes. The turn and mu are held.
func (t *turn) enter(r *room, user id.UserID, p profile) {
	if r.people == nil {
		return
	}
	was := r.people[user]
	delete(r.met, user)
	r.people[user] = &member{name: p.Name, avatar: p.Avatar}
	if _, known := r.Faces[user]; known && r.Faces[user] != p {
		r.face(user, p)
	}
	changes := r.nicks.set(user, p.Name)
	if was == nil {
		if user != t.n.creds.user && r.open {
			t.emit(&bridges.Joined{Room: bridges.RoomID(r.id), Member: t.n.memberOf(r, user)})
		}
		if len(changes) > 0 && changes[0].User == user {
			changes = changes[1:]
		}
	} else if was.avatar != p.Avatar && r.open {
		t.emit(&bridges.Updated{Room: bridges.RoomID(r.id), Member: t.n.memberOf(r, user), Self: user == t.n.creds.user})
	}
	t.renamed(r, changes)
}

// leave notes that somebody is no longer in a room. The turn and mu are held.
func (t *turn) leave(r *room, user id.UserID, left *bridges.Left) {
	if r.people == nil || r.people[user] == nil {
		return
	}
	left.Room, left.Member = bridges.RoomID(r.id), t.n.memberOf(r, user)
	r.meet(user, profile{r.people[user].name, r.people[user].avatar})
	delete(r.people, user)
	changes := r.nicks.remove(user)
	if r.open {
		t.emit(left)
	}
	if len(changes) > 0 && changes[0].User == user {
		changes = changes[1:]
	}
	t.renamed(r, changes)
}

// renamed reports members who have another nick.
func (t *turn) renamed(r *room, changes []nickChange) {
	if !r.open {
		return
	}
	for _, c := range changes {
		if c.Old == "" || c.New == "" {
			continue
		}
		t.emit(&bridges.Renamed{
			Room: bridges.RoomID(r.id), OldID: bridges.UserID(c.User), OldNick: c.Old,
			Member: t.n.memberOf(r, c.User), Self: c.User == t.n.creds.user,
		})
	}
}

// present makes sure that somebody who does something is among the members: of a big
// room only some are known. The turn and mu are held.
func (t *turn) present(r *room, user id.UserID) {
	if r.people != nil && r.people[user] == nil && user != "" {
		p, _ := r.profileOf(user)
		t.enter(r, user, p)
	}
}

// standings reports members whose standing is another after a change of power. was is
// what they could do before.
func (t *turn) standings(r *room, was map[id.UserID]bridges.Member, actor string) {
	for user := range r.people {
		m := t.n.memberOf(r, user)
		if old := was[user]; old.Role != m.Role || old.Affiliation != m.Affiliation {
			t.emit(&bridges.Updated{Room: bridges.RoomID(r.id), Member: m, Self: user == t.n.creds.user, Actor: actor})
		}
	}
}

// standingsNow are the members as they stand.
func (t *turn) standingsNow(r *room) map[id.UserID]bridges.Member {
	if !r.open {
		return nil
	}
	out := make(map[id.UserID]bridges.Member, len(r.people))
	for user := range r.people {
		out[user] = t.n.memberOf(r, user)
	}
	return out
}
