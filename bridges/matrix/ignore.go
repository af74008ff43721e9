package matrix

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// maxIgnored bounds whom an account ignores.
const maxIgnored = 10000

// readIgnored reads m.ignored_user_list.
func readIgnored(raw []byte) map[id.UserID]bool {
	out := map[id.UserID]bool{}
	for user := range readObject(raw).obj("ignored_users") {
		if clean, err := checkID(user); err == nil && clean[0] == '@' && len(out) < maxIgnored {
			out[id.UserID(clean)] = true
		}
	}
	return out
}

// ignores takes over whom the account ignores. The turn is held.
func (t *turn) ignores(raw []byte) {
	t.putRaw(stateIgnored, slices.Clone(raw))
	t.n.mu.Lock()
	defer t.n.mu.Unlock()
	t.n.ignored = readIgnored(raw)
}

// ignoring tells whether nothing is reported of somebody. Homeservers leave out what is
// new of them by themselves, but not what is asked for.
func (n *network) ignoring(user id.UserID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ignored[user]
}

// Block implements bridges.Blocker by the account's list of ignored users, which is that
// of all clients.
func (n *network) Block(ref bridges.Ref, user bridges.UserID, blocked bool) error {
	return n.do(ref, "ignored", func(ctx context.Context) {
		if clean, err := checkID(string(user)); err != nil || clean[0] != '@' {
			n.outcome(ctx, ref, bridges.NewError(bridges.NotFound, "“"+printable(string(user))+"” is not a Matrix ID."))
			return
		}
		if id.UserID(user) == n.creds.user {
			n.outcome(ctx, ref, bridges.NewError(bridges.Invalid, "This is yourself."))
			return
		}
		n.outcome(ctx, ref, n.setIgnored(ctx, id.UserID(user), blocked))
	})
}

// setIgnored changes the list at the homeserver, from what stands there now.
func (n *network) setIgnored(ctx context.Context, user id.UserID, ignored bool) *bridges.Error {
	const typ = "m.ignored_user_list"
	content := map[string]json.RawMessage{}
	if err := n.retried(ctx, func(ctx context.Context) error { return n.client().GetAccountData(ctx, typ, &content) }); err != nil && err.Kind != bridges.NotFound {
		return err
	}
	users := map[string]json.RawMessage{}
	if raw := content["ignored_users"]; raw != nil && json.Unmarshal(raw, &users) != nil || users == nil {
		users = map[string]json.RawMessage{}
	}
	if _, there := users[string(user)]; there != ignored {
		if ignored {
			users[string(user)] = json.RawMessage("{}")
		} else {
			delete(users, string(user))
		}
		raw, err := json.Marshal(users)
		if err != nil {
			return bridges.AsError(err)
		}
		if content == nil {
			content = map[string]json.RawMessage{}
		}
		content["ignored_users"] = raw
		if err := n.retried(ctx, func(ctx context.Context) error { return n.client().SetAccountData(ctx, typ, content) }); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return bridges.AsError(err)
	}
	t := n.begin()
	defer t.release()
	t.ignores(raw)
	if err := t.end(n.running()); err != nil {
		return bridges.AsError(err)
	}
	return nil
}

// Blocked implements bridges.Blocker.
func (n *network) Blocked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]string, 0, len(n.ignored))
	for _, user := range slices.Sorted(maps.Keys(n.ignored)) {
		out = append(out, string(user))
	}
	return out
}

// heardOf leaves out the presence of those who are ignored.
func (n *network) heardOf(events []*event.Event) []*event.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ignored) == 0 {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(ev *event.Event) bool { return n.ignored[ev.Sender] })
}
