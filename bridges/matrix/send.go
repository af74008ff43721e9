package matrix

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// sending is a line on its way.
type sending struct {
	ref  bridges.Ref
	echo echo // once the homeserver has it
	done bool // its outcome is told
}

// Send says something. It is sent under a transaction id that stays the same, so that
// the homeserver takes it once, however often it is tried.
func (n *network) Send(ref bridges.Ref, to bridges.Place, m bridges.Outgoing) error {
	if m.Token == "" {
		m.Token = rand.Text()
	}
	s := &sending{ref: ref}
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.enqueue(&job{ref: ref, lane: lane(to), late: true, run: func(ctx context.Context) { n.send(ctx, s, to, m) }})
	if err == nil {
		n.sent[m.Token] = s // from here on its echo is known
	}
	return err
}

func lane(p bridges.Place) string { return string(p.Room) + string(p.User) }

func (n *network) send(ctx context.Context, s *sending, to bridges.Place, m bridges.Outgoing) {
	r, err := n.roomOf(ctx, to)
	if err == nil {
		err = n.deliver(ctx, s, r, &m)
	}
	t := n.begin()
	defer t.release()
	n.mu.Lock()
	delete(n.sent, m.Token)
	done := s.done
	if err == nil {
		s.done = true
		if !done {
			r.sent(s.echo.event)
		}
		r.wrote(s.echo.event, n.creds.user)
		if m.Thread != "" {
			r.inThread(id.EventID(m.Thread), s.echo.event)
		}
	}
	n.mu.Unlock()
	switch {
	case done: // its echo was first
	case err != nil:
		t.fail(s.ref, err)
	default:
		t.taken(r, to, s, s.echo) // the chat may have moved to another room meanwhile
	}
	if e := t.end(n.running()); e != nil {
		n.log.Debug("matrix: an outcome was not told", "error", e)
	}
}

// deliver sends a line, where the homeserver does not have it.
func (n *network) deliver(ctx context.Context, s *sending, r *room, m *bridges.Outgoing) *bridges.Error {
	if n.has(s, m.Token) {
		return nil
	}
	kind, content, err := n.compose(ctx, r, m)
	if err != nil {
		return err
	}
	content, kind, err = n.seal(ctx, r, kind, content)
	if err != nil {
		return err
	}
	return n.retried(ctx, func(ctx context.Context) error {
		if n.has(s, m.Token) {
			return nil // what was tried before has got there
		}
		resp, err := n.client().SendMessageEvent(ctx, r.id, kind, content, mautrix.ReqSendEvent{TransactionID: m.Token, DontEncrypt: true})
		ev, err := sentEvent(resp, err)
		if err == nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			if s.echo.event == "" {
				s.echo = echo{ev, time.Now().UnixMilli()}
			}
		}
		return err
	})
}

// sentEvent is the event that a request to send something has made.
func sentEvent(resp *mautrix.RespSendEvent, err error) (id.EventID, error) {
	if err != nil {
		return "", err
	}
	if resp == nil || resp.EventID == "" || len(resp.EventID) > maxID || cleanText(string(resp.EventID)) != string(resp.EventID) {
		return "", &bridges.Error{Kind: bridges.TemporaryRefuse, Text: "The homeserver's answer could not be understood.", Uncertain: true}
	}
	return resp.EventID, nil
}

// has tells whether the homeserver is known to have a line.
func (n *network) has(s *sending, txn string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := n.echoes[txn]; ok && s.echo.event == "" {
		s.echo = e
	}
	return s.echo.event != ""
}

// taken tells that the homeserver has a line.
func (t *turn) taken(r *room, place bridges.Place, s *sending, e echo) {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	me := n.memberOf(r, n.creds.user)
	me.Role, me.Affiliation = bridges.RoleNone, 0
	t.emit(&bridges.Message{Ref: s.ref, Place: place, From: me, Self: true, ID: bridges.MessageID(e.event), At: time.UnixMilli(e.at)})
	r.Last = max(r.Last, e.at)
}

// partOf stands between a token and what tells the transactions apart that are made
// under it.
const partOf = "-"

