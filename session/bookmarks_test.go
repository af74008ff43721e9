package session

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// listOfRooms is what alice's server has of her bookmarks, and answers from.
type listOfRooms struct {
	w       *world
	items   map[string]string // conference elements by room
	refuses bool
	own     bool // the list is set up in another way than the gateway would
	log     []string
}

// serve answers all requests there are, also those that come of the answers.
func (c *listOfRooms) serve() {
	c.w.t.Helper()
	for {
		synctest.Wait()
		c.w.stream.mu.Lock()
		requests := c.w.stream.requests
		c.w.stream.requests = nil
		c.w.stream.mu.Unlock()
		if len(requests) == 0 {
			return
		}
		for _, r := range requests {
			st, err := component.ParseStanza(r.xml)
			if err == nil && st.To.Resource != "" { // whether the client is there
				r.done(nil, nil)
				continue
			}
			iq := st.Child(component.NSPrivilege, "privileged_iq").Child("jabber:client", "iq")
			if err != nil || st.To.String() != "alice@home.example" || iq == nil || iq.Attr("type") != st.Type || iq.Attr("to") != "alice@home.example" {
				c.w.t.Fatalf("asked is %s", r.xml)
			}
			payload, ok := c.answer(iq)
			if !ok {
				r.done(nil, component.NewStanzaError("cancel", "internal-server-error", ""))
				continue
			}
			answer, err := component.ParseStanza("<iq type='result' id='x' from='alice@home.example' to='gw.example'><privilege xmlns='urn:xmpp:privilege:2'>" +
				"<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='result' id='y'>" + payload + "</iq></forwarded></privilege></iq>")
			if err != nil {
				c.w.t.Fatal(err)
			}
			r.done(answer, nil)
		}
	}
}

func (c *listOfRooms) answer(iq *component.Element) (string, bool) {
	pubsub := iq.Child(xep.NSPubSub, "pubsub")
	for e := range pubsub.Children() {
		room := e.Child("", "item").Attr("id")
		if e.Attr("node") != xep.NSBookmarks && e.Name != "publish-options" {
			c.w.t.Errorf("asked of the node %s", e.Attr("node"))
		}
		switch e.Name {
		case "items":
			if room == "" {
				return "<pubsub xmlns='" + xep.NSPubSub + "'><items node='" + xep.NSBookmarks + "'><item id='x'/></items></pubsub>", len(c.items) > 0
			}
			c.log = append(c.log, "get "+room)
			had, ok := c.items[room]
			return "<pubsub xmlns='" + xep.NSPubSub + "'><items node='" + xep.NSBookmarks + "'><item id='" + room + "'>" + had + "</item></items></pubsub>", ok
		case "publish":
			if c.refuses || c.own && pubsub.Child("", "publish-options") != nil {
				c.log = append(c.log, "refused")
				return "", false
			}
			if c.items == nil {
				c.items = map[string]string{}
			}
			c.items[room] = e.Child("", "item").Child(xep.NSBookmarks, "conference").String()
			c.log = append(c.log, "set "+room)
		case "retract":
			delete(c.items, room)
			c.log = append(c.log, "remove "+room)
		}
	}
	return "", true
}

var mayMark = component.Privileges{Space: component.NSPrivilege, PubSubGet: true, PubSubSet: true}

func (w *world) belongs(name string, old bool) {
	w.t.Helper()
	w.say(&bridges.Belongs{Name: name, Title: "Room " + name, Old: old})
}

// Rooms that the network has the user in come into the list of rooms; an entry that the
// user has stays as it is.
func TestRoomsAreListed(t *testing.T) {
	scenario(t, func(w *world) {
		w.stream.grants(mayMark, true)
		list := &listOfRooms{w: w, items: map[string]string{"#known%net@gw.example": "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='false' name='Mine'/>"}}
		w.join("a", "alice")
		w.news()
		w.belongs("#new", false)
		w.belongs("#old", true)
		w.belongs("#known", false)
		w.belongs("#room", false) // alice is there
		list.serve()
		if got := strings.Join(list.log, ","); got != "get #new%net@gw.example,set #new%net@gw.example,get #old%net@gw.example,set #old%net@gw.example,get #known%net@gw.example" {
			t.Errorf("the server was asked %s", got)
		}
		for room, want := range map[string]string{"#new": `autojoin="true"`, "#old": `autojoin="false"`, "#known": "Mine"} {
			got := list.items[room+"%net@gw.example"]
			if !strings.Contains(strings.ReplaceAll(got, "'", `"`), want) || !strings.Contains(got, "name=") {
				t.Errorf("%s is listed as %s", room, got)
			}
		}
		w.expect() // and nobody was invited
	})
}

