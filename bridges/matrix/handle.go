package matrix

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// timeline takes an event of a room, in the room's order. It reports whether something
// of the room is to be stored.
func (t *turn) timeline(ctx context.Context, r *room, ev *event.Event) (changed bool) {
	n := t.n
	n.mu.Lock()
	if r.opening && !r.open {
		r.held = append(r.held, heldEvent{ev, t.replay})
	}
	n.mu.Unlock()
	if r.known(ev.ID) {
		return false
	}
	if ev.StateKey != nil {
		return t.state(ctx, r, ev, true)
	}
	n.mu.Lock()
	r.wrote(ev.ID, ev.Sender)
	if t.takesOver(r, ev) {
		n.contacts[n.directs[r.id]].room = r.id
	}
	place, reported := n.place(r)
	if !reported && n.besideChat(r) {
		place, reported = bridges.Place{User: bridges.UserID(n.directs[r.id])}, true
	}
	told := r.echoed(ev.ID)
	n.mu.Unlock()
	if told || t.echo(r, place, ev) {
		return reported && t.saw(r, ev)
	}
	if t.first && reported && place.User != "" {
		return t.saw(r, ev) // said before the gateway was there
	}
	if !reported {
		if ev.Timestamp > r.Last && isLine(ev) {
			r.Last = ev.Timestamp
			return true
		}
		return false
	}
	t.report(ctx, r, place, ev)
	return t.saw(r, ev)
}

// isLine tells whether an event says something, as far as can be seen from outside.
func isLine(ev *event.Event) bool {
	what := readContent(ev.Type.Type, ev.Content.VeryRaw).What
	return what == contentMessage || what == contentEncrypted
}

// takesOver tells whether a direct room carries the chat from this line on: another one
// has so far, in which nothing was said since. The turn and mu are held.
func (t *turn) takesOver(r *room, ev *event.Event) bool {
	if t.first || !t.n.besideChat(r) || !isLine(ev) {
		return false
	}
	carries := t.n.rooms[t.n.contacts[t.n.directs[r.id]].room]
	if carries == nil || ev.Timestamp > carries.Last {
		return true
	}
	// An echo may come with what was said after it.
	return ev.Timestamp == carries.Last && ev.Sender != t.n.creds.user
}

// besideChat tells whether a direct room is another one than that which carries the chat
// with the same person: what is said in it belongs there, too, unless it is entered. mu is
// held.
func (n *network) besideChat(r *room) bool {
	c := n.contacts[n.directs[r.id]]
	return c != nil && c.room != r.id && !r.open && r.forTwo() && r.Moved == ""
}

// saw notes that the session has been told of an event.
func (t *turn) saw(r *room, ev *event.Event) bool {
	r.seen = seenState{ev.ID, ev.Timestamp}
	r.Last = max(r.Last, ev.Timestamp)
	return true
}

// report tells the session what an event says.
func (t *turn) report(ctx context.Context, r *room, place bridges.Place, ev *event.Event) {
	if t.n.ignoring(ev.Sender) {
		return
	}
	if ev.Type.Type == event.EventRedaction.Type {
		t.redaction(ctx, r, place, ev)
		return
	}
	plain, sealed := t.opened(ctx, r, ev)
	c := readEvent(plain)
	if sealed && c.What == contentReaction { // what it is about stays in the clear
		c.Target = cleanTarget(ev, c.Target)
	}
	switch c.What {
	case contentReaction:
		t.reaction(ctx, r, place, ev, c)
	case contentEncrypted:
		t.unreadable(r, place, ev)
	case contentBeacon:
		t.beacon(ctx, r, place, ev, &c)
	case contentCall:
		t.call(ctx, r, place, ev)
	case contentMessage:
		if m := t.message(ctx, r, place, ev, &c); m != nil {
			t.emit(m)
		}
	}
}

// cleanTarget is what an encrypted event is about by its own word or, where the
// server can read it, by what stands outside.
func cleanTarget(ev *event.Event, inside id.EventID) id.EventID {
	if inside != "" {
		return inside
	}
	return eventID(readObject(ev.Content.VeryRaw).obj("m.relates_to"))
}

