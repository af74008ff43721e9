package xep

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"transportd/component"
)

var (
	room    = component.JID{Local: "#linux%irc.example.net", Domain: "irc.example.org"}
	user    = component.JID{Local: "juliet", Domain: "example.org"}
	outside = component.JID{Local: "romeo", Domain: "example.net", Resource: "orchard"}
)

// carry puts a payload into a message and reads the message back.
func carry(t *testing.T, fill func(*component.Out)) *component.Element {
	t.Helper()
	o := component.NewMessage(room, user, "", "")
	fill(o)
	xml, err := component.Encode(o, room.Domain)
	if err != nil {
		t.Fatal(err)
	}
	s, err := component.ParseStanza(xml)
	if err != nil {
		t.Fatalf("%v in %s", err, xml)
	}
	return s.Element
}

// message reads one with the given children.
func message(t *testing.T, children string) *component.Element {
	t.Helper()
	s, err := component.ParseStanza(`<message from='juliet@example.org/balcony' to='irc.example.org'>` + children + `</message>`)
	if err != nil {
		t.Fatalf("%v in %s", err, children)
	}
	return s.Element
}

var someHeight = -3.5

type appender interface{ AppendTo(*component.Out) }

func number(n int) *int { return &n }

// roundTrips has one case for every payload: what is written is read back the
// same, from the stanza and from the payload itself, and is not seen elsewhere.
var roundTrips = []struct {
	name  string
	value any
	write func(*component.Out)
	read  func(*component.Element) any
}{
	{name: "file", value: FileSharing{URL: "https://up.example/cat.png?a&b", Name: "cat.png", Type: "image/png", Size: 5, Width: 3, Height: 2, Length: 1500 * time.Millisecond, Desc: "a cat",
		Thumbnail: &Thumbnail{URI: "https://up.example/small", Type: "image/jpeg", Width: 1, Height: 1}},
		read: func(e *component.Element) any { v, _ := ParseFileSharing(e); return v }},
	{name: "place", value: Geoloc{Lat: 51.5, Lon: -0.125, Alt: &someHeight, Accuracy: 35, Text: "here"},
		read: func(e *component.Element) any { v, _ := ParseGeoloc(e); return v }},
	{name: "upload slot", value: Slot{Put: "https://up.example/p?a=1&b=2", Get: "https://up.example/g", Headers: [][2]string{{"Authorization", "Bearer x"}, {"Cookie", "a=b"}}},
		read: func(e *component.Element) any { v, _ := ParseSlot(e); return v }},
	{name: "muc join", value: MUCJoin{Password: "cauldron", History: History{
		MaxStanzas: number(20), MaxChars: number(65000), Seconds: number(0), Since: time.Date(2026, 5, 1, 20, 30, 1, 5e6, time.UTC),
	}}, read: func(e *component.Element) any { v, _ := ParseMUCJoin(e); return v }},
	{name: "muc user", value: MUCUser{
		Items:    []Item{{Affiliation: "none", Role: "none", JID: "juliet@example.org/balcony", Nick: "julie", Reason: "spam", Actor: "op"}},
		Statuses: []int{StatusSelf, StatusKicked},
		Invites:  []Invite{{From: user, To: outside.Bare(), Reason: "come"}},
		Decline:  &Invite{To: user, Reason: "too busy"},
		Password: "cauldron",
		Destroy:  &Destroy{Alternate: room, Reason: "moved"},
	}, read: func(e *component.Element) any { v, _ := ParseMUCUser(e); return v }},
	{name: "muc admin", value: []AdminItem{
		{Affiliation: "outcast", JID: "*!*@192.0.2.1", Reason: "flood"}, {Role: "visitor", Nick: "romeo"},
	}, write: func(o *component.Out) {
		AppendMUCAdmin(o, []AdminItem{{Affiliation: "outcast", JID: "*!*@192.0.2.1", Reason: "flood"}, {Role: "visitor", Nick: "romeo"}})
	}, read: func(e *component.Element) any { v, _ := ParseMUCAdmin(e); return v }},
	{name: "muc owner form", value: MUCOwner{Form: &component.Form{
		Type:   component.FormSubmit,
		Fields: []component.FormField{component.TypeField(FormRoomConfig), {Var: "persistent", Type: component.FieldBoolean, Values: []string{"true"}}},
	}}, read: func(e *component.Element) any { v, _ := ParseMUCOwner(e); return v }},
	{name: "muc owner destroy", value: MUCOwner{Destroy: &Destroy{Reason: "over"}},
		read: func(e *component.Element) any { v, _ := ParseMUCOwner(e); return v }},
	{name: "direct invite", value: DirectInvite{Room: room, Password: "cauldron", Reason: "come"},
		read: func(e *component.Element) any { v, _ := ParseDirectInvite(e); return v }},
	{name: "delay", value: Delay{From: room, At: time.Date(2026, 5, 1, 20, 30, 1, 0, time.UTC)},
		read: func(e *component.Element) any { v, _ := ParseDelay(e); return v }},
	{name: "stanza-id", value: StanzaID{ID: "28482-98726-73623", By: room},
		read: func(e *component.Element) any { v, _ := ParseStanzaID(e, room); return v }},
	{name: "origin-id", value: "de305d54", write: func(o *component.Out) { AppendOriginID(o, "de305d54") },
		read: func(e *component.Element) any { return ParseOriginID(e) }},
	{name: "occupant-id", value: "dd72603d", write: func(o *component.Out) { AppendOccupantID(o, "dd72603d") },
		read: func(e *component.Element) any { return ParseOccupantID(e) }},
	{name: "replace", value: "bad1", write: func(o *component.Out) { AppendReplace(o, "bad1") },
		read: func(e *component.Element) any { return ParseReplace(e) }},
	{name: "reply", value: Reply{ID: "message-id1", To: outside},
		read: func(e *component.Element) any { v, _ := ParseReply(e); return v }},
	{name: "fallback ranges", value: Fallback{For: NSReply, Body: []Range{{0, 33}}, WholeSubject: true},
		read: func(e *component.Element) any { v, _ := ParseFallback(e, NSReply); return v }},
	{name: "fallback of everything", value: Fallback{For: NSReactions, WholeBody: true, WholeSubject: true},
		read: func(e *component.Element) any { v, _ := ParseFallback(e, NSReactions); return v }},
	{name: "reactions", value: Reactions{ID: "744f6e18", Emoji: []string{"👋", "🐢"}},
		read: func(e *component.Element) any { v, _ := ParseReactions(e); return v }},
	{name: "retract", value: "origin-id-1", write: func(o *component.Out) { AppendRetract(o, "origin-id-1") },
		read: func(e *component.Element) any { return ParseRetract(e) }},
	{name: "moderate", value: Moderate{ID: "stanza-id-1", Reason: "spam"},
		read: func(e *component.Element) any { v, _ := ParseModerate(e); return v }},
	{name: "receipt request", value: true, write: AppendReceiptRequest,
		read: func(e *component.Element) any { return WantsReceipt(e) }},
	{name: "receipt", value: "richard2-4.1.247", write: func(o *component.Out) { AppendReceipt(o, "richard2-4.1.247") },
		read: func(e *component.Element) any { return ParseReceipt(e) }},
	{name: "markable", value: true, write: AppendMarkable,
		read: func(e *component.Element) any { return Markable(e) }},
	{name: "displayed", value: "message-1", write: func(o *component.Out) { AppendDisplayed(o, "message-1") },
		read: func(e *component.Element) any { return ParseDisplayed(e) }},
	{name: "idle", value: time.Date(2026, 5, 1, 20, 30, 1, 0, time.UTC),
		write: func(o *component.Out) { AppendIdle(o, time.Date(2026, 5, 1, 20, 30, 1, 0, time.UTC)) },
		read:  func(e *component.Element) any { return ParseIdle(e) }},
	{name: "chat state", value: Paused, read: func(e *component.Element) any { return ParseChatState(e) }},
	{name: "hint", value: NoStore, read: func(e *component.Element) any {
		if HasHint(e, NoStore) {
			return NoStore
		}
		return Hint("")
	}},
	{name: "nick", value: "Ishmael", write: func(o *component.Out) { AppendNick(o, "Ishmael") },
		read: func(e *component.Element) any { return ParseNick(e) }},
	{name: "roster", value: []RosterItem{
		{JID: user, Name: "Juliet", Subscription: "both", Groups: []string{"Capulets", "Friends"}}, {JID: outside.Bare(), Subscription: "remove"},
	}, write: func(o *component.Out) {
		AppendRoster(o, RosterItem{JID: user, Name: "Juliet", Subscription: "both", Groups: []string{"Capulets", "Friends"}}, RosterItem{JID: outside.Bare(), Subscription: "remove"})
	}, read: func(e *component.Element) any { v, _ := ParseRoster(e); return v }},
	{name: "register", value: Register{
		Instructions: "Fill in", Registered: true, Fields: []RegisterField{{"nick", "julie"}, {"password", ""}},
		Form: &component.Form{Type: component.FormAsk, Title: "Register", Fields: []component.FormField{{Var: "nick"}}},
	}, read: func(e *component.Element) any { v, _ := ParseRegister(e); return v }},
	{name: "unregister", value: Register{Remove: true},
		read: func(e *component.Element) any { v, _ := ParseRegister(e); return v }},
	{name: "archive query", value: MAMQuery{
		QueryID: "q", With: room.WithResource("Nick"), Start: time.Date(2026, 5, 1, 20, 30, 1, 123456e3, time.UTC), End: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC),
		BeforeID: "b", AfterID: "a", IDs: []string{"1", "2"}, Flip: true, Page: component.ResultSet{Max: 50, Index: -1, BeforeLast: true},
	}, read: func(e *component.Element) any { v, _ := ParseMAMQuery(e); return v }},
	{name: "archive answer", value: Fin{First: "1", Last: "9", Complete: true, Count: 12},
		read: func(e *component.Element) any { v, _ := ParseFin(e); return v }},
	{name: "search", value: Search{
		Instructions: "Fill in", Fields: []SearchField{{"nick", ""}, {"last", "Capulet"}},
		Form: &component.Form{Type: component.FormAsk, Title: "Search", Fields: []component.FormField{{Var: "words"}}},
	}, read: func(e *component.Element) any { v, _ := ParseSearch(e); return v }},
	{name: "search result", value: Search{Items: []SearchItem{
		{JID: user, Fields: []SearchField{{"nick", "julie"}, {"first", "Juliet"}}}, {JID: room},
	}}, read: func(e *component.Element) any { v, _ := ParseSearch(e); return v }},
	{name: "result set", value: component.ResultSet{Max: 10, Index: -1, After: "peter@pixyland.org"},
		read: func(e *component.Element) any { v, _, _ := component.ParseResultSet(e); return v }},
	{name: "caps", value: component.Caps{Node: component.CapsNode, Ver: "QgayPKawpkPSDYmwT/WM94uAlu0="},
		read: func(e *component.Element) any { v, _ := component.ParseCaps(e); return v }},
}

