package matrix

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// turn is one goroutine's right to change what a network knows and to report it: the
// sync loop's while it handles an answer, an action's while it tells its outcome. So
// events stand in the order in which what they tell became known, and what is stored
// follows what was reported. Who has the turn may read without mu, and takes it to
// write; nothing blocks under it. The session may call back while events are emitted.
type turn struct {
	n      *network
	replay bool // lines are old ones
	gap    bool // they are what an answer left out
	first  bool // the account has never had an answer before
	fresh  bool // the room at hand was not known before
	quick  bool // nothing is asked for their sake
	// entering: what cannot be read is shown all the same, and waits for its key.
	entering bool
	events   []bridges.Event
	moved    []id.RoomID // rooms that have ended, to be followed
	changes  map[string][]byte
	loaded   map[string][]byte
	ended    bool

	asked     int  // people that were asked about
	regrouped bool // rooms may be in other spaces now
}

// begin takes the turn. Who takes it defers release, and ends it.
func (n *network) begin() *turn {
	n.turns.Lock()
	return &turn{n: n, changes: map[string][]byte{}}
}

// end reports and stores what has been collected, and gives the turn on.
func (t *turn) end(ctx context.Context) error {
	defer t.release()
	if err := t.flush(ctx); err != nil {
		return err
	}
	if err := t.commit(ctx); err != nil {
		return err
	}
	for _, rid := range t.moved {
		t.n.follow(rid)
	}
	return nil
}

// release gives the turn on if it was not ended: after a panic, which ends the link and
// not what comes after it.
func (t *turn) release() {
	if !t.ended {
		t.ended = true
		t.n.turns.Unlock()
	}
}

func (t *turn) emit(ev bridges.Event) {
	if ev != nil {
		t.events = append(t.events, ev)
	}
}

// flush emits what has been collected.
func (t *turn) flush(ctx context.Context) error {
	events := t.events
	t.events = nil
	for _, ev := range events {
		if err := t.n.sink.Emit(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}

// maxCommit bounds the values of one commit: a first answer brings thousands.
const maxCommit = 500

// commit stores what has changed. Much of it goes in pieces, the token last: all but
// the token is the same when it comes again.
func (t *turn) commit(ctx context.Context) error {
	changes := t.changes
	t.changes = map[string][]byte{}
	if len(changes) == 0 {
		return nil
	}
	token, hasToken := changes[stateSync]
	delete(changes, stateSync)
	piece, size := map[string][]byte{}, 0
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		n := len(name) + len(changes[name])
		if len(piece) == maxCommit || size+n > bridges.MaxCommit/2 {
			if err := t.n.store.Commit(ctx, piece); err != nil {
				return err
			}
			piece, size = map[string][]byte{}, 0
		}
		piece[name] = changes[name]
		size += n
	}
	if hasToken {
		piece[stateSync] = token
	}
	return t.n.store.Commit(ctx, piece)
}

// Names of what is stored of an account. What belongs to a room stands under its id.
const (
	stateSync    = "sync"     // the token of the last answer that was handled
	stateSelf    = "self"     // profile
	stateIgnored = "ignored"  // the content of m.ignored_user_list
	stateDirect  = "direct"   // the content of m.direct
	stateRoom    = "room/"    // roomState, for each room the user is in
	stateSeen    = "seen/"    // seenState, for each room that is reported
	stateInvite  = "invite/"  // invite
	stateUnread  = "unread/"  // and the session and "/" and the event: storedUnreadable
	stateKnock   = "knock/"   // the name of a room the user has asked to be let into
	stateReacted = "reacted/" // and the room and "/" and the reaction's event: reactionOf
	stateReacts  = "reacts/"  // and the room and "/" and the line: event by key by user
)

// put stores a value, which is one that JSON has a form for.
func (t *turn) put(name string, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		t.n.log.Error("matrix: not stored", "name", name, "error", err)
		return
	}
	t.changes[name] = raw
}

// putRaw stores bytes as they are; nil removes the name.
func (t *turn) putRaw(name string, raw []byte) { t.changes[name] = raw }

// load reads what is stored under prefixes, for get. It blocks on the database, and
// what was committed before counts; so mu must not be held, which the session may
// need before it can store that.
func (t *turn) load(ctx context.Context, prefixes ...string) error {
	if t.loaded == nil {
		t.loaded = map[string][]byte{}
	}
	for _, prefix := range prefixes {
		values, err := t.n.store.Load(ctx, prefix)
		if err != nil {
			return err
		}
		maps.Copy(t.loaded, values)
	}
	return nil
}

// stateOfRoom begins the names of what is stored of a room beside itself, which its id
// and "/" follow.
var stateOfRoom = []string{stateReacts, stateReacted}

// forget removes what is stored of a room that the user has left for good. mu must not be
// held.
func (t *turn) forget(ctx context.Context, rid id.RoomID) {
	t.putRaw(stateRoom+string(rid), nil)
	t.putRaw(stateSeen+string(rid), nil)
	for _, kind := range stateOfRoom {
		prefix := kind + string(rid) + "/"
		values, err := t.n.store.Load(ctx, prefix)
		if err != nil {
			t.n.log.Warn("matrix: what is stored of a room that was left stays", "error", err)
			continue
		}
		for name := range values {
			t.putRaw(name, nil)
		}
		for name := range t.changes { // in this very turn
			if strings.HasPrefix(name, prefix) {
				t.putRaw(name, nil)
			}
		}
	}
}

// get is a value that was loaded, as it stands now.
func (t *turn) get(name string) []byte {
	if raw, changed := t.changes[name]; changed {
		return raw
	}
	return t.loaded[name]
}

// storage is where an account's state is kept.
type storage interface {
	Load(ctx context.Context, prefix string) (map[string][]byte, error)
	Save(ctx context.Context, changes map[string][]byte) error
	Commit(ctx context.Context, changes map[string][]byte) error
}

// accountStorage keeps it with the account.
type accountStorage struct {
	bridges.StateStore
	bridges.Sink
}