// message is an event as the message it is; nil: there is nothing to tell.
func (t *turn) message(ctx context.Context, r *room, place bridges.Place, ev *event.Event, c *content) *bridges.Message {
	n := t.n
	if c.Replaces != "" && t.author(ctx, r, c.Replaces) != ev.Sender {
		return nil // nobody edits another's line (client-server API, "Validity of replacement events")
	}
	if c.Ends != "" && !t.pollEnded(ctx, r, ev, c) {
		return nil
	}
	t.acquaint(ctx, r, ev.Sender)
	m := c.message()
	if c.ReplyTo != "" {
		if by := t.author(ctx, r, c.ReplyTo); by != "" {
			m.ReplyTo.From = n.someone(r, by)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if place.Room != "" && !t.quick {
		t.present(r, ev.Sender)
	}
	if c.Poll != nil {
		r.poll(cmp.Or(c.Replaces, ev.ID), c.Poll)
	}
	if c.Thread != "" && !t.quick {
		r.inThread(c.Thread, ev.ID)
	}
	m.Place, m.From, m.Self = place, n.memberOf(r, ev.Sender), ev.Sender == n.creds.user
	m.From.Role, m.From.Affiliation = bridges.RoleNone, 0
	m.ID, m.At, m.Replay, m.Token = bridges.MessageID(ev.ID), time.UnixMilli(ev.Timestamp), t.replay || n.former(ev), n.tokenOf(ev)
	if !t.quick && (place.Room != "" || !m.Self) {
		m.Missing, r.missing = r.missing, time.Time{}
	}
	if c.File != nil {
		m.Files = []bridges.File{c.File.file()}
	}
	return m
}

// poll remembers a poll, so that it can be voted on.
func (r *room) poll(ev id.EventID, p *poll) {
	if r.polls == nil || len(r.polls) >= maxPolls {
		r.polls = map[id.EventID]*poll{}
	}
	r.polls[ev] = p
}

// someone is a person of a room.
func (n *network) someone(r *room, user id.UserID) bridges.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.memberOf(r, user)
}

// author is who wrote a line; empty: that cannot be found out. It may ask the
// homeserver.
func (t *turn) author(ctx context.Context, r *room, line id.EventID) id.UserID {
	n := t.n
	n.mu.Lock()
	by, known := r.authors[line]
	cli := n.cli
	n.mu.Unlock()
	if known || cli == nil || t.quick {
		return by
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ev, err := cli.GetEvent(ctx, r.id, line)
	if err != nil || ev == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r.wrote(line, ev.Sender)
	return ev.Sender
}

// reactionOf is what a reaction's event stands for.
type reactionOf struct {
	Line id.EventID `json:"line"`
	User id.UserID  `json:"user"`
	Key  string     `json:"key"`
}

// reactions of a line: the event of each key, by user.
type reactions map[id.UserID]map[string]id.EventID

// maxReactionsOf bounds the keys one person has at one line.
const maxReactionsOf = 30

// reactionsTo reads what people have put to a line.
func (t *turn) reactionsTo(ctx context.Context, r *room, line id.EventID) reactions {
	name := stateReacts + string(r.id) + "/" + string(line)
	out := reactions{}
	if err := t.load(ctx, name); err != nil {
		t.n.log.Warn("matrix: reactions cannot be read", "error", err)
		return out
	}
	if raw := t.get(name); raw != nil {
		_ = json.Unmarshal(raw, &out)
	}
	return out
}

// reaction takes something that somebody puts to a line.
func (t *turn) reaction(ctx context.Context, r *room, place bridges.Place, ev *event.Event, c content) {
	t.acquaint(ctx, r, ev.Sender)
	all := t.reactionsTo(ctx, r, c.Target)
	mine := all[ev.Sender]
	if mine[c.Key] == ev.ID || len(mine) >= maxReactionsOf {
		return
	}
	if mine == nil {
		mine = map[string]id.EventID{}
		all[ev.Sender] = mine
	}
	mine[c.Key] = ev.ID
	t.put(stateReacts+string(r.id)+"/"+string(c.Target), all)
	t.put(stateReacted+string(r.id)+"/"+string(ev.ID), reactionOf{c.Target, ev.Sender, c.Key})
	t.reacted(r, place, ev, c.Target, ev.Sender, mine)
}

// reacted tells what somebody has put to a line by now, since an event.
func (t *turn) reacted(r *room, place bridges.Place, ev *event.Event, line id.EventID, user id.UserID, keys map[string]id.EventID) {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if place.Room != "" {
		t.present(r, user)
	}
	t.emit(&bridges.Reacted{
		Place: place, ID: bridges.MessageID(line), From: n.memberOf(r, user), Self: user == n.creds.user,
		Keys: slices.Sorted(maps.Keys(keys)), At: stamp(ev), Replay: t.replay, Token: n.tokenOf(ev),
	})
}

// redaction takes back a line or a reaction.
func (t *turn) redaction(ctx context.Context, r *room, place bridges.Place, ev *event.Event) {
	o := readObject(ev.Content.VeryRaw)
	line := ev.Redacts
	if line == "" {
		line = id.EventID(cutID(o.str("redacts"))) // since room version 11
	}
	if line == "" {
		return
	}
	name := stateReacted + string(r.id) + "/" + string(line)
	if err := t.load(ctx, name); err != nil {
		t.n.log.Warn("matrix: reactions cannot be read", "error", err)
	}
	if raw := t.get(name); raw != nil {
		var of reactionOf
		if json.Unmarshal(raw, &of) == nil {
			t.unreact(ctx, r, place, line, of, ev)
		}
		return
	}
	t.dropReactions(ctx, r, line)
	by := t.author(ctx, r, line)
	t.acquaint(ctx, r, ev.Sender)
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	t.emit(&bridges.Retracted{
		Place: place, ID: bridges.MessageID(line), By: n.memberOf(r, ev.Sender), Self: ev.Sender == n.creds.user,
		Others: by != "" && by != ev.Sender, Reason: cutBytes(oneLine(o.str("reason")), maxTitle),
		At: time.UnixMilli(ev.Timestamp), Replay: t.replay, Token: n.tokenOf(ev),
	})
}

// unreact takes back one reaction.
func (t *turn) unreact(ctx context.Context, r *room, place bridges.Place, reaction id.EventID, of reactionOf, ev *event.Event) {
	all := t.reactionsTo(ctx, r, of.Line)
	t.putRaw(stateReacted+string(r.id)+"/"+string(reaction), nil)
	if all[of.User][of.Key] != reaction {
		return
	}
	delete(all[of.User], of.Key)
	if len(all[of.User]) == 0 {
		delete(all, of.User)
	}
	name := stateReacts + string(r.id) + "/" + string(of.Line)
	if len(all) == 0 {
		t.putRaw(name, nil)
	} else {
		t.put(name, all)
	}
	t.reacted(r, place, ev, of.Line, of.User, all[of.User])
}

// dropReactions removes what is stored of reactions to a line that is no more.
func (t *turn) dropReactions(ctx context.Context, r *room, line id.EventID) {
	all := t.reactionsTo(ctx, r, line)
	if len(all) == 0 {
		return
	}
	for _, keys := range all {
		for _, reaction := range keys {
			t.putRaw(stateReacted+string(r.id)+"/"+string(reaction), nil)
		}
	}
	t.putRaw(stateReacts+string(r.id)+"/"+string(line), nil)
}

// echo is an event that the account's device sent.
type echo struct {
	event id.EventID
	at    int64 // milliseconds since 1970
}

// maxEchoes bounds those that are remembered of earlier connections.
const maxEchoes = 1000

// echo recognises what the user has sent through this link: its outcome is told where
// that has not been done, and it is not reported again.
func (t *turn) echo(r *room, place bridges.Place, ev *event.Event) bool {
	n, txn := t.n, ev.Unsigned.TransactionID
	if txn == "" || ev.Sender != n.creds.user {
		return false
	}
	n.mu.Lock()
	s := n.sent[txn]
	if s == nil {
		n.remember(ev)
		n.mu.Unlock()
		return false
	}
	done := s.done
	s.done, s.echo = true, echo{ev.ID, ev.Timestamp}
	n.mu.Unlock()
	if !done {
		t.taken(r, place, s, s.echo)
	}
	return true
}

// remember notes what an earlier connection sent, so that it is not sent again. mu is
// held.
func (n *network) remember(ev *event.Event) {
	if !n.former(ev) {
		return
	}
	if len(n.echoes) >= maxEchoes {
		clear(n.echoes)
	}
	n.echoes[ev.Unsigned.TransactionID] = echo{ev.ID, ev.Timestamp}
}

// former tells whether an event was sent by this device and not by this process: one
// before it may have told of it. Only the device that sent it is told a transaction id.
func (n *network) former(ev *event.Event) bool {
	return ev.Sender == n.creds.user && ev.Unsigned.TransactionID != ""
}

// tokenOf is the token under which the user's own event was sent, as far as the
// homeserver tells.
func (n *network) tokenOf(ev *event.Event) string {
	if !n.former(ev) {
		return ""
	}
	token, _, _ := strings.Cut(ev.Unsigned.TransactionID, partOf)
	return token
}

// stamp is when an event was sent, by its sender's homeserver.
func stamp(ev *event.Event) time.Time { return time.UnixMilli(ev.Timestamp) }
