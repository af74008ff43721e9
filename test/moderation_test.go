package test

import (
	"testing"

	. "transportd/internal/testenv"
)

// admin is a request to change occupants of a room (XEP-0045 section 8 and 9).
func admin(item string) string {
	return `<query xmlns='http://jabber.org/protocol/muc#admin'>` + item + `</query>`
}

func TestStandingShown(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		carol := s.irc(t, "carol")
		carol.join(garden)
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		occupant := From(room + "/" + carol.Nick)
		for _, c := range []struct {
			mode, role, affiliation string
		}{
			{"+v", "participant", "member"},
			{"+o", "moderator", "admin"},
			{"-v", "moderator", "admin"}, // not shown by itself: op outranks voice
			{"-o", "participant", "none"},
		} {
			bob.mode(garden, c.mode+" "+carol.Nick)
			if c.mode != "-v" {
				alice.expect(Presence(occupant, Type(""), Role(c.role), Affiliation(c.affiliation)))
			}
		}
		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Status("110"), Role("moderator"), Affiliation("admin")))
	})
}

// A user with the rights gives and takes them; the room shows it when the
// network has.
func TestStandingChanged(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		carol := s.irc(t, "carol")
		carol.join(garden)
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		// Without rights: refused, in the server's words.
		r := alice.refused("set", room, admin(`<item nick='`+carol.Nick+`' affiliation='admin'/>`), "auth", "forbidden")
		alice.check(r, ErrorText("(?i)op|priv"))

		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("moderator")))
		for _, c := range []struct{ item, mode, role, affiliation string }{
			{`affiliation='member'`, `\+v %s`, "participant", "member"},
			{`affiliation='admin'`, `\+o(-v)? %s|-v\+o %[1]s`, "moderator", "admin"},
			{`affiliation='none'`, `-o`, "participant", "none"},
		} {
			alice.result("set", room, admin(`<item nick='`+carol.Nick+`' `+c.item+`/>`))
			bob.expect(`^:%s!\S+ MODE `+garden+` :?.*`, alice.name)
			alice.expect(Presence(From(room+"/"+carol.Nick), Role(c.role), Affiliation(c.affiliation)))
		}
		alice.refused("set", room, admin(`<item nick='`+unique("ghost")+`' affiliation='admin'/>`), "cancel", "item-not-found")
	})
}

func TestKicks(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		carol := s.irc(t, "carol")
		carol.join(garden)
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		kick := admin(`<item nick='` + carol.Nick + `' role='none'><reason>be nice</reason></item>`)
		alice.refused("set", room, kick, "auth", "forbidden")

		// Others by others.
		bob.Sendf("KICK %s %s :behave", garden, carol.Nick)
		m := alice.expect(Presence(From(room+"/"+carol.Nick), Type("unavailable"), Status("307"), StatusText("behave"), Role("none")))
		if got := m.First("actor").Attr("nick"); got != bob.Nick {
			t.Errorf("kicked by %q, want %q", got, bob.Nick)
		}
		carol.join(garden)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("")))

		// By the user.
		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("moderator")))
		alice.result("set", room, kick)
		carol.expect(`^:%s!\S+ KICK %s %s :be nice`, alice.name, garden, carol.Nick)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("unavailable"), Status("307"), StatusText("be nice")))

		// The user: out, and told that it was them.
		bob.Sendf("KICK %s %s :enough", garden, alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Type("unavailable"), Status("307", "110"), StatusText("enough")))
		id := alice.say(room, "hello?")
		alice.expect(Message(ID(id), Error("modify", "not-acceptable")))
		alice.enter(garden)
	})
}

