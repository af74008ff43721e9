package irc

import (
	"fmt"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// Lines that name nobody, and channels that are none, make no occupants and no
// rooms: neither would have an address.
func TestNamesThatAreNone(t *testing.T) {
	w := open(t, setup{})
	w.srv.Puppet("bob").Do("JOIN #room")
	w.join("#room")
	w.fence()
	mark := len(w.rec.since(0))
	for _, line := range []string{
		"JOIN #room", ": JOIN #room", ":!u@h JOIN #room", ":!u@h PART #room", ":!u@h QUIT :x", ":!u@h NICK eve", ":!u@h AWAY :x",
		":!u@h ACCOUNT x", ":!u@h CHGHOST a b", ":!u@h INVITE alice #room",
		":alice!a@h JOIN :", ":alice!a@h JOIN bob", ":alice!a@h JOIN :#a b", ":alice!a@h JOIN ,,", ":alice!a@h JOIN :#a\x07b",
		":x!u@h RENAME #room :", ":x!u@h RENAME #room bob", ":x!u@h RENAME #room :#a b", ":x!u@h KICK #room :",
	} {
		w.me.Send("%s", line)
	}
	w.me.Send(":x!u@h INVITE alice nochannel")
	w.me.Send("PRIVMSG #room :from nobody")
	w.me.Send("PRIVMSG alice :from nobody")
	w.fence()
	var said []string
	for _, ev := range w.rec.since(mark) {
		switch ev := ev.(type) {
		case *bridges.ServerNotice:
			said = append(said, ev.Text)
		case *bridges.Done:
		default:
			t.Errorf("there is %s", describe(ev))
		}
	}
	for _, want := range []string{"has invited alice to nochannel", "from nobody"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("%q is not told: %q", want, said)
		}
	}
	for _, line := range w.me.Got() {
		if strings.Contains(line, "MODE :") || strings.Contains(line, "MODE bob") {
			t.Errorf("the network was asked %q", line)
		}
	}
	if _, others, ok := w.net.Members("#room"); !ok || len(others) != 1 || others[0].Nick != "bob" {
		t.Errorf("members %v, %t", others, ok)
	}
}

// A channel that gets the name of another one that the user is in.
func TestRenamedOntoAnother(t *testing.T) {
	w := open(t, setup{server: irctest.Config{}})
	w.join("#room")
	w.join("#other")
	w.me.Send(":x!u@h RENAME #room #other :merged")
	left := want(t, w, "Left #other", func(l *bridges.Left) bool { return l.Room == "#other" })
	want(t, w, "Left #room", func(l *bridges.Left) bool { return l.Room == "#room" && l.Self })
	want(t, w, "Entered", func(e *bridges.Entered) bool { return e.Room == "#other" })
	if !left.Self {
		t.Errorf("left %s", describe(left))
	}
}

// Two channels that a new CASEMAPPING makes one.
func TestTwoChannelsBecomeOne(t *testing.T) {
	w := open(t, setup{server: irctest.Config{ISupport: []string{"CASEMAPPING=ascii"}}})
	w.join("#[x]")
	w.join("#{x}")
	w.fence()
	mark := len(w.rec.since(0))
	w.srv.SetISupport("CASEMAPPING=rfc1459")
	w.fence()
	in := map[bridges.RoomID]bool{"#[x]": true, "#{x}": true}
	for _, ev := range w.rec.since(mark) {
		switch ev := ev.(type) {
		case *bridges.Left:
			delete(in, ev.Room)
		case *bridges.Entered:
			in[ev.Room] = true
		}
	}
	if len(in) != 1 || !in["#{x}"] {
		t.Errorf("the user is in %v", in)
	}
}