func TestRoundTrip(t *testing.T) {
	for _, c := range roundTrips {
		t.Run(c.name, func(t *testing.T) {
			write := c.write
			if write == nil {
				write = c.value.(appender).AppendTo
			}
			e := carry(t, write)
			if got := c.read(e); !reflect.DeepEqual(got, c.value) {
				t.Errorf("from the stanza: %+v, want %+v", got, c.value)
			}
			for payload := range e.Children() {
				if payload.Name == "stanza-id" {
					continue // one of several by its nature: read from the stanza
				}
				if got := c.read(payload); !reflect.DeepEqual(got, c.value) {
					t.Errorf("from the payload: %+v, want %+v", got, c.value)
				}
			}
			for _, other := range []*component.Element{nil, message(t, `<body>hi</body>`)} {
				if got := c.read(other); reflect.DeepEqual(got, c.value) {
					t.Errorf("read where there is none: %+v", got)
				}
			}
		})
	}
}

func TestParseMUCJoinPassesOverBadNumbers(t *testing.T) {
	e := message(t, `<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='-1' maxchars='many' seconds='99999999999' since='yesterday'/></x>`)
	join, ok := ParseMUCJoin(e)
	if !ok || join != (MUCJoin{}) {
		t.Errorf("got %+v, %v", join, ok)
	}
}