// part is the transaction id of one of several things that one token stands for.
func part(token, what string) string {
	sum := sha256.Sum256([]byte(what))
	return token + partOf + hex.EncodeToString(sum[:8])
}

// once sends something under a transaction id, where the homeserver is not known to
// have it, and returns its event.
func (n *network) once(ctx context.Context, txn string, send func(ctx context.Context) (id.EventID, error)) (ev id.EventID, failed *bridges.Error) {
	failed = n.retried(ctx, func(ctx context.Context) (err error) {
		n.mu.Lock()
		ev = n.echoes[txn].event
		n.mu.Unlock()
		if ev == "" {
			ev, err = send(ctx)
		}
		return err
	})
	return ev, failed
}

// roomOf is the room that a place stands for; with a person there is no room with yet,
// one is made.
func (n *network) roomOf(ctx context.Context, p bridges.Place) (*room, *bridges.Error) {
	if p.Room == "" {
		return n.directWith(ctx, id.UserID(p.User))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id.RoomID(p.Room)]
	if r == nil || !r.open {
		return nil, bridges.NewError(bridges.NotJoined, "You are not in this room.")
	}
	return r, nil
}

// compose makes an event of what the user says.
func (n *network) compose(ctx context.Context, r *room, m *bridges.Outgoing) (event.Type, any, *bridges.Error) {
	if kind, vote, ok := n.voteFor(ctx, r, id.EventID(m.ReplyTo), m.Body); ok {
		return event.Type{Type: kind, Class: event.MessageEventType}, vote, nil
	}
	res := resolved{}
	if m.ReplyTo != "" {
		t := turn{n: n}
		res.ReplyTo = t.author(ctx, r, id.EventID(m.ReplyTo))
	}
	n.mu.Lock()
	res.ThreadLast = r.threads[id.EventID(m.Thread)]
	for _, who := range m.Mentions {
		user := id.UserID(who)
		res.Mentions = append(res.Mentions, mention{user, r.nickOf(user)})
	}
	n.mu.Unlock()
	if m.File != nil {
		content, err := n.uploadFile(ctx, r, m, res)
		return event.EventMessage, content, err
	}
	write := writeMessage
	if m.Location != nil {
		write = writeLocation
	}
	content, err := write(m, res)
	return event.EventMessage, content, bridges.AsError(err)
}

// React implements bridges.Reactor: what is there and not wanted is taken back, what
// is wanted and not there is put.
func (n *network) React(ref bridges.Ref, token string, at bridges.Place, line bridges.MessageID, keys []string) error {
	if token == "" {
		token = rand.Text()
	}
	return n.late(ref, at, func(ctx context.Context) {
		r, err := n.roomOf(ctx, at)
		if err == nil {
			err = n.react(ctx, r, token, id.EventID(line), keys)
		}
		if err != nil {
			n.outcome(ctx, ref, err)
			return
		}
		n.mu.Lock()
		me := n.memberOf(r, n.creds.user)
		n.mu.Unlock()
		n.tell(ctx, &bridges.Reacted{Ref: ref, Place: at, ID: line, From: me, Self: true, Keys: keys, At: time.Now()})
	})
}

// late queues a job that waits for the first answer.
func (n *network) late(ref bridges.Ref, at bridges.Place, run func(ctx context.Context)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.enqueue(&job{ref: ref, lane: lane(at), late: true, run: run})
}

func (n *network) react(ctx context.Context, r *room, token string, line id.EventID, keys []string) *bridges.Error {
	t := n.begin()
	defer t.release()
	mine := maps.Clone(t.reactionsTo(ctx, r, line)[n.creds.user])
	t.release()
	for key, ev := range mine {
		if slices.Contains(keys, key) {
			continue
		}
		if err := n.redact(ctx, r, part(token, string(ev)), ev, ""); err != nil {
			return err
		}
		n.note(ctx, r, line, key, ev, false)
	}
	for _, key := range keys {
		if mine[key] != "" {
			continue
		}
		content := &event.ReactionEventContent{RelatesTo: event.RelatesTo{Type: event.RelAnnotation, EventID: line, Key: key}}
		txn := part(token, key)
		// What is put to a line is never encrypted: servers count it.
		ev, err := n.once(ctx, txn, func(ctx context.Context) (id.EventID, error) {
			resp, err := n.client().SendMessageEvent(ctx, r.id, event.EventReaction, content, mautrix.ReqSendEvent{TransactionID: txn, DontEncrypt: true})
			return sentEvent(resp, err)
		})
		if err != nil {
			return err
		}
		n.note(ctx, r, line, key, ev, true)
	}
	return nil
}

