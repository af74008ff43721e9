package matrixtest

import (
	"encoding/json"
	"slices"
)

// toDevice is a message from device to device. It stays until a sync shows that
// the device has it.
type toDevice struct {
	pos     int64
	sender  string
	typ     string
	content json.RawMessage
}

// maxToDevice is how many of them a sync has at most.
const maxToDevice = 100

// sendToDevice hands messages to devices, "*" to all of a user's.
func (s *Server) sendToDevice(q *request) (any, error) {
	var in struct {
		Messages map[string]map[string]json.RawMessage `json:"messages"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	key := q.URL.EscapedPath()
	if t := q.dev.txns[key]; t != nil {
		t.Times++
		return object{}, nil
	}
	q.dev.txns[key] = &Transaction{Device: q.dev.id, Path: key, ID: q.PathValue("txn"), Times: 1}
	for id, devices := range in.Messages {
		u := s.users[id]
		if u == nil {
			continue
		}
		for name, content := range devices {
			for _, d := range u.devices {
				if name == "*" || name == d.id {
					d.inbox = append(d.inbox, toDevice{s.next(), q.user.ID, q.PathValue("type"), slices.Clone(content)})
				}
			}
		}
		u.wakeUp()
	}
	return object{}, nil
}

// toDevice writes what has come for the device, and forgets what it has.
func (y *syncing) toDevice() {
	d, w := y.q.dev, &y.w
	if !y.first {
		d.inbox = slices.DeleteFunc(d.inbox, func(m toDevice) bool { return m.pos <= y.since && m.pos <= d.shown })
	}
	w.key("to_device").open('{')
	w.key("events").open('[')
	for _, m := range d.inbox[:min(len(d.inbox), maxToDevice)] {
		d.shown = max(d.shown, m.pos)
		w.open('{')
		w.key("content").raw(m.content)
		w.key("sender").str(m.sender)
		w.key("type").str(m.typ)
		w.close('}')
		y.any = true
	}
	w.close(']')
	w.close('}')
}

// keysChanged tells those who share an encrypted room that a user's devices or
// keys are others now.
func (u *User) keysChanged() {
	pos := u.s.next()
	u.keyNews.put(u, true, pos)
	for r := range u.joinedRooms() {
		if r.current("m.room.encryption", "") == nil {
			continue
		}
		for other := range r.watching {
			other.keyNews.put(u, true, pos)
			other.wakeUp()
		}
	}
	u.wakeUp()
}

// shareKeys tells a newcomer to an encrypted room and its members whose keys they
// need now.
func (r *Room) shareKeys(u *User) {
	if r.current("m.room.encryption", "") == nil {
		return
	}
	for other := range r.watching {
		other.keyNews.put(u, true, r.s.pos)
	}
	if len(u.devices) == 0 {
		return
	}
	for other := range r.joined {
		u.keyNews.put(other, true, r.s.pos)
	}
}

// unshareKeys tells members whose keys they need no longer.
func (r *Room) unshareKeys(u *User) {
	if r.current("m.room.encryption", "") == nil {
		return
	}
	for other := range r.watching {
		if other != u && !other.sharesEncrypted(u) {
			other.keyNews.put(u, false, r.s.pos)
		}
	}
	if len(u.devices) == 0 {
		return
	}
	for other := range r.joined {
		if other != u && !u.sharesEncrypted(other) {
			u.keyNews.put(other, false, r.s.pos)
		}
	}
}

func (u *User) sharesEncrypted(other *User) bool {
	for r := range u.joinedRooms() {
		if _, in := r.joined[other]; in && r.current("m.room.encryption", "") != nil {
			return true
		}
	}
	return false
}

// keyLists are whose keys changed after a position, and whose are of no use.
func (u *User) keyLists(since int64) object {
	changed, left := []string{}, []string{}
	for other, shared := range u.keyNews.since(since) {
		if shared {
			changed = append(changed, other.ID)
		} else {
			left = append(left, other.ID)
		}
	}
	return object{"changed": changed, "left": left}
}

// keyChanges answers the question for what a client has missed.
func (s *Server) keyChanges(q *request) (any, error) {
	since, err := position(q.query("from"))
	if err != nil {
		return nil, err
	}
	return q.user.keyLists(since), nil
}
