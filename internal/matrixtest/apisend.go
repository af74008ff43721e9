package matrixtest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

func (s *Server) sendRoutes() []route {
	return []route{
		{method: "PUT", path: v3 + "rooms/{room}/send/{type}/{txn}", handle: s.send},
		{method: "PUT", path: v3 + "rooms/{room}/redact/{event}/{txn}", handle: s.redact},
		{method: "PUT", path: v3 + "rooms/{room}/typing/{user}", handle: s.putTyping},
		{method: "POST", path: v3 + "rooms/{room}/receipt/{kind}/{event}", handle: s.postReceipt},
		{method: "POST", path: v3 + "rooms/{room}/read_markers", handle: s.readMarkers},
	}
}

// once does what a request with a transaction id asks for, if the device has not
// asked for it before.
func (q *request) once(do func(r *Room) (*Event, error)) (any, error) {
	r, err := q.room()
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(q.URL.Path, "/"+q.PathValue("txn"))
	key := q.URL.EscapedPath()
	if t := q.dev.txns[key]; t != nil {
		t.Times++
		q.s.notify()
		return object{"event_id": t.Event}, nil
	}
	e, err := do(r)
	if err != nil {
		return nil, err
	}
	t := &Transaction{Device: q.dev.id, Path: path, ID: q.PathValue("txn"), Event: e.ID, Times: 1}
	q.dev.txns[key] = t
	if !q.s.cfg.NoRecord {
		q.user.txns = append(q.user.txns, t)
	}
	return object{"event_id": e.ID}, nil
}

func (s *Server) send(q *request) (any, error) {
	return q.once(func(r *Room) (*Event, error) {
		return r.say(q.user, q.PathValue("type"), q.body, q.dev, q.PathValue("txn"))
	})
}

// say checks and adds what is no state.
func (r *Room) say(u *User, typ string, body json.RawMessage, dev *device, txn string) (*Event, error) {
	content, err := checkContent(body)
	if err != nil {
		return nil, err
	}
	if err := r.maySend(u.ID, typ, nil); err != nil {
		return nil, err
	}
	e := &Event{Type: typ, Sender: u.ID, Content: content, device: dev, txn: txn}
	if typ == "m.reaction" {
		if err := r.mayReact(u, content); err != nil {
			return nil, err
		}
	}
	r.setTyping(u, false, 0)
	return r.add(e), nil
}

// mayReact refuses the same reaction twice.
func (r *Room) mayReact(u *User, content json.RawMessage) error {
	type relates struct {
		Relates struct {
			Event string `json:"event_id"`
			Key   string `json:"key"`
		} `json:"m.relates_to"`
	}
	var c relates
	if json.Unmarshal(content, &c) != nil {
		return refuse(400, "M_BAD_JSON", "Bad reaction.")
	}
	for _, e := range r.related[c.Relates.Event] {
		if e.Type == "m.reaction" && e.Sender == u.ID && contentOf[relates](e).Relates.Key == c.Relates.Key {
			return refuse(400, "M_DUPLICATE_ANNOTATION", "Can't send same reaction twice")
		}
	}
	return nil
}

func (s *Server) redact(q *request) (any, error) {
	var in struct {
		Reason string `json:"reason"`
	}
	if len(q.body) > 0 {
		if err := q.decode(&in); err != nil {
			return nil, err
		}
	}
	return q.once(func(r *Room) (*Event, error) {
		return r.takeBack(q.user, q.PathValue("event"), in.Reason, q.dev, q.PathValue("txn"))
	})
}

// takeBack checks and makes a redaction.
func (r *Room) takeBack(u *User, id, reason string, dev *device, txn string) (*Event, error) {
	if err := r.maySend(u.ID, "m.room.redaction", nil); err != nil {
		return nil, err
	}
	old := r.events[id]
	if old == nil {
		return nil, notFound("Event not found.")
	}
	if old.Sender != u.ID && r.power.of(u.ID) < r.power.Redact {
		return nil, forbidden("You don't have permission to redact events of others.")
	}
	content := object{"redacts": id}
	if reason != "" {
		content["reason"] = reason
	}
	return r.add(&Event{Type: "m.room.redaction", Sender: u.ID, Content: encode(content), Redacts: id, device: dev, txn: txn}), nil
}

func (s *Server) putTyping(q *request) (any, error) {
	var in struct {
		Typing  bool  `json:"typing"`
		Timeout int64 `json:"timeout"`
	}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	r, err := q.inRoom()
	if err != nil {
		return nil, err
	}
	if q.PathValue("user") != q.user.ID {
		return nil, forbidden("Cannot set another user's typing state.")
	}
	r.setTyping(q.user, in.Typing, time.Duration(in.Timeout)*time.Millisecond)
	return object{}, nil
}

// setTyping changes who types; it ends after the time given, 0: 30 s.
func (r *Room) setTyping(u *User, on bool, d time.Duration) {
	old := r.typing[u]
	if old != nil {
		old.Stop()
	}
	delete(r.typing, u)
	if on {
		orDefault(&d, 30*time.Second)
		var t *time.Timer
		t = time.AfterFunc(d, func() {
			r.s.mu.Lock()
			defer r.s.mu.Unlock()
			if r.typing[u] == t {
				r.setTyping(u, false, 0)
			}
		})
		r.typing[u] = t
	}
	if on != (old != nil) {
		r.typingPos = r.s.next()
		r.tell(r.typingPos)
	}
}

func (r *Room) typists() []string {
	ids := make([]string, 0, len(r.typing))
	for u := range r.typing {
		ids = append(ids, u.ID)
	}
	slices.Sort(ids)
	return ids
}

func (r *Room) stopTyping() {
	for _, t := range r.typing {
		t.Stop()
	}
	clear(r.typing)
}

func (s *Server) postReceipt(q *request) (any, error) {
	var in struct {
		Thread string `json:"thread_id"`
	}
	if len(q.body) > 0 {
		if err := q.decode(&in); err != nil {
			return nil, err
		}
	}
	r, err := q.inRoom()
	if err != nil {
		return nil, err
	}
	return object{}, r.setRead(q.user, q.PathValue("kind"), q.PathValue("event"), in.Thread)
}

// setRead moves one of a user's marks.
func (r *Room) setRead(u *User, kind, event, thread string) error {
	switch kind {
	case "m.fully_read":
		u.setData(r, kind, encode(object{"event_id": event}))
		return nil
	case "m.read", "m.read.private":
	default:
		return refuse(400, "M_INVALID_PARAM", "Unknown receipt type.")
	}
	k := receiptKey{u.ID, kind, thread}
	e := r.events[event]
	if old, ok := r.receipts.get(k); ok && e != nil && r.events[old.event] != nil && r.events[old.event].pos >= e.pos {
		return nil // marks only move on
	}
	pos := r.s.next()
	r.receipts.put(k, receipt{event, r.s.cfg.Now().UnixMilli()}, pos)
	if kind == "m.read" {
		r.tell(pos)
	} else {
		u.touch(r, pos)
	}
	return nil
}

func (s *Server) readMarkers(q *request) (any, error) {
	in := map[string]string{}
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	r, err := q.inRoom()
	if err != nil {
		return nil, err
	}
	for _, kind := range []string{"m.fully_read", "m.read", "m.read.private"} {
		if id := in[kind]; id != "" {
			if err := r.setRead(q.user, kind, id, ""); err != nil {
				return nil, err
			}
		}
	}
	return object{}, nil
}
