package matrix

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Answers with events of others are read here: an event can have anything in it that its
// homeserver let through, such as a number where a text belongs or brackets ten thousand
// deep. What cannot be read costs that event, not the answer with all that comes after.

// maxDepth is how deep an event may be nested.
const maxDepth = 64

// jsonReader walks over JSON without decoding it, and so without depth. What it walks over
// may be no JSON at all; who takes a value from it decodes that.
type jsonReader struct {
	b  []byte
	at int
}

func (r *jsonReader) space() {
	for r.at < len(r.b) && (r.b[r.at] == ' ' || r.b[r.at] == '\t' || r.b[r.at] == '\n' || r.b[r.at] == '\r') {
		r.at++
	}
}

// next takes a byte that must be there.
func (r *jsonReader) next(c byte) bool {
	r.space()
	if r.at < len(r.b) && r.b[r.at] == c {
		r.at++
		return true
	}
	return false
}

// skipText goes behind the text that begins here.
func (r *jsonReader) skipText() bool {
	for r.at++; r.at < len(r.b); r.at++ {
		switch r.b[r.at] {
		case '\\':
			r.at++
		case '"':
			r.at++
			return true
		}
	}
	return false
}

// value goes behind the next value, and returns it with its depth.
func (r *jsonReader) value() (raw []byte, depth int, ok bool) {
	r.space()
	begin, open := r.at, 0
	for r.at < len(r.b) {
		switch r.b[r.at] {
		case '"':
			if !r.skipText() {
				return nil, 0, false
			}
		case '{', '[':
			r.at++
			open++
			depth = max(depth, open)
		case '}', ']':
			if open == 0 {
				return r.b[begin:r.at], depth, r.at > begin
			}
			r.at++
			open--
		case ',':
			if open == 0 {
				return r.b[begin:r.at], depth, r.at > begin
			}
			r.at++
			continue
		default:
			r.at++
			continue
		}
		if open == 0 {
			return r.b[begin:r.at], depth, true
		}
	}
	return r.b[begin:], depth, open == 0 && r.at > begin
}

// eachMember calls f with the members of an object. False: it is no object, or not whole.
func eachMember(raw []byte, f func(name string, value []byte)) bool {
	r := jsonReader{b: raw}
	if !r.next('{') {
		return false
	}
	for !r.next('}') {
		quoted, _, ok := r.value()
		if !ok || !r.next(':') {
			return false
		}
		value, _, ok := r.value()
		if !ok {
			return false
		}
		var name string
		if json.Unmarshal(quoted, &name) == nil {
			f(name, value)
		}
		if !r.next(',') {
			return r.next('}')
		}
	}
	return true
}

// rawEvents are the events of a list that can be read.
func rawEvents(raw []byte) (events []*event.Event) {
	r := jsonReader{b: raw}
	if !r.next('[') {
		return nil
	}
	for {
		one, depth, ok := r.value()
		if !ok {
			return events
		}
		if ev := rawEvent(one, depth); ev != nil {
			events = append(events, ev)
		}
		if !r.next(',') {
			return events
		}
	}
}

// rawEvent is an event, where it can be read.
func rawEvent(raw []byte, depth int) *event.Event {
	ev := &event.Event{}
	if depth > maxDepth || len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, ev) != nil {
		return nil
	}
	return sane(ev)
}

// sane is an event whose names can be what they are said to be, and whose time is one;
// nil: there is no such event.
func sane(ev *event.Event) *event.Event {
	if ev == nil || len(ev.ID) > maxID || len(ev.Sender) > maxID || len(ev.Type.Type) > maxID || len(ev.Unsigned.TransactionID) > maxID {
		return nil
	}
	if ev.StateKey != nil && len(*ev.StateKey) > maxID {
		return nil
	}
	if cleanText(string(ev.ID)) != string(ev.ID) || cleanText(string(ev.Sender)) != string(ev.Sender) {
		return nil
	}
	// What is of the far future or of before there was Matrix would stand there for good.
	if now := time.Now(); ev.Timestamp < 0 || ev.Timestamp > now.Add(clockDoubt).UnixMilli() {
		ev.Timestamp = now.UnixMilli()
	}
	return ev
}

// clockDoubt is how far another's clock may be ahead of ours.
const clockDoubt = 24 * time.Hour

// eventsIn are the events of a list named "events" in an object.
func eventsIn(raw []byte) (events []*event.Event) {
	eachMember(raw, func(name string, value []byte) {
		if name == "events" {
			events = rawEvents(value)
		}
	})
	return events
}

// lenient decodes as much as fits.
func lenient(raw []byte, v any) { _ = json.Unmarshal(raw, v) }

// readSync reads an answer to a poll. The error is that it is not one, or not whole.
func readSync(body []byte) (*mautrix.RespSync, error) {
	resp := &mautrix.RespSync{}
	whole := eachMember(body, func(name string, value []byte) {
		switch name {
		case "next_batch":
			lenient(value, &resp.NextBatch)
		case "account_data":
			resp.AccountData.Events = eventsIn(value)
		case "presence":
			resp.Presence.Events = eventsIn(value)
		case "to_device":
			resp.ToDevice.Events = eventsIn(value)
		case "device_lists":
			lenient(value, &resp.DeviceLists)
		case "device_one_time_keys_count":
			lenient(value, &resp.DeviceOTKCount)
		case "device_unused_fallback_key_types":
			lenient(value, &resp.FallbackKeys)
		case "rooms":
			readSyncRooms(value, &resp.Rooms)
		}
	})
	if !whole {
		return nil, io.ErrUnexpectedEOF
	}
	return resp, nil
}

