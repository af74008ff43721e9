// Package talk is a driver for a network that lives in memory. It is what
// docs/drivers.md explains: as small as a driver can be, and whole.
package talk

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"transportd/bridges"
)

// Driver is the driver for a hub.
type Driver struct{ Hub *Hub }

const network bridges.NetworkID = "talk"

// Info implements bridges.Driver.
func (d *Driver) Info() bridges.Info {
	return bridges.Info{Type: "talk", Name: "Talk", RoomType: "text", Prompt: "Room (with #) or name", FoldsCase: true, FixedNetwork: network}
}

// Parse implements bridges.Driver: "#room", "name", or nothing for the network.
func (d *Driver) Parse(local string) (bridges.Address, error) {
	a := bridges.Address{Kind: bridges.AddressPerson, Network: network, Name: local}
	switch {
	case local == "":
		a.Kind = bridges.AddressNetwork
	case strings.ContainsAny(local, " %") || local == "#" || len(local) > 50:
		return bridges.Address{}, bridges.NewError(bridges.NotFound, "There is no such name.")
	case local[0] == '#':
		a.Kind = bridges.AddressRoom
	}
	return a, nil
}

// Format implements bridges.Driver.
func (d *Driver) Format(a bridges.Address) string { return a.Name }

// ParsePrompt implements bridges.Driver.
func (d *Driver) ParsePrompt(text string) (bridges.Address, error) {
	return d.Parse(strings.TrimSpace(text))
}

// Networks implements bridges.Driver.
func (d *Driver) Networks() []bridges.NetworkInfo {
	return []bridges.NetworkInfo{{ID: network, Name: "Talk"}}
}

// Fields implements bridges.Driver.
func (d *Driver) Fields(id bridges.NetworkID) []bridges.Field {
	fields := []bridges.Field{{Name: "nick", Label: "Name", Legacy: "nick", Required: true}}
	if id == "" {
		fields = append([]bridges.Field{{Name: "network", Label: "Network"}}, fields...)
	}
	return fields
}

// NewLogin implements bridges.Driver: every name that nobody has is good.
func (d *Driver) NewLogin(a bridges.Account) bridges.Login {
	return &bridges.CheckLogin{Account: a, Fields: d.Fields(network), Check: func(ctx context.Context, a bridges.Account) error {
		if ctx.Err() != nil {
			return bridges.NewError(bridges.Timeout, "There was no time to ask.")
		}
		d.Hub.mu.Lock()
		defer d.Hub.mu.Unlock()
		if d.Hub.people[id(a.Settings["nick"])] != nil {
			return bridges.NewError(bridges.Conflict, "Somebody has this name.")
		}
		return nil
	}}
}

// Logout implements bridges.Driver.
func (d *Driver) Logout(context.Context, bridges.Account) error { return nil }

// Open implements bridges.Driver.
func (d *Driver) Open(a bridges.Account, sink bridges.Sink) (bridges.Network, error) {
	return &link{hub: d.Hub, sink: sink, nick: cmp.Or(a.Settings["nick"], a.Nick)}, nil
}

func id(nick string) bridges.UserID { return bridges.UserID(strings.ToLower(nick)) }

// Bounds of a link's queues.
const (
	maxTodo = 64   // actions: one more is refused
	maxNews = 4096 // events: who does not take them loses the connection
)

// link is one account's connection. hub.mu guards all of it.
type link struct {
	hub    *Hub
	sink   bridges.Sink
	nick   string
	todo   chan action // nil: offline
	news   chan bridges.Event
	broken chan struct{}
	stall  bool
	rooms  map[bridges.RoomID]bool
	last   map[bridges.RoomID][]bridges.Member // of the connection that ended
}

// action is something the session asked for: do is called with hub.mu held.
type action struct {
	ref bridges.Ref
	do  func() *bridges.Error
}

