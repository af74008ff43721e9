package matrix

import (
	"context"
	"encoding/json"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// SetSubject implements bridges.SubjectSetter.
func (n *network) SetSubject(ref bridges.Ref, room bridges.RoomID, text string) error {
	return n.do(ref, string(room), func(ctx context.Context) {
		err := n.retried(ctx, func(ctx context.Context) error {
			_, err := n.client().SendStateEvent(ctx, id.RoomID(room), event.StateTopic, "", map[string]any{"topic": text})
			return err
		})
		if err != nil {
			n.outcome(ctx, ref, err)
			return
		}
		t := n.begin()
		defer t.release()
		defer n.endOf(ctx, t)
		n.mu.Lock()
		defer n.mu.Unlock()
		ev := &bridges.SubjectChanged{Ref: ref, Room: room, Subject: bridges.Subject{Text: text}}
		if r := n.rooms[id.RoomID(room)]; r != nil {
			r.Topic, r.TopicBy = text, n.creds.user // its echo is nothing new then
			ev.Subject.By = r.nickOf(n.creds.user)
			t.emit(n.info(r))
			t.put(stateRoom+string(room), r.roomState)
		}
		t.emit(ev)
	})
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
	return n.simply(ref, string(room), func(ctx context.Context) error {
		user, err := n.named(room, nick)
		if err != nil {
			return err
		}
		if role == bridges.RoleNone {
			if e := n.may(room, func(p *powers) *bridges.Error { return p.mayKick(n.creds.user, user) }); e != nil {
				return e
			}
			_, e := n.client().KickUser(ctx, id.RoomID(room), &mautrix.ReqKickUser{UserID: user, Reason: reason})
			return e
		}
		return n.empower(ctx, room, user, func(p *powers) (int64, *bridges.Error) { return p.levelForRole(user, role) })
	})
}

// SetAffiliation implements bridges.RoleSetter. An outcast is banned; all else is a
// level of power, and takes a ban back.
func (n *network) SetAffiliation(ref bridges.Ref, room bridges.RoomID, target string, a bridges.Affiliation, reason string) error {
	return n.simply(ref, string(room), func(ctx context.Context) error {
		user, err := n.named(room, target)
		if err != nil {
			return err
		}
		rid := id.RoomID(room)
		if a == bridges.AffiliationOutcast {
			if e := n.may(room, func(p *powers) *bridges.Error { return p.mayBan(n.creds.user, user) }); e != nil {
				return e
			}
			_, e := n.client().BanUser(ctx, rid, &mautrix.ReqBanUser{UserID: user, Reason: reason})
			return e
		}
		if a == bridges.AffiliationNone || a == bridges.AffiliationMember {
			if banned, e := n.isBanned(ctx, rid, user); e != nil || banned {
				if e == nil {
					_, e = n.client().UnbanUser(ctx, rid, &mautrix.ReqUnbanUser{UserID: user, Reason: reason})
				}
				return e
			}
		}
		return n.empower(ctx, room, user, func(p *powers) (int64, *bridges.Error) { return p.levelForAffiliation(user, a) })
	})
}

func (n *network) isBanned(ctx context.Context, room id.RoomID, user id.UserID) (bool, error) {
	var m event.MemberEventContent
	err := n.client().StateEvent(ctx, room, event.StateMember, string(user), &m)
	if e := failure(ctx, err); e != nil && e.Kind == bridges.NotFound {
		return false, nil
	}
	return m.Membership == event.MembershipBan, err
}

// may judges whether the user may do something, so that a refusal says why.
func (n *network) may(room bridges.RoomID, judge func(*powers) *bridges.Error) *bridges.Error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(room)]
	if r == nil {
		return bridges.NewError(bridges.NotJoined, "You are not in this room.")
	}
	return judge(r.powers())
}

// empower gives somebody a level of power. The levels are read anew first: what
// another has changed meanwhile stays.
func (n *network) empower(ctx context.Context, room bridges.RoomID, user id.UserID, level func(*powers) (int64, *bridges.Error)) error {
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
		return bridges.NewError(bridges.NotJoined, "You are not in this room.")
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
