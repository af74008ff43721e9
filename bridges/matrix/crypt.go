package matrix

import (
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/bridges/matrix/keys"
)

// cipher is the account's device; *keys.Machine is one.
type cipher interface {
	OnKey(f func(id.RoomID, id.SessionID))
	Sync(ctx context.Context, resp *mautrix.RespSync, since string)
	Membership(ctx context.Context, ev *event.Event)
	Decrypt(ctx context.Context, ev *event.Event) (*event.Event, error)
	Encrypt(ctx context.Context, room id.RoomID, typ event.Type, content any) (*event.EncryptedEventContent, error)
	Request(ctx context.Context, ev *event.Event) error
	Recover(ctx context.Context, recovery string) (int, error)
	Verified(ctx context.Context) (bool, error)
}

// unreadable is a line whose key was not there when it came.
type unreadable struct {
	room id.RoomID
	ev   *event.Event
}

// maxUnreadable bounds the lines that wait for their keys.
const maxUnreadable = 1000

// sealedText is what is shown in place of a line that cannot be read.
const sealedText = "This message is encrypted and cannot be read here yet."

// startMachine brings the account's device up. note is for the user, where there is
// something to say about it.
func (n *network) startMachine(ctx context.Context, cli *mautrix.Client) (m cipher, note string) {
	if n.creds.device == "" {
		return nil, " Encrypted messages cannot be read with an access token alone."
	}
	machine, err := keys.Start(ctx, cli, n.store, n)
	switch {
	case err == nil:
		machine.OnKey(func(room id.RoomID, session id.SessionID) { n.keyCame(session) })
		return machine, ""
	case errors.Is(err, keys.ErrUnsupported):
		return nil, ""
	case errors.Is(err, keys.ErrReplaced):
		return nil, " Encrypted messages cannot be read: the keys of this session were lost. Log in again."
	}
	n.log.Warn("matrix: encryption is not available", "error", failure(ctx, err))
	return nil, " Encrypted messages cannot be read at the moment."
}

func (n *network) machineNow() cipher {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine
}

// Encryption implements keys.Rooms.
func (n *network) Encryption(room id.RoomID) *event.EncryptionEventContent {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[room]
	if r == nil || !r.encrypted() {
		return nil
	}
	o := readObject(r.Encryption)
	return &event.EncryptionEventContent{
		Algorithm: id.Algorithm(o.str("algorithm")), RotationPeriodMillis: o.count("rotation_period_ms", 1<<50),
		RotationPeriodMessages: int(o.count("rotation_period_msgs", 1<<20)),
	}
}

// Visibility implements keys.Rooms.
func (n *network) Visibility(room id.RoomID) *event.HistoryVisibilityEventContent {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.rooms[room]; r != nil && r.Visibility != "" {
		return &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibility(r.Visibility)}
	}
	return nil
}

// Shared implements keys.Rooms.
func (n *network) Shared(user id.UserID) []id.RoomID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []id.RoomID
	for rid, r := range n.rooms {
		if _, face := r.Faces[user]; r.encrypted() && (face || r.people[user] != nil) {
			out = append(out, rid)
		}
	}
	slices.Sort(out)
	return out
}

// Recipients implements keys.Rooms: it asks, as what is known of a big room is not all.
func (n *network) Recipients(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	var resp *mautrix.RespMembers
	if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
		resp, err = cli.Members(ctx, room, mautrix.ReqMembers{NotMembership: event.MembershipLeave})
		return err
	}); err != nil {
		return nil, err
	}
	var users []id.UserID
	for _, ev := range resp.Chunk {
		if m := readObject(ev.Content.VeryRaw).str("membership"); (m == "join" || m == "invite") && ev.StateKey != nil {
			users = append(users, id.UserID(*ev.StateKey))
		}
	}
	return users, nil
}

// opened is an event with its content decrypted, where it is encrypted and can be;
// sealed tells that it was.
func (t *turn) opened(ctx context.Context, r *room, ev *event.Event) (plain *event.Event, sealed bool) {
	if ev.Type.Type != event.EventEncrypted.Type || ev.Unsigned.RedactedBecause != nil {
		return ev, false
	}
	m := t.n.machineNow()
	if m == nil {
		return ev, true
	}
	parsed := *ev
	parsed.RoomID, parsed.Type.Class = r.id, event.MessageEventType
	if err := parsed.Content.ParseRaw(event.EventEncrypted); err != nil && !errors.Is(err, event.ErrContentAlreadyParsed) {
		return ev, true
	}
	plain, err := m.Decrypt(ctx, &parsed)
	if err != nil {
		if errors.Is(err, keys.ErrNoKey) && !t.quick {
			t.wait(r, &parsed)
		}
		return ev, true
	}
	plain.ID, plain.Timestamp, plain.Sender, plain.Unsigned = ev.ID, ev.Timestamp, ev.Sender, ev.Unsigned
	return plain, true
}

