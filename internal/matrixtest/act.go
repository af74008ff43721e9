package matrixtest

import (
	"encoding/json"
	"time"
)

// event runs an action that makes an event, and returns its id.
func (u *User) event(what string, f func() (*Event, error)) string {
	id := ""
	if u.s.tb != nil {
		u.s.tb.Helper()
	}
	u.s.do(u.ID+" "+what, func() error {
		e, err := f()
		if err == nil {
			id = e.ID
		}
		return err
	})
	return id
}

// Create makes a room.
func (u *User) Create(o RoomOptions) *Room {
	var r *Room
	u.s.do(u.ID+" creates a room", func() (err error) {
		r, err = u.s.make(u, o)
		return err
	})
	return r
}

// Direct makes a direct room with another, who is invited, and notes it in m.direct.
func (u *User) Direct(other *User) *Room {
	r := u.Create(RoomOptions{Direct: true, Preset: "trusted_private_chat", Invite: []string{other.ID}})
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	direct := map[string][]string{}
	if old, ok := u.data.get("m.direct"); ok {
		_ = json.Unmarshal(old, &direct) // a client may have put anything there
	}
	direct[other.ID] = append(direct[other.ID], r.ID)
	u.setData(nil, "m.direct", encode(direct))
	return r
}

func (u *User) change(r *Room, of *User, what, to, reason string) string {
	return u.event(what, func() (*Event, error) {
		return r.setMembership(change{by: u, of: of, to: to, reason: reason})
	})
}

// Join enters a room.
func (u *User) Join(r *Room) string { return u.change(r, u, "joins", "join", "") }

// Knock asks to be let into a room.
func (u *User) Knock(r *Room, reason string) string { return u.change(r, u, "knocks", "knock", reason) }

// Leave leaves a room, or turns an invitation down.
func (u *User) Leave(r *Room, reason string) string { return u.change(r, u, "leaves", "leave", reason) }

// Invite invites another.
func (u *User) Invite(r *Room, who *User, reason string) string {
	return u.change(r, who, "invites", "invite", reason)
}

// Kick removes another.
func (u *User) Kick(r *Room, who *User, reason string) string {
	return u.change(r, who, "kicks", "leave", reason)
}

// Ban removes another for good.
func (u *User) Ban(r *Room, who *User, reason string) string {
	return u.change(r, who, "bans", "ban", reason)
}

// Unban lifts a ban.
func (u *User) Unban(r *Room, who *User) string { return u.change(r, who, "unbans", "leave", "") }

// Send sends an event of any type that is no state.
func (u *User) Send(r *Room, typ string, content any) string {
	return u.event("sends "+typ, func() (*Event, error) { return r.say(u, typ, encode(content), nil, "") })
}

// State changes a piece of a room's state.
func (u *User) State(r *Room, typ, key string, content any) string {
	return u.event("sets "+typ, func() (*Event, error) { return r.changeState(u, typ, key, encode(content), nil) })
}

func text(kind, body string) object { return object{"msgtype": kind, "body": body} }

// Say sends a text.
func (u *User) Say(r *Room, body string) string {
	return u.Send(r, "m.room.message", text("m.text", body))
}

// SayHTML sends a text with its looks.
func (u *User) SayHTML(r *Room, body, html string) string {
	c := text("m.text", body)
	c["format"], c["formatted_body"] = "org.matrix.custom.html", html
	return u.Send(r, "m.room.message", c)
}

// SayAt sends a text that bears another time than now.
func (u *User) SayAt(r *Room, body string, at time.Time) string {
	return u.event("speaks", func() (*Event, error) {
		if err := r.maySend(u.ID, "m.room.message", nil); err != nil {
			return nil, err
		}
		return r.add(&Event{Type: "m.room.message", Sender: u.ID, At: at, Content: encode(text("m.text", body))}), nil
	})
}

// Emote sends a text for "/me".
func (u *User) Emote(r *Room, body string) string {
	return u.Send(r, "m.room.message", text("m.emote", body))
}

// Notice sends a text as programs do.
func (u *User) Notice(r *Room, body string) string {
	return u.Send(r, "m.room.message", text("m.notice", body))
}

// Reply answers an event.
func (u *User) Reply(r *Room, to, body string) string {
	c := text("m.text", body)
	c["m.relates_to"] = object{"m.in_reply_to": object{"event_id": to}}
	return u.Send(r, "m.room.message", c)
}

// Thread says something in the thread that begins with root.
func (u *User) Thread(r *Room, root, body string) string {
	c := text("m.text", body)
	c["m.relates_to"] = object{"rel_type": "m.thread", "event_id": root, "is_falling_back": true, "m.in_reply_to": object{"event_id": root}}
	return u.Send(r, "m.room.message", c)
}

