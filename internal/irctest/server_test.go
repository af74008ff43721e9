package irctest

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// user is a bare client for the tests of the server itself.
type user struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func connect(t *testing.T, s *Server) *user {
	t.Helper()
	sock, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	return &user{t, sock, bufio.NewReader(sock)}
}

func (u *user) say(lines ...string) {
	u.t.Helper()
	if _, err := u.Write([]byte(strings.Join(lines, "\r\n") + "\r\n")); err != nil {
		u.t.Fatal(err)
	}
}

// until reads up to a line that contains a text and returns it.
func (u *user) until(text string) string {
	u.t.Helper()
	var all []string
	for {
		line, err := u.r.ReadString('\n')
		if err != nil {
			u.t.Fatalf("%v before %q; there were:\n%s", err, text, strings.Join(all, ""))
		}
		if strings.Contains(line, text) {
			return strings.TrimRight(line, "\r\n")
		}
		all = append(all, line)
	}
}

func (u *user) register(nick string, caps string) *user {
	u.t.Helper()
	if caps != "" {
		u.say("CAP LS 302", "CAP REQ :"+caps)
	}
	u.say("NICK "+nick, "USER "+nick+" 0 * :Real Name", "CAP END")
	u.until(" 422 ")
	return u
}

// exchange is a scenario in lines: "> x" is said, "< x" must come.
func (u *user) exchange(lines ...string) {
	u.t.Helper()
	for _, l := range lines {
		if text, ok := strings.CutPrefix(l, "> "); ok {
			u.say(text)
		} else {
			u.until(strings.TrimPrefix(l, "< "))
		}
	}
}

func TestChannelLife(t *testing.T) {
	s := Start(t, Config{})
	alice := connect(t, s).register("alice", "")
	bob := connect(t, s).register("bob", "")
	alice.exchange(
		"> JOIN #r", "< :alice!~alice@user.test JOIN #r", "< 353 alice = #r :@alice", "< 366 alice #r",
		"> TOPIC #r :hello there", "< TOPIC #r :hello there",
		"> MODE #r", "< 324 alice #r +nt", "> MODE #r +k-n+b key mask", "< MODE #r +k-n+b key mask!*@*",
		"> MODE #r b", "< 367 alice #r mask!*@*", "< 368 alice #r", "> MODE #r +Z", "< 472 alice Z",
	)
	bob.exchange("> JOIN #r wrong", "< 475 bob #r", "> JOIN #r key", "< 332 bob #r :hello there", "< 333 bob #r alice!", "< :@alice bob",
		"> TOPIC #r x", "< 482 bob #r", "> KICK #r alice", "< 482 bob #r", "> PRIVMSG #r :hi all", "> PRIVMSG nobody :hi", "< 401 bob nobody",
		"> NICK alice", "< 433 bob alice", "> NICK bobby", "< :bob!~bob@user.test NICK bobby", "> PART #none", "< 403 bobby #none", "> FOO", "< 421 bobby FOO",
		"> JOIN", "< 461 bobby JOIN", "> AWAY :gone", "< 306", "> JOIN nochannel", "< 403 bobby nochannel")
	alice.exchange("< JOIN #r", "< :bob!~bob@user.test PRIVMSG #r :hi all", "< NICK bobby", "> MODE #r +mv bobby", "< MODE #r +mv bobby",
		"> WHOIS bobby", "< 311 alice bobby ~bob user.test * :Real Name", "< 319 alice bobby :+#r", "< 301 alice bobby :gone", "< 318",
		"> WHO #r", "< 352 alice #r ~alice user.test irc.test alice H@", "< 352 alice #r ~bob user.test irc.test bobby G+", "< 315",
		"> WHO #r %tna,7", "< 354 alice 7 alice 0", "> PRIVMSG bobby :psst", "< 301 alice bobby :gone",
		"> KICK #r bobby :out with you", "< KICK #r bobby :out with you", "> LIST", "< 322 alice #r 1 :hello there", "< 323",
		"> INVITE bobby #r", "< 341 alice bobby #r", "> MODE alice +i", "< MODE alice +i", "> PING x y", "< PONG irc.test x")
	bob.exchange("< PRIVMSG bobby :psst", "< KICK #r bobby", "< INVITE bobby #r", "> QUIT :bye", "< ERROR :Closing Link: user.test (Quit: bye)")
	s.WaitGone(t, "bobby")
}

