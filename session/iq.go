package session

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// queryTime bounds a query put to a network.
const queryTime = 20 * time.Second

// iqKey names a request.
type iqKey struct{ typ, space, name string }

func keyOf(st *component.Stanza) iqKey {
	p := st.Payload()
	if p == nil {
		return iqKey{typ: st.Type}
	}
	return iqKey{st.Type, p.Space, p.Name}
}

// roomHandler is what answers a request to a room the user is in.
func roomHandler(key iqKey) func(*room, *component.Stanza) {
	switch key {
	case iqKey{"get", xep.NSMUCAdmin, "query"}:
		return (*room).getAdmin
	case iqKey{"set", xep.NSMUCAdmin, "query"}:
		return (*room).setAdmin
	case iqKey{"set", xep.NSModerate, "moderate"}:
		return (*room).moderate
	case iqKey{"get", xep.NSPing, "ping"}:
		return (*room).pong
	}
	return nil
}

// memberHandler is what answers a request to a person, in a room or outside.
func memberHandler(key iqKey) func(*Session, *component.Stanza, *link, bridges.UserID) {
	switch key {
	case iqKey{"get", xep.NSPing, "ping"}:
		return (*Session).probePing
	case iqKey{"get", xep.NSVersion, "query"}:
		return (*Session).probeVersion
	case iqKey{"get", xep.NSTime, "time"}:
		return (*Session).probeTime
	case iqKey{"get", xep.NSVCard, "vCard"}:
		return (*Session).profile
	}
	return nil
}

// roomIQ answers requests to a room or an occupant.
func (s *Session) roomIQ(st *component.Stanza, r *room, addr bridges.Address) {
	if st.Type != "get" && st.Type != "set" {
		return
	}
	key := keyOf(st)
	switch key {
	case iqKey{"get", xep.NSDiscoInfo, "query"}:
		s.roomInfo(st, r, addr)
		return
	case iqKey{"get", xep.NSDiscoItems, "query"}:
		if s.capsOf(r, addr).Group {
			s.inGroup(st, addr.Network, addr.Name)
			return
		}
		s.roomItems(st, r)
		return
	case iqKey{"set", xep.NSMUCOwner, "query"}, iqKey{"get", xep.NSMUCOwner, "query"}:
		s.roomConfig(st, r, addr)
		return
	case iqKey{"get", xep.NSVCard, "vCard"}:
		if st.To.Resource == "" {
			s.roomCard(st, r)
			return
		}
	case iqKey{"set", xep.NSVCard, "vCard"}:
		if st.To.Resource == "" {
			s.refuse(st, component.NewStanzaError("auth", "forbidden", "The picture of a room cannot be set from here."))
			return
		}
	case iqKey{"get", xep.NSRegister, "query"}, iqKey{"set", xep.NSRegister, "query"}:
		if st.To.Resource == "" {
			s.roomRegister(st, r, addr)
			return
		}
	}
	if s.archiveIQ(st, r, addr) {
		return
	}
	if r == nil || !r.entered() {
		s.refuse(st, notInside())
		return
	}
	if st.To.Resource == "" {
		if h := roomHandler(key); h != nil {
			h(r, st)
			return
		}
		s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
		return
	}
	if key == (iqKey{"get", xep.NSPing, "ping"}) && r.isOwnNick(st.To.Resource) {
		r.selfPing(st)
		return
	}
	if r.seat(st.From.Resource) == nil {
		s.refuse(st, StanzaError(bridges.NewError(bridges.NotJoined, "")))
		return
	}
	if r.isOwnNick(st.To.Resource) { // the network would ask the gateway itself
		s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
		return
	}
	m, ok := r.whoIs(st.To.Resource)
	if !ok {
		s.refuse(st, StanzaError(bridges.NewError(bridges.NotFound, "There is nobody of that name in the room.")))
		return
	}
	if h := memberHandler(key); h != nil {
		h(s, st, r.l, m.ID)
		return
	}
	s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
}

// selfPing answers whether a client is in the room (XEP-0410 section 3.2).
func (r *room) selfPing(st *component.Stanza) {
	seat := r.seat(st.From.Resource)
	if seat == nil || !seat.in {
		r.refuse(st, notInside())
		return
	}
	r.send(component.Result(st))
}

// notInside is the answer to a request that only an occupant may make: of type
// cancel, where a message gets modify (XEP-0045 section 7.4).
func notInside() *component.StanzaError {
	return component.NewStanzaError("cancel", "not-acceptable", "You are not in this room.")
}