func TestParseMUCAdminRefuses(t *testing.T) {
	for name, items := range map[string]string{
		"nothing":         ``,
		"foreign item":    `<item xmlns='urn:other' role='none'/>`,
		"no change":       `<item nick='romeo'/>`,
		"bad role":        `<item nick='romeo' role='king'/>`,
		"bad affiliation": `<item jid='a@b' affiliation='enemy'/>`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseMUCAdmin(message(t, `<query xmlns='http://jabber.org/protocol/muc#admin'>`+items+`</query>`))
			var refused *component.StanzaError
			if !errors.As(err, &refused) || refused.Condition != "bad-request" {
				t.Errorf("got %v, want bad-request", err)
			}
		})
	}
}

func TestParseStanzaIDTrustsOnlyTheAssigner(t *testing.T) {
	e := message(t, `<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='evil@example.net'/>`+
		`<stanza-id xmlns='urn:xmpp:sid:0' id='true' by='`+room.String()+`'/>`)
	if id, ok := ParseStanzaID(e, room); !ok || id.ID != "true" {
		t.Errorf("got %+v, %v", id, ok)
	}
	if id, ok := ParseStanzaID(e, user); ok {
		t.Errorf("an id of nobody: %+v", id)
	}
}

func TestFallbackStrip(t *testing.T) {
	const body = "> héllo 🐢\nyes"
	for name, c := range map[string]struct {
		fallback, want string
	}{
		"range":            {`<body start='0' end='10'/>`, "yes"},
		"beyond the end":   {`<body start='10' end='1000'/>`, "> héllo 🐢\n"},
		"inside":           {`<body start='2' end='8'/>`, "> 🐢\nyes"},
		"all":              {``, ""},
		"all of the body":  {`<body/>`, ""},
		"only the subject": {`<subject/>`, body},
		"backwards":        {`<body start='5' end='2'/>`, body},
		"no numbers":       {`<body start='a' end='b'/>`, body},
	} {
		t.Run(name, func(t *testing.T) {
			e := message(t, `<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>`+c.fallback+`</fallback>`)
			f, ok := ParseFallback(e, NSReply)
			if !ok {
				t.Fatal("not found")
			}
			if got := f.Strip(body); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if _, ok := ParseFallback(e, NSReactions); ok {
				t.Error("found for another extension")
			}
		})
	}
}