// Run implements bridges.Network.
func (l *link) Run(ctx context.Context, start bridges.Start) error {
	l.hub.mu.Lock()
	l.nick = cmp.Or(start.Nick, l.nick)
	if l.hub.people[id(l.nick)] != nil {
		l.hub.mu.Unlock()
		return bridges.NewError(bridges.Conflict, "Somebody has this name.")
	}
	l.hub.people[id(l.nick)] = &person{l.nick, l}
	todo, news, broken := make(chan action, maxTodo), make(chan bridges.Event, maxNews), make(chan struct{})
	l.todo, l.news, l.broken, l.rooms, l.last, l.stall = todo, news, broken, map[bridges.RoomID]bool{}, nil, false
	l.hub.mu.Unlock()
	defer l.end(ctx, todo, news)
	err := l.sink.Emit(ctx, &bridges.State{Kind: bridges.Online, Text: "connected"})
	for err == nil {
		select {
		case a := <-todo:
			err = l.perform(ctx, a)
		case ev := <-news:
			err = l.sink.Emit(ctx, ev)
		case <-broken:
			return bridges.NewError(bridges.Offline, "The connection was lost.")
		case <-ctx.Done():
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// perform does what the session asked for, once the network takes anything.
func (l *link) perform(ctx context.Context, a action) error {
	l.hub.mu.Lock()
	if l.stall {
		l.hub.mu.Unlock()
		select {
		case <-l.broken:
		case <-ctx.Done():
		}
		return l.sink.Emit(ctx, failed(a.ref))
	}
	e := a.do()
	l.hub.mu.Unlock()
	if e == nil {
		return nil
	}
	return l.sink.Emit(ctx, &bridges.Failed{Ref: a.ref, Err: e})
}

func failed(ref bridges.Ref) *bridges.Failed {
	return &bridges.Failed{Ref: ref, Err: &bridges.Error{Kind: bridges.Offline, Text: "The connection was lost.", Uncertain: true}}
}

// end leaves the network and gives everything that waits its outcome.
func (l *link) end(ctx context.Context, todo chan action, news chan bridges.Event) {
	l.hub.mu.Lock()
	l.last = map[bridges.RoomID][]bridges.Member{}
	for room := range l.rooms {
		l.last[room] = l.hub.members(room, id(l.nick))
		l.hub.leave(room, id(l.nick), bridges.Quit)
	}
	delete(l.hub.people, id(l.nick))
	l.todo = nil
	l.hub.mu.Unlock()
	for len(news) > 0 {
		_ = l.sink.Emit(ctx, <-news)
	}
	for len(todo) > 0 {
		_ = l.sink.Emit(ctx, failed((<-todo).ref))
	}
}

// ask queues an action.
func (l *link) ask(ref bridges.Ref, do func() *bridges.Error) error {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.todo == nil {
		return bridges.NewError(bridges.Offline, "There is no connection.")
	}
	select {
	case l.todo <- action{ref, do}:
		return nil
	default:
		return bridges.NewError(bridges.RateLimited, "Too much at once.")
	}
}

// tell queues an event. hub.mu is held.
func (l *link) tell(ev bridges.Event) {
	select {
	case l.news <- ev:
	default:
		l.lose()
	}
}

// lose breaks the connection. hub.mu is held.
func (l *link) lose() {
	select {
	case <-l.broken:
	default:
		close(l.broken)
	}
}

// RoomID implements bridges.Network.
func (l *link) RoomID(name string) bridges.RoomID { return bridges.RoomID(strings.ToLower(name)) }

// UserID implements bridges.Network.
func (l *link) UserID(name string) bridges.UserID { return id(name) }

// Join implements bridges.Network.
func (l *link) Join(ref bridges.Ref, name string, _ bridges.JoinOptions) error {
	return l.ask(ref, func() *bridges.Error {
		room := l.RoomID(name)
		l.rooms[room] = true
		l.hub.enter(room, id(l.nick))
		l.tell(&bridges.Entered{Ref: ref, Asked: name, Room: room, Name: string(room), Self: member(l.nick), Members: l.hub.members(room, id(l.nick))})
		return nil
	})
}

// Leave implements bridges.Network.
func (l *link) Leave(ref bridges.Ref, room bridges.RoomID, reason string) error {
	return l.ask(ref, func() *bridges.Error {
		delete(l.rooms, room)
		l.hub.leave(room, id(l.nick), bridges.Parted)
		l.tell(&bridges.Left{Ref: ref, Room: room, Member: member(l.nick), Self: true, Reason: reason})
		return nil
	})
}

// Send implements bridges.Network.
func (l *link) Send(ref bridges.Ref, to bridges.Place, m bridges.Outgoing) error {
	return l.ask(ref, func() *bridges.Error {
		if err := l.hub.say(l.nick, to, m.Kind, m.Body); err != nil {
			return err
		}
		l.tell(&bridges.Message{Ref: ref, Place: to, From: member(l.nick), Self: true, Kind: m.Kind})
		return nil
	})
}

// Self implements bridges.Network.
func (l *link) Self() bridges.Member {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.todo == nil && l.last == nil {
		return bridges.Member{}
	}
	return member(l.nick)
}

// Members implements bridges.Network.
func (l *link) Members(room bridges.RoomID) (self bridges.Member, others []bridges.Member, ok bool) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.last != nil {
		others, ok = l.last[room]
	} else if ok = l.rooms[room]; ok {
		others = l.hub.members(room, id(l.nick))
	}
	return member(l.nick), others, ok
}

// Member implements bridges.Network.
func (l *link) Member(room bridges.RoomID, user bridges.UserID) (bridges.Member, bool) {
	self, others, ok := l.Members(room)
	if ok && user == self.ID {
		return self, true
	}
	i := slices.IndexFunc(others, func(m bridges.Member) bool { return m.ID == user })
	if i < 0 {
		return bridges.Member{}, false
	}
	return others[i], true
}

// Capabilities implements bridges.Network.
func (l *link) Capabilities(p bridges.Place) bridges.Caps {
	return bridges.Caps{Accounts: p.Room != "", Shared: p.Room != ""}
}

func member(nick string) bridges.Member {
	return bridges.Member{ID: id(nick), Nick: nick, Account: nick, Identity: string(id(nick)), Role: bridges.RoleParticipant, Affiliation: bridges.AffiliationNone}
}
