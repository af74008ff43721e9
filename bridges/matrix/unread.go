package matrix

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges/matrix/keys"
)

// unreadable is a line whose key was not there when it came. It is stored as it came,
// which is encrypted, until its key is there.
type unreadable struct {
	room id.RoomID
	ev   *event.Event
}

// Bounds of the lines that wait for their keys.
const (
	maxUnreadable      = 1000
	maxUnreadableBytes = 2 << 20
)

// storedUnreadable is how one is stored, under its session and its event.
type storedUnreadable struct {
	Room    id.RoomID       `json:"room"`
	Sender  id.UserID       `json:"sender"`
	At      int64           `json:"at"`
	Content json.RawMessage `json:"content"`
	Txn     string          `json:"txn,omitempty"`
}

// unreadName is what a line is stored under.
func unreadName(session id.SessionID, ev id.EventID) string {
	return stateUnread + strings.ReplaceAll(string(session), "/", "_") + "/" + string(ev)
}

// wait keeps a line until its key is there, and asks for that.
func (t *turn) wait(r *room, ev *event.Event) {
	n := t.n
	session := ev.Content.AsEncrypted().SessionID
	n.mu.Lock()
	lines := n.unread[session]
	if slices.ContainsFunc(lines, func(u unreadable) bool { return u.ev.ID == ev.ID }) || !n.roomToWait(ev) {
		n.mu.Unlock()
		return
	}
	n.unread[session] = append(lines, unreadable{r.id, ev})
	n.mu.Unlock()
	t.put(unreadName(session, ev.ID), storedUnreadable{r.id, ev.Sender, ev.Timestamp, ev.Content.VeryRaw, ev.Unsigned.TransactionID})
	if len(lines) == 0 {
		n.askForKey(ev)
	}
}

// roomToWait tells whether another line may wait. mu is held.
func (n *network) roomToWait(ev *event.Event) bool {
	total, bytes := 0, len(ev.Content.VeryRaw)
	for _, list := range n.unread {
		total += len(list)
		for _, u := range list {
			bytes += len(u.ev.Content.VeryRaw)
		}
	}
	return total < maxUnreadable && bytes <= maxUnreadableBytes
}

// askForKey asks those who may have it for the key of a line.
func (n *network) askForKey(ev *event.Event) {
	_ = n.do(0, "keys", func(ctx context.Context) {
		if m := n.machineNow(); m != nil {
			if err := m.Request(ctx, ev); err != nil {
				n.log.Debug("matrix: a key was not asked for", "error", failure(ctx, err))
			}
		}
	})
}

// restoreUnread takes over the lines that waited for their keys when the last process
// ended. mu is held.
func (n *network) restoreUnread(name string, raw []byte) {
	var s storedUnreadable
	if json.Unmarshal(raw, &s) != nil {
		return
	}
	ev := &event.Event{
		ID: id.EventID(name[strings.LastIndexByte(name, '/')+1:]), RoomID: s.Room, Sender: s.Sender, Timestamp: s.At,
		Type: event.EventEncrypted, Content: event.Content{VeryRaw: s.Content},
	}
	ev.Unsigned.TransactionID = s.Txn
	if ev.Content.ParseRaw(event.EventEncrypted) != nil || !n.roomToWait(ev) {
		return
	}
	session := ev.Content.AsEncrypted().SessionID
	n.unread[session] = append(n.unread[session], unreadable{s.Room, ev})
}

// keyCame shows what can be read now.
func (n *network) keyCame(session id.SessionID) {
	n.reveal(func(s id.SessionID, _ unreadable) bool { return s == session })
}

// reveal shows those of the lines that wait which can be read now, as corrections of
// what stood for them. Those of rooms that nobody is told of wait until somebody is.
func (n *network) reveal(which func(id.SessionID, unreadable) bool) {
	pick := func() (lines []unreadable) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for session, list := range n.unread {
			for _, u := range list {
				if which(session, u) {
					lines = append(lines, u)
				}
			}
		}
		slices.SortStableFunc(lines, func(a, b unreadable) int { return cmp.Compare(a.ev.Timestamp, b.ev.Timestamp) })
		return lines
	}
	if len(pick()) == 0 {
		return
	}
	_ = n.do(0, "keys", func(ctx context.Context) {
		t := n.begin()
		defer t.release()
		defer n.endOf(ctx, t)
		for _, u := range pick() {
			t.reveal(ctx, u)
		}
	})
}

// reveal shows a line that waits, where it can be read and somebody is told of the room.
func (t *turn) reveal(ctx context.Context, u unreadable) {
	n := t.n
	n.mu.Lock()
	r := n.rooms[u.room]
	if r == nil {
		n.mu.Unlock()
		t.readable(u)
		return
	}
	place, reported := n.place(r)
	n.mu.Unlock()
	if !reported {
		return
	}
	plain, _, err := t.open(ctx, r, u.ev)
	if errors.Is(err, keys.ErrNoKey) || errors.Is(err, errNoDevice) {
		return
	}
	t.readable(u)
	if err != nil {
		return
	}
	c := readEvent(plain)
	switch c.What {
	case contentReaction:
		c.Target = cleanTarget(u.ev, c.Target)
		t.reaction(ctx, r, place, u.ev, c)
	case contentMessage:
		if m := t.message(ctx, r, place, u.ev, &c); m != nil {
			if m.Replaces == "" {
				m.Replaces = m.ID
			}
			m.ID += "-read" // another line than the one it corrects
			m.Replay, m.Token = false, ""
			t.emit(m)
		}
	}
}

// readable ends the waiting of a line.
func (t *turn) readable(u unreadable) {
	n := t.n
	session := u.ev.Content.AsEncrypted().SessionID
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unread[session] = slices.DeleteFunc(n.unread[session], func(w unreadable) bool { return w.ev.ID == u.ev.ID })
	if len(n.unread[session]) == 0 {
		delete(n.unread, session)
	}
	t.putRaw(unreadName(session, u.ev.ID), nil)
}
