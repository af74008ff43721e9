package matrix

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Bounds of what is found out about people of a room who are not among the members that
// are known: most of a big room, and those who have left.
const (
	maxMet    = 1000            // of a room, whose names are remembered
	maxAsked  = 20              // that are asked about for one answer, or one page of history
	askTime   = 5 * time.Second // for one
	askAtOnce = 8
)

// lazily has pages of history come with how those are called who speak there.
var lazily = &mautrix.FilterPart{LazyLoadMembers: true}

// meet notes how somebody is called who is not among the members that are known. mu is
// held.
func (r *room) meet(user id.UserID, p profile) {
	if r.met == nil || len(r.met) >= maxMet {
		r.met = map[id.UserID]profile{}
	}
	r.met[user] = p
}

// profileOf is what somebody looks like who is not among the members that are known. mu
// or the turn is held.
func (r *room) profileOf(user id.UserID) (profile, bool) {
	p, ok := r.met[user]
	if !ok {
		p, ok = r.Faces[user]
	}
	return p, ok
}

// learn takes what comes with a page of history: how those are called who speak there.
// It returns those of them who are in.
func (n *network) learn(r *room, state []*event.Event) map[id.UserID]profile {
	n.mu.Lock()
	defer n.mu.Unlock()
	in := map[id.UserID]profile{}
	for _, ev := range state {
		if ev.Type.Type != event.StateMember.Type || ev.StateKey == nil {
			continue
		}
		user, p, there := memberEvent(ev)
		if there {
			in[user] = p
		}
		if r.people[user] == nil && (p.Name != "" || there) {
			r.meet(user, p)
		}
	}
	return in
}

// strangers are those who speak in some events and of whom nothing is known, the last
// ones first.
func (n *network) strangers(r *room, events []*event.Event, known map[id.UserID]profile) (users []id.UserID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ev := range slices.Backward(events) {
		_, is := known[ev.Sender]
		if _, met := r.profileOf(ev.Sender); is || met || r.people[ev.Sender] != nil || ev.Sender == "" || ev.StateKey != nil {
			continue
		}
		if !slices.Contains(users, ev.Sender) && len(users) < maxAsked {
			users = append(users, ev.Sender)
		}
	}
	return users
}

// found is what was found out about somebody.
type found struct {
	profile
	in bool
}

// askAbout asks the homeserver how people of a room are called, several at once within a
// job: beside tells that it is one. Of whom nothing can be found out nothing is returned.
func (n *network) askAbout(ctx context.Context, r *room, users []id.UserID, beside bool) map[id.UserID]found {
	out := map[id.UserID]found{}
	if !beside {
		for _, user := range users {
			if f, ok := n.askMember(ctx, r, user); ok {
				out[user] = f
			}
		}
		return out
	}
	var mu sync.Mutex
	for some := range slices.Chunk(users, askAtOnce) {
		var group sync.WaitGroup
		for _, user := range some {
			group.Add(1)
			n.sink.Go(func(context.Context) {
				defer group.Done()
				if f, ok := n.askMember(ctx, r, user); ok {
					mu.Lock()
					defer mu.Unlock()
					out[user] = f
				}
			})
		}
		group.Wait()
	}
	return out
}

// askMember asks about one: as they are called in the room or, of who is not in, as
// they are called at all.
func (n *network) askMember(ctx context.Context, r *room, user id.UserID) (found, bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cli := n.client()
	if cli == nil {
		return found{}, false
	}
	var raw json.RawMessage
	err := n.d.request(ctx, func(ctx context.Context) error {
		return cli.StateEvent(ctx, r.id, event.StateMember, string(user), &raw)
	})
	if err != nil && err.Kind != bridges.NotFound && err.Kind != bridges.Forbidden {
		return found{}, false
	}
	o := readObject(raw)
	f := found{profile{Name: cutBytes(o.str("displayname"), maxTitle), Avatar: o.str("avatar_url")}, o.str("membership") == "join"}
	if f.in || f.Name != "" {
		return f, true
	}
	var resp *mautrix.RespUserProfile
	err = n.d.request(ctx, func(ctx context.Context) (err error) { resp, err = cli.GetProfile(ctx, user); return err })
	if err == nil && resp != nil {
		f.profile = profile{Name: cutBytes(resp.DisplayName, maxTitle), Avatar: resp.AvatarURL.String()}
	}
	return f, err == nil || err.Kind == bridges.NotFound || err.Kind == bridges.Forbidden
}

// acquaint finds out how somebody is called who does something in a room and is not
// among the members that are known: the homeserver has said it before, if at all, maybe
// to a process that is gone. Few are asked about for one answer, and none any more once
// one could not be.
func (t *turn) acquaint(ctx context.Context, r *room, user id.UserID) {
	n := t.n
	n.mu.Lock()
	_, met := r.profileOf(user)
	known := met || r.people == nil || r.people[user] != nil || user == ""
	n.mu.Unlock()
	if known || t.quick || t.asked >= maxAsked {
		return
	}
	t.asked++
	f, ok := n.askMember(ctx, r, user)
	if !ok {
		t.asked = maxAsked
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r.meet(user, f.profile)
}
