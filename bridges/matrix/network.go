package matrix

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// network is one user's link to Matrix.
//
// turns is held by who changes what follows and reports it (see turn). mu guards it
// against who only asks, and is never held while anything blocks. Locks are taken in
// that order. While nothing happens the link is the goroutine of Run, waiting for an
// answer.
type network struct {
	d       *Driver
	account bridges.Account
	creds   credentials
	sink    bridges.Sink
	store   storage
	log     *slog.Logger

	turns sync.Mutex

	mu     sync.Mutex
	cli    *mautrix.Client // nil: there is no connection
	run    context.Context // of the present Run
	life   context.Context // of the present connection
	online bool
	// caughtUp: an answer of this connection has been handled.
	caughtUp bool
	old      bool   // the answer being handled may repeat what was reported before
	since    string // the token of the last answer that was handled
	self     profile
	rooms    map[id.RoomID]*room
	aliases  map[string]id.RoomID
	family   map[id.RoomID][]id.RoomID // the spaces a room is in; nil: to be made anew
	invites  map[id.RoomID]*invite
	bans     map[id.RoomID]bool   // from where answers of this connection told it
	belongs  map[id.RoomID]bool   // rooms to be told of, and whether they are old ones
	knocks   map[id.RoomID]string // where the user has asked to be let in, as it was named
	// directs says with whom the user shares a direct room, by m.direct; contacts are
	// those people, with the room that carries the chat.
	directs  map[id.RoomID]id.UserID
	contacts map[id.UserID]*contact
	ignored  map[id.UserID]bool            // of whom nothing is reported
	curious  []id.UserID                   // contacts of whom it is to be asked whether they are there
	present  map[id.UserID]bool            // contacts of whom that is known
	waiting  map[id.RoomID][]chan struct{} // for a room to be in an answer
	sent     map[string]*sending           // lines on their way, by transaction id
	echoes   map[string]echo               // what was sent by an earlier connection, by transaction id
	jobs     jobs
	watches  []*watch // under mu
	presence event.Presence
	machine  cipher // nil: what is encrypted cannot be read
	unread   map[id.SessionID][]unreadable
}

// profile is what a user looks like.
type profile struct {
	Name   string `json:"n,omitempty"`
	Avatar string `json:"a,omitempty"` // mxc:
}

// Open makes a user's link to Matrix. No I/O.
func (d *Driver) Open(a bridges.Account, sink bridges.Sink) (bridges.Network, error) {
	creds, err := d.readCredentials(a)
	if err != nil {
		return nil, err
	}
	log := a.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &network{d: d, account: a, creds: creds, sink: sink, log: log, presence: event.PresenceOnline}
	if a.State != nil {
		n.store = accountStorage{a.State, sink}
	} else {
		n.store = &memory{}
	}
	n.reset()
	return n, nil
}

// reset forgets the last connection.
func (n *network) reset() {
	n.cli, n.online, n.caughtUp, n.since, n.old = nil, false, false, "", false
	n.rooms, n.aliases = map[id.RoomID]*room{}, map[string]id.RoomID{}
	n.family = nil
	n.belongs = nil
	n.invites, n.knocks, n.bans = map[id.RoomID]*invite{}, map[id.RoomID]string{}, map[id.RoomID]bool{}
	n.directs, n.contacts = map[id.RoomID]id.UserID{}, map[id.UserID]*contact{}
	n.curious, n.present, n.ignored = nil, map[id.UserID]bool{}, nil
	n.waiting, n.sent, n.echoes = map[id.RoomID][]chan struct{}{}, map[string]*sending{}, map[string]echo{}
	n.jobs.queue, n.jobs.busy = nil, map[string]bool{}
	n.watches = nil
	n.machine, n.unread = nil, map[id.SessionID][]unreadable{}
}