func (r *room) pong(st *component.Stanza) { r.send(component.Result(st)) }

// query is a question to a network that is answered outside the session.
type query struct {
	ctx  context.Context
	s    *Session
	st   *component.Stanza
	then func()
}

// query runs ask on a worker; it must call answer once. A driver that panics over
// it costs this answer and nothing else.
func (s *Session) query(st *component.Stanza, ask func(*query)) {
	if !s.work(func() (then func()) {
		defer func() {
			if p := recover(); p != nil {
				s.m.stats.panics.Add(1)
				s.log.Error("driver panicked over a query", "panic", p, "stack", string(debug.Stack()))
				then = func() { s.refuse(st, StanzaError(&bridges.Error{Kind: bridges.Internal})) }
			}
		}()
		ctx, cancel := s.m.queryContext()
		defer cancel()
		q := &query{ctx: ctx, s: s, st: st}
		ask(q)
		return q.then
	}) {
		s.refuse(st, StanzaError(bridges.NewError(bridges.RateLimited, "")))
	}
}

// answer says what the question came to. reply is called in the session.
func (q *query) answer(err error, reply func() *component.Out) {
	q.then = func() {
		if err != nil {
			if q.ctx.Err() != nil && bridges.AsError(err).Kind == bridges.Internal {
				err = bridges.NewError(bridges.Timeout, "")
			}
			q.s.refuse(q.st, StanzaError(err))
			return
		}
		q.s.send(reply())
	}
}

// personIQ answers requests to a person outside rooms.
func (s *Session) personIQ(st *component.Stanza, addr bridges.Address) {
	if st.Type != "get" && st.Type != "set" {
		return
	}
	switch keyOf(st) {
	case iqKey{"get", xep.NSDiscoInfo, "query"}:
		s.aboutPerson(st, addr)
		return
	case iqKey{"get", xep.NSDiscoItems, "query"}:
		s.send(component.ItemsReply(st, nil))
		return
	}
	h := memberHandler(keyOf(st))
	items := keyOf(st) == iqKey{"get", xep.NSPubSub, "pubsub"}
	if h == nil && !items {
		s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
		return
	}
	l := s.existing(addr.Network)
	if l == nil || !l.online() {
		s.refuse(st, StanzaError(bridges.NewError(bridges.Offline, "")))
		return
	}
	if items {
		s.getItems(st, l, s.persons[st.To.Local])
		return
	}
	h(s, st, l, l.net.UserID(addr.Name))
}

// probe asks a person's client through the network.
func (s *Session) probe(st *component.Stanza, l *link, user bridges.UserID, p bridges.Probe, reply func(string) *component.Out) {
	prober, ok := l.net.(bridges.Prober)
	if !ok {
		s.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	s.query(st, func(q *query) {
		text, err := prober.Probe(q.ctx, user, p)
		q.answer(err, func() *component.Out { return reply(text) })
	})
}

func (s *Session) probePing(st *component.Stanza, l *link, user bridges.UserID) {
	s.probe(st, l, user, bridges.ProbePing, func(string) *component.Out { return component.Result(st) })
}

func (s *Session) probeVersion(st *component.Stanza, l *link, user bridges.UserID) {
	s.probe(st, l, user, bridges.ProbeVersion, func(text string) *component.Out {
		return component.Result(st).Start(xep.NSVersion, "query").Elem("", "name", text).End()
	})
}

// probeTime: networks tell the time in words nobody can rely on, so a client
// that asks gets an answer only where it can be read (XEP-0202).
func (s *Session) probeTime(st *component.Stanza, l *link, user bridges.UserID) {
	s.probe(st, l, user, bridges.ProbeTime, func(text string) *component.Out {
		for _, layout := range []string{time.RFC3339, time.RFC1123Z, time.RFC1123, time.ANSIC, time.UnixDate} {
			if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
				return component.TimeReply(st, at)
			}
		}
		return component.ErrorReply(st, component.NewStanzaError("cancel", "undefined-condition", "The answer was: "+text))
	})
}

// shownAvatar is the picture that was shown of the person a request is to; empty: none.
func (s *Session) shownAvatar(st *component.Stanza, l *link, user bridges.UserID) string {
	if r := s.rooms[st.To.Local]; r != nil {
		m, _ := l.net.Member(r.id, user)
		return m.Avatar
	}
	if p := s.persons[st.To.Local]; p != nil {
		return p.avatar
	}
	return ""
}

