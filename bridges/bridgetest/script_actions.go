package bridgetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"transportd/bridges"
)

// RoomID implements bridges.Network.
func (n *ScriptNet) RoomID(name string) bridges.RoomID { return bridges.RoomID(fold(name)) }

// UserID implements bridges.Network.
func (n *ScriptNet) UserID(name string) bridges.UserID { return bridges.UserID(fold(name)) }

// Self implements bridges.Network.
func (n *ScriptNet) Self() bridges.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Person(n.nick)
}

// Members implements bridges.Network.
func (n *ScriptNet) Members(id bridges.RoomID) (bridges.Member, []bridges.Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id]
	if r == nil || !r.In {
		return bridges.Member{}, nil, false
	}
	return Person(n.nick), slices.Clone(r.Members), true
}

// Member implements bridges.Network.
func (n *ScriptNet) Member(id bridges.RoomID, user bridges.UserID) (bridges.Member, bool) {
	self, members, ok := n.Members(id)
	if !ok {
		return bridges.Member{}, false
	}
	for _, m := range append(members, self) {
		if m.ID == user {
			return m, true
		}
	}
	return bridges.Member{}, false
}

// Capabilities implements bridges.Network.
func (n *ScriptNet) Capabilities(p bridges.Place) bridges.Caps {
	caps := n.d.Caps
	if p.Room != "" {
		caps.Subject, caps.Moderate, caps.Shared = true, true, !n.Alone
		_, caps.Group = n.d.Groups[string(p.Room)]
	}
	return caps
}

// Enter lets the user into a room: what a door of the test calls.
func (n *ScriptNet) Enter(ref bridges.Ref, room string) {
	n.mu.Lock()
	r := n.room(room)
	r.In = true
	ev := &bridges.Entered{Ref: ref, Asked: room, Room: bridges.RoomID(fold(room)), Name: room, Self: Person(n.nick),
		Members: slices.Clone(r.Members), Subject: r.Subject, History: n.d.History[room], Info: n.d.About[room]}
	n.mu.Unlock()
	n.emit(ev)
}

// Join implements bridges.Network.
func (n *ScriptNet) Join(ref bridges.Ref, room string, opt bridges.JoinOptions) error {
	call := "join " + room
	if opt.Password != "" {
		call += " " + opt.Password
	}
	if opt.Create && n.d.Creates {
		call += " creating"
	}
	return n.act(call, func() {
		if door := n.Doors[room]; door != nil {
			door(ref, room, opt)
			return
		}
		n.Enter(ref, room)
	})
}

// Leave implements bridges.Network.
func (n *ScriptNet) Leave(ref bridges.Ref, room bridges.RoomID, reason string) error {
	return n.act(fmt.Sprintf("leave %s %s", room, reason), func() {
		n.mu.Lock()
		if r := n.rooms[room]; r != nil {
			r.In = false
		}
		self := Person(n.nick)
		n.mu.Unlock()
		n.emit(&bridges.Left{Ref: ref, Room: room, Member: self, Self: true, Reason: reason})
	})
}

// Send implements bridges.Network. A body that begins with "refuse" is refused.
func (n *ScriptNet) Send(ref bridges.Ref, to bridges.Place, m bridges.Outgoing) error {
	n.asked(m.Token)
	where := string(to.Room) + string(to.User)
	kind := [...]string{bridges.Text: "say", bridges.Emote: "emote", bridges.Notice: "notice"}[m.Kind]
	body := m.Body
	if m.File != nil {
		body += m.File.Name
	}
	return n.act(kind+" "+where+" "+body+parts(&m), func() {
		if strings.HasPrefix(body, "refuse") {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "Cannot send to this place.")})
			return
		}
		n.emit(&bridges.Message{Ref: ref, Place: to, From: n.Self(), Self: true, Kind: m.Kind, ID: n.lineID()})
	})
}

// SetSubject implements bridges.SubjectSetter.
func (n *ScriptNet) SetSubject(ref bridges.Ref, room bridges.RoomID, text string) error {
	return n.act(fmt.Sprintf("subject %s %s", room, text), func() {
		n.emit(&bridges.SubjectChanged{Ref: ref, Room: room, Subject: bridges.Subject{Text: text, By: n.Self().Nick, Identity: n.Self().Identity}})
	})
}

