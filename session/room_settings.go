package session

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// choice is what the user chose for one room, whether in it or not.
type choice struct {
	RoomSetting
	jid  component.JID // bare
	addr bridges.Address
	// trouble is why a room that is kept is not joined at present, in words; empty:
	// it is, or will be.
	trouble string
}

// setChoices takes over what is stored of the user's rooms. What was found out about
// them stays.
func (s *Session) setChoices(rec *Record) {
	known := s.choices
	s.defaults, s.choices = rec.Defaults, nil
	for _, stored := range rec.Rooms {
		jid, err := component.ParseJID(stored.Room)
		if err != nil {
			s.log.Warn("the stored settings of a room have no address that can be read", "room", stored.Room)
			continue
		}
		addr, err := s.m.driver.Parse(component.UnescapeLocal(jid.Local))
		if err != nil || addr.Kind != bridges.AddressRoom {
			s.log.Warn("stored settings are of no room any more", "room", stored.Room)
			continue
		}
		c := s.choose(jid.Bare(), addr, stored)
		if was := known[jid.Local]; was != nil {
			c.trouble = was.trouble
		}
	}
}

// choose notes what is stored of a room.
func (s *Session) choose(jid component.JID, addr bridges.Address, set RoomSetting) *choice {
	c := s.choices[jid.Local]
	if c == nil {
		c = &choice{jid: jid.Clone(), addr: addr}
		if s.choices == nil {
			s.choices = make(map[string]*choice)
		}
		s.choices[c.jid.Local] = c
	}
	c.RoomSetting = set
	return c
}

// inOrder are the user's choices by address.
func (s *Session) inOrder() []*choice {
	out := make([]*choice, 0, len(s.choices))
	for _, c := range s.choices {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *choice) int { return strings.Compare(a.jid.Local, b.jid.Local) })
	return out
}

// records tells whether the user wants the lines of a room recorded.
func (s *Session) records(local string) bool {
	if c := s.choices[local]; c != nil && c.Record != nil {
		return *c.Record
	}
	return s.recordsByDefault()
}

func (s *Session) recordsByDefault() bool {
	if s.defaults.Record != nil {
		return *s.defaults.Record
	}
	return s.m.policy().Record
}

// keepsByDefault tells whether rooms the user enters are kept from then on.
func (s *Session) keepsByDefault() bool {
	if s.defaults.Persistent != nil {
		return *s.defaults.Persistent
	}
	return s.m.policy().Persistent
}

// wantsRecord tells whether the user wants the room's lines recorded.
func (r *room) wantsRecord() bool { return r.records(r.jid.Local) }

// recordsPrivate tells whether the user wants one-to-one lines kept. Those that
// came while the user was away are only ours to deliver, so all are.
func (s *Session) recordsPrivate() bool { return true }

// recordChanged acts on what the user now wants of the room's lines.
func (r *room) recordChanged() {
	switch {
	case !r.wantsRecord():
		r.stopRecording()
	case r.inside():
		r.startRecording()
	}
}

// recordsChanged does so for all rooms.
func (s *Session) recordsChanged() {
	for _, r := range s.rooms {
		r.recordChanged()
	}
}

// write is a change of what is stored of the user, waiting for its turn: they are
// stored one after the other, so that the last one stays.
type write struct {
	// begin runs in the session when it is the write's turn and returns what blocks
	// on the store.
	begin func() func(ctx context.Context) error
	done  func(error)
}

// maxWrites bounds the changes that wait.
const maxWrites = 64

// errUnread is why nothing is stored while what is there is not known.
var errUnread = errors.New("what is stored of the user has not been read yet")

// errPanicked is why something is not stored after a fault of the program.
var errPanicked = errors.New("a fault of the program")

// write has a change stored; done is called in the session.
func (s *Session) write(w write) {
	if s.unread { // it could undo what is stored
		w.done(errUnread)
		return
	}
	if len(s.writes) >= maxWrites {
		w.done(errBusy)
		return
	}
	s.writes = append(s.writes, w)
	if len(s.writes) == 1 {
		s.nextWrite()
	}
}

func (s *Session) nextWrite() {
	w := s.writes[0]
	store := w.begin()
	ok := s.work(func() (then func()) {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		err := errPanicked
		defer func() {
			if p := recover(); p != nil { // those behind it have their turn
				s.m.stats.panics.Add(1)
				s.log.Error("storing settings panicked", "panic", p, "stack", string(debug.Stack()))
				then = func() { s.written(w, err) }
			}
		}()
		err = store(ctx)
		return func() { s.written(w, err) }
	})
	if !ok {
		s.written(w, errBusy)
	}
}

