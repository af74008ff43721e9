package matrix

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// contact is somebody the user has a chat with, and the room that carries it: of
// several the one in which something was said last.
type contact struct {
	room   id.RoomID
	nick   string
	avatar string // mxc:
	last   int64  // when something was said in the room, milliseconds, as of when the contacts were found
}

// invite is a room the user is asked into.
type invite struct {
	By     id.UserID `json:"by"`
	ByName string    `json:"by_name,omitempty"`
	Name   string    `json:"name,omitempty"` // alias or id
	Reason string    `json:"reason,omitempty"`
	Direct bool      `json:"direct,omitempty"`
	// Declined: the homeserver is asked to turn it down. The same one that comes then is
	// another.
	Declined bool `json:"-"`
	Space    bool `json:"space,omitempty"`
}

// via are servers that know a room somebody invites into.
func (i *invite) via() []string {
	if _, _, server := splitID(string(i.By)); server != "" {
		return []string{server}
	}
	return nil
}

// readDirects reads m.direct: with whom the user shares a direct room.
func readDirects(raw []byte) map[id.RoomID]id.UserID {
	out := map[id.RoomID]id.UserID{}
	o := readObject(raw)
	for _, user := range slices.Sorted(maps.Keys(o)) {
		if clean, err := checkID(user); err != nil || clean[0] != '@' {
			continue
		}
		for _, rid := range o.strs(user) {
			out[id.RoomID(rid)] = id.UserID(user)
		}
	}
	return out
}

// accountData takes what the user's clients keep at the homeserver.
func (t *turn) accountData(events []*event.Event) {
	for _, ev := range events {
		if ev.Type.Type == event.AccountDataIgnoredUserList.Type {
			t.ignores(ev.Content.VeryRaw)
		}
		if ev.Type.Type != event.AccountDataDirectChats.Type {
			continue
		}
		t.putRaw(stateDirect, slices.Clone(ev.Content.VeryRaw))
		t.n.mu.Lock()
		t.n.directs = readDirects(ev.Content.VeryRaw)
		t.updateContacts() // before the lines that come with it
		t.n.mu.Unlock()
	}
}