func TestParseReactionsIsASet(t *testing.T) {
	e := message(t, `<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>👍</reaction><reaction> </reaction><reaction>👍</reaction></reactions>`)
	if r, ok := ParseReactions(e); !ok || !reflect.DeepEqual(r.Emoji, []string{"👍"}) {
		t.Errorf("got %+v, %v", r, ok)
	}
}

func TestParseRegisterRefusesBadForm(t *testing.T) {
	e := message(t, `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='nonsense'/></query>`)
	if _, err := ParseRegister(e); err == nil {
		t.Error("no error for a form of no type")
	}
}

// FuzzPayloads reads every payload from whatever a stranger sends: nothing
// panics, and what was understood can be written and is understood the same.
func FuzzPayloads(f *testing.F) {
	for _, c := range roundTrips {
		write := c.write
		if write == nil {
			write = c.value.(appender).AppendTo
		}
		o := component.NewMessage(room, user, "", "")
		write(o)
		xml, err := component.Encode(o, room.Domain)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(xml)
	}
	f.Add(`<message from='a@b'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='@'/><status code='-1'/><item/></x></message>`)
	f.Fuzz(func(t *testing.T, xml string) {
		s, err := component.ParseStanza(xml)
		if err != nil {
			return
		}
		for _, c := range roundTrips {
			first := c.read(s.Element)
			value, ok := first.(appender)
			if !ok {
				continue
			}
			o := component.NewMessage(room, user, "", "")
			value.AppendTo(o)
			again, err := component.Encode(o, room.Domain)
			if err != nil {
				continue // nothing was understood, or too much to send
			}
			back, err := component.ParseStanza(again)
			if err != nil {
				t.Fatalf("%s: %v in %s", c.name, err, again)
			}
			third := component.NewMessage(room, user, "", "")
			if v, ok := c.read(back.Element).(appender); ok {
				v.AppendTo(third)
			}
			if twice, err := component.Encode(third, room.Domain); err != nil || twice != again {
				t.Fatalf("%s: written as\n%s\nand then as\n%s\n%v", c.name, again, twice, err)
			}
		}
	})
}