func TestBans(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		carol := s.irc(t, "carol")
		carol.join(garden)
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		// A kick where a ban that matches was seen is a ban.
		bob.mode(garden, "+b "+carol.Nick+"!*@*")
		bob.Sendf("KICK %s %s :out", garden, carol.Nick)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("unavailable"), Status("301"), StatusText("out")))
		bob.mode(garden, "-b "+carol.Nick+"!*@*")
		carol.join(garden)

		// By the user.
		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("moderator")))
		alice.result("set", room, admin(`<item nick='`+carol.Nick+`' affiliation='outcast'><reason>spam</reason></item>`))
		bob.expect(`^:%s!\S+ MODE %s \+b`, alice.name, garden)
		carol.expect(`^:%s!\S+ KICK %s %s :spam`, alice.name, garden, carol.Nick)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("unavailable"), Status("301"), StatusText("spam")))

		// The list is there to read.
		list := alice.result("get", room, admin(`<item affiliation='outcast'/>`))
		if len(list.All("item")) == 0 {
			t.Errorf("the list of outcasts is empty: %s", list)
		}
		carol.Send("JOIN " + garden)
		carol.expect(` 474 %s %s `, carol.Nick, garden)
	})
}

// Why a channel cannot be entered is told as the condition a client knows, with
// the server's words.
func TestRefusedJoins(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		for _, c := range []struct {
			name, mode           string
			errorType, condition string
			words                string
		}{
			{"banned", "+b *!*@*", "auth", "forbidden", "(?i)ban"},
			{"invite only", "+i", "auth", "registration-required", "(?i)invite"},
			{"key missing", "+k sesame", "auth", "not-authorized", "(?i)key"},
			{"full", "+l 1", "wait", "service-unavailable", "(?i)full|limit"},
		} {
			t.Run(c.name, func(t *testing.T) {
				bob, garden := s.host(t, "bob", "garden")
				bob.mode(garden, c.mode)
				alice := s.user(t, "alice")
				room := s.room(garden)
				alice.join(room, alice.name, "")
				alice.expect(Presence(FromBare(room), Error(c.errorType, c.condition), ErrorText(c.words)))
				bob.none(`JOIN`)
			})
		}
		t.Run("the right key", func(t *testing.T) {
			bob, garden := s.host(t, "bob", "garden")
			bob.mode(garden, "+k sesame")
			alice := s.user(t, "alice")
			room := s.room(garden)
			alice.join(room, alice.name, "<password>open</password>")
			alice.expect(Presence(FromBare(room), Error("auth", "not-authorized")))
			alice.join(room, alice.name, "<password>sesame</password>")
			alice.expect(Presence(From(room+"/"+alice.name), Status("110")))
		})
		t.Run("a name no channel has", func(t *testing.T) {
			alice := s.user(t, "alice")
			room := s.room(`#no\20such\2cname`)
			alice.join(room, alice.name, "")
			alice.expect(Presence(FromBare(room), Type("error")))
		})
		t.Run("a network nobody listed", func(t *testing.T) {
			alice := s.user(t, "alice")
			room := "#garden%irc.example.net@" + domain
			alice.join(room, alice.name, "")
			alice.expect(Presence(FromBare(room), Type("error")))
		})
	})
}

func TestInvitations(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		carol := s.irc(t, "carol")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("moderator")))

		// Mediated by the room (XEP-0045 section 7.8.2), and direct (XEP-0249).
		alice.send(`<message to='%s'><x xmlns='`+NSMUCUser+`'><invite to='%s'><reason>come</reason></invite></x></message>`,
			room, s.person(carol.Nick))
		carol.expect(`^:%s!\S+ INVITE %s :?%s`, alice.name, carol.Nick, garden)
		carol.join(garden)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("")))
		carol.Send("PART " + garden)
		alice.expect(Presence(From(room+"/"+carol.Nick), Type("unavailable")))
		alice.send(`<message to='%s'><x xmlns='jabber:x:conference' jid='%s'/></message>`, s.person(carol.Nick), room)
		carol.expect(`^:%s!\S+ INVITE %s :?%s`, alice.name, carol.Nick, garden)

		// The other way: into a channel the user is not in.
		cellar := "#" + unique("cellar")
		carol.join(cellar)
		carol.mode(cellar, "+i")
		carol.Sendf("INVITE %s %s", alice.name, cellar)
		m := alice.expect(Message(Any(Has(NSMUCUser, "invite"), Has("jabber:x:conference", "x"))))
		if x := m.Child("jabber:x:conference", "x"); x != nil && x.Attr("jid") != s.room(cellar) || x == nil && m.Attr("from") != s.room(cellar) {
			t.Errorf("an invitation into another room: %s", m)
		}
		alice.enter(cellar)
	})
}