// updateContacts finds the rooms that carry chats, and reports who has come into the
// user's contacts and who is gone. The turn and mu are held.
func (t *turn) updateContacts() {
	n := t.n
	now := map[id.UserID]*contact{}
	for rid, user := range n.directs {
		r := n.rooms[rid]
		if r == nil || user == n.creds.user || !r.forTwo() || r.Moved != "" {
			continue
		}
		c := now[user]
		if c == nil || n.carriesBefore(user, r, n.rooms[c.room]) {
			face := r.Faces[user]
			now[user] = &contact{room: rid, nick: person(user, face.Name).Nick, avatar: face.Avatar, last: r.Last}
		}
	}
	for _, user := range slices.Sorted(maps.Keys(n.contacts)) {
		if now[user] == nil {
			t.emit(&bridges.Contact{Member: n.contactMember(user, n.contacts[user]), Gone: true})
			delete(n.present, user)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(now)) {
		was := n.contacts[user]
		if is := now[user]; was == nil || was.nick != is.nick || was.avatar != is.avatar {
			t.emit(&bridges.Contact{Member: n.contactMember(user, is)})
		}
	}
	fresh := slices.DeleteFunc(slices.Sorted(maps.Keys(now)), func(user id.UserID) bool { return n.contacts[user] != nil })
	n.contacts = now
	for _, user := range fresh {
		n.wonder(user)
	}
}

// carriesBefore tells whether of two direct rooms with somebody the first carries the chat:
// that in which something was said last or, where that is the same moment, that which does
// so now. mu is held.
func (n *network) carriesBefore(user id.UserID, a, b *room) bool {
	if a.Last != b.Last {
		return a.Last > b.Last
	}
	if c := n.contacts[user]; c != nil && (c.room == a.id || c.room == b.id) {
		return c.room == a.id
	}
	return a.id > b.id
}

// forTwo tells whether a room has two people, of whom one may still have to come.
// Whoever is left alone in it speaks to nobody. Where the homeserver has not said how
// many there are, m.direct is believed.
func (r *room) forTwo() bool { return r.Joined == 0 || r.Joined+r.Invited == 2 }

func (n *network) contactMember(user id.UserID, c *contact) bridges.Member {
	m := person(user, "")
	m.Nick, m.Avatar = c.nick, c.avatar
	return m
}

// invited takes a room the user is asked into.
func (t *turn) invited(rid id.RoomID, state []*event.Event) {
	n := t.n
	inv := &invite{Name: string(rid)}
	faces := map[id.UserID]string{}
	for _, ev := range state {
		o := readObject(ev.Content.VeryRaw)
		switch ev.Type.Type {
		case event.StateMember.Type:
			if ev.GetStateKey() == string(n.creds.user) && o.str("membership") == "invite" {
				inv.By, inv.Direct, inv.Reason = ev.Sender, o.bool("is_direct"), cutBytes(oneLine(o.str("reason")), maxTitle)
			} else {
				faces[id.UserID(ev.GetStateKey())] = o.str("displayname")
			}
		case event.StateCreate.Type:
			inv.Space = o.str("type") == spaceType
		case event.StateCanonicalAlias.Type:
			if alias := validAlias(o.str("alias")); alias != "" {
				inv.Name = alias
			}
		}
	}
	if inv.By == "" || n.ignoring(inv.By) {
		return
	}
	inv.ByName = cutBytes(faces[inv.By], maxTitle)
	n.mu.Lock()
	known := n.invites[rid]
	n.invites[rid] = inv
	t.answered(rid)
	if inv.Name != string(rid) {
		n.aliases[foldID(inv.Name)] = rid
	}
	n.mu.Unlock()
	if known != nil && *known == *inv {
		return
	}
	t.put(stateInvite+string(rid), inv)
	by := person(inv.By, inv.ByName)
	if inv.Direct {
		t.emit(&bridges.Contact{Member: by, Asks: true, Text: inv.Reason})
		return
	}
	reason := inv.Reason
	if inv.Space {
		reason = strings.TrimSpace("This is a space, a group of rooms, and not a room itself. " + reason)
	}
	t.emit(&bridges.Invited{Name: inv.Name, By: by, Reason: reason})
}

// invitedBy is the direct room somebody asks the user into. mu is held.
func (n *network) invitedBy(user id.UserID) (id.RoomID, bool) {
	for _, rid := range slices.Sorted(maps.Keys(n.invites)) {
		if inv := n.invites[rid]; inv.Direct && inv.By == user && !inv.Declined {
			return rid, true
		}
	}
	return "", false
}

// directWith is the room that carries the chat with somebody; where there is none it
// is made, or the one they ask the user into is joined.
func (n *network) directWith(ctx context.Context, user id.UserID) (*room, *bridges.Error) {
	if clean, err := checkID(string(user)); err != nil || clean[0] != '@' {
		return nil, bridges.NewError(bridges.NotFound, "“"+printable(string(user))+"” is not a Matrix ID.")
	}
	n.mu.Lock()
	var there *room
	if c := n.contacts[user]; c != nil {
		there = n.rooms[c.room]
	}
	asked, isAsked := n.invitedBy(user)
	n.mu.Unlock()
	if there != nil {
		return there, nil
	}
	if user == n.creds.user {
		return nil, bridges.NewError(bridges.Invalid, "This is yourself.")
	}
	rid := asked
	if !isAsked {
		var resp *mautrix.RespCreateRoom
		if err := n.d.request(ctx, func(ctx context.Context) (err error) { // not repeated: it could be made twice
			resp, err = n.client().CreateRoom(ctx, &mautrix.ReqCreateRoom{Preset: "trusted_private_chat", IsDirect: true, Invite: []id.UserID{user}})
			return err
		}); err != nil {
			return nil, err
		}
		rid = resp.RoomID
	}
	// Known as one from the first, so that nothing is missed that is said at once.
	n.mu.Lock()
	n.directs[rid] = user
	n.mu.Unlock()
	r, err := n.reach(ctx, string(rid))
	if err != nil {
		n.mu.Lock()
		delete(n.directs, rid)
		n.mu.Unlock()
		return nil, err
	}
	return r, n.markDirect(ctx, r, user)
}

// markDirect notes in m.direct that a room is the chat with somebody.
func (n *network) markDirect(ctx context.Context, r *room, user id.UserID) *bridges.Error {
	// From what stands there now: other clients write it too, and what of it is not
	// understood here stays.
	content := map[string]json.RawMessage{}
	if err := n.retried(ctx, func(ctx context.Context) error {
		return n.client().GetAccountData(ctx, event.AccountDataDirectChats.Type, &content)
	}); err != nil && err.Kind != bridges.NotFound {
		return err
	}
	rooms := object(content).strs(string(user))
	if !slices.Contains(rooms, string(r.id)) {
		listed, err := json.Marshal(append(rooms, string(r.id)))
		if err != nil {
			return bridges.AsError(err)
		}
		if content == nil {
			content = map[string]json.RawMessage{}
		}
		content[string(user)] = listed
		if err := n.retried(ctx, func(ctx context.Context) error {
			return n.client().SetAccountData(ctx, event.AccountDataDirectChats.Type, content)
		}); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return bridges.AsError(err)
	}
	t := n.begin()
	defer t.release()
	defer n.endOf(ctx, t)
	t.putRaw(stateDirect, raw)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.directs[r.id] = user
	t.updateContacts()
	return nil
}

// Befriend implements bridges.Befriender: it accepts who asks, and asks who does not.
func (n *network) Befriend(ref bridges.Ref, user bridges.UserID) error {
	return n.do(ref, string(user), func(ctx context.Context) {
		if _, err := n.directWith(ctx, id.UserID(user)); err != nil {
			n.outcome(ctx, ref, err)
			return
		}
		n.mu.Lock()
		m := person(id.UserID(user), "")
		if c := n.contacts[id.UserID(user)]; c != nil {
			m = n.contactMember(id.UserID(user), c)
		}
		n.mu.Unlock()
		n.tell(ctx, &bridges.Contact{Member: m}, &bridges.Done{Ref: ref})
	})
}

// Unfriend implements bridges.Befriender: it turns down who asks, and leaves the chat
// with a contact.
func (n *network) Unfriend(ref bridges.Ref, user bridges.UserID) error {
	return n.do(ref, string(user), func(ctx context.Context) {
		n.mu.Lock()
		rid, ok := n.invitedBy(id.UserID(user))
		if c := n.contacts[id.UserID(user)]; !ok && c != nil {
			rid, ok = c.room, true
		}
		n.mu.Unlock()
		if !ok {
			n.outcome(ctx, ref, bridges.NewError(bridges.NotFound, "You have no chat with this person."))
			return
		}
		n.outcome(ctx, ref, n.leaveOrDecline(ctx, rid, ""))
	})
}

// leaveOrDecline leaves a room, or turns an invitation to it down. That is known then
// before an answer tells it: the next invitation may be in the same one.
func (n *network) leaveOrDecline(ctx context.Context, rid id.RoomID, reason string) *bridges.Error {
	n.mu.Lock()
	inv := n.invites[rid]
	if inv != nil {
		inv.Declined = true
	}
	n.mu.Unlock()
	err := n.retried(ctx, func(ctx context.Context) error {
		_, err := n.client().LeaveRoom(ctx, rid, &mautrix.ReqLeave{Reason: reason})
		return err
	})
	if inv == nil {
		return err
	}
	t := n.begin()
	defer t.release()
	defer n.endOf(ctx, t)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err != nil:
		inv.Declined = false
	case n.invites[rid] == inv:
		delete(n.invites, rid)
		t.uninvited(rid, inv)
	}
	return err
}

// uninvited tells that an invitation is there no longer. The turn is held.
func (t *turn) uninvited(rid id.RoomID, inv *invite) {
	t.putRaw(stateInvite+string(rid), nil)
	if inv.Direct && inv.By != "" {
		t.emit(&bridges.Contact{Member: person(inv.By, inv.ByName), Gone: true})
	}
}

// Decline implements bridges.Decliner.
func (n *network) Decline(ref bridges.Ref, name, reason string) error {
	return n.do(ref, string(n.RoomID(name)), func(ctx context.Context) {
		rid, _, err := n.resolve(ctx, name)
		if err == nil {
			err = n.leaveOrDecline(ctx, rid, reason)
		}
		n.outcome(ctx, ref, err)
	})
}