// RoomSettings implements bridges.RoomConfigurer.
func (n *ScriptNet) RoomSettings(context.Context, bridges.RoomID) ([]bridges.Field, error) {
	if n.Ask != nil {
		n.Ask()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online {
		return nil, offline()
	}
	return slices.Clone(n.d.Settings), nil
}

// ConfigureRoom implements bridges.RoomConfigurer. What is "refused" cannot be set.
func (n *ScriptNet) ConfigureRoom(ref bridges.Ref, room bridges.RoomID, changes map[string]string) error {
	call := "configure " + string(room)
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		call += " " + name + "=" + changes[name]
	}
	return n.act(call, func() {
		n.mu.Lock()
		for _, value := range changes {
			if value == "refused" {
				n.mu.Unlock()
				n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "You may not change this.")})
				return
			}
		}
		for i, f := range n.d.Settings {
			if value, ok := changes[f.Name]; ok {
				n.d.Settings[i].Default = value
			}
		}
		n.mu.Unlock()
		n.emit(&bridges.Done{Ref: ref})
	})
}

// Rename implements bridges.Renamer. "taken" is taken.
func (n *ScriptNet) Rename(ref bridges.Ref, nick string) error {
	return n.act("nick "+nick, func() {
		if nick == "taken" {
			n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Conflict, "Nickname is already in use.")})
			return
		}
		n.mu.Lock()
		old := n.nick
		n.nick = nick
		var in []bridges.RoomID
		for id, r := range n.rooms {
			if r.In {
				in = append(in, id)
			}
		}
		n.mu.Unlock()
		slices.Sort(in)
		for _, id := range in {
			n.emit(&bridges.Renamed{Room: id, OldID: bridges.UserID(fold(old)), OldNick: old, Member: Person(nick), Self: true})
		}
		n.emit(&bridges.Renamed{Ref: ref, OldID: bridges.UserID(fold(old)), OldNick: old, Member: Person(nick), Self: true})
	})
}

// Invite implements bridges.Inviter.
func (n *ScriptNet) Invite(ref bridges.Ref, room bridges.RoomID, nick, reason string) error {
	return n.act(fmt.Sprintf("invite %s %s %s", room, nick, reason), func() { n.emit(&bridges.Done{Ref: ref}) })
}

// SetRole implements bridges.RoleSetter. "oper" cannot be touched.
func (n *ScriptNet) SetRole(ref bridges.Ref, room bridges.RoomID, nick string, role bridges.Role, reason string) error {
	return n.act(fmt.Sprintf("role %s %s %d %s", room, nick, role, reason), func() { n.change(ref, nick) })
}

// SetAffiliation implements bridges.RoleSetter.
func (n *ScriptNet) SetAffiliation(ref bridges.Ref, room bridges.RoomID, target string, a bridges.Affiliation, reason string) error {
	return n.act(fmt.Sprintf("affiliation %s %s %d %s", room, target, a, reason), func() { n.change(ref, target) })
}

func (n *ScriptNet) change(ref bridges.Ref, target string) {
	if target == "oper" {
		n.emit(&bridges.Failed{Ref: ref, Err: bridges.NewError(bridges.Forbidden, "You're not a channel operator.")})
		return
	}
	n.emit(&bridges.Done{Ref: ref})
}

// SetAway implements bridges.Presencer.
func (n *ScriptNet) SetAway(away bool, text string) error {
	return n.act(fmt.Sprintf("away %t %s", away, text), func() {})
}

// Raw implements bridges.Console.
func (n *ScriptNet) Raw(ref bridges.Ref, line string) error {
	return n.act("raw "+line, func() {
		n.emit(&bridges.ServerNotice{From: "script.example", Text: "answer to " + line})
		n.emit(&bridges.Done{Ref: ref})
	})
}

// Profile implements bridges.Profiler.
func (n *ScriptNet) Profile(_ context.Context, user bridges.UserID) (bridges.Profile, error) {
	if n.Ask != nil {
		n.Ask()
	}
	return bridges.Profile{Nick: string(user), Avatar: n.Avatar}, nil
}
