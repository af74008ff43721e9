package matrix

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"transportd/bridges"
	"transportd/internal/matrixtest"
)

// TestWhoIsThereAtFirst: contacts whose presence does not change after the link was made
// are known to be there, too.
func TestWhoIsThereAtFirst(t *testing.T) {
	srv := matrixtest.New(t)
	bob, carol, alice := srv.User("bob"), srv.User("carol"), srv.User("alice")
	bob.SetPresence("unavailable", "lunch")
	carol.SetPresence("online", "")
	direct := map[string]any{}
	for _, u := range []*matrixtest.User{bob, carol} {
		chat := u.Direct(alice)
		alice.Join(chat)
		direct[u.ID] = []string{chat.ID}
	}
	alice.SetData(nil, "m.direct", direct)
	is := func(u *matrixtest.User) func(*bridges.Present) bool {
		return func(p *bridges.Present) bool { return p.Member.ID == bridges.UserID(u.ID) }
	}
	for _, when := range []string{"at first", "after a restart"} {
		l := openLink(t, srv, Config{}, nil).online()
		for range 2 {
			p := want(l, "presence "+when, func(p *bridges.Present) bool { return is(bob)(p) || is(carol)(p) })
			if is(bob)(p) && (!p.Online || !p.Member.Away || p.Text != "lunch") {
				t.Errorf("%s bob is %+v", when, p)
			}
			if is(carol)(p) && (!p.Online || p.Member.Away) {
				t.Errorf("%s carol is %+v", when, p)
			}
		}
		l.stop()
		l.ended()
	}

	// Who becomes a contact is asked about then.
	l := openLink(t, srv, Config{}, nil).online()
	dave := srv.User("dave")
	dave.SetPresence("online", "new here")
	chat := dave.Direct(alice)
	want(l, "who asks", func(c *bridges.Contact) bool { return c.Asks })
	l.ok(l.net.Befriend(l.nextRef(), bridges.UserID(dave.ID)))
	if p := want(l, "dave's presence", is(dave)); !p.Online || p.Text != "new here" {
		t.Errorf("dave is %+v", p)
	}
	chat.WaitMember(t, alice, "join")
}

// TestWhoIsThereIsBounded: however many contacts there are, some are asked about, those
// who spoke last; and where the homeserver does not tell, nobody is.
func TestWhoIsThereIsBounded(t *testing.T) {
	n := &network{online: true, contacts: map[id.UserID]*contact{}, present: map[id.UserID]bool{}}
	for i := range 2 * maxCurious {
		user := id.UserID(fmt.Sprintf("@%d:hs.test", i))
		n.contacts[user] = &contact{last: int64(i)}
		n.curious = append(n.curious, user)
	}
	asked := 0
	for ; ; asked++ {
		user, ok := n.nextCurious(asked)
		if !ok {
			break
		}
		if want := id.UserID(fmt.Sprintf("@%d:hs.test", 2*maxCurious-1-asked)); user != want {
			t.Fatalf("%s is asked about, not %s", user, want)
		}
		n.present[user] = true
	}
	if asked != maxCurious || n.curious != nil {
		t.Errorf("%d are asked about", asked)
	}

	p := n.presenceOf("@x:hs.test", &contact{}, "online", "a\nb", int64(time.Hour/time.Millisecond))
	if d := time.Since(p.Since); d < time.Hour || d > time.Hour+time.Minute || p.Text != "a b" {
		t.Errorf("presence %+v", p)
	}
}