// A bookmark moves with its room, with all that is in it; without one the user is
// invited.
func TestBookmarkMoves(t *testing.T) {
	scenario(t, func(w *world) {
		w.stream.grants(mayMark, true)
		list := &listOfRooms{w: w, items: map[string]string{
			"#room%net@gw.example": "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true' name='Ours'><nick>al</nick><extensions><pin xmlns='urn:x'/></extensions></conference>"}}
		w.join("a", "alice")
		w.news()
		w.say(&bridges.Moved{Room: "#room", Name: "#next", In: true})
		list.serve()
		w.expect(`<destroy jid="#next%net@gw.example"`)
		if got := list.items["#next%net@gw.example"]; len(list.items) != 1 || !strings.Contains(got, "al</nick>") || !strings.Contains(got, "urn:x") || !strings.Contains(got, "Ours") {
			t.Errorf("listed is %v", list.items)
		}
		list.own = true
		w.from("<presence from='ALICE/a' to='#next%net@GW/alice'>" + muc + "</presence>")
		w.news()
		w.say(&bridges.Moved{Room: "#next", Name: "#third", In: true})
		list.serve()
		w.expect(`<destroy jid="#third%net@gw.example"`)
		if got := list.items["#third%net@gw.example"]; len(list.items) != 1 || !strings.Contains(got, "al</nick>") {
			t.Errorf("listed is %v", list.items)
		}
		w.from("<presence from='ALICE/a' to='#third%net@GW/alice'>" + muc + "</presence>")
		w.news()
		list.items = nil
		w.say(&bridges.Moved{Room: "#third", Name: "#last", In: true})
		list.serve()
		w.expect(`<destroy jid="#last%net@gw.example"`, `<invite & #last%net@gw.example`)
	})
}

// Where the list cannot be changed the user is invited: to rooms of long ago to ten, and
// told how many more there are.
func TestRoomsAreToldOf(t *testing.T) {
	for name, prepare := range map[string]func(*world) *listOfRooms{
		"not granted": func(*world) *listOfRooms { return nil },
		"granted late, to others": func(w *world) *listOfRooms {
			w.stream.grants(component.Privileges{}, false)
			return nil
		},
		"refused": func(w *world) *listOfRooms {
			w.stream.grants(mayMark, true)
			return &listOfRooms{w: w, refuses: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			scenario(t, func(w *world) {
				list := prepare(w)
				w.join("a", "alice")
				w.news()
				w.belongs("#new", false)
				for i := range maxOffers + 5 {
					w.belongs(fmt.Sprint("#old", i), true)
				}
				if list != nil {
					list.serve()
					if got := strings.Count(strings.Join(list.log, ","), "refused"); got != 1 {
						t.Errorf("refused %d times", got)
					}
				}
				w.stream.grants(component.Privileges{}, true)
				time.Sleep(verifyAgain + offersSpan + time.Second)
				invited, told := 0, 0
				for _, s := range w.news() {
					if strings.Contains(s, "jabber:x:conference") {
						invited++
					}
					if strings.Contains(s, "You are in 5 more rooms") {
						told++
					}
				}
				if invited != 1+maxOffers || told != 1 {
					t.Errorf("invited to %d rooms, told %d times of the others", invited, told)
				}
			})
		})
	}
}

// What the stream is lost over goes on with the next.
func TestListGoesOnWithTheStream(t *testing.T) {
	scenario(t, func(w *world) {
		w.stream.grants(mayMark, true)
		w.join("a", "alice")
		w.belongs("#one", false)
		w.belongs("#two", false)
		w.cut()
		w.mend()
		list := &listOfRooms{w: w}
		time.Sleep(time.Second)
		list.serve()
		if len(list.items) != 2 {
			t.Errorf("listed are %v", list.items)
		}
	})
}
