package test

import (
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// Who joins gets, in this order: the others with their standing, themselves, what
// was said before, the subject; then life (XEP-0045 section 7.1).
func TestJoin(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "Garden")
		carol, dave := s.irc(t, "carol"), s.irc(t, "dave")
		for _, p := range []*person{carol, dave} {
			p.join(garden)
			bob.meets(p.Nick, garden)
		}
		bob.mode(garden, "+v "+carol.Nick)
		bob.Sendf("TOPIC %s :Plants & <trees>", garden)
		bob.expect(`TOPIC %s :Plants`, garden)

		alice := s.user(t, "alice")
		room := s.room(garden)
		alice.join(room, alice.name, "")
		self := Presence(From(room+"/"+alice.name), Status("110"))
		subject := Message(Type("groupchat"), Subject("Plants & <trees>"))
		got := alice.inOrder(self, subject)
		for _, other := range []Match{
			Presence(From(room+"/"+bob.Nick), Type(""), Role("moderator"), Any(Affiliation("admin"), Affiliation("owner"))),
			Presence(From(room+"/"+carol.Nick), Type(""), Role("participant"), Affiliation("member")),
			Presence(From(room+"/"+dave.Nick), Type(""), Role("participant"), Affiliation("none")),
		} {
			if p := alice.expect(other); p.Seq > got[0].Seq {
				t.Errorf("an occupant came after the user's own presence: %s", p)
			}
		}
		alice.check(got[0], Role("participant"), Affiliation("none"), Not(Status("210")))
		if from := got[1].Attr("from"); from != room+"/"+bob.Nick && from != room {
			t.Errorf("the subject is from %s", from)
		}

		bob.meets(alice.name, garden)
		bob.says(garden, "welcome")
		if m := alice.expect(Message(Type("groupchat"), From(room+"/"+bob.Nick), Body("welcome"))); m.Seq < got[1].Seq {
			t.Error("a line came before the subject")
		}
	})
}

// A channel nobody is in is made by joining it, and its maker is operator.
func TestJoinEmptyChannel(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		alice := s.user(t, "alice")
		room := s.room("#" + unique("new"))
		alice.join(room, alice.name, "")
		got := alice.inOrder(
			Presence(From(room+"/"+alice.name), Status("110"), Role("moderator")),
			Message(FromBare(room), Type("groupchat"), Subject("")))
		alice.none(Presence(FromBare(room)))
		alice.check(got[0], Any(Affiliation("admin"), Affiliation("owner")))
	})
}

// A second client of a user comes into a room without the network noticing: it
// gets the occupants, what was said, and the subject.
func TestSecondClient(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		bob.Sendf("TOPIC %s :roses", garden)
		phone := s.user(t, "alice")
		room := phone.enter(garden)
		bob.meets(phone.name, garden)
		for _, line := range []string{"one", "two", "three"} {
			bob.says(garden, line)
			phone.expect(Message(Body(line)))
		}
		id := phone.say(room, "four")
		phone.expect(Message(ID(id), Body("four")))
		bob.Forget()

		desk := s.resource(t, phone.name, "desk")
		desk.join(room, phone.name, "")
		desk.inOrder(
			Presence(From(room+"/"+bob.Nick), Role("moderator")),
			Presence(From(room+"/"+phone.name), Status("110")),
			Message(From(room+"/"+bob.Nick), Body("one"), Delayed()),
			Message(From(room+"/"+bob.Nick), Body("two"), Delayed()),
			Message(From(room+"/"+bob.Nick), Body("three"), Delayed()),
			Message(From(room+"/"+phone.name), Body("four"), Delayed()),
			Message(FromBare(room), Subject("roses")))

		bob.says(garden, "both of you")
		phone.expect(Message(Body("both of you")))
		desk.expect(Message(Body("both of you"), Not(Delayed())))
		id = desk.say(room, "from the desk")
		desk.expect(Message(ID(id), From(room+"/"+phone.name)))
		phone.expect(Message(From(room+"/"+phone.name), Body("from the desk")))
		bob.none(`JOIN`)

		// The first one leaves: the other stays, and so does the nick.
		phone.leave(room, "")
		desk.say(room, "still here")
		bob.expect(`PRIVMSG %s :still here`, garden)
		bob.none(`PART|QUIT`)
		desk.none(Presence(From(room+"/"+phone.name), Type("unavailable")))
		desk.leave(room, "")
		bob.expect(`^:%s!\S+ PART :?%s`, phone.name, garden)
	})
}

