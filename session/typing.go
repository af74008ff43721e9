package session

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// Bounds and times of what passes beside lines.
const (
	maxSigns   = 256 // places of a link with signs that last
	maxWriters = 16  // people who are shown to write at one place
	// typingRepeat is how often the network is told that the user still writes.
	typingRepeat = 20 * time.Second
	// typingEnds is how long a client writes that says nothing more.
	typingEnds = 3 * time.Minute
)

// signs are what the user and a place tell each other beside lines.
type signs struct {
	writing []string          // clients of the user that write there
	until   time.Time         // and this long at most
	repeat  *time.Timer       // tells it again
	writers []bridges.Member  // who is shown to write
	read    bridges.MessageID // up to where the network was told that the user has read
}

func (g *signs) idle() bool { return len(g.writing) == 0 && len(g.writers) == 0 }

// sign returns the signs of a place, making room where needed; nil: there is none.
func (l *link) sign(at bridges.Place) *signs {
	g := l.signs[at]
	if g != nil {
		return g
	}
	if len(l.signs) >= maxSigns {
		for other, g := range l.signs {
			if g.idle() {
				delete(l.signs, other)
			}
		}
		if len(l.signs) >= maxSigns {
			return nil
		}
	}
	if l.signs == nil {
		l.signs = make(map[bridges.Place]*signs)
	}
	g = new(signs)
	l.signs[at] = g
	return g
}

// onSigns takes what a client's groupchat message says beside its text.
func (r *room) onSigns(st *component.Stanza) {
	if r.seat(st.From.Resource) != nil && r.inside() {
		r.l.onSigns(st, bridges.Place{Room: r.id}, r.netID)
	}
}

// onPrivateSigns is the same of a message to an occupant.
func (r *room) onPrivateSigns(st *component.Stanza) {
	if !hasSigns(st) || !r.inside() {
		return
	}
	if m, ok := r.whoIs(st.To.Resource); ok {
		r.l.onSigns(st, bridges.Place{User: m.ID}, r.privately(r.l, &m))
	}
}

// onPersonSigns is the same of a message to a person.
func (s *Session) onPersonSigns(st *component.Stanza, addr bridges.Address) {
	if st.Kind != component.KindMessage || st.Type == "error" || st.Type == "groupchat" || !hasSigns(st) {
		return
	}
	if l := s.existing(addr.Network); l != nil && l.online() {
		m := bridges.Member{ID: l.net.UserID(addr.Name), Nick: addr.Name, Address: addr.Name}
		l.onSigns(st, bridges.Place{User: m.ID}, s.privately(l, &m))
	}
}

// privately finds the network's ids of lines of a chat with a person.
func (s *Session) privately(l *link, m *bridges.Member) func(id string, then func(bridges.MessageID)) {
	return func(id string, then func(bridges.MessageID)) { s.privateNetID(s.chatWith(l, m), id, then) }
}

// chatWith is the chat with a person; one that is not remembered is made up.
func (s *Session) chatWith(l *link, m *bridges.Member) *contact {
	if c := s.contacts[contactKey(l, m.ID)]; c != nil {
		return c
	}
	return &contact{l: l, id: m.ID, nick: m.Nick, address: m.Address}
}

// hasSigns tells whether a message says something beside its text, or ends what was
// said before.
func hasSigns(st *component.Stanza) bool {
	if _, said := st.Body(); said {
		return true
	}
	return xep.ParseChatState(st.Element) != "" || xep.ParseDisplayed(st.Element) != ""
}

// onSigns tells the network whether the user writes (XEP-0085), and up to where the
// user has read (XEP-0333); netID finds the line a marker names.
func (l *link) onSigns(st *component.Stanza, at bridges.Place, netID func(string, func(bridges.MessageID))) {
	_, said := st.Body()
	switch state := xep.ParseChatState(st.Element); {
	case state == xep.Composing && !said:
		l.writes(at, st.From.Resource)
	case state != "" || said:
		l.stopsWriting(at, st.From.Resource)
	}
	if id := xep.ParseDisplayed(st.Element); id != "" {
		l.hasRead(at, id, netID)
	}
}

// writes is a client of the user that has begun to write at a place, or goes on.
func (l *link) writes(at bridges.Place, client string) {
	if _, ok := l.net.(bridges.Typist); !ok || !l.online() || !l.net.Capabilities(at).Typing {
		return
	}
	g := l.sign(at)
	if g == nil {
		return
	}
	g.until = time.Now().Add(typingEnds)
	if slices.Contains(g.writing, client) || len(g.writing) >= maxSeats {
		return
	}
	g.writing = append(g.writing, strings.Clone(client))
	if len(g.writing) == 1 {
		l.tellTyping(at, g)
	}
}