// written ends a write: done may begin the next, which waits its turn behind it.
func (s *Session) written(w write, err error) {
	defer func() {
		if s.writes = s.writes[1:]; len(s.writes) > 0 {
			s.nextWrite()
		}
	}()
	w.done(err)
}

// notStored is what a user is told whose change could not be stored.
func (s *Session) notStored(err error) *component.StanzaError {
	if bridges.AsError(err).Kind == bridges.RateLimited {
		return StanzaError(err)
	}
	s.log.Error("settings cannot be stored", "error", err)
	return component.NewStanzaError("wait", "internal-server-error", "The settings could not be stored; nothing was changed. Please try again later.")
}

// roomChange is what a user wants changed of a room's settings.
type roomChange struct {
	persistent *bool // nil: as it is
	setRecord  bool
	record     *bool // where setRecord: nil is the user's default
}

// setting is what is stored of a room, or would be.
func (s *Session) setting(jid component.JID) RoomSetting {
	if c := s.choices[jid.Local]; c != nil {
		return c.RoomSetting
	}
	return RoomSetting{Room: jid.String()}
}

// changed is a room's setting after a change.
func (s *Session) changed(jid component.JID, ch roomChange) RoomSetting {
	set := s.setting(jid)
	if ch.setRecord {
		set.Record = ch.record
	}
	if ch.persistent != nil {
		set.Persistent = *ch.persistent
	}
	if r := s.rooms[jid.Local]; r != nil && r.inside() {
		set.Nick, set.Password = r.nick, r.password
	}
	if !set.Persistent {
		set.Nick, set.Password = "", "" // nothing needs them
	}
	return set
}

// changeRoom stores what the user wants of a room, acts on it, and calls done in the
// session: with nil, or with what to tell the user.
func (s *Session) changeRoom(jid component.JID, addr bridges.Address, ch roomChange, done func(*component.StanzaError)) {
	jid = jid.Bare().Clone()
	if s.choices[jid.Local] == nil && len(s.choices) >= s.maxChoices() {
		done(StanzaError(bridges.NewError(bridges.TooManyRooms, "You have settings for as many rooms as this gateway keeps.")))
		return
	}
	var set RoomSetting
	s.write(write{
		begin: func() func(context.Context) error {
			set = s.changed(jid, ch)
			return func(ctx context.Context) error { return s.m.store.SaveRoom(ctx, s.user.String(), set) }
		},
		done: func(err error) {
			if err != nil {
				done(s.notStored(err))
				return
			}
			c := s.choose(jid, addr, set)
			s.choiceChanged(c)
			done(nil)
		},
	})
}

// maxChoices bounds the rooms a user has settings for.
func (s *Session) maxChoices() int { return 2 * s.maxRooms() }

// forgetRoom removes what is stored of a room.
func (s *Session) forgetRoom(jid component.JID, done func(*component.StanzaError)) {
	jid = jid.Bare().Clone()
	s.write(write{
		begin: func() func(context.Context) error {
			return func(ctx context.Context) error { return s.m.store.RemoveRoom(ctx, s.user.String(), jid.String()) }
		},
		done: func(err error) {
			if err != nil {
				done(s.notStored(err))
				return
			}
			if c := s.choices[jid.Local]; c != nil {
				delete(s.choices, jid.Local)
				c.Persistent = false
				s.choiceChanged(c)
			}
			done(nil)
		},
	})
}

// choiceChanged acts on new settings of a room.
func (s *Session) choiceChanged(c *choice) {
	r := s.rooms[c.jid.Local]
	if r != nil {
		r.recordChanged()
	}
	switch {
	case c.Persistent && r == nil:
		s.openChoice(c, true)
	case !c.Persistent && r != nil:
		r.auto = r.auto && r.listed()
		if r.part == nil {
			r.afterSeat("", false)
		}
	}
}

// changeDefaults stores what the user gets in rooms without a choice.
func (s *Session) changeDefaults(d Defaults, done func(*component.StanzaError)) {
	s.write(write{
		begin: func() func(context.Context) error {
			return func(ctx context.Context) error { return s.m.store.SaveDefaults(ctx, s.user.String(), d) }
		},
		done: func(err error) {
			if err != nil {
				done(s.notStored(err))
				return
			}
			s.defaults = d
			s.recordsChanged()
			done(nil)
		},
	})
}
