package matrix

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// joined takes what an answer says of a room the user is in.
func (t *turn) joined(ctx context.Context, rid id.RoomID, jr *mautrix.SyncJoinedRoom, gap []*event.Event) {
	n := t.n
	n.mu.Lock()
	r, fresh := n.rooms[rid], false
	if r == nil {
		r, fresh = &room{id: rid}, true
		n.rooms[rid] = r
		if len(n.waiting[rid]) > 0 { // by what the session wants
			r.Offered = true
		} else {
			n.noteBelongs(rid, t.first)
		}
		t.answered(rid)
		t.regroup()
		if n.invites[rid] != nil {
			delete(n.invites, rid)
			t.putRaw(stateInvite+string(rid), nil)
		}
	}
	changed := r.summary(&jr.Summary) || fresh
	t.fresh = fresh
	n.mu.Unlock()
	for _, ev := range jr.State.Events {
		changed = t.state(ctx, r, ev, false) || changed
	}
	if m := n.machineNow(); m != nil && jr.Timeline.Limited && !t.first && r.encrypted() {
		if err := m.Reshare(ctx, rid); err != nil { // who came and went may have been left out
			n.log.Warn("matrix: a key is not renewed", "room", rid, "error", err)
		}
	}
	n.mu.Lock()
	if _, direct := n.directs[rid]; direct && changed {
		t.updateContacts() // it may carry a chat from here on
	}
	n.mu.Unlock()
	t.gap = true
	for _, ev := range gap {
		changed = t.timeline(ctx, r, ev) || changed
	}
	t.gap = false
	for _, ev := range jr.Timeline.Events {
		changed = t.timeline(ctx, r, ev) || changed
	}
	for _, ev := range jr.Ephemeral.Events {
		t.ephemeral(r, ev)
	}
	if changed {
		t.put(stateRoom+string(rid), r.roomState)
		if r.seen.ID != "" {
			t.put(stateSeen+string(rid), r.seen)
		}
	}
}

// left takes what an answer says of a room the user is in no longer.
func (t *turn) left(ctx context.Context, rid id.RoomID, lr *mautrix.SyncLeftRoom) {
	n := t.n
	n.mu.Lock()
	inv, r := n.invites[rid], n.rooms[rid]
	delete(n.invites, rid)
	delete(n.rooms, rid)
	knocked, refused := t.answered(rid)
	t.regroup()
	n.mu.Unlock()
	if refused {
		t.emit(&bridges.ServerNotice{Text: "You are not let into " + printable(knocked) + ", which you asked for."})
	}
	if inv != nil {
		t.uninvited(rid, inv)
	}
	n.noteBan(rid, lr)
	if r == nil {
		return
	}
	defer t.forget(ctx, rid) // with what the last lines have added
	if !r.open {
		return
	}
	n.mu.Lock()
	left := &bridges.Left{Room: bridges.RoomID(rid), Member: n.memberOf(r, n.creds.user), Self: true}
	n.mu.Unlock()
	for _, ev := range append(slices.Clone(lr.State.Events), lr.Timeline.Events...) {
		if ev.Type.Type == event.StateMember.Type && ev.GetStateKey() == string(n.creds.user) {
			n.mu.Lock()
			how(left, ev, n.creds.user, r)
			n.mu.Unlock()
		} else if ev.Type.Type != event.StateMember.Type {
			t.timeline(ctx, r, ev)
		}
	}
	t.emit(left)
	r.open = false
}

// noteBan notes whether the user is banned from a room that they are in no longer.
func (n *network) noteBan(rid id.RoomID, lr *mautrix.SyncLeftRoom) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ev := range append(slices.Clone(lr.State.Events), lr.Timeline.Events...) {
		if ev.Type.Type != event.StateMember.Type || ev.GetStateKey() != string(n.creds.user) {
			continue
		}
		delete(n.bans, rid)
		if readObject(ev.Content.VeryRaw).str("membership") == "ban" && len(n.bans) < maxBanned {
			n.bans[rid] = true
		}
	}
}

// how says how and by whom somebody left a room.
func how(l *bridges.Left, ev *event.Event, user id.UserID, r *room) {
	o := readObject(ev.Content.VeryRaw)
	l.Reason = cutBytes(oneLine(o.str("reason")), maxTitle)
	l.Kind = bridges.Parted
	if ev.Sender == user {
		return
	}
	l.Kind, l.Actor = bridges.Kicked, r.nickOf(ev.Sender)
	if o.str("membership") == "ban" {
		l.Kind = bridges.Banned
	}
}

