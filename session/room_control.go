package session

import (
	"context"

	"transportd/bridges"
	"transportd/component"
)

// RoomState is a room as its user has it, for people.
type RoomState struct {
	JID        component.JID
	Network    bridges.NetworkID
	State      string // a sentence
	Persistent bool
	Recorded   bool
}

// ask runs f in the user's session; f calls its second argument once, when there is
// an answer. It waits for that, or for ctx.
func (m *Manager) ask(ctx context.Context, user component.JID, f func(*Session, func(*component.StanzaError))) error {
	answer := make(chan *component.StanzaError, 1)
	err := m.inside(ctx, user, func(s *Session) {
		f(s, func(e *component.StanzaError) { answer <- e })
	})
	if err != nil {
		return err
	}
	select {
	case e := <-answer:
		if e != nil {
			return e
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve is the address under which the user has a room that was named in one of
// several ways.
func (s *Session) resolve(jid component.JID, addr bridges.Address) component.JID {
	l := s.existing(addr.Network)
	if l == nil || s.rooms[jid.Local] != nil || s.choices[jid.Local] != nil {
		return jid
	}
	id := l.net.RoomID(addr.Name)
	if r := s.byID(l, id); r != nil {
		return r.jid
	}
	for _, c := range s.inOrder() {
		if c.addr.Network == l.id && l.net.RoomID(c.addr.Name) == id {
			return c.jid
		}
	}
	return jid
}

// Rooms lists the rooms a user is in or has settings for, by address; of one network,
// or of all where it is empty. It waits for the session, until ctx is done.
func (m *Manager) Rooms(ctx context.Context, user component.JID, network bridges.NetworkID) ([]RoomState, error) {
	var out []RoomState
	err := m.inside(ctx, user, func(s *Session) { out = s.roomStates(network) })
	return out, err
}

func (s *Session) roomStates(network bridges.NetworkID) []RoomState {
	var out []RoomState
	for _, l := range s.links {
		for _, r := range s.roomsOf(l) {
			if network == "" || l.id == network {
				out = append(out, RoomState{JID: r.jid, Network: l.id, State: r.summary(), Persistent: r.stays(), Recorded: r.wantsRecord()})
			}
		}
	}
	for _, c := range s.inOrder() {
		if s.rooms[c.jid.Local] == nil && (network == "" || c.addr.Network == network) {
			out = append(out, RoomState{JID: c.jid, Network: c.addr.Network, State: s.absent(c), Persistent: c.Persistent, Recorded: s.records(c.jid.Local)})
		}
	}
	return out
}

// summary says how it stands with a room the user is in.
func (r *room) summary() string {
	switch r.state {
	case roomIn:
		if len(r.seats) == 0 {
			return "In it as " + r.nick + ", without a client."
		}
		return "In it as " + r.nick + "."
	case roomDown:
		return "The connection to the network is down."
	case roomLeaving:
		return "Being left."
	}
	return "Being joined."
}

// absent says why the user is not in a room there are settings for.
func (s *Session) absent(c *choice) string {
	switch {
	case !c.Persistent:
		return "Not in it."
	case c.trouble != "":
		return "Not in it: " + c.trouble
	case !s.mayKeep(c.addr.Network):
		return "Not in it: you are logged out."
	}
	return "Not in it: there is no connection to the network."
}

// keepRoom makes a room persistent, and joins it where the user is not in.
func (m *Manager) keepRoom(ctx context.Context, user, jid component.JID, addr bridges.Address) error {
	yes := true
	return m.ask(ctx, user, func(s *Session, done func(*component.StanzaError)) {
		jid := s.resolve(jid, addr)
		if s.rooms[jid.Local] == nil {
			if e := s.mayJoin(addr.Network); e != nil {
				done(e)
				return
			}
			if e := s.roomLimit(); e != nil {
				done(e)
				return
			}
		}
		s.changeRoom(jid, addr, roomChange{persistent: &yes}, done)
	})
}

// setRoom changes a room's settings as they are given.
func (m *Manager) setRoom(ctx context.Context, user, jid component.JID, addr bridges.Address, ch roomChange) error {
	return m.ask(ctx, user, func(s *Session, done func(*component.StanzaError)) {
		jid := s.resolve(jid, addr)
		if r := s.rooms[jid.Local]; ch.persistent != nil && !*ch.persistent && r != nil && r.listed() {
			done(component.NewStanzaError("modify", "not-acceptable", listedText))
			return
		}
		s.changeRoom(jid, addr, ch, done)
	})
}

// dropRoom makes a room one that is not kept, and leaves it for good: every client
// is shown out.
func (m *Manager) dropRoom(ctx context.Context, user, jid component.JID, addr bridges.Address) error {
	return m.ask(ctx, user, func(s *Session, done func(*component.StanzaError)) {
		jid := s.resolve(jid, addr)
		r, c := s.rooms[jid.Local], s.choices[jid.Local]
		switch {
		case r == nil && (c == nil || !c.Persistent):
			done(StanzaError(bridges.NewError(bridges.NotFound, "You do not keep this room.")))
			return
		case r != nil && r.listed():
			done(component.NewStanzaError("modify", "not-acceptable", listedText))
			return
		}
		leave := func(e *component.StanzaError) {
			if r := s.rooms[jid.Local]; e == nil && r != nil {
				r.dismiss()
			}
			done(e)
		}
		s.unkeep(jid, leave)
	})
}

// dismiss leaves a room with every client.
func (r *room) dismiss() {
	r.auto = false
	r.showLeave(leave{codes: codesSelf})
	r.removeSeats()
	r.leaveNetwork("")
}

// userDefaults returns what the user chose, and what that comes to.
func (m *Manager) userDefaults(ctx context.Context, user component.JID) (d Defaults, err error) {
	err = m.inside(ctx, user, func(s *Session) { d = s.defaults })
	return d, err
}

// setDefaults changes what the user gets in rooms without a choice.
func (m *Manager) setDefaults(ctx context.Context, user component.JID, d Defaults) error {
	return m.ask(ctx, user, func(s *Session, done func(*component.StanzaError)) { s.changeDefaults(d, done) })
}

// roomSetting returns what a user chose for a room, and whether it is kept.
func (m *Manager) roomSetting(ctx context.Context, user, jid component.JID) (set RoomSetting, stays bool, err error) {
	err = m.inside(ctx, user, func(s *Session) {
		set, stays = s.setting(jid), s.remains(jid.Local, s.rooms[jid.Local])
	})
	return set, stays, err
}

// errNoArchive answers who wants something of an archive that is not there.
var errNoArchive = component.NewStanzaError("cancel", "feature-not-implemented", "This gateway keeps no archive.")

// forgetHistory removes a user's view of what was said in a room so far.
func (m *Manager) forgetHistory(ctx context.Context, user, jid component.JID, addr bridges.Address) error {
	if m.archive == nil {
		return errNoArchive
	}
	// What was said up to now must be in the database to be removed from it. What is
	// said from now on stays, so that it is recorded all the while.
	err := m.inside(ctx, user, func(s *Session) {
		jid = s.resolve(jid, addr)
		if r := s.rooms[jid.Local]; r != nil {
			r.lines, r.array = nil, nil
		}
	})
	if err != nil {
		return err
	}
	if err := m.archive.Flush(ctx); err != nil {
		return err
	}
	return m.store.ForgetHistory(ctx, user.Bare().String(), jid.String())
}
