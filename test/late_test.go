package test

import (
	"testing"
	"time"

	. "transportd/internal/testenv"
)

// Private lines that came while the user had no client reach them once they are
// back: once, in order, with the time they were said.
func TestPrivateLinesWhileAway(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		alice.result("set", room, `<query xmlns='`+nsOwner+`'>`+submit(nsRoomConfig, "muc#roomconfig_persistentroom", "1")+`</query>`)
		alice.leave(room, "")
		alice.close()

		began := time.Now()
		bob.says(alice.name, "first while away")
		bob.says(alice.name, "second while away")
		bob.Send("WHOIS " + alice.name) // behind them
		bob.expect(` 318 `)
		time.Sleep(2 * time.Second) // so that the time it was said is another than now
		try(t, alice.Reconnect(wait(t)))
		alice.send(`<presence/>`)
		from := FromBare(s.person(bob.Nick))
		got := alice.inOrder(Message(from, Type("chat"), Body("first while away"), Delayed()), Message(from, Type("chat"), Body("second while away"), Delayed()))
		for _, m := range got {
			at, err := time.Parse(time.RFC3339Nano, m.First("delay").Attr("stamp"))
			if err != nil || at.Before(began.Add(-2*time.Second)) || at.After(began.Add(3*time.Second)) {
				t.Errorf("said at %v, stamped %s (%v)", began, m.First("delay"), err)
			}
		}
		alice.chat(s.domain, "drop "+room)
		alice.expect(Message(FromBare(s.domain), BodyLike("You have left")))
		for _, text := range []string{"first while away", "second while away"} {
			if n := len(alice.Received(Message(Body(text)))); n != 1 {
				t.Errorf("%q came %d times", text, n)
			}
		}
	})
}
