package testenv

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
)

// MatrixRoom says what room to make.
type MatrixRoom struct {
	Name, Topic string
	Alias       string   // the part before the colon; empty: none
	Public      bool     // anybody may join, and the directory has it
	Direct      bool     // for invitations: a chat with one person
	Encrypted   bool     // from the first message on
	Space       bool     // holds rooms instead of messages
	Version     string   // of the room; empty: the homeserver's choice
	Invite      []string // users
	// State are further events of its first state, and Power the content of
	// m.room.power_levels over what the homeserver would set; nil: none.
	State []map[string]any
	Power map[string]any
}

// CreateRoom makes a room and returns its id.
func (c *MatrixClient) CreateRoom(ctx context.Context, r MatrixRoom) (string, error) {
	state := r.State
	if r.Encrypted {
		state = append(state, map[string]any{"type": "m.room.encryption", "state_key": "",
			"content": map[string]any{"algorithm": "m.megolm.v1.aes-sha2"}})
	}
	var id string
	err := c.do(ctx, "create", map[string]any{
		"title": r.Name, "topic": r.Topic, "alias": r.Alias, "public": r.Public, "direct": r.Direct, "space": r.Space,
		"version": r.Version, "invite": r.Invite, "state": state, "power": r.Power,
	}, &id)
	return id, err
}

// Join enters a room by its id or an alias, and returns its id.
func (c *MatrixClient) Join(ctx context.Context, room string) (string, error) {
	var id string
	err := c.do(ctx, "join", map[string]any{"room": room}, &id)
	return id, err
}

// Leave leaves a room, or declines an invitation to it.
func (c *MatrixClient) Leave(ctx context.Context, room string) error {
	return c.do(ctx, "leave", map[string]any{"room": room}, nil)
}

// Invite asks somebody to a room.
func (c *MatrixClient) Invite(ctx context.Context, room, user string) error {
	return c.do(ctx, "invite", map[string]any{"room": room, "user": user}, nil)
}

// Kick removes somebody from a room.
func (c *MatrixClient) Kick(ctx context.Context, room, user, reason string) error {
	return c.do(ctx, "kick", map[string]any{"room": room, "user": user, "reason": reason}, nil)
}

// Ban removes somebody and keeps them out, and Unban ends that.
func (c *MatrixClient) Ban(ctx context.Context, room, user, reason string) error {
	return c.do(ctx, "ban", map[string]any{"room": room, "user": user, "reason": reason}, nil)
}

// Unban lets somebody come in again.
func (c *MatrixClient) Unban(ctx context.Context, room, user string) error {
	return c.do(ctx, "unban", map[string]any{"room": room, "user": user}, nil)
}

// AwaitDevices waits until the client knows that many devices of a user, and returns
// their ids: what it says from then on is encrypted for these too.
func (c *MatrixClient) AwaitDevices(ctx context.Context, user string, count int) ([]string, error) {
	var ids []string
	err := c.do(ctx, "devices", map[string]any{"user": user, "count": count}, &ids)
	return ids, err
}

// SendEvent sends an event, encrypted where the room is, and returns its id.
func (c *MatrixClient) SendEvent(ctx context.Context, room, typ string, content map[string]any) (string, error) {
	var id string
	err := c.do(ctx, "send", map[string]any{"room": room, "type": typ, "content": content}, &id)
	return id, err
}

func (c *MatrixClient) message(ctx context.Context, room, msgtype, body string, more map[string]any) (string, error) {
	content := map[string]any{"msgtype": msgtype, "body": body}
	maps.Copy(content, more)
	return c.SendEvent(ctx, room, "m.room.message", content)
}

// Say sends a text and returns its event's id, as all that follow do.
func (c *MatrixClient) Say(ctx context.Context, room, text string) (string, error) {
	return c.message(ctx, room, "m.text", text, nil)
}

// SayHTML sends a text with a formatted form.
func (c *MatrixClient) SayHTML(ctx context.Context, room, text, html string) (string, error) {
	return c.message(ctx, room, "m.text", text, map[string]any{"format": "org.matrix.custom.html", "formatted_body": html})
}

// Emote says what the user does.
func (c *MatrixClient) Emote(ctx context.Context, room, text string) (string, error) {
	return c.message(ctx, room, "m.emote", text, nil)
}

// Notice sends what a bot would say.
func (c *MatrixClient) Notice(ctx context.Context, room, text string) (string, error) {
	return c.message(ctx, room, "m.notice", text, nil)
}

// Edit gives a message of the user another text.
func (c *MatrixClient) Edit(ctx context.Context, room, event, text string) (string, error) {
	return c.message(ctx, room, "m.text", "* "+text, map[string]any{
		"m.new_content": map[string]any{"msgtype": "m.text", "body": text},
		"m.relates_to":  map[string]any{"rel_type": "m.replace", "event_id": event},
	})
}

// Reply answers an event.
func (c *MatrixClient) Reply(ctx context.Context, room, event, text string) (string, error) {
	return c.message(ctx, room, "m.text", text, map[string]any{
		"m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": event}},
	})
}

// InThread says something in the thread that begins with an event; last is the last
// event of it that the user has seen.
func (c *MatrixClient) InThread(ctx context.Context, room, root, last, text string) (string, error) {
	return c.message(ctx, room, "m.text", text, map[string]any{
		"m.relates_to": map[string]any{"rel_type": "m.thread", "event_id": root, "is_falling_back": true,
			"m.in_reply_to": map[string]any{"event_id": last}},
	})
}

// React sets a sign to an event. Redacting the reaction takes it back.
func (c *MatrixClient) React(ctx context.Context, room, event, key string) (string, error) {
	return c.SendEvent(ctx, room, "m.reaction", map[string]any{
		"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": event, "key": key},
	})
}

