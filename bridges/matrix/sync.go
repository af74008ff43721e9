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

// Times and sizes of the sync loop.
const (
	pollTime   = 30 * time.Second // a poll waits at the homeserver
	maxRefused = 5                // polls in a row that the homeserver wants later
	maxPause   = 2 * time.Minute  // that it may ask for; longer is a lost connection
	gapPages   = 5                // that are fetched where an answer leaves lines out
	gapLines   = 100              // of one
	firstTail  = 1                // lines of each room in the first answer: only which there are counts
	tail       = 30               // lines of each room in the others
)

// filter is what an answer brings: members where they are needed, no presence at first.
func filter(first bool) string {
	lines, presence := tail, []string{"m.presence"}
	if first {
		lines, presence = firstTail, []string{}
	}
	raw, err := json.Marshal(map[string]any{
		"presence":     map[string]any{"types": presence},
		"account_data": map[string]any{"types": []string{"m.direct", "m.ignored_user_list"}},
		"room": map[string]any{
			"timeline":     map[string]any{"limit": lines, "lazy_load_members": true},
			"state":        map[string]any{"lazy_load_members": true},
			"ephemeral":    map[string]any{"types": []string{"m.typing", "m.receipt"}},
			"account_data": map[string]any{"types": []string{}},
		},
	})
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return string(raw)
}

var firstFilter, nextFilter = filter(true), filter(false)

// serve asks for news until that fails: handles an answer, commits its token, asks
// again.
func (n *network) serve(ctx context.Context) *bridges.Error {
	n.setOld(n.since != "")
	wait := time.Duration(0) // the first answer is what there is
	pace := pacer{tokens: pollBurst, at: time.Now()}
	for refused := 0; ; {
		if !sleep(ctx, pace.next(time.Now())) {
			return errOffline()
		}
		free, err := n.takeFirst(ctx)
		if err != nil {
			return err
		}
		resp, err := n.poll(ctx, wait)
		if err != nil {
			free()
		}
		if err != nil && err.Kind == bridges.RateLimited && refused < maxRefused && err.RetryAfter <= maxPause {
			refused++
			if !sleep(ctx, max(err.RetryAfter, time.Second)) {
				return errOffline()
			}
			continue
		}
		if err != nil {
			return n.lost(err)
		}
		refused = 0
		e := n.handle(ctx, resp)
		free()
		if e != nil {
			return bridges.AsError(e)
		}
		if n.caught() { // keys may have come that nobody lived to make use of
			n.reveal(func(id.SessionID, unreadable) bool { return true })
		}
		wait = pollTime
	}
}

// pacer spaces the polls of an account: a homeserver that answers each of them at once,
// with nothing or with the same again, must not keep a processor busy.
type pacer struct {
	tokens float64
	at     time.Time
}

// Polls that may follow each other at once, and how many a second beyond that.
const (
	pollBurst = 100
	pollRate  = 20
)

// next is how long the next poll has to wait.
func (p *pacer) next(now time.Time) time.Duration {
	p.tokens = min(pollBurst, p.tokens+now.Sub(p.at).Seconds()*pollRate) - 1
	p.at = now
	if p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / pollRate * float64(time.Second))
}

// takeFirst waits until a first answer may be asked for: those may be long, and are in
// memory until they are handled, so they are few at a time over all accounts. Not all of
// them are of one homeserver, which may be slow. free is called when it is handled.
func (n *network) takeFirst(ctx context.Context) (free func(), err *bridges.Error) {
	if n.since != "" {
		return func() {}, nil
	}
	slots := []chan struct{}{n.d.firstsOf(n.creds.base.Host), n.d.firsts}
	for i, s := range slots {
		select {
		case s <- struct{}{}:
		case <-ctx.Done():
			if i > 0 {
				<-slots[0]
			}
			return nil, errOffline()
		}
	}
	return sync.OnceFunc(func() {
		<-slots[1]
		<-slots[0]
	}), nil
}

// poll makes one request for news.
func (n *network) poll(ctx context.Context, wait time.Duration) (*mautrix.RespSync, *bridges.Error) {
	first := n.since == ""
	req := mautrix.ReqSync{Since: n.since, Timeout: int(wait.Milliseconds()), FilterID: nextFilter, SetPresence: n.shownPresence()}
	patience := n.d.cfg.Timeout + wait
	if first {
		req.FilterID, patience = firstFilter, max(patience, 5*time.Minute)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := getSync(ctx, n.client(), req)
	if err != nil {
		return nil, failure(ctx, err)
	}
	if resp == nil || resp.NextBatch == "" {
		return nil, &bridges.Error{Kind: bridges.TemporaryRefuse, Text: "The homeserver's answer could not be understood."}
	}
	return resp, nil
}

// there is a list of events without those that cannot be.
func there(list []*event.Event) []*event.Event {
	return slices.DeleteFunc(list, func(ev *event.Event) bool { return sane(ev) == nil })
}

// setOld says whether what answers bring was said before this connection.
func (n *network) setOld(old bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.old = old
}

// caught goes on with what waited for the first answer: nothing that comes from here on
// was said before. It tells whether that was the first answer.
func (n *network) caught() (first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.old = false
	if !n.caughtUp {
		n.caughtUp = true
		n.work()
		return true
	}
	return false
}

func (n *network) client() *mautrix.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cli
}

func (n *network) shownPresence() event.Presence {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.presence
}

// handle takes one answer: keys before the lines they open, then what is new of
// people and rooms, then the token, which is stored behind all of it.
func (n *network) handle(ctx context.Context, resp *mautrix.RespSync) error {
	if m := n.machineNow(); m != nil {
		m.Sync(ctx, resp, n.since)
	}
	t := n.begin()
	defer t.release()
	gaps := n.fillGaps(ctx, resp) // within the turn: no room is entered meanwhile
	t.replay, t.first = n.old, n.since == ""
	t.accountData(resp.AccountData.Events)
	t.tellBelongs()
	for _, rid := range sortedRooms(resp.Rooms.Invite) {
		t.invited(rid, resp.Rooms.Invite[rid].State.Events)
	}
	for _, rid := range sortedRooms(resp.Rooms.Leave) {
		t.left(ctx, rid, resp.Rooms.Leave[rid])
	}
	for _, rid := range sortedRooms(resp.Rooms.Join) {
		t.joined(ctx, rid, resp.Rooms.Join[rid], gaps[rid])
		// Events of one room go out before the next is looked at: memory stays small.
		if err := t.flush(ctx); err != nil {
			t.release()
			return err
		}
	}
	n.mu.Lock()
	t.updateContacts()
	t.retitle()
	n.mu.Unlock()
	if t.first { // all there is to know of them is in it
		t.tellBelongs()
	}
	t.presences(n.heardOf(resp.Presence.Events))
	n.mu.Lock()
	n.since = resp.NextBatch
	n.mu.Unlock()
	t.putRaw(stateSync, []byte(resp.NextBatch))
	err := t.end(ctx)
	n.wake(resp)
	return err
}

func sortedRooms[V any](rooms map[id.RoomID]V) []id.RoomID {
	out := make([]id.RoomID, 0, len(rooms))
	for rid := range rooms {
		out = append(out, rid)
	}
	slices.Sort(out)
	return out
}

// wake goes on with those who wait for a room to be there.
func (n *network) wake(resp *mautrix.RespSync) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for rid := range resp.Rooms.Join {
		for _, c := range n.waiting[rid] {
			close(c)
		}
		delete(n.waiting, rid)
	}
}

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
