package test

import (
	"strings"
	"testing"
	"time"

	. "transportd/internal/testenv"
)

const (
	nsOwner      = "http://jabber.org/protocol/muc#owner"
	nsRoomConfig = "http://jabber.org/protocol/muc#roomconfig"
)

// run begins an ad-hoc command and returns what comes first.
func (u *user) run(address, node string) Stanza {
	u.t.Helper()
	return u.result("set", address, `<command xmlns='`+nsCommands+`' node='`+node+`' action='execute'/>`)
}

// recorded waits until the archive of a room has a line.
func (u *user) recorded(room string) {
	u.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		ends := u.result("get", room, `<metadata xmlns='urn:xmpp:mam:2'/>`)
		if ends.First("end") != nil {
			return
		}
	}
	u.t.Fatal("nothing is recorded")
}

// A room that is kept is not left with the last client, is there again after a
// restart, and is gone for good once it is dropped. Nobody needs an account for that.
func TestPersistentRooms(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		s = s.own(t, GatewayOptions{Domain: staying})
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)

		alice.check(alice.result("get", room, `<query xmlns='http://jabber.org/protocol/disco#info'/>`), Has("http://jabber.org/protocol/disco#info", "feature"))
		form := alice.result("get", room, `<query xmlns='`+nsOwner+`'/>`)
		if form.First("field") == nil {
			t.Fatalf("no form: %s", form)
		}
		alice.result("set", room, `<query xmlns='`+nsOwner+`'>`+submit(nsRoomConfig, "muc#roomconfig_persistentroom", "1")+`</query>`)
		disco := alice.result("get", room, `<query xmlns='http://jabber.org/protocol/disco#info'/>`).String()
		if !strings.Contains(disco, "muc_persistent") || strings.Contains(disco, "muc_temporary") {
			t.Errorf("the room says it is %s", disco)
		}
		alice.leave(room, "bye")
		bob.says(garden, "while nobody was there")
		alice.recorded(room)
		alice.close()
		bob.Send("NAMES " + garden)
		bob.expect(` 353 .*%s`, alice.name)
		bob.none(`^:%s!\S+ (QUIT|PART)`, alice.name)
		bob.Forget()
		try(t, s.gateway.Restart(wait(t)))
		bob.expect(`^:%s!\S+ QUIT`, alice.name)
		bob.meets(alice.name, garden)
		bob.Forget()

		try(t, alice.Reconnect(wait(t)))
		alice.send(`<presence/>`)
		list := alice.run(s.domain, "rooms").String()
		for _, want := range []string{room, "In it as " + alice.name + ", without a client"} {
			if !strings.Contains(list, want) {
				t.Errorf("the list has no %q: %s", want, list)
			}
		}
		alice.join(room, alice.name, "")
		alice.expect(Message(From(room+"/"+bob.Nick), Type("groupchat"), Body("while nobody was there"), Has("urn:xmpp:delay", "delay")))
		bob.none(`^:%s!\S+ (JOIN|PART)`, alice.name)
		settings := alice.run(room, "configure")
		done := alice.command(settings, room, submit("", "persistent", "1", "record", "off"))
		if done.Attr("status") != "completed" {
			t.Errorf("the settings are not taken: %s", done)
		}
		alice.chat(s.domain, "drop "+room)
		bob.expect(`^:%s!\S+ (QUIT|PART)`, alice.name)
		alice.expect(Message(FromBare(s.domain), BodyLike("You have left")))

		bob.Forget()
		// Politely: that the client is out is written a moment after it is.
		s.gateway.Stop()
		try(t, s.gateway.Start(wait(t)))
		if list := alice.run(s.domain, "rooms").String(); strings.Contains(list, "In it") || strings.Contains(list, "joined") {
			t.Errorf("the room came back: %s", list)
		}
		bob.none(`^:%s!\S+ JOIN`, alice.name)
	})
}