// Redact takes an event away.
func (c *MatrixClient) Redact(ctx context.Context, room, event, reason string) (string, error) {
	var id string
	err := c.do(ctx, "redact", map[string]any{"room": room, "event": event, "reason": reason}, &id)
	return id, err
}

// Typing tells the room that the user types, for half a minute, or that they stopped.
func (c *MatrixClient) Typing(ctx context.Context, room string, typing bool) error {
	return c.do(ctx, "typing", map[string]any{"room": room, "typing": typing}, nil)
}

// Read tells the room that the user has read up to an event.
func (c *MatrixClient) Read(ctx context.Context, room, event string) error {
	return c.do(ctx, "read", map[string]any{"room": room, "event": event}, nil)
}

// Upload gives the homeserver a file and returns its mxc address.
func (c *MatrixClient) Upload(ctx context.Context, data []byte, mime, name string) (string, error) {
	var uri string
	err := c.do(ctx, "upload", map[string]any{"data": base64.StdEncoding.EncodeToString(data), "mime": mime, "file": name}, &uri)
	return uri, err
}

// SendFile uploads a file and sends it to a room, encrypted where the room is, with
// the msgtype that its MIME type asks for.
func (c *MatrixClient) SendFile(ctx context.Context, room string, data []byte, mime, name string) (string, error) {
	var id string
	err := c.do(ctx, "file", map[string]any{
		"room": room, "data": base64.StdEncoding.EncodeToString(data), "mime": mime, "file": name,
	}, &id)
	return id, err
}

// Download fetches the file of a message, decrypted where it is encrypted.
func (c *MatrixClient) Download(ctx context.Context, message MatrixEvent) ([]byte, error) {
	file, _ := message.Value("file").(map[string]any)
	uri := message.Value("url")
	if file != nil {
		uri = file["url"]
	}
	if uri == nil {
		return nil, errors.New("no file in " + message.String())
	}
	var data []byte
	err := c.do(ctx, "download", map[string]any{"uri": uri, "keys": file}, &data)
	return data, err
}

// DownloadURI fetches what is at an mxc address.
func (c *MatrixClient) DownloadURI(ctx context.Context, uri string) ([]byte, error) {
	var data []byte
	err := c.do(ctx, "download", map[string]any{"uri": uri}, &data)
	return data, err
}

// SetDisplayName changes what the user is called.
func (c *MatrixClient) SetDisplayName(ctx context.Context, name string) error {
	return c.do(ctx, "displayname", map[string]any{"title": name}, nil)
}

// SetAvatar changes the user's picture to one that was uploaded.
func (c *MatrixClient) SetAvatar(ctx context.Context, uri string) error {
	return c.do(ctx, "avatar", map[string]any{"uri": uri}, nil)
}

// MatrixProfile is what a user tells about themselves.
type MatrixProfile struct{ Name, Avatar string }

// Profile asks for the profile of a user.
func (c *MatrixClient) Profile(ctx context.Context, user string) (MatrixProfile, error) {
	var p MatrixProfile
	err := c.do(ctx, "profile", map[string]any{"user": user}, &p)
	return p, err
}

// SetPresence tells online, unavailable or offline, with words.
func (c *MatrixClient) SetPresence(ctx context.Context, presence, status string) error {
	return c.do(ctx, "presence", map[string]any{"presence": presence, "status": status}, nil)
}

// SetAccountData sets what the homeserver keeps under a type for all clients of the user.
func (c *MatrixClient) SetAccountData(ctx context.Context, typ string, content map[string]any) error {
	return c.do(ctx, "data", map[string]any{"method": "PUT", "type": typ, "content": content}, nil)
}

// AccountData asks for that; empty: there is none.
func (c *MatrixClient) AccountData(ctx context.Context, typ string) (map[string]any, error) {
	var content map[string]any
	err := c.do(ctx, "data", map[string]any{"method": "GET", "type": typ}, &content)
	return content, err
}

// SetState sets a part of a room's state.
func (c *MatrixClient) SetState(ctx context.Context, room, typ, key string, content map[string]any) (string, error) {
	var id string
	err := c.do(ctx, "setstate", map[string]any{"room": room, "type": typ, "key": key, "content": content}, &id)
	return id, err
}

// GetState asks for a part of a room's state.
func (c *MatrixClient) GetState(ctx context.Context, room, typ, key string) (map[string]any, error) {
	var content map[string]any
	err := c.do(ctx, "getstate", map[string]any{"room": room, "type": typ, "key": key}, &content)
	return content, err
}

// SetPower gives a user a power level in a room.
func (c *MatrixClient) SetPower(ctx context.Context, room, user string, level int) error {
	content, err := c.GetState(ctx, room, "m.room.power_levels", "")
	if err != nil {
		return err
	}
	users, _ := content["users"].(map[string]any)
	if users == nil {
		users = map[string]any{}
	}
	users[user] = level
	content["users"] = users
	_, err = c.SetState(ctx, room, "m.room.power_levels", "", content)
	return err
}

// Members is who is in a room, by id, with what they are called there: what the
// client made of what it was told.
func (c *MatrixClient) Members(ctx context.Context, room string) (map[string]string, error) {
	var members map[string]string
	err := c.do(ctx, "members", map[string]any{"room": room}, &members)
	return members, err
}

// History reads the room's past, the latest first.
func (c *MatrixClient) History(ctx context.Context, room string, limit int) ([]MatrixEvent, error) {
	var events []MatrixEvent
	err := c.do(ctx, "history", map[string]any{"room": room, "limit": limit}, &events)
	return events, err
}