// Run connects and serves the account until that fails or ctx is done.
func (n *network) Run(ctx context.Context, _ bridges.Start) error {
	n.d.entered()
	defer n.d.left()
	life, end := context.WithCancel(ctx)
	defer end()
	n.mu.Lock()
	n.run = ctx
	n.mu.Unlock()
	err := n.connect(life)
	if err == nil {
		err = n.serve(life)
	}
	end()
	n.detach(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// connect asks the homeserver whether the account is still logged in, and reads what
// is known of it. Then the link is online: what is stored is enough to begin with.
func (n *network) connect(ctx context.Context) error {
	n.turns.Lock()
	n.mu.Lock()
	n.reset()
	n.mu.Unlock()
	n.turns.Unlock()
	where := n.creds.base.Host
	if err := n.sink.Emit(ctx, &bridges.State{Kind: bridges.Connecting, Text: "Connecting to " + where + "."}); err != nil {
		return bridges.AsError(err)
	}
	creds, err := newTokens(ctx, n.account, n.creds)
	if err != nil {
		return bridges.AsError(err)
	}
	cli := n.d.client(creds)
	cli.SaveNewToken = n.saveTokens
	var who *mautrix.RespWhoami
	if err := n.d.request(ctx, func(ctx context.Context) (err error) { who, err = cli.Whoami(ctx); return err }); err != nil {
		return n.lost(err)
	}
	if who == nil || who.UserID != n.creds.user {
		return &bridges.Error{Kind: bridges.BadCredentials, Permanent: true, Text: "The homeserver says that this is another account now. Log in again."}
	}
	t := n.begin()
	defer t.release()
	if err := n.restore(ctx, t, cli); err != nil {
		return bridges.AsError(err)
	}
	machine, note := n.startMachine(ctx, cli)
	n.mu.Lock()
	n.cli, n.life, n.online, n.machine = cli, ctx, true, machine
	t.emit(&bridges.State{Kind: bridges.Online, Text: "Connected to " + where + " as " + string(n.creds.user) + "." + note})
	t.updateContacts()
	n.mu.Unlock()
	if err := t.end(ctx); err != nil {
		return bridges.AsError(err)
	}
	n.followAll()
	return nil
}

// loggedOut is what a user is told whose session has ended.
const loggedOut = "You are logged out of your Matrix account: the homeserver has ended the gateway's session. Log in again with the gateway's command for it, or by registering again; your rooms stay."

// lost is why a connection has ended, to whoever decides whether to try again.
func (n *network) lost(err *bridges.Error) *bridges.Error {
	switch err.Kind {
	case bridges.BadCredentials:
		return &bridges.Error{Kind: bridges.BadCredentials, Permanent: true, Text: loggedOut, Err: err.Err}
	case bridges.Offline, bridges.Timeout, bridges.TemporaryRefuse, bridges.NetworkBanned:
	case bridges.Forbidden:
		if !err.Permanent { // an address that is not allowed here
			err.Kind = bridges.TemporaryRefuse
		}
	default:
		err.Kind = bridges.TemporaryRefuse
	}
	return err
}

// saveTokens stores what a refresh has given, before it is used.
func (n *network) saveTokens(ctx context.Context, refresh, access string, expires time.Time) error {
	raw, err := json.Marshal(storedTokens{Login: n.creds.token, Access: access, Refresh: refresh, Expires: expires})
	if err != nil {
		return err
	}
	return n.store.Commit(ctx, map[string][]byte{stateTokens: raw})
}

// restore reads what is stored. The turn is held.
func (n *network) restore(ctx context.Context, t *turn, cli *mautrix.Client) error {
	if err := t.load(ctx, stateSync, stateSelf, stateDirect, stateIgnored, stateRoom, stateSeen, stateInvite, stateUnread, stateKnock); err != nil {
		return err
	}
	stored := t.loaded
	t.loaded = nil
	var self profile
	if raw := stored[stateSelf]; raw == nil || json.Unmarshal(raw, &self) != nil {
		self = n.fetchProfile(ctx, cli)
		t.put(stateSelf, self)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.since, n.self = string(stored[stateSync]), self
	for name, raw := range stored {
		switch kind, rest, _ := strings.Cut(name, "/"); kind + "/" {
		case stateRoom:
			r := &room{id: id.RoomID(rest)}
			if json.Unmarshal(raw, &r.roomState) != nil {
				continue
			}
			if seen := stored[stateSeen+rest]; seen != nil {
				_ = json.Unmarshal(seen, &r.seen)
			}
			n.rooms[r.id] = r
			n.nameRoom(r)
			if !r.Offered { // the process ended before it was
				n.noteBelongs(r.id, true)
			}
		case stateUnread:
			n.restoreUnread(name, raw)
		case stateKnock:
			n.knocks[id.RoomID(rest)] = string(raw)
		case stateInvite:
			inv := &invite{}
			if json.Unmarshal(raw, inv) == nil {
				n.invites[id.RoomID(rest)] = inv
			}
		}
	}
	n.directs = readDirects(stored[stateDirect])
	n.ignored = readIgnored(stored[stateIgnored])
	return nil
}

// fetchProfile asks how the user is called; where that fails, by the Matrix ID.
func (n *network) fetchProfile(ctx context.Context, cli *mautrix.Client) profile {
	var resp *mautrix.RespUserProfile
	err := n.d.request(ctx, func(ctx context.Context) (err error) { resp, err = cli.GetProfile(ctx, n.creds.user); return err })
	if err != nil || resp == nil {
		return profile{}
	}
	return profile{Name: resp.DisplayName, Avatar: resp.AvatarURL.String()}
}

// detach ends what was under way when the connection was lost: ctx is Run's, that of
// the connection has ended.
func (n *network) detach(ctx context.Context) {
	n.mu.Lock()
	n.online = false // who is at work goes on with the client until it is refused
	n.mu.Unlock()
	n.jobs.workers.Wait()
	t := n.begin()
	defer t.release()
	n.mu.Lock()
	n.cli = nil
	for _, j := range n.jobs.queue {
		t.fail(j.ref, errOffline())
	}
	n.jobs.queue = nil
	n.sent = map[string]*sending{}
	n.mu.Unlock()
	_ = t.end(ctx)
}

func errOffline() *bridges.Error {
	return bridges.NewError(bridges.Offline, "There is no connection to your homeserver.")
}

func errBusy() *bridges.Error {
	return bridges.NewError(bridges.RateLimited, "Too much is waiting to be sent to your homeserver. Try again in a moment.")
}

// fail tells that an action has failed.
func (t *turn) fail(ref bridges.Ref, err *bridges.Error) {
	if ref != 0 {
		t.emit(&bridges.Failed{Ref: ref, Err: err})
	}
}

// RoomID folds the name of a room: an alias is that of the room it leads to, as far
// as is known.
func (n *network) RoomID(name string) bridges.RoomID {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = foldID(name)
	if rid, ok := n.aliases[name]; ok {
		return bridges.RoomID(rid)
	}
	return bridges.RoomID(name)
}

// UserID folds a Matrix ID. A name without a server is of the user's own.
func (n *network) UserID(name string) bridges.UserID {
	if !strings.HasPrefix(name, "@") {
		name = "@" + name
	}
	if !strings.Contains(name, ":") {
		_, _, server := splitID(string(n.creds.user))
		name = strings.ToLower(name) + ":" + server
	}
	return bridges.UserID(foldID(name))
}

// Self is the user.
func (n *network) Self() bridges.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online {
		return bridges.Member{}
	}
	return n.selfMember()
}

func (n *network) selfMember() bridges.Member { return person(n.creds.user, n.self.Name) }

// person is somebody outside of any room.
func person(user id.UserID, name string) bridges.Member {
	nick := cleanNick(name)
	if nick == "" {
		nick = visibleID(user)
	}
	return bridges.Member{
		ID: bridges.UserID(user), Nick: nick, Address: string(user), Account: string(user), Identity: string(user),
	}
}

// maxLine is how much text fits one event with room for its looks.
const maxLine = 16 << 10

// Capabilities tells what can be done at a place.
func (n *network) Capabilities(p bridges.Place) bridges.Caps {
	caps := bridges.Caps{
		HTML: true, Edit: true, Reply: true, Thread: true, React: true, Retract: true, Typing: true, Read: true, Files: true, Location: true,
		Once: true, MaxLine: maxLine,
	}
	if p.Room != "" {
		n.mu.Lock()
		defer n.mu.Unlock()
		if r := n.rooms[id.RoomID(p.Room)]; r != nil && r.Space {
			return bridges.Caps{Group: true, Resident: true}
		}
		caps.Mention, caps.Subject, caps.Moderate, caps.Accounts, caps.Resident = true, true, true, true, true
	}
	return caps
}

// memory keeps the state of an account that has no store, for as long as the link is
// open.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Load(_ context.Context, prefix string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string][]byte{}
	for name, value := range m.values {
		if strings.HasPrefix(name, prefix) {
			found[name] = value
		}
	}
	return found, nil
}

func (m *memory) Save(ctx context.Context, changes map[string][]byte) error {
	return m.Commit(ctx, changes)
}

func (m *memory) Commit(_ context.Context, changes map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	maps.Copy(m.values, changes)
	maps.DeleteFunc(m.values, func(_ string, v []byte) bool { return v == nil })
	return nil
}