func readSyncRooms(raw []byte, rooms *mautrix.RespSyncRooms) {
	eachMember(raw, func(kind string, value []byte) {
		eachMember(value, func(room string, raw []byte) {
			rid := id.RoomID(room)
			if len(room) > maxID || cleanText(room) != room || len(raw) == 0 || raw[0] != '{' {
				return
			}
			switch kind {
			case "join":
				add(&rooms.Join, rid, readJoined(raw))
			case "leave":
				j := readJoined(raw)
				add(&rooms.Leave, rid, &mautrix.SyncLeftRoom{State: j.State, Timeline: j.Timeline})
			case "invite":
				invited := &mautrix.SyncInvitedRoom{}
				eachMember(raw, func(name string, value []byte) {
					if name == "invite_state" {
						invited.State.Events = eventsIn(value)
					}
				})
				add(&rooms.Invite, rid, invited)
			case "knock":
				knocked := &mautrix.SyncKnockedRoom{}
				eachMember(raw, func(name string, value []byte) {
					if name == "knock_state" {
						knocked.State.Events = eventsIn(value)
					}
				})
				add(&rooms.Knock, rid, knocked)
			}
		})
	})
}

func add[V any](to *map[id.RoomID]V, room id.RoomID, v V) {
	if *to == nil {
		*to = map[id.RoomID]V{}
	}
	(*to)[room] = v
}

func readJoined(raw []byte) *mautrix.SyncJoinedRoom {
	r := &mautrix.SyncJoinedRoom{}
	eachMember(raw, func(name string, value []byte) {
		switch name {
		case "summary":
			lenient(value, &r.Summary)
		case "state":
			r.State.Events = eventsIn(value)
		case "ephemeral":
			r.Ephemeral.Events = eventsIn(value)
		case "account_data":
			r.AccountData.Events = eventsIn(value)
		case "timeline":
			eachMember(value, func(name string, value []byte) {
				switch name {
				case "events":
					r.Timeline.Events = rawEvents(value)
				case "limited":
					lenient(value, &r.Timeline.Limited)
				case "prev_batch":
					lenient(value, &r.Timeline.PrevBatch)
				}
			})
		}
	})
	return r
}

// get asks for something and returns the answer as it came.
func get(ctx context.Context, cli *mautrix.Client, url string) (body []byte, err error) {
	return cli.MakeFullRequest(ctx, mautrix.FullRequest{Method: http.MethodGet, URL: url, MaxAttempts: 1})
}

// getSync makes one poll.
func getSync(ctx context.Context, cli *mautrix.Client, req mautrix.ReqSync) (*mautrix.RespSync, error) {
	body, err := get(ctx, cli, cli.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "sync"}, req.BuildQuery()))
	if err != nil {
		return nil, err
	}
	return readSync(body)
}

// getMessages asks for events of a room, from a token on; of to and filter empty ones mean
// none.
func getMessages(ctx context.Context, cli *mautrix.Client, room id.RoomID, from, to string, filter *mautrix.FilterPart, limit int) (*mautrix.RespMessages, error) {
	query := map[string]string{"dir": string(mautrix.DirectionBackward), "limit": strconv.Itoa(limit)}
	if filter != nil {
		raw, err := json.Marshal(filter)
		if err != nil {
			return nil, err
		}
		query["filter"] = string(raw)
	}
	for name, value := range map[string]string{"from": from, "to": to} {
		if value != "" {
			query[name] = value
		}
	}
	body, err := get(ctx, cli, cli.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "rooms", room, "messages"}, query))
	if err != nil {
		return nil, err
	}
	resp := &mautrix.RespMessages{}
	if !eachMember(body, func(name string, value []byte) {
		switch name {
		case "start":
			lenient(value, &resp.Start)
		case "end":
			lenient(value, &resp.End)
		case "chunk":
			resp.Chunk = rawEvents(value)
		case "state":
			resp.State = rawEvents(value)
		}
	}) {
		return nil, io.ErrUnexpectedEOF
	}
	return resp, nil
}

// getMembers asks for the membership events of a room that are of a kind, or not of one.
func getMembers(ctx context.Context, cli *mautrix.Client, room id.RoomID, kind, not event.Membership) ([]*event.Event, error) {
	query := map[string]string{}
	for name, value := range map[string]event.Membership{"membership": kind, "not_membership": not} {
		if value != "" {
			query[name] = string(value)
		}
	}
	body, err := get(ctx, cli, cli.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "rooms", room, "members"}, query))
	if err != nil {
		return nil, err
	}
	var events []*event.Event
	if !eachMember(body, func(name string, value []byte) {
		if name == "chunk" {
			events = rawEvents(value)
		}
	}) {
		return nil, io.ErrUnexpectedEOF
	}
	return events, nil
}
