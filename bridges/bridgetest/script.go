package bridgetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"transportd/bridges"
)

// Script is a driver without a network: what it is asked is recorded, and what
// happens on its networks is said by the test. Addresses are "#room%net",
// "nick%net" and "net". It is for tests of the session.
type Script struct {
	info bridges.Info

	// FailOpen, when set, is what Open returns.
	FailOpen error
	// Gate, when set, is called at the start of every Run with its number (from
	// 1) and decides what becomes of the connection: an error ends it.
	Gate func(n *ScriptNet, run int, st bridges.Start) error

	// Caps are what every place can do, beside what rooms can. Where lines can be
	// referred to, those of the user are called $1, $2 and so on.
	Caps bridges.Caps
	// Contacts: networks are ones of accounts with contacts, and Befrienders.
	Contacts bool
	// Addresses: people are known in rooms (bridges.Info.Addresses).
	Addresses bool
	// About is what rooms are like, by name; Directory and Outcasts are the networks'.
	About     map[string]*bridges.RoomInfo
	Directory []bridges.DirectoryEntry
	Outcasts  []bridges.ListEntry
	Blocked   []string // on networks with Contacts
	// Creates: what is asked for is noted where rooms may be made.
	Creates bool
	// Settings are those of every room.
	Settings []bridges.Field
	// Groups are what is in groups of rooms, by name; those of the name "" are on top.
	Groups map[string][]bridges.DirectoryEntry
	// Older is what was said in rooms, oldest first; FailHistory is what asking for it
	// comes to instead.
	Older       map[bridges.RoomID][]*bridges.Message
	FailHistory error
	// Offers are the driver's own commands.
	Offers []bridges.Command
	// History is what rooms come with, by name.
	History map[string][]*bridges.Message

	mu   sync.Mutex
	nets []*ScriptNet
}

// NewScript makes the driver.
func NewScript() *Script {
	return &Script{info: bridges.Info{Type: "script", Name: "Script", RoomType: "text", Groups: "clubs", FoldsCase: true, Blocks: true}}
}

// Info implements bridges.Driver.
func (d *Script) Info() bridges.Info {
	info := d.info
	info.Addresses = d.Addresses
	return info
}

// Parse implements bridges.Driver.
func (d *Script) Parse(local string) (bridges.Address, error) {
	name, net, ok := strings.Cut(local, "%")
	switch {
	case !ok:
		return bridges.Address{Kind: bridges.AddressNetwork, Network: bridges.NetworkID(local)}, nil
	case name == "" || net == "":
		return bridges.Address{}, bridges.NewError(bridges.NotFound, "There is no such address.")
	case strings.HasPrefix(name, "#"):
		return bridges.Address{Kind: bridges.AddressRoom, Network: bridges.NetworkID(net), Name: name}, nil
	}
	return bridges.Address{Kind: bridges.AddressPerson, Network: bridges.NetworkID(net), Name: name}, nil
}

// Format implements bridges.Driver.
func (d *Script) Format(a bridges.Address) string {
	if a.Kind == bridges.AddressNetwork {
		return string(a.Network)
	}
	return a.Name + "%" + string(a.Network)
}

// ParsePrompt implements bridges.Driver.
func (d *Script) ParsePrompt(text string) (bridges.Address, error) { return d.Parse(text) }

// Networks implements bridges.Driver.
func (d *Script) Networks() []bridges.NetworkInfo { return nil }

// Fields implements bridges.Driver.
func (d *Script) Fields(bridges.NetworkID) []bridges.Field {
	return []bridges.Field{{Name: "nick", Label: "Nickname", Legacy: "nick"}}
}

// Commands implements bridges.Commander.
func (d *Script) Commands() []bridges.Command { return d.Offers }

// NewLogin implements bridges.Driver; every account is accepted.
func (d *Script) NewLogin(a bridges.Account) bridges.Login {
	return &bridges.CheckLogin{Account: a, Fields: d.Fields(a.Network), Check: func(context.Context, bridges.Account) error { return nil }}
}

// Logout implements bridges.Driver.
func (d *Script) Logout(context.Context, bridges.Account) error { return nil }

// Open implements bridges.Driver.
func (d *Script) Open(a bridges.Account, sink bridges.Sink) (bridges.Network, error) {
	if d.FailOpen != nil {
		return nil, d.FailOpen
	}
	n := &ScriptNet{d: d, Account: a, sink: sink, do: make(chan func(), 4096), end: make(chan error, 1),
		rooms: make(map[bridges.RoomID]*ScriptRoom), Doors: make(map[string]func(ref bridges.Ref, room string, opt bridges.JoinOptions))}
	d.mu.Lock()
	d.nets = append(d.nets, n)
	d.mu.Unlock()
	if d.Contacts {
		return &scriptAccount{n}, nil
	}
	return n, nil
}

// Net returns the nth network that was opened, nil when there are fewer.
func (d *Script) Net(i int) *ScriptNet {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i >= len(d.nets) {
		return nil
	}
	return d.nets[i]
}

// ScriptRoom is what a scripted room holds.
type ScriptRoom struct {
	Members []bridges.Member
	Subject *bridges.Subject
	In      bool
}

