package matrix

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// askedTopic is a topic that the user wants and the homeserver has not shown yet.
type askedTopic struct {
	ref  bridges.Ref
	text string
	done bool // shown, and with that told
}

// SetSubject implements bridges.SubjectSetter. The outcome is told with the change in
// the room's order, or once the homeserver has taken it, whichever is first.
func (n *network) SetSubject(ref bridges.Ref, room bridges.RoomID, text string) error {
	return n.do(ref, string(room), func(ctx context.Context) {
		var sent id.EventID
		asked := &askedTopic{ref: ref, text: cutBytes(text, maxLine)}
		n.mu.Lock()
		r := n.rooms[id.RoomID(room)]
		if r != nil {
			r.asked = asked
		}
		n.mu.Unlock()
		if r == nil {
			n.outcome(ctx, ref, errNotIn())
			return
		}
		err := n.retried(ctx, func(ctx context.Context) error {
			resp, err := n.client().SendStateEvent(ctx, id.RoomID(room), event.StateTopic, "", map[string]any{"topic": asked.text})
			if err == nil {
				sent = resp.EventID
			}
			return err
		})
		t := n.begin()
		defer t.release()
		defer n.endOf(ctx, t)
		n.mu.Lock()
		defer n.mu.Unlock()
		r.asked = nil
		switch {
		case asked.done:
		case err != nil:
			t.fail(ref, err)
		default:
			now := time.Now()
			r.Topic, r.TopicBy, r.TopicAt, r.TopicID = asked.text, n.creds.user, now.UnixMilli(), sent // its echo is nothing new then
			t.put(stateRoom+string(room), r.roomState)
			t.emit(n.info(r))
			t.emit(&bridges.SubjectChanged{Ref: ref, Room: room, Subject: bridges.Subject{
				Text: asked.text, By: r.nickOf(n.creds.user), At: now, Identity: string(n.creds.user), ID: bridges.MessageID(sent),
			}})
		}
	})
}

// shownAs is the user's own wish that a change of topic fulfils; 0: none. mu is held.
func (r *room) shownAs(own bool, text string) bridges.Ref {
	if a := r.asked; own && a != nil && !a.done && a.text == text {
		a.done = true
		return a.ref
	}
	return 0
}

// Invite implements bridges.Inviter: by Matrix ID, or the nick of somebody known.
func (n *network) Invite(ref bridges.Ref, room bridges.RoomID, name, reason string) error {
	return n.simply(ref, string(room), func(ctx context.Context) error {
		user, err := n.named(room, name)
		if err != nil {
			return err
		}
		_, e := n.client().InviteUser(ctx, id.RoomID(room), &mautrix.ReqInviteUser{UserID: user, Reason: reason})
		return e
	})
}

// named is who a nick of a room or a Matrix ID means.
func (n *network) named(room bridges.RoomID, name string) (id.UserID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.rooms[id.RoomID(room)]; r != nil && r.nicks != nil {
		if user, ok := r.nicks.who(name); ok {
			return user, nil
		}
	}
	clean, err := checkID(name)
	if err != nil || clean[0] != '@' {
		return "", bridges.NewError(bridges.NotFound, "There is nobody called “"+printable(name)+"” here; a Matrix ID is written as in @user:example.org.")
	}
	return id.UserID(clean), nil
}

// SetRole implements bridges.RoleSetter. A role is a level of power; none is a kick.
func (n *network) SetRole(ref bridges.Ref, room bridges.RoomID, nick string, role bridges.Role, reason string) error {
	return n.changes(ref, room, func(ctx context.Context, w *watch) error {
		user, err := n.named(room, nick)
		if err != nil {
			return err
		}
		if role == bridges.RoleNone {
			if e := n.may(room, func(p *powers) *bridges.Error { return p.mayKick(n.creds.user, user) }); e != nil {
				return e
			}
			w.membership(user, event.MembershipLeave, event.MembershipBan)
			_, e := n.client().KickUser(ctx, id.RoomID(room), &mautrix.ReqKickUser{UserID: user, Reason: reason})
			return e
		}
		return n.empower(ctx, w, room, user, func(p *powers) (int64, *bridges.Error) {
			return p.levelForRole(user, role, p.level(n.creds.user))
		})
	})
}

