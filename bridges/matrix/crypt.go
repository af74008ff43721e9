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
	Reshare(ctx context.Context, room id.RoomID) error
	Decrypt(ctx context.Context, ev *event.Event) (*event.Event, error)
	Encrypt(ctx context.Context, room id.RoomID, typ event.Type, content any) (*event.EncryptedEventContent, error)
	Request(ctx context.Context, ev *event.Event) error
	Recover(ctx context.Context, recovery string) (int, error)
	Verified(ctx context.Context) (bool, error)
}

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
		_, face := r.Faces[user]
		if r.encrypted() && (face || r.people == nil || r.people[user] != nil) { // nobody knows who is where nobody looks
			out = append(out, rid)
		}
	}
	slices.Sort(out)
	return out
}

// Recipients implements keys.Rooms: it asks, as what is known of a big room is not all.
func (n *network) Recipients(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	var members []*event.Event
	if err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
		members, err = getMembers(ctx, cli, room, "", event.MembershipLeave)
		return err
	}); err != nil {
		return nil, err
	}
	var users []id.UserID
	for _, ev := range members {
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
	plain, parsed, err := t.open(ctx, r, ev)
	if err != nil {
		if errors.Is(err, keys.ErrNoKey) && (!t.quick || t.entering) {
			t.wait(r, parsed)
		}
		return ev, true
	}
	return plain, true
}

// errNoDevice is why nothing can be decrypted.
var errNoDevice = errors.New("there is no device")

// open decrypts an event; parsed is what it was read as.
func (t *turn) open(ctx context.Context, r *room, ev *event.Event) (plain, parsed *event.Event, err error) {
	m := t.n.machineNow()
	if m == nil {
		return nil, ev, errNoDevice
	}
	sealed := *ev
	parsed = &sealed
	parsed.RoomID, parsed.Type.Class = r.id, event.MessageEventType
	if err := parsed.Content.ParseRaw(event.EventEncrypted); err != nil && !errors.Is(err, event.ErrContentAlreadyParsed) {
		return nil, parsed, err
	}
	if plain, err = m.Decrypt(ctx, parsed); err != nil {
		return nil, parsed, err
	}
	plain.ID, plain.Timestamp, plain.Sender, plain.Unsigned = ev.ID, ev.Timestamp, ev.Sender, ev.Unsigned
	return plain, parsed, nil
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