// A server cannot fill the gateway's memory with rooms or people.
func TestServerThatTellsTooMuch(t *testing.T) {
	t.Run("rooms", func(t *testing.T) {
		w := open(t, setup{})
		for i := range maxRooms {
			w.me.Send(":alice!a@h JOIN #r%d", i)
		}
		w.me.Send(":alice!a@h JOIN #more")
		w.me.Expect(t, `PART #more$`)
		ref := w.nextRef() // what the user wants is something else
		w.ok(w.net.Join(ref, "#mine", bridges.JoinOptions{}))
		want(t, w, "Entered #mine", func(e *bridges.Entered) bool { return e.Ref == ref })
	})
	names := func(w *world, n int) {
		w.me.Send(":alice!a@h JOIN #big")
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("user%d", i))
		}
		w.me.Send(":irc.test 353 alice = #big :%s", strings.Join(list, " "))
	}
	t.Run("names that do not end", func(t *testing.T) {
		w := open(t, setup{})
		w.net.mu.Lock()
		w.net.maxCrowd = 100
		w.net.mu.Unlock()
		for range 5 {
			names(w, 60) // the same people all the time
		}
		w.fence()
		names(w, 101)
		if err := bridges.AsError(w.ended()); err == nil || err.Kind != bridges.TooLarge || !err.Permanent {
			t.Errorf("the end is %v", err)
		}
	})
	t.Run("people who come and go", func(t *testing.T) {
		w := open(t, setup{})
		w.net.mu.Lock()
		w.net.maxCrowd = 100
		w.net.mu.Unlock()
		w.join("#room")
		for i := range 300 {
			w.me.Send(":user%d!u@h JOIN #room", i)
			w.me.Send(":user%d!u@h PART #room", i)
		}
		w.fence()
		for i := range 102 {
			w.me.Send(":user%d!u@h JOIN #room", i)
		}
		if err := bridges.AsError(w.ended()); err == nil || err.Kind != bridges.TooLarge {
			t.Errorf("the end is %v", err)
		}
	})
}

// A ban is two lines, and both can be refused: the second refusal is not that of what
// the user does next.
func TestSecondRefusalOfABan(t *testing.T) {
	lines := make(chan *irctest.Client, 4)
	w := open(t, setup{server: irctest.Config{NoCap: true}, hooks: func(s *irctest.Server) {
		for _, command := range []string{"KICK", "INVITE"} {
			s.Hook(command, func(c *irctest.Client, _ irctest.Msg) bool { lines <- c; return true })
		}
		s.Hook("MODE", func(c *irctest.Client, m irctest.Msg) bool { return m.Param(1) != "" })
	}})
	w.srv.Puppet("carol").Do("JOIN #room")
	w.srv.Puppet("dave")
	w.join("#room")
	w.fence()
	w.srv.Hook("PING", func(*irctest.Client, irctest.Msg) bool { return true }) // nothing settles by itself
	ban, invite := w.nextRef(), w.nextRef()
	w.ok(w.net.SetAffiliation(ban, "#room", "carol", bridges.AffiliationOutcast, ""))
	server := <-lines // both lines are there
	server.Numeric("482", "#room", "You may not ban")
	if err := w.failed(ban); err.Text != "You may not ban" {
		t.Errorf("ban: %+v", err)
	}
	w.ok(w.net.Invite(invite, "#room", "dave", ""))
	<-lines
	server.Numeric("482", "#room", "You may not kick")
	server.Numeric("482", "#room", "You may not invite")
	if err := w.failed(invite); err.Text != "You may not invite" {
		t.Errorf("invitation: %+v", err)
	}
}

func TestWordsOfServices(t *testing.T) {
	for text, want := range map[string]string{
		"Password accepted - you are now recognized.":                      "yes",
		"You are now identified for alice.":                                "yes",
		"You are now logged in as alice.":                                  "yes",
		"You are already logged in as alice.":                              "yes",
		"Password incorrect.":                                              "no",
		"Invalid password for alice.":                                      "no",
		"Your nick isn't registered.":                                      "no",
		"You are not logged in.":                                           "no",
		"Your password was not accepted.":                                  "no",
		"This nickname is registered. Please choose a different nickname.": "",
		"You have not identified: type /msg NickServ IDENTIFY password":    "",
		"Welcome to the network.":                                          "",
	} {
		got := ""
		if yes, answers := loginAnswer(text); yes {
			got = "yes"
		} else if answers {
			got = "no"
		}
		if got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}

// Services may be named with their server, so that nobody else gets the password.
func TestServicesNamedWithTheirServer(t *testing.T) {
	to := make(chan string, 4)
	w := open(t, setup{
		server: irctest.Config{NoCap: true}, link: LinkConfig{NickServ: "NickServ@services.test"}, settings: map[string]string{"password": "secret"},
		hooks: func(s *irctest.Server) {
			s.Hook("PRIVMSG", func(c *irctest.Client, m irctest.Msg) bool {
				to <- m.Param(0)
				c.Send(":NickServ!s@services.test NOTICE alice :Password accepted - you are now recognized.")
				return true
			})
		},
	})
	w.fence()
	if text, err := w.connection(); err != nil || !strings.Contains(text, "Account: alice") {
		t.Errorf("%s, %v", text, err)
	}
	if target := <-to; target != "NickServ@services.test" || len(to) > 0 {
		t.Errorf("the password went to %s, and to %d more", target, len(to))
	}
}