// state takes a state event into what is known of a room. Live tells that it happens
// now, and is reported. It reports whether something of the room is to be stored.
func (t *turn) state(ctx context.Context, r *room, ev *event.Event, live bool) (changed bool) {
	if ev.StateKey == nil {
		return false
	}
	t.n.mu.Lock()
	t.n.shows(r.id, ev)
	t.n.mu.Unlock()
	if ev.Type.Type == event.StateMember.Type {
		return t.membership(ctx, r, ev, live)
	}
	if take := personStates[ev.Type.Type]; take != nil {
		take(t, ctx, r, ev, readObject(ev.Content.VeryRaw), live)
		return false
	}
	if ev.Type.Type == childType || ev.Type.Type == parentType {
		t.n.mu.Lock()
		defer t.n.mu.Unlock()
		return t.related(r, ev)
	}
	read := stateReaders[ev.Type.Type]
	if read == nil || *ev.StateKey != "" {
		return false
	}
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	var was map[id.UserID]bridges.Member
	if ev.Type.Type == event.StatePowerLevels.Type || ev.Type.Type == event.StateEncryption.Type {
		was = t.standingsNow(r)
	}
	var before bridges.RoomInfo
	if r.open {
		before = n.about(r)
	}
	if !read(r, ev, readObject(ev.Content.VeryRaw)) {
		return false
	}
	n.nameRoom(r)
	if ev.Type.Type == event.StateTombstone.Type {
		t.entombed(r, live)
	}
	if r.Space {
		t.regroup() // its rooms are called after it
	}
	if !r.open {
		return true
	}
	switch ev.Type.Type {
	case event.StateTopic.Type:
		t.emit(&bridges.SubjectChanged{
			Ref: r.shownAs(ev.Sender == n.creds.user, r.Topic), Room: bridges.RoomID(r.id), Subject: topic(r, ev),
			Replay: t.replay || t.gap || !live,
		})
	case event.StatePowerLevels.Type:
		t.standings(r, was, r.nickOf(ev.Sender))
	case event.StateEncryption.Type:
		t.note(r, ev, "From now on what is said here is encrypted.")
	case event.StateTombstone.Type:
		t.note(r, ev, "This room has ended. It goes on in another.")
	}
	if n.about(r) != before {
		t.emit(n.info(r))
	}
	return true
}

// topic is the subject an event gives a room. mu is held.
func topic(r *room, ev *event.Event) bridges.Subject {
	return bridges.Subject{
		Text: cutBytes(readObject(ev.Content.VeryRaw).str("topic"), maxLine),
		By:   r.nickOf(ev.Sender), At: time.UnixMilli(ev.Timestamp), Identity: string(ev.Sender), ID: bridges.MessageID(ev.ID),
	}
}

// note has the room say something in its own name.
func (t *turn) note(r *room, ev *event.Event, text string) {
	t.emit(&bridges.Message{
		Place: bridges.Place{Room: bridges.RoomID(r.id)}, From: t.n.memberOf(r, ev.Sender), Kind: bridges.Notice, Body: text,
		ID: bridges.MessageID(ev.ID), At: time.UnixMilli(ev.Timestamp), Replay: t.replay,
	})
}

// membership takes a change of who is in a room.
func (t *turn) membership(ctx context.Context, r *room, ev *event.Event, live bool) (changed bool) {
	n, user := t.n, id.UserID(*ev.StateKey)
	o := readObject(ev.Content.VeryRaw)
	p := profile{Name: cutBytes(o.str("displayname"), maxTitle), Avatar: o.str("avatar_url")}
	if m := n.machineNow(); m != nil && live && r.encrypted() && ev.Content.ParseRaw(event.StateMember) == nil {
		ev.RoomID = r.id
		m.Membership(ctx, ev)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch membership := o.str("membership"); {
	case membership == "join":
		if face, known := r.Faces[user]; known && face != p || !known && len(r.Faces) < maxFaces {
			r.face(user, p)
			changed = true
		}
		if r.people != nil {
			t.enter(r, user, p)
		}
	case membership == "invite":
		if _, known := r.Faces[user]; !known && len(r.Faces) < maxFaces {
			r.face(user, p)
			changed = true
		}
	default:
		if _, known := r.Faces[user]; known && user != n.creds.user && len(r.Faces) > 2 {
			delete(r.Faces, user)
			changed = true
		}
		left := &bridges.Left{Self: user == n.creds.user}
		how(left, ev, user, r)
		t.leave(r, user, left)
	}
	return changed
}