// profile answers a vCard request with what the network tells of a person.
func (s *Session) profile(st *component.Stanza, l *link, user bridges.UserID) {
	profiler, ok := l.net.(bridges.Profiler)
	if !ok {
		s.refuse(st, StanzaError(bridges.NewError(bridges.Unsupported, "")))
		return
	}
	shown := s.shownAvatar(st, l, user)
	s.query(st, func(q *query) {
		p, err := profiler.Profile(q.ctx, user)
		var face picture
		if err == nil {
			if shown != "" { // the one whose hash was told
				p.Avatar = shown
			}
			face = s.fetchPicture(q.ctx, l, p.Avatar)
		}
		q.answer(err, func() *component.Out {
			o := component.Result(st).Start(xep.NSVCard, "vCard")
			for _, f := range [][2]string{{"FN", p.RealName}, {"NICKNAME", p.Nick}, {"DESC", p.Text}} {
				if f[1] != "" {
					o.Elem("", f[0], f[1])
				}
			}
			face.photo(o)
			return o.End()
		})
	})
}

// networkIQ answers requests to a network's address that the registry of the
// gateway does not answer.
func (s *Session) networkIQ(st *component.Stanza, addr bridges.Address) {
	if st.Type != "get" && st.Type != "set" {
		return
	}
	group := groupOf(st)
	switch key := keyOf(st); {
	case key == iqKey{"get", xep.NSDiscoItems, "query"} && group != "":
		s.inGroup(st, addr.Network, group)
		return
	case key == iqKey{"get", xep.NSDiscoItems, "query"}:
		s.listRooms(st, addr)
		return
	case key == iqKey{"get", xep.NSDiscoInfo, "query"} && group != "":
		s.aboutGroup(st, group)
		return
	}
	if keyOf(st) == (iqKey{"get", xep.NSPing, "ping"}) {
		s.pingNetwork(st, addr)
		return
	}
	s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", ""))
}

func (s *Session) pingNetwork(st *component.Stanza, addr bridges.Address) {
	if l := s.existing(addr.Network); l == nil || !l.online() {
		s.refuse(st, component.NewStanzaError("cancel", "service-unavailable", "There is no connection to the network."))
		return
	}
	s.send(component.Result(st))
}

// listRooms answers with the groups of rooms a user is in and the rooms of a network
// (XEP-0045 section 6.3), page by page where the client asks for pages (XEP-0059).
func (s *Session) listRooms(st *component.Stanza, addr bridges.Address) {
	l := s.existing(addr.Network)
	if l == nil || !l.online() {
		s.refuse(st, StanzaError(errNoNetwork()))
		return
	}
	dir, listed := l.net.(bridges.Directory)
	grouper, grouped := l.net.(bridges.Grouper)
	if !listed && !grouped {
		s.send(component.ItemsReply(st, nil))
		return
	}
	s.query(st, func(q *query) {
		var rooms, groups []bridges.DirectoryEntry
		var err error
		if grouped {
			groups, err = grouper.Group(q.ctx, "")
		}
		if listed {
			if rooms, err = dir.Rooms(q.ctx); err != nil && len(groups) > 0 {
				s.log.Info("the network's rooms cannot be listed", "error", err)
				err = nil // what the user is in is there all the same
			}
		}
		q.answer(err, func() *component.Out {
			own := groups
			for _, e := range rooms {
				if !slices.ContainsFunc(own, func(g bridges.DirectoryEntry) bool { return g.Name == e.Name }) {
					e.Title = s.titleOf(l, &e)
					groups = append(groups, e)
				}
			}
			items := s.groupItems(l, groups)
			return component.ItemsReply(st, items)
		})
	})
}

// roomItems lists who is in a room, to those who are in it.
func (s *Session) roomItems(st *component.Stanza, r *room) {
	var items []component.Item
	if r != nil && r.inside() && r.seat(st.From.Resource) != nil && st.To.Resource == "" {
		self, members, _ := r.l.net.Members(r.id)
		for _, m := range append(members, self) {
			items = append(items, component.Item{JID: r.occupant(m.Nick)})
		}
		slices.SortFunc(items, func(a, b component.Item) int { return strings.Compare(a.JID.Resource, b.JID.Resource) })
	}
	s.send(component.ItemsReply(st, items))
}
