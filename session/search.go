package session

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/component"
)

// Query is what a user searches the networks for. Empty fields are not asked
// about.
type Query struct {
	Words string // all of them in a room's name or subject, whatever their case
	Nick  string // of a person: a part of it, or where the network cannot search all of it
}

// Found is a room or a person that fits a query.
type Found struct {
	JID     component.JID
	Network bridges.NetworkID
	Room    bool
	Name    string // as the network writes it
	Text    string // a room's subject, a person's name
	Members int    // of a room
}

// Search asks the networks a user is connected to, or one of them: rooms first,
// those with the most members foremost, then people. It blocks until all have
// answered or ctx is done. The error is a *bridges.Error: of kind Offline where
// there is no connection, of kind Unsupported where no network can be asked, or the
// first of a network's where there is nothing else to tell.
func (m *Manager) Search(ctx context.Context, user component.JID, network bridges.NetworkID, q Query) ([]Found, error) {
	offline := bridges.NewError(bridges.Offline, "Connect to the network first, for example by joining a room.")
	if m.peek(user.Bare()) == nil {
		return nil, offline
	}
	got := make(chan []online, 1)
	if err := m.inside(ctx, user, func(s *Session) { got <- s.onlineLinks(network) }); err != nil {
		return nil, searchError(err)
	}
	var links []online
	select {
	case links = <-got:
	default: // the session panicked over it
	}
	if len(links) == 0 {
		return nil, offline
	}
	var rooms, people []Found
	var failed error
	asked := false
	for _, l := range links {
		for _, ask := range []func() ([]Found, bool, error){
			func() ([]Found, bool, error) { return m.searchRooms(ctx, l, q.Words) },
			func() ([]Found, bool, error) { return m.searchPeople(ctx, l, q.Nick) },
		} {
			found, can, err := ask()
			asked = asked || can
			if failed == nil {
				failed = err
			}
			for _, f := range found {
				if f.Room {
					rooms = append(rooms, f)
				} else {
					people = append(people, f)
				}
			}
		}
	}
	slices.SortStableFunc(rooms, func(a, b Found) int { return cmp.Compare(b.Members, a.Members) })
	all := append(rooms, people...)
	switch {
	case len(all) > 0:
		return all, nil
	case failed != nil:
		return nil, searchError(failed)
	case !asked:
		return nil, bridges.NewError(bridges.Unsupported, "This cannot be searched for on this network.")
	}
	return nil, nil
}

// online is a link as a search sees it, outside the session.
type online struct {
	id  bridges.NetworkID
	net bridges.Network
}

func (s *Session) onlineLinks(network bridges.NetworkID) []online {
	var out []online
	for _, l := range s.links {
		if l.online() && (network == "" || l.id == network) {
			out = append(out, online{l.id, l.net})
		}
	}
	return out
}

// searchRooms looks through the directory of a network; false where it was not
// asked about or has none.
func (m *Manager) searchRooms(ctx context.Context, l online, text string) ([]Found, bool, error) {
	words := strings.Fields(strings.ToLower(text))
	dir, ok := l.net.(bridges.Directory)
	if !ok || len(words) == 0 {
		return nil, false, nil
	}
	rooms, err := dir.Rooms(ctx)
	var out []Found
	for _, e := range rooms {
		in := strings.ToLower(e.Name + "\n" + e.Title + "\n" + e.Subject)
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(in, w) }) {
			continue
		}
		jid := m.roomJID(l.id, e.Name)
		out = append(out, Found{JID: jid, Network: l.id, Room: true, Name: cmp.Or(e.Title, e.Name), Text: e.Subject, Members: e.Members})
	}
	return out, true, err
}

// maxFoundPeople bounds the people one network is asked for.
const maxFoundPeople = 50

// searchPeople looks for people by name, or where the network cannot, one up by nick;
// that there is nobody is no error.
func (m *Manager) searchPeople(ctx context.Context, l online, nick string) ([]Found, bool, error) {
	if nick = strings.TrimSpace(nick); nick == "" {
		return nil, false, nil
	}
	var people []bridges.Profile
	var err error
	switch who := l.net.(type) {
	case bridges.PeopleFinder:
		people, err = who.FindPeople(ctx, nick, maxFoundPeople)
	case bridges.Profiler:
		var p bridges.Profile
		if p, err = who.Profile(ctx, l.net.UserID(nick)); err == nil {
			p.Nick = cmp.Or(p.Nick, nick)
			people = append(people, p)
		}
	default:
		return nil, false, nil
	}
	if err != nil && bridges.AsError(err).Kind == bridges.NotFound {
		err = nil
	}
	out := make([]Found, 0, len(people))
	for _, p := range people {
		jid := m.personJID(l.id, &bridges.Member{Nick: p.Nick, Address: p.Address})
		out = append(out, Found{JID: jid, Network: l.id, Name: p.Nick, Text: p.RealName})
	}
	return out, true, err
}

// searchError is an error in the words of the contract.
func searchError(err error) error {
	if e := bridges.AsError(err); e.Kind != bridges.Internal {
		return e
	}
	return bridges.NewError(bridges.Timeout, "")
}
