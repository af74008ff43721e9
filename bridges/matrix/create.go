package matrix

import (
	"context"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// mayCreate tells whether a room of this name can be made: an alias of the user's own
// homeserver, where the operator allows it.
func (n *network) mayCreate(name string) bool {
	_, local, server := splitID(foldID(name))
	_, _, own := splitID(string(n.creds.user))
	return *n.d.cfg.CreateRooms && strings.HasPrefix(name, "#") && local != "" && server == own
}

// create makes a room with an alias. Only who is invited gets in, until that is set
// otherwise: what is open by accident cannot be taken back. It is not repeated where the
// homeserver may have done it: the alias would be taken then, and the room is there.
func (n *network) create(ctx context.Context, name string) (r *room, created bool, err *bridges.Error) {
	_, local, _ := splitID(foldID(name))
	var resp *mautrix.RespCreateRoom
	err = n.d.request(ctx, func(ctx context.Context) (err error) {
		resp, err = n.client().CreateRoom(ctx, &mautrix.ReqCreateRoom{Preset: "private_chat", RoomAliasName: local})
		return err
	})
	switch {
	case err != nil && err.Kind == bridges.Conflict, err != nil && err.Uncertain: // it is there by now
		if r, again := n.reach(ctx, name); again == nil {
			return r, false, nil
		}
		fallthrough
	case err != nil:
		return nil, false, creationError(err)
	}
	n.mu.Lock()
	n.aliases[foldID(name)] = resp.RoomID
	n.mu.Unlock()
	r, err = n.appears(ctx, resp.RoomID, n.await(resp.RoomID))
	return r, true, err
}

// creationError says of a refusal that it is about making a room.
func creationError(err *bridges.Error) *bridges.Error {
	if err.Kind == bridges.Conflict {
		err.Kind = bridges.Forbidden // a nick is in conflict, for who joins
	}
	err.Text = "There is no such room, and it cannot be made. " + err.Text
	return err
}

// Knock implements bridges.Knocker.
func (n *network) Knock(ref bridges.Ref, name, reason string) error {
	return n.do(ref, string(n.RoomID(name)), func(ctx context.Context) {
		rid, via, err := n.resolve(ctx, name)
		if err == nil {
			err = n.retried(ctx, func(ctx context.Context) error {
				_, err := n.client().KnockRoom(ctx, string(rid), &mautrix.ReqKnockRoom{Via: via, Reason: reason})
				return err
			})
		}
		if err != nil {
			n.outcome(ctx, ref, knockError(err))
			return
		}
		n.knocked(ctx, rid, name)
		n.outcome(ctx, ref, nil)
	})
}

// knockError says of a refusal what it means for who wants to be let in.
func knockError(err *bridges.Error) *bridges.Error {
	switch err.Kind {
	case bridges.Forbidden:
		err.Text = "You cannot ask to be let into this room. " + err.Text
	case bridges.Unsupported:
		err.Text = "Your homeserver does not let anybody ask to be let into rooms."
	}
	return err
}

// knocked remembers where the user has knocked, so that a refusal can be told.
func (n *network) knocked(ctx context.Context, rid id.RoomID, name string) {
	t := n.begin()
	defer t.release()
	defer n.endOf(ctx, t)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.knocks[rid] = name
	t.putRaw(stateKnock+string(rid), []byte(name))
}

// answered forgets a knock; it returns the name that was knocked at. The turn and mu
// are held.
func (t *turn) answered(rid id.RoomID) (name string, knocked bool) {
	if name, knocked = t.n.knocks[rid]; knocked {
		delete(t.n.knocks, rid)
		t.putRaw(stateKnock+string(rid), nil)
	}
	return name, knocked
}
