package session

import (
	"context"
	"crypto/rand"
	"slices"

	"transportd/archive"
	"transportd/bridges"
)

// refersToLines tells whether at a place lines are referred to by what the network
// calls them.
func refersToLines(c *bridges.Caps) bool {
	return c.Edit || c.Reply || c.React || c.Retract || c.Read || c.Thread
}

// newToken is an unguessable name for a line on its way.
func newToken() string { return rand.Text() }

// chain runs steps of one place one after the other, where some of them wait for
// the archive. It belongs to a session.
type chain struct {
	queue []func(done func())
	busy  bool
}

// do runs a step in its turn: at once where nothing waits. The step calls done once,
// in the session.
func (c *chain) do(step func(done func())) {
	c.queue = append(c.queue, step)
	c.next()
}

func (c *chain) next() {
	for !c.busy && len(c.queue) > 0 {
		step := c.queue[0]
		c.queue[0] = nil
		if c.queue = c.queue[1:]; len(c.queue) == 0 {
			c.queue = nil
		}
		c.busy = true
		step(func() {
			c.busy = false
			c.next()
		})
	}
}

// maxChain is how many steps may wait; beyond it nothing is looked up.
const maxChain = 1000

func (c *chain) full() bool { return len(c.queue) >= maxChain }

// netID finds what the network calls a line that a client names by its message id
// or stanza-id: of a part of a message, what it calls the whole. then is called in the
// session, at once or later, with an empty id where there is no such line.
func (r *room) netID(id string, whole func(bridges.MessageID)) {
	then := func(id bridges.MessageID) { whole(wholeOf(id)) }
	if l := r.find(id); l != nil {
		then(l.net)
		return
	}
	r.lookUp(then, func(ctx *lookup) (bridges.MessageID, error) {
		if key, ok := archive.ParseKey(id); ok {
			lines, err := ctx.archive.ByKey(ctx, ctx.gateway, ctx.user, ctx.place, []archive.Key{key})
			if err != nil || len(lines) > 0 {
				return firstName(lines), err
			}
		}
		own, ok, err := ctx.archive.Recent(ctx, ctx.gateway, ctx.user, ctx.place, id)
		if ok || err != nil {
			return bridges.MessageID(own.NetID), err
		}
		lines, err := ctx.archive.ByNetID(ctx, ctx.gateway, ctx.user, ctx.place, []string{id})
		return firstName(lines), err
	})
}

func firstName(lines []archive.Line) bridges.MessageID {
	if len(lines) == 0 {
		return ""
	}
	return bridges.MessageID(lines[0].NetID)
}

// shownID finds the line that the network calls so, as it was shown; nil where
// there is none. It is a copy. then is called in the session, at once or later.
func (r *room) shownID(id bridges.MessageID, then func(*line)) {
	if id == "" {
		then(nil)
		return
	}
	for i := len(r.lines) - 1; i >= 0; i-- {
		if r.lines[i].net == id {
			l := r.lines[i]
			then(&l)
			return
		}
	}
	var found *line
	r.lookUp(func(bridges.MessageID) { then(found) }, func(ctx *lookup) (bridges.MessageID, error) {
		lines, err := ctx.archive.ByNetID(ctx, ctx.gateway, ctx.user, ctx.place, []string{string(id)})
		if len(lines) > 0 {
			l := stored(&lines[len(lines)-1])
			found = &l
		}
		return "", err
	})
}

// lookup is a question about a line of one place.
type lookup struct {
	context.Context
	archive              *archive.Archive
	gateway, user, place string
}

// lookUp asks the archive about a line of the room.
func (r *room) lookUp(then func(bridges.MessageID), ask func(*lookup) (bridges.MessageID, error)) {
	r.Session.lookUp(r.l, r.jid.String(), then, ask)
}

// lookUp asks the archive about a line of a place, outside the session. While it
// does, what the network's driver commits waits.
func (s *Session) lookUp(l *link, place string, then func(bridges.MessageID), ask func(*lookup) (bridges.MessageID, error)) {
	if s.m.archive == nil {
		then("")
		return
	}
	l.comparing++
	q := lookup{archive: s.m.archive, gateway: s.m.domain.Domain, user: s.user.String(), place: place}
	if !s.work(func() func() {
		ctx, cancel := s.m.queryContext()
		defer cancel()
		q.Context = ctx
		id, err := ask(&q)
		return func() {
			if err != nil {
				s.log.Warn("an earlier line could not be looked up", "place", place, "error", err)
			}
			then(id)
			l.compared()
		}
	}) {
		then("")
		l.compared()
	}
}

// recentNames is of how many one-to-one lines it is remembered what the network
// calls them.
const recentNames = 64

// privateName is a one-to-one line by both its names.
type privateName struct {
	peer string // bare JID of the person
	id   string // message id
	net  bridges.MessageID
	own  bool // the user said it
}

// noteName remembers how a one-to-one line is called on both sides.
func (s *Session) noteName(n privateName) {
	if n.net == "" {
		return
	}
	if len(s.names) >= recentNames {
		s.names = slices.Delete(s.names, 0, 1)
	}
	s.names = append(s.names, n)
}

// privateNetID is room.netID for the one-to-one lines with a person.
func (s *Session) privateNetID(c *contact, id string, whole func(bridges.MessageID)) {
	then := func(id bridges.MessageID) { whole(wholeOf(id)) }
	peer := s.peer(c)
	for _, n := range slices.Backward(s.names) {
		if n.peer == peer && (n.id == id || string(n.net) == id) {
			then(n.net)
			return
		}
	}
	s.lookUp(c.l, peer, then, func(ctx *lookup) (bridges.MessageID, error) {
		found, err := ctx.archive.PrivateByID(ctx, ctx.gateway, ctx.user, ctx.place, []string{id})
		if len(found) == 0 {
			return "", err
		}
		return bridges.MessageID(found[0].NetID), err
	})
}

// privateShownID finds the message id of a one-to-one line, and whether the user
// said it; the id is empty where there is no such line.
func (s *Session) privateShownID(c *contact, id bridges.MessageID, then func(id string, own bool)) {
	peer := s.peer(c)
	for _, n := range slices.Backward(s.names) {
		if n.peer == peer && n.net == id {
			then(n.id, n.own)
			return
		}
	}
	var shown archive.Private
	s.lookUp(c.l, peer, func(bridges.MessageID) { then(shown.ID, shown.Out) }, func(ctx *lookup) (bridges.MessageID, error) {
		found, err := ctx.archive.PrivateByID(ctx, ctx.gateway, ctx.user, ctx.place, []string{string(id)})
		if len(found) > 0 {
			shown = found[0]
		}
		return "", err
	})
}

// peer is the address under which one-to-one lines with a person are kept.
func (s *Session) peer(c *contact) string {
	jid := s.m.personJID(c.l.id, &bridges.Member{Nick: c.nick, Address: c.address})
	return jid.String()
}