// The client asks for as much of what was said as it wants (XEP-0045 section 7.2.13).
func TestHistoryLimits(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		phone := s.user(t, "alice")
		room := phone.enter(garden)
		for _, line := range []string{"one", "two", "three"} {
			bob.says(garden, line)
			phone.expect(Message(Body(line)))
		}
		for _, c := range []struct{ resource, history, want string }{
			{"none", `<history maxstanzas='0'/>`, ""},
			{"last", `<history maxstanzas='1'/>`, "three"},
			{"all", ``, "one two three"},
		} {
			u := s.resource(t, phone.name, c.resource)
			u.join(room, phone.name, c.history)
			u.expect(Message(FromBare(room), Has("jabber:client", "subject")))
			var got []string
			for _, m := range u.Received(Message(FromBare(room), Delayed(), Has("jabber:client", "body"))) {
				got = append(got, m.Child("", "body").Text)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%s: history %q, want %q", c.resource, text, c.want)
			}
		}
	})
}

// XEP-0410: every client learns whether it is in.
func TestSelfPing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		_, garden := s.host(t, "bob", "garden")
		phone := s.user(t, "alice")
		room := phone.enter(garden)
		desk := s.resource(t, phone.name, "desk")
		const ping = `<ping xmlns='urn:xmpp:ping'/>`
		phone.result("get", room+"/"+phone.name, ping)
		out := Any(Error("cancel", "not-acceptable"), Error("modify", "not-acceptable"))
		desk.check(desk.request("get", room+"/"+phone.name, ping), out)
		phone.leave(room, "")
		phone.check(phone.request("get", room+"/"+phone.name, ping), out)
	})
}

// People come and go on the network, with their words.
func TestComingAndGoing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		carol, dave := s.irc(t, "carol"), s.irc(t, "dave")
		carol.join(garden)
		dave.join(garden)
		for _, p := range []*person{carol, dave} {
			alice.expect(Presence(From(room+"/"+p.Nick), Type(""), Role("participant")))
		}
		carol.Sendf("PART %s :off to lunch", garden)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("unavailable"), StatusText("off to lunch"), Role("none")))
		dave.Send("QUIT :good night")
		alice.expect(Presence(From(room+"/"+dave.Nick), Type("unavailable"), StatusText("good night"), Role("none")))

		alice.leave(room, "so long")
		bob.expect(`^:%s!\S+ PART %s :.*so long`, alice.name, garden)
	})
}

func TestNickChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		// On the network.
		robert := unique("robert")
		bob.Send("NICK " + robert)
		alice.inOrder(
			Presence(From(room+"/"+bob.Nick), Type("unavailable"), NewNick(robert)),
			Presence(From(room+"/"+robert), Type(""), Role("moderator")))

		// By the user.
		alicia := unique("alicia")
		alice.send(`<presence to='%s/%s'/>`, room, alicia)
		alice.inOrder(
			Presence(From(room+"/"+alice.name), Type("unavailable"), NewNick(alicia), Status("110")),
			Presence(From(room+"/"+alicia), Type(""), Status("110")))
		bob.expect(`^:%s!\S+ NICK :?%s`, alice.name, alicia)

		// One that is taken is refused, and nothing has changed.
		alice.send(`<presence to='%s/%s'/>`, room, robert)
		alice.expect(Presence(FromBare(room), Error("cancel", "conflict")))
		alice.say(room, "who am I")
		bob.expect(`^:%s!\S+ PRIVMSG %s :who am I`, alicia, garden)
	})
}