// note stores a reaction of the user's that was put or taken back. Its echo is nothing
// new then.
func (n *network) note(ctx context.Context, r *room, line id.EventID, key string, ev id.EventID, put bool) {
	t := n.begin()
	defer t.release()
	all := t.reactionsTo(ctx, r, line)
	if all[n.creds.user] == nil {
		all[n.creds.user] = map[string]id.EventID{}
	}
	if put {
		all[n.creds.user][key] = ev
		t.put(stateReacted+string(r.id)+"/"+string(ev), reactionOf{line, n.creds.user, key})
		n.mu.Lock()
		r.sent(ev)
		n.mu.Unlock()
	} else {
		delete(all[n.creds.user], key)
		t.putRaw(stateReacted+string(r.id)+"/"+string(ev), nil)
	}
	t.put(stateReacts+string(r.id)+"/"+string(line), all)
	if err := t.end(n.running()); err != nil {
		n.log.Debug("matrix: a reaction was not stored", "error", err)
	}
}

// redact takes an event back.
func (n *network) redact(ctx context.Context, r *room, txn string, ev id.EventID, reason string) *bridges.Error {
	redaction, err := n.once(ctx, txn, func(ctx context.Context) (id.EventID, error) {
		resp, err := n.client().RedactEvent(ctx, r.id, ev, mautrix.ReqRedact{Reason: reason, TxnID: txn})
		return sentEvent(resp, err)
	})
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		r.sent(redaction)
	}
	return err
}

// Retract implements bridges.Retractor.
func (n *network) Retract(ref bridges.Ref, token string, at bridges.Place, line bridges.MessageID, reason string) error {
	if token == "" {
		token = rand.Text()
	}
	return n.late(ref, at, func(ctx context.Context) {
		r, err := n.roomOf(ctx, at)
		if err == nil {
			err = n.redact(ctx, r, token, id.EventID(line), reason)
		}
		if err != nil {
			n.outcome(ctx, ref, err)
			return
		}
		n.mu.Lock()
		me := n.memberOf(r, n.creds.user)
		n.mu.Unlock()
		n.tell(ctx, &bridges.Retracted{Ref: ref, Place: at, ID: line, By: me, Self: true, Reason: reason, At: time.Now()})
	})
}

// typingTime is how long the homeserver shows that somebody writes, unless it is told
// again.
const typingTime = 30 * time.Second

// SetTyping implements bridges.Typist.
func (n *network) SetTyping(at bridges.Place, on bool) error {
	return n.do(0, "typing "+lane(at), func(ctx context.Context) {
		r := n.existing(at)
		if r == nil {
			return
		}
		_ = n.d.request(ctx, func(ctx context.Context) error {
			_, err := n.client().UserTyping(ctx, r.id, on, typingTime)
			return err
		})
	})
}

// SetRead implements bridges.Reader.
func (n *network) SetRead(at bridges.Place, line bridges.MessageID) error {
	return n.do(0, "read "+lane(at), func(ctx context.Context) {
		r := n.existing(at)
		if r == nil {
			return
		}
		markers := &mautrix.ReqSetReadMarkers{Read: id.EventID(line), FullyRead: id.EventID(line)}
		if n.creds.privately {
			markers.Read, markers.ReadPrivate = "", markers.Read
		}
		err := n.d.request(ctx, func(ctx context.Context) error { return n.client().SetReadMarkers(ctx, r.id, markers) })
		if err != nil {
			n.log.Debug("matrix: not marked as read", "error", err)
		}
	})
}

// existing is the room of a place, where there is one.
func (n *network) existing(p bridges.Place) *room {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.Room != "" {
		return n.rooms[id.RoomID(p.Room)]
	}
	if c := n.contacts[id.UserID(p.User)]; c != nil {
		return n.rooms[c.room]
	}
	return nil
}
