package testenv

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"time"
)

// MatrixEvent is one thing of what a client's sync told.
type MatrixEvent struct {
	// Kind is where it stood: "timeline" and "state" of a room the user is in,
	// "invite" (state of a room the user is invited to), "left" (of a room they left,
	// one way or another), "ephemeral", "presence", "account" (data of the user's own).
	Kind     string         `json:"kind"`
	Room     string         `json:"room_id"`
	Type     string         `json:"type"`
	ID       string         `json:"event_id"`
	Sender   string         `json:"sender"`
	StateKey *string        `json:"state_key"`
	Redacts  string         `json:"redacts"`
	Content  map[string]any `json:"content"`
	Unsigned map[string]any `json:"unsigned"`
	// Encrypted: it came encrypted, and this client could read it. One that it could
	// not has the type m.room.encrypted.
	Encrypted bool  `json:"encrypted"`
	Stamp     int64 `json:"origin_server_ts"` // milliseconds; see Time
	// At is when the client got it.
	At time.Time `json:"-"`
}

// Time is when the sender's homeserver took it.
func (e MatrixEvent) Time() time.Time { return time.UnixMilli(e.Stamp) }

// Body is the text of a message.
func (e MatrixEvent) Body() string {
	s, _ := e.Value("body").(string)
	return s
}

// Value is what stands at a path of the content, nil for nothing.
func (e MatrixEvent) Value(path ...string) any {
	var v any = e.Content
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// String shows the event, for messages to people.
func (e MatrixEvent) String() string {
	content, err := json.Marshal(e.Content)
	if err != nil {
		return err.Error()
	}
	key := ""
	if e.StateKey != nil {
		key = fmt.Sprintf(" of %q", *e.StateKey)
	}
	return fmt.Sprintf("%s %s%s in %s by %s, id %s, encrypted %v: %s", e.Kind, e.Type, key, e.Room, e.Sender, e.ID, e.Encrypted, content)
}

// EventMatch is a condition on a Matrix event.
type EventMatch = Condition[MatrixEvent]

// Kind is where the event stood.
func Kind(kind string) EventMatch {
	return EventMatch{kind, func(e MatrixEvent) bool { return e.Kind == kind }}
}

// InRoom is the room of the event.
func InRoom(id string) EventMatch {
	return EventMatch{"in " + id, func(e MatrixEvent) bool { return e.Room == id }}
}

// Sender is who sent the event.
func Sender(user string) EventMatch {
	return EventMatch{"by " + user, func(e MatrixEvent) bool { return e.Sender == user }}
}

// EventType is the type of the event.
func EventType(t string) EventMatch {
	return EventMatch{t, func(e MatrixEvent) bool { return e.Type == t }}
}

// EventID is the id of the event.
func EventID(id string) EventMatch {
	return EventMatch{"id " + id, func(e MatrixEvent) bool { return e.ID == id }}
}

// Encrypted: the event came encrypted and could be read.
func Encrypted() EventMatch {
	return EventMatch{"encrypted", func(e MatrixEvent) bool { return e.Encrypted }}
}

// Content is a value at a path of the content; numbers are float64.
func Content(value any, path ...string) EventMatch {
	return EventMatch{fmt.Sprintf("%v=%#v", path, value), func(e MatrixEvent) bool { return reflect.DeepEqual(e.Value(path...), value) }}
}

// ContentHas: something stands at a path of the content.
func ContentHas(path ...string) EventMatch {
	return EventMatch{fmt.Sprintf("%v", path), func(e MatrixEvent) bool { return e.Value(path...) != nil }}
}

// Text is a message of type m.text with this body.
func Text(body string) EventMatch { return said("m.text", body) }

// Emote is a message that says what the sender does (m.emote).
func Emote(body string) EventMatch { return said("m.emote", body) }

// NoticeText is a message of type m.notice.
func NoticeText(body string) EventMatch { return said("m.notice", body) }

func said(msgtype, body string) EventMatch {
	return All(EventType("m.room.message"), Content(msgtype, "msgtype"), Content(body, "body"))
}

// TextLike is a message whose body matches a regular expression.
func TextLike(pattern string) EventMatch {
	re := regexp.MustCompile(pattern)
	return All(EventType("m.room.message"), EventMatch{"body ~ " + pattern, func(e MatrixEvent) bool { return re.MatchString(e.Body()) }})
}

// Replaces is an edit of a message that gives it another text.
func Replaces(event, body string) EventMatch {
	return All(EventType("m.room.message"), related("m.replace", event), Content(body, "m.new_content", "body"))
}

// Reacts is a reaction to an event.
func Reacts(event, key string) EventMatch {
	return All(EventType("m.reaction"), related("m.annotation", event), Content(key, "m.relates_to", "key"))
}

// InThread is an event of the thread with this root.
func InThread(root string) EventMatch { return related("m.thread", root) }

func related(how, event string) EventMatch {
	return All(Content(how, "m.relates_to", "rel_type"), Content(event, "m.relates_to", "event_id"))
}

// RepliesTo is an answer to an event.
func RepliesTo(event string) EventMatch {
	return Content(event, "m.relates_to", "m.in_reply_to", "event_id")
}

// Redaction takes an event away. Where its id stands depends on the room's version.
func Redaction(event string) EventMatch {
	return All(EventType("m.room.redaction"), EventMatch{"of " + event, func(e MatrixEvent) bool {
		return e.Redacts == event || e.Value("redacts") == event
	}})
}

// Membership tells what somebody is to a room: join, invite, leave, ban or knock.
func Membership(user, membership string) EventMatch {
	return All(State("m.room.member", user), Content(membership, "membership"))
}

// State is an event that sets this part of a room's state.
func State(typ, key string) EventMatch {
	return All(EventType(typ), EventMatch{fmt.Sprintf("of %q", key), func(e MatrixEvent) bool { return e.StateKey != nil && *e.StateKey == key }})
}

// Typing: somebody is among those who type, or is not any more.
func Typing(user string, typing bool) EventMatch {
	return All(EventType("m.typing"), EventMatch{fmt.Sprintf("%s types: %v", user, typing), func(e MatrixEvent) bool {
		users, _ := e.Value("user_ids").([]any)
		for _, u := range users {
			if u == user {
				return typing
			}
		}
		return !typing
	}})
}

// Read: somebody has read up to an event.
func Read(user, event string) EventMatch {
	return All(EventType("m.receipt"), ContentHas(event, "m.read", user))
}
