package session

import (
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Bounds of what is shown of who has read what.
const (
	// maxReaders is how many a room may have for its members' markers to be shown:
	// in a crowd each line would be followed by as many.
	maxReaders = 50
	// recount is how long the number of a room's members is taken for true.
	recount = time.Minute
)

// hasRead tells the network up to where the user has read: once, however many
// clients say so. netID may answer later.
func (l *link) hasRead(at bridges.Place, id string, netID func(string, func(bridges.MessageID))) {
	if _, ok := l.net.(bridges.Reader); !ok || !l.online() || !l.net.Capabilities(at).Read {
		return
	}
	netID(id, func(line bridges.MessageID) {
		reader, ok := l.net.(bridges.Reader)
		if line == "" || !ok || l.dead || !l.online() {
			return
		}
		g := l.sign(at)
		if g != nil && g.read == line {
			return
		}
		if err := reader.SetRead(at, line); err != nil {
			l.quietly("read", err)
			return
		}
		if g != nil {
			g.read = line
		}
	})
}

// onRead is somebody who has read up to a line. In a room the user too: read through
// another client of the network's.
func (s *Session) onRead(l *link, ev *bridges.Read) {
	if !s.up {
		return
	}
	if ev.Place.Room != "" {
		s.inRoom(l, ev.Place.Room, func(r *room) { r.onRead(ev) })
		return
	}
	if ev.From.ID == l.net.Self().ID {
		return
	}
	c := s.chatWith(l, &ev.From)
	c.hearing.behind(func() {
		s.privateShownID(c, ev.ID, func(id string, own bool) {
			if id == "" || !own { // markers are about what their recipient has said
				return
			}
			s.showSign(l, ev.Place, &ev.From, func(o *component.Out) {
				xep.AppendDisplayed(o, id)
				xep.Store.AppendTo(o)
			})
		})
	})
}

// behind runs f when what waits now is done; what comes later does not wait for f.
func (c *chain) behind(f func()) {
	if !c.busy || c.full() {
		f()
		return
	}
	c.do(func(done func()) {
		f()
		done()
	})
}

// onRead shows a member's marker, by the line's stanza-id (XEP-0333).
func (r *room) onRead(ev *bridges.Read) {
	if !r.inside() || len(r.seats) == 0 || r.crowded() {
		return
	}
	from := ev.From
	if from.ID == r.l.net.Self().ID {
		from = r.self
	} else if from.Nick == "" {
		m, ok := r.l.net.Member(r.id, from.ID)
		if !ok {
			return
		}
		from = m
	}
	r.hearing.behind(func() {
		r.shownID(ev.ID, func(l *line) {
			if l == nil || r.rooms[r.jid.Local] != r {
				return
			}
			sid := l.sid
			r.showSign(r.l, ev.Place, &from, func(o *component.Out) { xep.AppendDisplayed(o, sid) })
		})
	})
}

// headcount is how many members a room has beside the user, as last counted.
type headcount struct {
	members int
	at      time.Time
}

// crowded tells whether the room has more members than markers are shown of.
func (r *room) crowded() bool {
	if now := time.Now(); r.count == nil || now.Sub(r.count.at) > recount {
		_, members, _ := r.l.net.Members(r.id)
		r.count = &headcount{len(members), now}
	}
	return r.count.members > maxReaders
}

// markable asks for markers of a line, of a network that takes them. It is part of
// the line wherever that is shown.
var markable = component.Fragment(xep.AppendMarkable)