// tellTyping tells the network that the user writes, again and again while it lasts.
func (l *link) tellTyping(at bridges.Place, g *signs) {
	l.setTyping(at, true)
	g.repeat = l.s.after(typingRepeat, func() {
		switch {
		case l.signs[at] != g || len(g.writing) == 0:
		case !time.Now().Before(g.until):
			g.writing = nil
			l.stoppedWriting(at, g)
		default:
			l.tellTyping(at, g)
		}
	})
}

func (l *link) setTyping(at bridges.Place, on bool) {
	if who, ok := l.net.(bridges.Typist); ok && l.online() {
		l.quietly("typing", who.SetTyping(at, on))
	}
}

// stopsWriting is a client of the user that does not write at a place any more.
func (l *link) stopsWriting(at bridges.Place, client string) {
	g := l.signs[at]
	if g == nil {
		return
	}
	if i := slices.Index(g.writing, client); i >= 0 {
		if g.writing = slices.Delete(g.writing, i, i+1); len(g.writing) == 0 {
			l.stoppedWriting(at, g)
		}
	}
}

// stoppedWriting tells the network that no client of the user writes any more.
func (l *link) stoppedWriting(at bridges.Place, g *signs) {
	g.repeat.Stop()
	g.writing, g.repeat = nil, nil
	l.setTyping(at, false)
}

// onTyping is somebody else who writes, or has stopped.
func (s *Session) onTyping(l *link, ev *bridges.Typing) {
	if ev.From.ID == l.net.Self().ID {
		return // the user, through another client of the network's
	}
	if !ev.On {
		l.stopsShown(ev.Place, ev.From.ID, xep.Paused)
		return
	}
	if ev.Place.Room != "" && s.byID(l, ev.Place.Room) == nil {
		return
	}
	g := l.sign(ev.Place)
	if g == nil || len(g.writers) >= maxWriters || g.writer(ev.From.ID) >= 0 {
		return
	}
	g.writers = append(g.writers, ev.From)
	l.showState(ev.Place, &ev.From, xep.Composing)
}

func (g *signs) writer(id bridges.UserID) int {
	return slices.IndexFunc(g.writers, func(m bridges.Member) bool { return m.ID == id })
}

// stopsShown ends that somebody is shown to write; an empty state only forgets it.
func (l *link) stopsShown(at bridges.Place, id bridges.UserID, state xep.ChatState) {
	g := l.signs[at]
	if g == nil {
		return
	}
	if i := g.writer(id); i >= 0 {
		m := g.writers[i]
		g.writers = slices.Delete(g.writers, i, i+1)
		if state != "" {
			l.showState(at, &m, state)
		}
	}
}

// said is a line of somebody's, who therefore does not write any more.
func (l *link) said(ev *bridges.Message) {
	if !ev.Self && !ev.Replay {
		l.stopsShown(ev.Place, ev.From.ID, xep.Active)
	}
}

// stopped is somebody who has left a room.
func (l *link) stopped(ev *bridges.Left) {
	at := bridges.Place{Room: ev.Room}
	if !ev.Self {
		l.stopsShown(at, ev.Member.ID, "")
		return
	}
	if g := l.signs[at]; g != nil {
		if g.repeat != nil {
			g.repeat.Stop()
		}
		delete(l.signs, at)
	}
}

// quiet ends all signs: the link is down.
func (l *link) quiet() {
	signs := l.signs
	l.signs = nil
	for at, g := range signs {
		if g.repeat != nil {
			g.repeat.Stop()
		}
		for i := range g.writers {
			l.showState(at, &g.writers[i], xep.Paused)
		}
	}
}

// showState shows the user what somebody does at a place. Nobody keeps it: it means
// something only now.
func (l *link) showState(at bridges.Place, m *bridges.Member, state xep.ChatState) {
	l.s.showSign(l, at, m, func(o *component.Out) {
		state.AppendTo(o)
		xep.NoStore.AppendTo(o)
	})
}

// showSign sends the user something of somebody's at a place that is no line: to each
// client in the room, or as lines of a chat go.
func (s *Session) showSign(l *link, at bridges.Place, m *bridges.Member, fill func(*component.Out)) {
	if !s.up {
		return
	}
	if at.Room != "" {
		if r := s.byID(l, at.Room); r != nil {
			r.each(func(st *seat) {
				o := component.NewMessage(r.occupant(m.Nick), st.jid, "groupchat", "")
				fill(o)
				r.occupantID(o, m.Identity)
				r.send(o)
			})
		}
		return
	}
	c := s.chatWith(l, m)
	if r := s.rooms[c.via]; c.via != "" && r != nil && len(r.seats) > 0 {
		r.each(func(st *seat) {
			o := component.NewMessage(r.occupant(m.Nick), st.jid, "chat", "")
			fill(o)
			o.Start(xep.NSMUCUser, "x").End()
			xep.AppendPrivate(o)
			r.send(o)
		})
		return
	}
	o := component.NewMessage(s.m.personJID(l.id, m), s.user, "chat", "")
	fill(o)
	s.send(o)
}
