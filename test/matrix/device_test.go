package matrix

import (
	"testing"

	. "transportd/internal/testenv"
)

// TestDeviceRemoved: ben ends all his sessions with another client. He is told once, in
// words, and sees it in the gateway's presence; when he has logged in again he is in his
// rooms, the encrypted one among them, by a session with keys of its own.
func TestDeviceRemoved(t *testing.T) {
	everywhere(t, "removed", func(p *pair) {
		garden := p.id(p.anna.CreateRoom(p.wait(), MatrixRoom{Alias: p.alias, Public: true, Encrypted: true}))
		room := p.enter("")
		p.hears(InRoom(garden), Membership(p.benID, "join"))
		must[[]string](p)(p.anna.AwaitDevices(p.wait(), p.benID, 1))
		p.say(room, "one", "")
		p.hears(InRoom(garden), Sender(p.benID), Text("one"), Encrypted())

		laptop := must[*MatrixClient](p)(shared.matrix.Login(p.wait(), shared.homeserver, "ben"+p.alias, "laptop"))
		p.try(laptop.Request(p.wait(), "POST", "/_matrix/client/v3/logout/all", map[string]any{}, nil))
		p.expect(Presence(FromBare(room), Type("unavailable"), Status("110")))
		p.expect(Message(From(p.domain), BodyLike(`logged out of your Matrix account.*relogin`)))
		p.expect(Presence(From(p.domain), StatusText(`logged out of your Matrix account`)))

		p.register(shared.homeserver, MatrixPassword("ben"+p.alias))
		p.expect(Presence(From(p.domain), StatusText(`Connected as`)))
		if told := p.xmpp.Received(Message(From(p.domain), BodyLike(`logged out of your Matrix account`))); len(told) != 1 {
			p.Errorf("ben was told %d times: %v", len(told), told)
		}
		p.enter("")
		p.say(room, "two", "")
		p.hears(InRoom(garden), Sender(p.benID), Text("two"), Encrypted())
		p.id(p.anna.Say(p.wait(), garden, "three"))
		p.expect(Message(FromBare(room), Body("three")))
	})
}