// The nick of a network that is online already is kept, and the join says so.
func TestSecondRoomOtherNick(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		_, garden := s.host(t, "bob", "garden")
		_, cellar := s.host(t, "carol", "cellar")
		alice := s.user(t, "alice")
		alice.enter(garden)
		room := s.room(cellar)
		alice.join(room, unique("somebody"), "")
		alice.expect(Presence(From(room+"/"+alice.name), Status("110", "210")))
	})
}

// A nick that is taken is a conflict for who asks for it, never another nick.
func TestNickTaken(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := s.room(garden)
		alice.join(room, bob.Nick, "")
		alice.expect(Presence(FromBare(room), Error("cancel", "conflict")))
		bob.none(`JOIN`)
		alice.enter(garden)
	})
}

func TestTopics(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		// Only operators may: the user is told in the server's words.
		bob.Sendf("MODE %s +t", garden) // set from the beginning on some servers
		if err := bob.Fence(wait(t)); err != nil {
			t.Fatal(err)
		}
		refused := alice.sendSubject(room, "daisies")
		alice.expect(Message(ID(refused), Error("auth", "forbidden"), ErrorText("(?i)op|priv")))

		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("moderator"), Status("110")))
		for _, text := range []string{"daisies & roses", ""} {
			alice.subject(room, text)
			bob.expect(`^:%s!\S+ TOPIC %s :%s$`, alice.name, garden, text)
		}
		bob.topic(garden, "roses & tulips")
		shown := alice.expect(Message(From(room+"/"+bob.Nick), Type("groupchat"), Subject("roses & tulips"), Has("urn:xmpp:sid:0", "stanza-id")))

		// The archive has the subjects, the last one under the id it was shown with.
		alice.Forget()
		alice.result("set", room, `<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>2</max><before/></set></query>`)
		results := alice.Received(Message(Has("urn:xmpp:mam:2", "result"), Has("jabber:client", "subject")))
		if len(results) != 2 {
			t.Fatalf("the archive ends with %v", results)
		}
		id := shown.First("stanza-id").Attr("id")
		for i, parts := range [][]string{{alice.name, "<subject"}, {bob.Nick, "roses & tulips", id}} {
			for _, part := range parts {
				if !strings.Contains(results[i].String(), part) {
					t.Errorf("subject %d has no %s: %s", i, part, results[i])
				}
			}
		}
	})
}

func (u *user) sendSubject(room, text string) string {
	u.t.Helper()
	id := u.NewID()
	u.send(`<message to='%s' type='groupchat' id='%s'><subject>%s</subject></message>`, room, id, text)
	return id
}

// subject sets a room's subject and waits until the room shows it. InspIRCd
// allows one change a second.
func (u *user) subject(room, text string) {
	u.t.Helper()
	ctx := wait(u.t)
	for ctx.Err() == nil {
		id := u.sendSubject(room, text)
		m := u.expect(Any(Message(ID(id), Type("error")), Message(From(room+"/"+u.name), Type("groupchat"), Subject(text))))
		if m.Attr("type") == "groupchat" {
			return
		}
		u.check(m, ErrorText("(?i)later"))
		pace(u.t)
	}
	u.t.Fatalf("the subject %q could not be set", text)
}

// topic is the same from the other side.
func (p *person) topic(channel, text string) {
	p.t.Helper()
	ctx := wait(p.t)
	for ctx.Err() == nil {
		p.Sendf("TOPIC %s :%s", channel, text)
		if line := p.expect(`:Retry topic change|TOPIC %s :%s$`, channel, text); !strings.Contains(line, ":Retry") {
			return
		}
		pace(p.t)
	}
	p.t.Fatalf("the topic %q could not be set", text)
}
