package matrixtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Event is something that was said or changed in a room. It does not change.
type Event struct {
	ID       string // "$" and 43 characters
	Room     *Room
	Type     string
	Sender   string
	StateKey *string // nil: not a state event
	Content  json.RawMessage
	At       time.Time
	Redacts  string

	pos     int64
	index   int     // in the room's timeline
	core    []byte  // encoded, but for room_id and unsigned, without the closing brace
	literal bool    // core is all of it
	visible string  // history_visibility when it was said
	was     *Event  // the state it replaced
	because *Event  // its redaction
	device  *device // that sent it, for the transaction id
	txn     string  // the device's
	target  string  // of its m.relates_to
	rel     string  // kind of relation
}

// Body is the text of a message.
func (e *Event) Body() string { return field(e.Content, "body") }

// Redacted tells that the event was redacted.
func (e *Event) Redacted() bool { return e.because != nil }

// Get reads a string of the content, "" where there is none.
func (e *Event) Get(name string) string { return field(e.Content, name) }

// member tells whether it is a membership event.
func (e *Event) member() bool { return e.StateKey != nil && e.Type == "m.room.member" }

// membership is what a member event says; of none it is "leave".
func (e *Event) membership() string {
	if e == nil {
		return "leave"
	}
	return field(e.Content, "membership")
}

// hash is 43 characters that are not used twice.
func (s *Server) hash() string {
	s.serial++
	sum := sha256.Sum256([]byte(s.addr + "/" + strconv.FormatUint(s.serial, 10)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// encodeCore fixes how the event is sent.
func (e *Event) encodeCore() {
	w := writer{b: make([]byte, 0, 200+len(e.Content))}
	w.open('{')
	w.key("content").raw(e.Content)
	w.key("event_id").str(e.ID)
	w.key("origin_server_ts").int(e.At.UnixMilli())
	if e.Redacts != "" {
		w.key("redacts").str(e.Redacts)
	}
	w.key("sender").str(e.Sender)
	if e.StateKey != nil {
		w.key("state_key").str(*e.StateKey)
	}
	w.key("type").str(e.Type)
	e.core = w.b
}

// view is for whom events are written.
type view struct {
	dev     *device // nil: nobody's
	room    bool    // with room_id, which a sync leaves out
	related bool    // with m.relations
	now     time.Time
}

func (s *Server) view(dev *device) view {
	return view{dev: dev, room: true, related: true, now: s.cfg.Now()}
}

// event appends an event as a client gets it.
func (w *writer) event(e *Event, v view) {
	w.raw(e.core)
	if e.literal {
		return
	}
	if v.room {
		w.key("room_id").str(e.Room.ID)
	}
	w.key("unsigned").open('{')
	w.key("age").int(max(0, v.now.Sub(e.At).Milliseconds()))
	if e.was != nil {
		w.key("prev_content").raw(e.was.Content)
		w.key("prev_sender").str(e.was.Sender)
		w.key("replaces_state").str(e.was.ID)
	}
	if e.because != nil {
		w.key("redacted_by").str(e.because.ID)
		w.key("redacted_because").event(e.because, view{room: v.room, now: v.now})
	}
	if e.txn != "" && v.dev == e.device {
		w.key("transaction_id").str(e.txn)
	}
	if v.related && e.because == nil {
		w.relations(e, v)
	}
	w.close('}')
	w.close('}')
}

// relations appends what is bundled with an event: its last edit and its thread.
func (w *writer) relations(e *Event, v view) {
	related := e.Room.related[e.ID]
	var edit, last *Event
	count := 0
	for _, r := range related {
		switch {
		case r.because != nil:
		case r.rel == "m.replace" && r.Sender == e.Sender:
			edit = r
		case r.rel == "m.thread":
			last = r
			count++
		}
	}
	if edit == nil && last == nil {
		return
	}
	v.related = false
	w.key("m.relations").open('{')
	if edit != nil {
		w.key("m.replace").event(edit, v)
	}
	if last != nil {
		w.key("m.thread").open('{')
		w.key("latest_event").event(last, v)
		w.key("count").int(int64(count))
		w.key("current_user_participated").bool(v.dev != nil && e.Room.inThread(e, v.dev.user.ID))
		w.close('}')
	}
	w.close('}')
}

func (r *Room) inThread(root *Event, user string) bool {
	for _, e := range r.related[root.ID] {
		if e.rel == "m.thread" && e.Sender == user {
			return true
		}
	}
	return root.Sender == user
}

func (w *writer) events(list []*Event, v view) {
	w.open('[')
	for _, e := range list {
		w.event(e, v)
	}
	w.close(']')
}

// stripped appends the part of a state event that those outside may see.
func (w *writer) stripped(e *Event, at bool) {
	w.open('{')
	w.key("content").raw(e.Content)
	w.key("sender").str(e.Sender)
	w.key("state_key").str(*e.StateKey)
	w.key("type").str(e.Type)
	if at {
		w.key("origin_server_ts").int(e.At.UnixMilli())
	}
	w.close('}')
}

// one is the JSON of one event.
func (e *Event) one(v view) json.RawMessage {
	var w writer
	w.event(e, v)
	return w.b
}

// relate reads what an event refers to.
func (e *Event) relate() {
	var c struct {
		Relates struct {
			Rel   string `json:"rel_type"`
			Event string `json:"event_id"`
		} `json:"m.relates_to"`
	}
	if e.StateKey == nil && json.Unmarshal(e.Content, &c) == nil {
		e.rel, e.target = c.Relates.Rel, c.Relates.Event
	}
}

// kept are the parts of contents that a redaction leaves.
var kept = map[string][]string{
	"m.room.member":             {"membership", "join_authorised_via_users_server"},
	"m.room.join_rules":         {"join_rule", "allow"},
	"m.room.history_visibility": {"history_visibility"},
	"m.room.power_levels":       {"ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default"},
}

// pruned is the event after its redaction.
func (e *Event) pruned(because *Event) *Event {
	p := *e
	p.because, p.rel, p.target = because, "", ""
	if e.Type != "m.room.create" {
		old, left := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		_ = json.Unmarshal(e.Content, &old) // a literal event may be no object
		for _, k := range kept[e.Type] {
			if v, ok := old[k]; ok {
				left[k] = v
			}
		}
		p.Content = encode(left)
	}
	p.literal = false
	p.encodeCore()
	return &p
}

// checkContent returns a content as it is kept. It must be an object, and its
// numbers integers that fit a double (Canonical JSON).
func checkContent(raw json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, refuse(400, "M_NOT_JSON", "Content not JSON.")
	}
	if b.Len() == 0 || b.Bytes()[0] != '{' {
		return nil, refuse(400, "M_BAD_JSON", "Content must be an object.")
	}
	if b.Len() > maxEvent {
		return nil, refuse(413, "M_TOO_LARGE", "The event is too large.")
	}
	d := json.NewDecoder(bytes.NewReader(b.Bytes()))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err != nil {
			return b.Bytes(), nil
		}
		n, ok := t.(json.Number)
		if !ok {
			continue
		}
		if i, err := n.Int64(); err != nil || strings.ContainsAny(n.String(), ".eE") || i > 1<<53-1 || i < -(1<<53-1) {
			return nil, refuse(400, "M_BAD_JSON", "Number out of range or not an integer.")
		}
	}
}

// maxEvent is less than the 65536 bytes an event may have, as a server adds its own.
const maxEvent = math.MaxUint16 - 1000
