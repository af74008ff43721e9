package talk

import (
	"testing"

	"transportd/bridges"
	"transportd/bridges/bridgetest"
)

func TestSuite(t *testing.T) {
	bridgetest.Suite(t, func(*testing.T) bridgetest.Fixture {
		hub := NewHub()
		return bridgetest.Fixture{
			Driver:  &Driver{Hub: hub},
			Account: bridges.Account{Owner: "user@example.org", Network: network, Nick: "alice", Settings: map[string]string{"nick": "alice"}},
			Peer:    &peer{hub},
			Room:    "#Suite", OtherRoom: "#other",
			Addresses: []string{"", "#room", "name", "#ünï"},
			Strangers: []string{"#", "two words", "a%b"},
			SameRooms: [][2]string{{"#Room", "#room"}},
			SameUsers: [][2]string{{"Name", "nAME"}},
		}
	})
}

// peer is the people of a hub.
type peer struct{ hub *Hub }

func room(name string) bridges.RoomID { return (*link)(nil).RoomID(name) }

func (p *peer) do(f func(h *Hub)) {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	f(p.hub)
}

// Enter brings people in. They have a connection that nobody reads but Heard.
func (p *peer) Enter(name string, nicks ...string) {
	p.do(func(h *Hub) {
		for _, nick := range nicks {
			if h.people[id(nick)] == nil {
				h.people[id(nick)] = &person{nick, &link{news: make(chan bridges.Event, maxNews), broken: make(chan struct{})}}
			}
			h.enter(room(name), id(nick))
		}
	})
}

// Heard is what ann has heard of alice.
func (p *peer) Heard(name string) (lines []string) {
	p.do(func(h *Hub) {
		for news := h.people["ann"].link.news; len(news) > 0; {
			if m, ok := (<-news).(*bridges.Message); ok && m.Place.Room == room(name) && m.From.ID == "alice" {
				lines = append(lines, m.Body)
			}
		}
	})
	return lines
}

func (p *peer) Leave(name, nick string) {
	p.do(func(h *Hub) { h.leave(room(name), id(nick), bridges.Parted) })
}

func (p *peer) Rename(nick, to string) {
	p.do(func(h *Hub) {
		h.people[id(to)] = &person{to, h.people[id(nick)].link}
		for name, in := range h.rooms {
			if in[id(nick)] {
				delete(in, id(nick))
				in[id(to)] = true
				h.toRoom(name, "", &bridges.Renamed{Room: name, OldID: id(nick), OldNick: nick, Member: member(to)})
			}
		}
		delete(h.people, id(nick))
	})
}

func (p *peer) Say(name, nick, text string) {
	p.do(func(h *Hub) { _ = h.say(nick, bridges.Place{Room: room(name)}, bridges.Text, text) })
}

func (p *peer) Whisper(nick, text string) {
	p.do(func(h *Hub) { _ = h.say(nick, bridges.Place{User: "alice"}, bridges.Text, text) })
}
func (p *peer) Refuse(name string) { p.do(func(h *Hub) { h.only[room(name)] = "ann" }) }
func (p *peer) Promote(string)     {} // nobody can do more than others
func (p *peer) Stall()             { p.do(func(h *Hub) { h.people["alice"].link.stall = true }) }
func (p *peer) Break()             { p.do(func(h *Hub) { h.people["alice"].link.lose() }) }