func TestExtensions(t *testing.T) {
	s := Start(t, Config{Accounts: map[string]string{"alice": "pw"}})
	alice := connect(t, s).register("alice", strings.Join(DefaultCaps, " "))
	bob := s.Puppet("bob", "extended-join", "away-notify", "account-notify", "chghost", "setname", "message-tags")
	bob.Do("JOIN #r")
	alice.exchange("> @label=1 JOIN #r", "< BATCH +", "< JOIN #r * :Real Name", "< @bob!~bob@bob.puppet.test", "< BATCH -")
	bob.ExpectSeen(t, `^:alice\S+ JOIN #r \* :Real Name$`)
	alice.say("@label=2;+typing=active PRIVMSG #r :hello")
	for _, part := range []string{"label=2", ";time=2", "msgid=", "+typing=active", ":alice!~alice@user.test PRIVMSG #r :hello"} {
		if line := alice.until("PRIVMSG #r"); !strings.Contains(line, part) {
			t.Errorf("echo %q lacks %q", line, part)
		}
		alice.say("@label=2;+typing=active PRIVMSG #r :hello")
	}
	bob.ExpectSeen(t, `^@msgid=\w+;\+typing=active :alice!~alice@user.test PRIVMSG #r :hello$`)
	alice.exchange("> @label=9 PRIVMSG alice :me", "< label=9", "< PRIVMSG alice :me") // the echo, and the message itself
	alice.exchange("> @label=3 PONG x", "< @label=3;time=", "> @label=4 PRIVMSG #none :x", "< label=4")
	alice.exchange("> PRIVMSG NickServ :IDENTIFY wrong", "< Password incorrect", "> PRIVMSG NickServ :IDENTIFY pw", "< 900 alice alice!", "< ACCOUNT alice",
		"> AWAY :lunch", "< 306", "> SETNAME :New Name", "< SETNAME :New Name")
	bob.ExpectSeen(t, "ACCOUNT alice")
	bob.ExpectSeen(t, "AWAY lunch")
	bob.ExpectSeen(t, "SETNAME :New Name")
	s.SetHost("alice", "al", "new.host")
	bob.ExpectSeen(t, "CHGHOST al new.host")
	alice.until("CHGHOST al new.host")
	s.SetCap("new=1")
	alice.until("CAP alice NEW :new=1")
	s.DelCap("new")
	alice.until("CAP alice DEL :new")
	s.SetISupport("NICKLEN=5")
	alice.exchange("< 005 alice NICKLEN=5", "> NICK toolong", "< 432 alice toolong")
	carol := s.Puppet("carol")
	carol.Do("JOIN #r")
	s.Split("a.test b.test", "bob", "carol")
	alice.exchange("< netsplit a.test b.test", "< :bob!~bob@bob.puppet.test QUIT :a.test b.test", "< :carol!", "< BATCH -")
}

func TestScripting(t *testing.T) {
	s := Start(t, Config{})
	s.Hook("JOIN", func(c *Client, m Msg) bool {
		c.Numeric("474", m.Param(0), "Cannot join channel (+b)")
		return true
	})
	alice := connect(t, s).register("alice", "")
	alice.exchange("> JOIN #r", "< :irc.test 474 alice #r :Cannot join channel (+b)")
	s.Hook("JOIN", nil)
	alice.exchange("> JOIN #r", "< 366")
	c := s.WaitClient(t, "alice")
	c.Expect(t, "^JOIN #r$")
	c.Expect(t, "^JOIN #r$")
	c.Send(":raw LINE %d", 5)
	alice.until(":raw LINE 5")
	s.ForceNick("alice", "guest")
	s.ForceJoin("guest", "#forced")
	s.SetMode("#r", "+v", "guest")
	s.ForceKick("#r", "guest", "bye")
	s.Notice("attention")
	alice.exchange("< NICK guest", "< JOIN #forced", "< :irc.test MODE #r +v guest", "< :irc.test KICK #r guest bye", "< NOTICE guest :attention")
	if n := s.Counters(); n.Accepted != 1 || n.Registered != 1 || n.Commands["JOIN"] != 2 {
		t.Errorf("%+v", n)
	}
	addr := s.Addr()
	s.Restart(t)
	if s.Addr() != addr || s.Client("guest") != nil {
		t.Error("restarted elsewhere, or with old clients")
	}
	connect(t, s).register("alice", "")
	s.WaitClient(t, "alice").Drop()
	s.WaitGone(t, "alice")
}

func TestFlooder(t *testing.T) {
	s := Start(t, Config{FloodLines: 5})
	alice := connect(t, s).register("alice", "")
	alice.say(slices.Repeat([]string{"PRIVMSG bob :x"}, 10)...)
	alice.until("Excess Flood")
}