// ScriptNet is one link of a Script. Events the test says and events that answer
// actions are emitted in order, by Run's goroutine.
type ScriptNet struct {
	d       *Script
	Account bridges.Account
	sink    bridges.Sink
	do      chan func()
	end     chan error
	// Doors replace what joining a room does, by name.
	Doors map[string]func(ref bridges.Ref, room string, opt bridges.JoinOptions)
	// Alone: what is said is for this user only (bridges.Caps.Shared is false).
	Alone bool
	// Avatar is the picture of everybody.
	Avatar string
	// Hold: lines are not taken until Take.
	Hold bool
	// Full: Send finds its queue full.
	Full bool
	// SlowQuit is how long the network takes to let the user go.
	SlowQuit time.Duration
	// Ask, when set, is called by every query before it answers.
	Ask func()

	mu     sync.Mutex
	runs   int
	online bool
	ctx    context.Context
	nick   string
	calls  []string
	rooms  map[bridges.RoomID]*ScriptRoom
	held   []func()
	lines  int // of the user's
	tokens []string
}

func fold(s string) string { return strings.ToLower(s) }

// Person is a member with plain standing.
func Person(nick string) bridges.Member {
	return bridges.Member{ID: bridges.UserID(fold(nick)), Nick: nick, Role: bridges.RoleParticipant, Affiliation: bridges.AffiliationNone}
}

// Room returns a scripted room, made where needed.
func (n *ScriptNet) Room(name string) *ScriptRoom {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.room(name)
}

// SetMembers says who else is in a room.
func (n *ScriptNet) SetMembers(room string, members ...bridges.Member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.room(room).Members = members
}

// SetNick says what the user is called, without an event.
func (n *ScriptNet) SetNick(nick string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nick = nick
}

func (n *ScriptNet) room(name string) *ScriptRoom {
	id := bridges.RoomID(fold(name))
	if n.rooms[id] == nil {
		n.rooms[id] = &ScriptRoom{}
	}
	return n.rooms[id]
}

// Calls returns what was asked so far, one line a call.
func (n *ScriptNet) Calls() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls)
}

// Runs is how often the network was connected.
func (n *ScriptNet) Runs() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runs
}

func (n *ScriptNet) called(words ...string) {
	n.mu.Lock()
	n.calls = append(n.calls, strings.Join(words, " "))
	n.mu.Unlock()
}

// Say queues an event; Run emits it.
func (n *ScriptNet) Say(ev bridges.Event) { n.do <- func() { n.emit(ev) } }

// TrySay is Say that gives up where too much is waiting already, as on a
// network that is not connected.
func (n *ScriptNet) TrySay(ev bridges.Event) {
	select {
	case n.do <- func() { n.emit(ev) }:
	default:
	}
}

// Wait waits until the connection being made is given up: what a Gate returns
// for a network that does not answer.
func (n *ScriptNet) Wait() error {
	n.mu.Lock()
	ctx := n.ctx
	n.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// End ends the present connection.
func (n *ScriptNet) End(err error) { n.end <- err }

// Take lets the lines that were held be taken.
func (n *ScriptNet) Take() {
	n.mu.Lock()
	held := n.held
	n.held, n.Hold = nil, false
	n.mu.Unlock()
	for _, f := range held {
		n.do <- f
	}
}

// Commit commits changes to what is stored of the account, in its place among the
// events.
func (n *ScriptNet) Commit(changes map[string][]byte) {
	n.do <- func() {
		n.mu.Lock()
		ctx := n.ctx
		n.mu.Unlock()
		_ = n.sink.Commit(ctx, changes)
	}
}

func (n *ScriptNet) emit(ev bridges.Event) {
	n.mu.Lock()
	ctx := n.ctx
	n.mu.Unlock()
	_ = n.sink.Emit(ctx, ev)
}

// Run implements bridges.Network.
func (n *ScriptNet) Run(ctx context.Context, st bridges.Start) error {
	n.mu.Lock()
	n.runs++
	run := n.runs
	n.ctx = ctx
	if st.Nick != "" {
		n.nick = st.Nick
	}
	if n.nick == "" {
		n.nick = n.Account.Nick
	}
	for _, r := range n.rooms {
		r.In = false
	}
	n.mu.Unlock()
	if n.d.Gate != nil {
		if err := n.d.Gate(n, run, st); err != nil {
			return err
		}
	}
	n.mu.Lock()
	n.online = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.online = false
		n.mu.Unlock()
	}()
	n.emit(&bridges.State{Kind: bridges.Online, Text: "connected"})
	for {
		select {
		case f := <-n.do:
			f()
		case err := <-n.end:
			return err
		case <-ctx.Done():
			time.Sleep(n.SlowQuit)
			n.called("quit")
			return nil
		}
	}
}

func offline() error { return bridges.NewError(bridges.Offline, "not connected") }

// act records a call and queues its outcome.
func (n *ScriptNet) act(call string, outcome func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online {
		return offline()
	}
	n.calls = append(n.calls, call)
	if n.Full {
		return bridges.NewError(bridges.RateLimited, "too many lines are waiting")
	}
	if n.Hold {
		n.held = append(n.held, outcome)
		return nil
	}
	select {
	case n.do <- outcome:
		return nil
	default:
		return bridges.NewError(bridges.RateLimited, "too many lines are waiting")
	}
}

// Online tells whether the network is connected.
func (n *ScriptNet) Online() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.online
}
