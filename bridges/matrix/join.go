package matrix

import (
	"context"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Bounds of entering a room.
const (
	joinTime    = 30 * time.Second // for a room to be in an answer once it was joined
	historyNew  = 50               // lines of a room that is entered the first time
	historyMost = 200              // lines of one that was entered before
	powerfulMax = 50               // members with power of a big room that are asked for
	maxBanned   = 256              // rooms of which it is remembered that the user is banned from them
)

// Join enters a room: by alias or id. The homeserver is asked only where the user is
// not in it.
func (n *network) Join(ref bridges.Ref, name string, opt bridges.JoinOptions) error {
	return n.do(ref, string(n.RoomID(name)), func(ctx context.Context) {
		r, err := n.reach(ctx, name)
		created := false
		if err != nil && err.Kind == bridges.NotFound && opt.Create && n.mayCreate(name) {
			r, created, err = n.create(ctx, name)
		}
		if err == nil && r.Space {
			err = errSpace()
		}
		if err == nil {
			err = n.instead(ctx, r)
		}
		if err == nil {
			err = n.enter(ctx, ref, r, name, created)
		}
		if err != nil {
			n.outcome(ctx, ref, err)
		}
	})
}

// reach finds a room, and joins it where the user is not in.
func (n *network) reach(ctx context.Context, name string) (*room, *bridges.Error) {
	rid, via, err := n.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	r := n.rooms[rid]
	n.mu.Unlock()
	if r != nil {
		return r, nil
	}
	there := n.await(rid)
	if err := n.retried(ctx, func(ctx context.Context) error {
		_, err := n.client().JoinRoom(ctx, string(rid), &mautrix.ReqJoinRoom{Via: via})
		return err
	}); err != nil {
		n.mu.Lock()
		n.waiting[rid] = slices.DeleteFunc(n.waiting[rid], func(c chan struct{}) bool { return c == there })
		n.mu.Unlock()
		return nil, n.whyNotIn(ctx, rid, err)
	}
	return n.appears(ctx, rid, there)
}

// await registers who waits for a room to be in an answer.
func (n *network) await(rid id.RoomID) chan struct{} {
	there := make(chan struct{})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rooms[rid] != nil {
		close(there)
		return there
	}
	n.waiting[rid] = append(n.waiting[rid], there)
	return there
}

// appears waits for that, and returns the room.
func (n *network) appears(ctx context.Context, rid id.RoomID, there chan struct{}) (*room, *bridges.Error) {
	timer := time.NewTimer(joinTime)
	defer timer.Stop()
	select {
	case <-there:
	case <-timer.C:
		return nil, bridges.NewError(bridges.Timeout, "The homeserver let you in, but does not tell of the room yet. Try again in a moment.")
	case <-ctx.Done():
		return nil, errOffline()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[rid]
	if r == nil {
		return nil, bridges.NewError(bridges.NotJoined, "You are not in this room any more.")
	}
	return r, nil
}

// whyNotIn says of a refusal what it means for who wants to get in. Some homeservers do
// not tell that one is banned, and none in words people understand: then what is known
// of the user's membership does.
func (n *network) whyNotIn(ctx context.Context, rid id.RoomID, err *bridges.Error) *bridges.Error {
	if err.Kind != bridges.Forbidden {
		return err
	}
	n.mu.Lock()
	banned := n.bans[rid] || strings.Contains(strings.ToLower(err.Text), "banned")
	n.mu.Unlock()
	if !banned {
		_ = n.d.request(ctx, func(ctx context.Context) (e error) { // where that is not told, it stays a guess
			banned, e = n.isBanned(ctx, rid, n.creds.user)
			return e
		})
	}
	words := "Only those who are invited can enter this room."
	err.Kind = bridges.MembersOnly
	if banned {
		err.Kind, words = bridges.IsBanned, "You are banned from this room."
	}
	if !strings.Contains(err.Text, " ") { // a code, or nothing
		err.Text = words
	}
	return err
}

// resolve finds the id of a room by its name, and servers that know it.
func (n *network) resolve(ctx context.Context, name string) (id.RoomID, []string, *bridges.Error) {
	folded := foldID(name)
	n.mu.Lock()
	rid, known := n.aliases[folded]
	via := n.d.viaOf(folded)
	if inv := n.invites[id.RoomID(folded)]; inv != nil {
		via = append(slices.Clone(via), inv.via()...)
	}
	for _, space := range n.parents(id.RoomID(folded)) {
		via = append(slices.Clone(via), n.rooms[space].Children[id.RoomID(folded)].Via...)
	}
	n.mu.Unlock()
	if strings.HasPrefix(folded, "!") {
		if _, _, server := splitID(folded); server != "" && !slices.Contains(via, server) {
			via = append(slices.Clone(via), server)
		}
		return id.RoomID(folded), via, nil
	}
	if known {
		return rid, via, nil
	}
	var resp *mautrix.RespAliasResolve
	if err := n.retried(ctx, func(ctx context.Context) (err error) {
		resp, err = n.client().ResolveAlias(ctx, id.RoomAlias(folded))
		return err
	}); err != nil {
		if err.Kind == bridges.NotFound {
			err.Text = "There is no room with the address " + printable(folded) + "."
		}
		return "", nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.aliases[folded] = resp.RoomID
	return resp.RoomID, append(slices.Clone(via), resp.Servers[:min(len(resp.Servers), maxVia)]...), nil
}

// heldEvent is one that came while its room was being entered.
type heldEvent struct {
	*event.Event
	replay bool // an earlier connection may have reported it
}

// enter brings the session into a room the user is in: with its members, and with what
// was said while the session was not told of it.
func (n *network) enter(ctx context.Context, ref bridges.Ref, r *room, name string, created bool) *bridges.Error {
	// Within a turn: what was said up to since is history, and all that comes later is held.
	t := n.begin()
	defer t.release()
	n.mu.Lock()
	if r.open {
		t.emit(n.entered(r, ref, name, nil))
		n.mu.Unlock()
		n.endOf(ctx, t)
		return nil
	}
	r.opening, r.held = true, nil
	count, since, seen := r.Joined, n.since, r.seen
	n.mu.Unlock()
	t.release()
	history, speakers, all, err := n.fetchHistory(ctx, r, since, seen)
	var people map[id.UserID]profile
	if err == nil {
		people, err = n.fetchMembers(ctx, r, count, speakers)
	}
	var others map[id.UserID]found
	if err == nil {
		others = n.askAbout(ctx, r, n.strangers(r, history, people), true)
	}
	t = n.begin()
	defer t.release()
	defer n.endOf(ctx, t)
	n.mu.Lock()
	r.opening = false
	held := r.held
	r.held = nil
	if err != nil {
		n.mu.Unlock()
		return err
	}
	r.people, r.nicks, r.called = map[id.UserID]*member{}, newNicks(), name
	for user, p := range people {
		t.enter(r, user, p)
	}
	for user, f := range others {
		if r.people[user] == nil {
			r.meet(user, f.profile)
		}
	}
	if r.people[n.creds.user] == nil {
		t.enter(r, n.creds.user, n.self)
	}
	t.events = nil // nobody has been shown anything yet
	n.mu.Unlock()
	t.quick, t.entering = true, true
	messages := t.messages(ctx, r, history)
	if !all && len(messages) > 0 {
		messages[0].Missing = time.UnixMilli(seen.At)
	}
	n.mu.Lock()
	r.missing = time.Time{}
	t.quick, t.entering, t.replay = false, false, n.old
	ev := n.entered(r, ref, name, messages)
	ev.Created = created
	r.open = true
	n.mu.Unlock()
	t.emit(ev)
	in := map[id.EventID]bool{}
	for _, h := range history {
		in[h.ID] = true
		n.mu.Lock()
		r.known(h.ID)
		n.mu.Unlock()
	}
	for _, h := range held {
		if h.StateKey == nil && in[h.ID] {
			continue
		}
		r.forget(h.ID)
		t.replay = h.replay // as it was when it came: another answer may be the present one
		t.timeline(ctx, r, h.Event)
	}
	if k := len(history); k > 0 && history[k-1].Timestamp >= r.seen.At {
		r.seen = seenState{history[k-1].ID, history[k-1].Timestamp}
	}
	t.put(stateRoom+string(r.id), r.roomState)
	if r.seen.ID != "" {
		t.put(stateSeen+string(r.id), r.seen)
	}
	n.reveal(func(_ id.SessionID, u unreadable) bool { return u.room == r.id })
	return nil
}

// endOf ends a turn that was begun for a job.
func (n *network) endOf(ctx context.Context, t *turn) {
	if err := t.end(n.running()); err != nil {
		n.log.Debug("matrix: not told", "error", err)
	}
}

// forget makes an event one that was not handled yet.
func (r *room) forget(ev id.EventID) {
	if i := slices.Index(r.recent, ev); i >= 0 {
		r.recent = slices.Delete(r.recent, i, i+1)
	}
}

// entered is what the session is told of a room it enters. mu is held.
func (n *network) entered(r *room, ref bridges.Ref, asked string, history []*bridges.Message) *bridges.Entered {
	name := asked
	if name == "" {
		name = r.address()
	}
	return &bridges.Entered{
		Ref: ref, Asked: asked, Room: bridges.RoomID(r.id), Name: name, Self: n.memberOf(r, n.creds.user), Members: n.others(r),
		Subject: r.subject(), Info: n.info(r), History: history,
	}
}

// Leave ends the reports about a room; the user stays in it.
func (n *network) Leave(ref bridges.Ref, room bridges.RoomID, reason string) error {
	return n.do(ref, string(room), func(ctx context.Context) {
		t := n.begin()
		defer t.release()
		defer n.endOf(ctx, t)
		n.mu.Lock()
		defer n.mu.Unlock()
		r := n.rooms[id.RoomID(room)]
		if r == nil || !r.open {
			t.fail(ref, bridges.NewError(bridges.NotJoined, "You are not in this room."))
			return
		}
		t.emit(&bridges.Left{Ref: ref, Room: room, Member: n.memberOf(r, n.creds.user), Self: true, Reason: reason})
		r.open, r.people, r.nicks, r.met, r.typing = false, nil, nil, nil, nil
	})
}

// Quit implements bridges.Quitter.
func (n *network) Quit(ref bridges.Ref, room bridges.RoomID, reason string) error {
	return n.do(ref, string(room), func(ctx context.Context) {
		err := n.retried(ctx, func(ctx context.Context) error {
			_, err := n.client().LeaveRoom(ctx, id.RoomID(room), &mautrix.ReqLeave{Reason: reason})
			return err
		})
		if err != nil {
			n.outcome(ctx, ref, err)
			return
		}
		t := n.begin()
		defer t.release()
		defer n.endOf(ctx, t)
		t.forget(ctx, id.RoomID(room))
		n.mu.Lock()
		defer n.mu.Unlock()
		me := n.selfMember()
		if r := n.rooms[id.RoomID(room)]; r != nil {
			me = n.memberOf(r, n.creds.user)
			r.open, r.people = false, nil
			delete(n.rooms, r.id)
			t.regroup()
			t.retitle()
		}
		t.emit(&bridges.Left{Ref: ref, Room: room, Member: me, Self: true, Reason: reason})
	})
}
