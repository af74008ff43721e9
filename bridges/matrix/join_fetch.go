package matrix

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// fetchMembers asks who is in a room: all of them, or of a big one who has power and
// whom the room's name is made of, beside those who have spoken lately.
func (n *network) fetchMembers(ctx context.Context, r *room, count int, speakers map[id.UserID]profile) (map[id.UserID]profile, *bridges.Error) {
	people := map[id.UserID]profile{}
	if count <= n.d.cfg.MaxMembers {
		var members []*event.Event
		if err := n.retried(ctx, func(ctx context.Context) (err error) {
			members, err = getMembers(ctx, n.client(), r.id, event.MembershipJoin, "")
			return err
		}); err != nil {
			return nil, err
		}
		for _, ev := range members {
			if user, p, in := memberEvent(ev); in {
				people[user] = p
			}
		}
		return people, nil
	}
	maps.Copy(people, speakers)
	n.mu.Lock()
	p := r.powers()
	var powerful []id.UserID
	ask := func(user id.UserID) {
		if _, known := people[user]; !known && !slices.Contains(powerful, user) && len(powerful) < powerfulMax {
			powerful = append(powerful, user)
		}
	}
	for _, user := range p.creators {
		ask(user)
	}
	for _, user := range slices.SortedFunc(maps.Keys(p.users), func(a, b id.UserID) int { return cmp.Compare(p.level(b), p.level(a)) }) {
		if p.level(user) > p.usersDefault {
			ask(user)
		}
	}
	for user := range r.Faces {
		ask(user)
	}
	n.mu.Unlock()
	for user, f := range n.askAbout(ctx, r, powerful, true) {
		if f.in {
			people[user] = f.profile
		}
	}
	return people, nil
}

// memberEvent reads who a membership event is about, and whether they are in.
func memberEvent(ev *event.Event) (id.UserID, profile, bool) {
	o := readObject(ev.Content.VeryRaw)
	in := o.str("membership") == "join" && ev.StateKey != nil
	if _, named := o["displayname"]; !in && !named && ev.Unsigned.PrevContent != nil {
		o = readObject(ev.Unsigned.PrevContent.VeryRaw) // who has left was called so
	}
	p := profile{Name: cutBytes(o.str("displayname"), maxTitle), Avatar: o.str("avatar_url")}
	return id.UserID(ev.GetStateKey()), p, in
}

// fetchHistory asks for what was said since the session was told of a room, oldest
// first; of one that is new to it for the last lines. Speakers are those who are in and
// have said something of the last page. All tells that nothing is left out.
func (n *network) fetchHistory(ctx context.Context, r *room, from string, seen seenState) (out []*event.Event, speakers map[id.UserID]profile, all bool, err *bridges.Error) {
	limit := historyMost
	if seen.ID == "" {
		limit = historyNew
	}
	for len(out) < limit {
		var resp *mautrix.RespMessages
		err := n.retried(ctx, func(ctx context.Context) (err error) {
			resp, err = getMessages(ctx, n.client(), r.id, from, "", lazily, min(limit-len(out), gapLines))
			return err
		})
		if err != nil {
			if err.Kind == bridges.Forbidden {
				all = true
				break // what was said before is not for this user
			}
			return nil, nil, false, err
		}
		if in := n.learn(r, resp.State); speakers == nil {
			speakers = in
		}
		for _, ev := range resp.Chunk {
			if ev.ID == seen.ID || seen.At > 0 && ev.Timestamp < seen.At-int64(time.Hour/time.Millisecond) {
				slices.Reverse(out)
				return out, speakers, true, nil
			}
			out = append(out, ev)
		}
		if resp.End == "" || resp.End == from || len(resp.Chunk) == 0 {
			all = true
			break
		}
		from = resp.End
	}
	slices.Reverse(out)
	return out, speakers, all || seen.ID == "", nil
}

// messages are old events as messages, with what was changed of them later.
func (t *turn) messages(ctx context.Context, r *room, events []*event.Event) []*bridges.Message {
	n := t.n
	for _, ev := range events {
		n.mu.Lock()
		r.wrote(ev.ID, ev.Sender)
		n.remember(ev)
		n.mu.Unlock()
	}
	place := bridges.Place{Room: bridges.RoomID(r.id)}
	n.mu.Lock()
	if p, _ := n.place(r); p.User != "" {
		place = p
	}
	n.mu.Unlock()
	var out []*bridges.Message
	at := map[bridges.MessageID]int{}
	for _, ev := range events {
		if ev.StateKey != nil {
			if ev.Type.Type == event.StateTopic.Type && *ev.StateKey == "" && place.Room != "" {
				out = append(out, t.oldTopic(r, place, ev))
			}
			continue
		}
		if n.ignoring(ev.Sender) {
			continue
		}
		plain, _ := t.opened(ctx, r, ev)
		c := readEvent(plain)
		if c.What == contentEncrypted {
			c = content{What: contentMessage, Kind: bridges.Notice, Body: sealedText}
		}
		if c.What != contentMessage {
			continue
		}
		m := t.message(ctx, r, place, ev, &c)
		if m == nil {
			continue
		}
		m.Replay = true
		if i, ok := at[m.Replaces]; ok && m.Replaces != "" {
			out[i].Body, out[i].HTML = m.Body, m.HTML
			continue
		}
		at[m.ID] = len(out)
		out = append(out, m)
	}
	return out
}

// oldTopic is an event that once gave a room its subject.
func (t *turn) oldTopic(r *room, place bridges.Place, ev *event.Event) *bridges.Message {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	s, by := topic(r, ev), n.memberOf(r, ev.Sender)
	by.Role, by.Affiliation = bridges.RoleNone, 0
	return &bridges.Message{
		Place: place, From: by, Self: ev.Sender == n.creds.user, Kind: bridges.NewSubject, Body: s.Text,
		ID: s.ID, At: s.At, Replay: true,
	}
}