// wait keeps a line until its key is there, and asks for that.
func (t *turn) wait(r *room, ev *event.Event) {
	n := t.n
	session := ev.Content.AsEncrypted().SessionID
	n.mu.Lock()
	total := 0
	for _, list := range n.unread {
		total += len(list)
	}
	first := len(n.unread[session]) == 0
	if total < maxUnreadable && !slices.ContainsFunc(n.unread[session], func(u unreadable) bool { return u.ev.ID == ev.ID }) {
		n.unread[session] = append(n.unread[session], unreadable{r.id, ev})
	}
	n.mu.Unlock()
	if first {
		_ = n.do(0, "keys", func(ctx context.Context) {
			if m := n.machineNow(); m != nil {
				if err := m.Request(ctx, ev); err != nil {
					n.log.Debug("matrix: a key was not asked for", "error", failure(ctx, err))
				}
			}
		})
	}
}

// unreadable shows that there is a line that cannot be read, once.
func (t *turn) unreadable(r *room, place bridges.Place, ev *event.Event) {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if place.Room != "" {
		t.present(r, ev.Sender)
	}
	from := n.memberOf(r, ev.Sender)
	from.Role, from.Affiliation = bridges.RoleNone, 0
	t.emit(&bridges.Message{
		Place: place, From: from, Self: ev.Sender == n.creds.user, Kind: bridges.Notice, Body: sealedText,
		ID: bridges.MessageID(ev.ID), At: stamp(ev), Replay: t.replay,
	})
}

// keyCame shows what can be read now, as corrections of what stood for it.
func (n *network) keyCame(session id.SessionID) {
	n.mu.Lock()
	any := len(n.unread[session]) > 0
	n.mu.Unlock()
	if !any {
		return
	}
	_ = n.do(0, "keys", func(ctx context.Context) {
		n.mu.Lock()
		lines := n.unread[session]
		delete(n.unread, session)
		n.mu.Unlock()
		t := n.begin()
		defer t.release()
		defer n.endOf(ctx, t)
		for _, u := range lines {
			n.mu.Lock()
			r := n.rooms[u.room]
			n.mu.Unlock()
			if r == nil {
				continue
			}
			t.reveal(ctx, r, u.ev)
		}
	})
}

// reveal corrects what stands for a line that can be read now.
func (t *turn) reveal(ctx context.Context, r *room, ev *event.Event) {
	n := t.n
	n.mu.Lock()
	place, reported := n.place(r)
	n.mu.Unlock()
	if !reported {
		return
	}
	plain, _ := t.opened(ctx, r, ev)
	c := readEvent(plain)
	switch c.What {
	case contentReaction:
		c.Target = cleanTarget(ev, c.Target)
		t.reaction(ctx, r, place, ev, c)
	case contentMessage:
		if m := t.message(ctx, r, place, ev, &c); m != nil {
			if m.Replaces == "" {
				m.Replaces = m.ID
			}
			m.ID += "-read" // another line than the one it corrects
			m.Replay = false
			t.emit(m)
		}
	}
}

// seal is content as it is sent in a room.
func (n *network) seal(ctx context.Context, r *room, kind event.Type, content any) (any, event.Type, *bridges.Error) {
	n.mu.Lock()
	sealed, m := r.encrypted(), n.machine
	n.mu.Unlock()
	if !sealed {
		return content, kind, nil
	}
	if m == nil {
		return nil, kind, bridges.NewError(bridges.Unsupported, "This room is encrypted, and the gateway cannot encrypt for this account: log in again with your password, or leave the room to clients that can.")
	}
	out, err := m.Encrypt(ctx, r.id, kind, content)
	if err != nil {
		e := failure(ctx, err)
		e.Uncertain = false // nothing was sent
		return nil, kind, e
	}
	return out, event.EventEncrypted, nil
}