// Edit changes what an own event says.
func (u *User) Edit(r *Room, id, body string) string {
	c := text("m.text", "* "+body)
	c["m.new_content"] = text("m.text", body)
	c["m.relates_to"] = object{"rel_type": "m.replace", "event_id": id}
	return u.Send(r, "m.room.message", c)
}

// React puts a reaction to an event.
func (u *User) React(r *Room, id, key string) string {
	return u.Send(r, "m.reaction", object{"m.relates_to": object{"rel_type": "m.annotation", "event_id": id, "key": key}})
}

// Redact takes an event back, or removes another's.
func (u *User) Redact(r *Room, id, reason string) string {
	return u.event("redacts", func() (*Event, error) { return r.takeBack(u, id, reason, nil, "") })
}

// File sends a stored file, as m.image, m.file, m.audio or m.video.
func (u *User) File(r *Room, kind string, m *Media) string {
	c := text(kind, m.Name)
	c["url"], c["info"] = m.URI, object{"mimetype": m.Type, "size": len(m.Data)}
	return u.Send(r, "m.room.message", c)
}

// Typing says that the user types, for 30 s, or has stopped.
func (u *User) Typing(r *Room, on bool) {
	u.s.do(u.ID+" types", func() error {
		if r.membership(u.ID) != "join" {
			return forbidden("not in the room")
		}
		r.setTyping(u, on, 0)
		return nil
	})
}

// Read marks a room as read up to an event, for everybody to see.
func (u *User) Read(r *Room, id string) {
	u.s.do(u.ID+" reads", func() error {
		if r.membership(u.ID) != "join" {
			return forbidden("not in the room")
		}
		return r.setRead(u, "m.read", id, "")
	})
}

// SetName changes the user's display name, in all rooms.
func (u *User) SetName(name string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.setProfile(name, u.avatar)
}

// SetAvatar changes the user's picture, in all rooms.
func (u *User) SetAvatar(uri string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.setProfile(u.name, uri)
}

// SetPresence says whether the user is online, unavailable or offline.
func (u *User) SetPresence(state, text string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.setPresence(state, text)
}

// SetData changes account data: of the account, or of a room.
func (u *User) SetData(r *Room, typ string, content any) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.setData(r, typ, encode(content))
}

// SetRoomName names a room.
func (u *User) SetRoomName(r *Room, name string) string {
	return u.State(r, "m.room.name", "", object{"name": name})
}

// SetTopic changes a room's topic.
func (u *User) SetTopic(r *Room, topic string) string {
	return u.State(r, "m.room.topic", "", object{"topic": topic})
}

// SetPower changes the power level of a user of the room.
func (u *User) SetPower(r *Room, who *User, level int) string {
	return u.event("sets power", func() (*Event, error) {
		levels := contentOf[object](r.current("m.room.power_levels", ""))
		if levels == nil {
			levels = object{}
		}
		child(levels, "users")[who.ID] = level
		return r.changeState(u, "m.room.power_levels", "", encode(levels), nil)
	})
}

// Upgrade replaces a room and returns the new one.
func (u *User) Upgrade(r *Room, version string) *Room {
	var next *Room
	u.s.do(u.ID+" upgrades a room", func() (err error) {
		next, err = r.upgrade(u, version)
		return err
	})
	return next
}

// Add appends an event with nothing checked: of any sender, with any content. Of
// the fields ID, Type, Sender, StateKey, Content, At and Redacts those that are
// not set are left empty, but for ID and At.
func (r *Room) Add(e Event) *Event {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.add(&e)
}

// AddLiteral appends an event that clients get exactly as it is written, be it
// without the fields an event must have. It must be valid JSON.
func (r *Room) AddLiteral(text string) *Event {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	e := &Event{literal: true, core: []byte(text), Content: json.RawMessage("{}"), ID: field([]byte(text), "event_id"),
		Type: field([]byte(text), "type"), Sender: field([]byte(text), "sender")}
	return r.add(e)
}

// Populate lets n people named "member1" and so on join, without asking anybody,
// and returns them.
func (r *Room) Populate(n int) []*User {
	list := make([]*User, n)
	for i := range list {
		list[i] = r.s.User("member" + itoa(i+1))
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, u := range list {
		if r.membership(u.ID) != "join" {
			r.add(&Event{Type: "m.room.member", Sender: u.ID, StateKey: &u.ID, Content: encode(object{"membership": "join", "displayname": u.name})})
		}
	}
	return list
}