// SetAffiliation implements bridges.RoleSetter. An outcast is banned; all else is a
// level of power, and takes a ban back. Where only those who are invited can enter, a
// member is invited, and who is to be none is removed.
func (n *network) SetAffiliation(ref bridges.Ref, room bridges.RoomID, target string, a bridges.Affiliation, reason string) error {
	return n.changes(ref, room, func(ctx context.Context, w *watch) error {
		user, err := n.named(room, target)
		if err != nil {
			return err
		}
		level := func(p *powers) (int64, *bridges.Error) {
			return p.levelForAffiliation(user, a, p.level(n.creds.user))
		}
		rid := id.RoomID(room)
		var now event.Membership
		if a <= bridges.AffiliationMember {
			if now, err = n.membershipOf(ctx, rid, user); err != nil {
				return err
			}
		}
		inside := now == event.MembershipJoin || now == event.MembershipInvite
		switch {
		case a == bridges.AffiliationOutcast && now == event.MembershipBan:
			return nil
		case a == bridges.AffiliationOutcast:
			if e := n.may(room, func(p *powers) *bridges.Error { return p.mayBan(n.creds.user, user) }); e != nil {
				return e
			}
			w.membership(user, event.MembershipBan)
			_, e := n.client().BanUser(ctx, rid, &mautrix.ReqBanUser{UserID: user, Reason: reason})
			return e
		case now == event.MembershipBan:
			w.membership(user, event.MembershipLeave)
			if _, e := n.client().UnbanUser(ctx, rid, &mautrix.ReqUnbanUser{UserID: user, Reason: reason}); e != nil {
				return e
			}
		case a == bridges.AffiliationNone && inside && n.closed(room):
			if e := n.empower(ctx, w, room, user, level); e != nil {
				return e
			}
			if e := n.may(room, func(p *powers) *bridges.Error { return p.mayKick(n.creds.user, user) }); e != nil {
				return e
			}
			w.membership(user, event.MembershipLeave, event.MembershipBan)
			_, e := n.client().KickUser(ctx, rid, &mautrix.ReqKickUser{UserID: user, Reason: reason})
			return e
		}
		if a == bridges.AffiliationMember && !inside && n.closed(room) {
			w.membership(user, event.MembershipInvite, event.MembershipJoin)
			_, e := n.client().InviteUser(ctx, rid, &mautrix.ReqInviteUser{UserID: user, Reason: reason})
			return e
		}
		if now == event.MembershipBan {
			return nil
		}
		return n.empower(ctx, w, room, user, level)
	})
}

// closed tells whether only those who are let in can enter.
func (n *network) closed(room bridges.RoomID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(room)]
	return r != nil && !r.public()
}

// membershipOf asks what somebody is to a room; who never was anything has left.
func (n *network) membershipOf(ctx context.Context, room id.RoomID, user id.UserID) (event.Membership, error) {
	var m event.MemberEventContent
	err := n.client().StateEvent(ctx, room, event.StateMember, string(user), &m)
	if e := failure(ctx, err); e != nil && e.Kind == bridges.NotFound {
		return event.MembershipLeave, nil
	}
	return m.Membership, err
}

func (n *network) isBanned(ctx context.Context, room id.RoomID, user id.UserID) (bool, error) {
	now, err := n.membershipOf(ctx, room, user)
	return now == event.MembershipBan, err
}

// may judges whether the user may do something, so that a refusal says why.
func (n *network) may(room bridges.RoomID, judge func(*powers) *bridges.Error) *bridges.Error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(room)]
	if r == nil {
		return errNotIn()
	}
	return judge(r.powers())
}

// empower gives somebody a level of power. The levels are read anew first: what
// another has changed meanwhile stays.
func (n *network) empower(ctx context.Context, w *watch, room bridges.RoomID, user id.UserID, level func(*powers) (int64, *bridges.Error)) error {
	rid := id.RoomID(room)
	var now json.RawMessage
	if err := n.client().StateEvent(ctx, rid, event.StatePowerLevels, "", &now); err != nil {
		if e := failure(ctx, err); e.Kind != bridges.NotFound {
			return err
		}
	}
	n.mu.Lock()
	r := n.rooms[rid]
	if r == nil {
		n.mu.Unlock()
		return errNotIn()
	}
	create, sealed := r.Create, r.encrypted()
	n.mu.Unlock()
	p := readPowers(create, now, sealed)
	want, refused := level(p)
	if refused != nil {
		return refused
	}
	if want == p.level(user) {
		return nil
	}
	if refused := p.mayChange(n.creds.user, user, want); refused != nil {
		return refused
	}
	content, err := withLevel(create, now, user, want)
	if err != nil {
		return err
	}
	w.expect(event.StatePowerLevels, "", func(ev *event.Event) bool {
		return readPowers(create, ev.Content.VeryRaw, sealed).level(user) == want
	})
	_, err = n.client().SendStateEvent(ctx, rid, event.StatePowerLevels, "", content)
	return err
}

// SetAway implements bridges.Presencer.
func (n *network) SetAway(away bool, text string) error {
	state := event.PresenceOnline
	if away {
		state = event.PresenceUnavailable
	}
	n.mu.Lock()
	n.presence = state
	n.mu.Unlock()
	return n.do(0, "presence", func(ctx context.Context) {
		err := n.d.request(ctx, func(ctx context.Context) error {
			return n.client().SetPresence(ctx, mautrix.ReqPresence{Presence: state, StatusMsg: text})
		})
		if err != nil {
			n.log.Debug("matrix: presence not set", "error", err)
		}
	})
}
