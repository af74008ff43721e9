package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"transportd/internal/irctest"
	"transportd/internal/xmpptest"
)

// world is the whole program between a scripted XMPP server and a scripted IRC
// server.
type world struct {
	t    *testing.T
	xmpp *xmpptest.Server
	irc  *irctest.Server
	file string

	program *program
	ops     string // address of the ops listener
	stream  *xmpptest.Conn
}

const (
	balcony = "juliet@example.org/balcony"
	room    = "#verona%net@irc.example.org"
)

// newWorld starts everything, with changes to the config in pairs of old and new.
func newWorld(t *testing.T, irc irctest.Config, changes ...string) *world {
	t.Helper()
	w := newStopped(t, irc, changes...)
	w.begin()
	return w
}

// newStopped is newWorld before the program is started.
func newStopped(t *testing.T, irc irctest.Config, changes ...string) *world {
	t.Helper()
	w := &world{t: t, irc: irctest.Start(t, irc)}
	w.xmpp, w.file = withServer(t)
	edit(t, w.file, `name = "libera"`, `name = "net"`,
		`hosts = ["irc.libera.chat"]`, fmt.Sprintf("hosts = [%q]\nports = [\"%d\"]\nplain = true\nallow_private = true", w.irc.Host(), w.irc.Port()))
	edit(t, w.file, changes...)
	return w
}

// begin starts the program and waits for its stream.
func (w *world) begin() {
	w.t.Helper()
	w.program = start(w.t, w.file)
	w.ops, _ = w.program.logged("metrics and health")["address"].(string)
	w.stream = w.xmpp.Accept()
	w.program.logged("XMPP stream up")
}

// join enters the room and waits for its subject, which comes last.
func (w *world) join(client, nick string) {
	w.t.Helper()
	w.stream.Send(`<presence from='%s' to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, client, room, nick)
	w.stream.Until(fmt.Sprintf("presence[@from='%s/%s'][@to='%s']/x/status[@code='110']", room, nick, client))
	w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@to='%s']/subject", client))
}

// stored waits until nothing waits to be written to the database.
func (w *world) stored() {
	w.t.Helper()
	for {
		if _, text := body(w.t, w.ops, "/metrics"); strings.Contains(text, "\ntransportd_store_queue 0\n") {
			return
		}
	}
}

// end stops the program politely.
func (w *world) end() {
	w.t.Helper()
	w.program.signal(syscall.SIGTERM)
	w.stream.ExpectGone()
	if code := w.program.exit(); code != exitOK {
		w.t.Errorf("exit code %d", code)
	}
}

func TestScenarioConversation(t *testing.T) {
	w := newWorld(t, irctest.Config{})
	romeo := w.irc.Puppet("romeo")
	romeo.Do("JOIN #verona")
	w.join(balcony, "juliet")

	w.stream.Send(`<message type='groupchat' id='m1' from='%s' to='%s'><body>but soft</body></message>`, balcony, room)
	romeo.ExpectSeen(t, `:juliet!.* PRIVMSG #verona :but soft`)
	w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@id='m1'][@from='%s/juliet']/body[text()='but soft']", room))

	romeo.Do("PRIVMSG #verona :what light")
	w.stream.Until(fmt.Sprintf("message[@type='groupchat'][@from='%s/romeo'][@to='%s']/body[text()='what light']", room, balcony))

	// The end: users are told, IRC is left politely.
	w.program.signal(syscall.SIGTERM)
	w.stream.Until(fmt.Sprintf("presence[@type='unavailable'][@from='%s/juliet'][@to='%s']/x/status[@code='332']", room, balcony))
	romeo.ExpectSeen(t, `:juliet!.* QUIT`)
	w.stream.ExpectGone()
	if code := w.program.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// With one network the gateway's address is the network's too: rooms leave its
// name out, and a line with a slash goes to its console.
func TestScenarioFixedNetwork(t *testing.T) {
	w := newWorld(t, irctest.Config{}, `# fixed_network = ""`, `fixed_network = "net"`)
	romeo := w.irc.Puppet("romeo")
	romeo.Do("JOIN #verona")
	w.stream.Send(`<presence from='%s' to='#verona@irc.example.org/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, balcony)
	w.stream.Until(fmt.Sprintf("presence[@from='#verona@irc.example.org/juliet'][@to='%s']/x/status[@code='110']", balcony))
	w.stream.Send(`<message type='chat' from='%s' to='irc.example.org'><body>/privmsg romeo :by the console</body></message>`, balcony)
	romeo.ExpectSeen(t, `(?i):juliet!.* PRIVMSG romeo :by the console`)
	w.stream.Send(`<message type='chat' from='%s' to='irc.example.org'><body>help</body></message>`, balcony)
	w.stream.Until(fmt.Sprintf("message[@type='chat'][@from='irc.example.org'][@to='%s']/body", balcony))
	w.end()
}

// In the chat with a network, what a command asks for is no line of the console's,
// whatever it begins with: a password least of all. Neither is a command of the
// driver's.
func TestScenarioAnswersAreNotForTheConsole(t *testing.T) {
	for name, to := range map[string]string{"one network": "irc.example.org", "several": "net@irc.example.org"} {
		t.Run(name, func(t *testing.T) {
			changes := []string{`# fixed_network = ""`, `fixed_network = "net"`}
			address := "#verona@irc.example.org"
			if to != "irc.example.org" {
				changes, address = nil, room
			}
			w := newWorld(t, irctest.Config{}, changes...)
			w.stream.Send(`<presence from='%s' to='%s/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, balcony, address)
			w.stream.Until(fmt.Sprintf("presence[@from='%s/juliet'][@to='%s']/x/status[@code='110']", address, balcony))
			juliet := w.irc.WaitClient(t, "juliet")
			say := func(text string) { // and wait for what is said to it
				t.Helper()
				w.stream.Send(`<message type='chat' from='%s' to='%s'><body>%s</body></message>`, balcony, to, text)
				w.stream.Until(fmt.Sprintf("message[@type='chat'][@from='%s'][@to='%s']/body", to, balcony))
			}
			for _, line := range []string{"/connection", "connection"} {
				w.stream.Send(`<message type='chat' from='%s' to='%s'><body>%s</body></message>`, balcony, to, line)
				answer, _ := w.stream.Until(fmt.Sprintf("message[@type='chat'][@from='%s'][@to='%s']/body", to, balcony))
				if !strings.Contains(answer.String(), "Nickname: juliet") {
					t.Errorf("%s is answered with %s", line, answer)
				}
			}
			if to == "irc.example.org" {
				say("register")
				say("/wherefore")
				say("cancel")
			}
			w.stream.Send(`<message type='chat' from='%s' to='%s'><body>/privmsg juliet :by the console</body></message>`, balcony, to)
			juliet.Expect(t, `(?i)PRIVMSG juliet :by the console`)
			for _, line := range juliet.Got() {
				if upper := strings.ToUpper(line); strings.Contains(upper, "WHEREFORE") || strings.Contains(upper, "CONNECTION") {
					t.Errorf("the network got %q", line)
				}
			}
			w.end()
		})
	}
}

// register registers juliet by the plain fields of XEP-0077.
func (w *world) register(password string) {
	w.t.Helper()
	w.stream.Send(`<iq type='set' id='reg' from='%s' to='net@irc.example.org'><query xmlns='jabber:iq:register'>`+
		`<nick>juliet</nick><password>%s</password></query></iq>`, balcony, password)
}

func TestScenarioRegisteredUserComesBackAfterKillNine(t *testing.T) {
	w := newWorld(t, irctest.Config{Accounts: map[string]string{"juliet": "wherefore"}})
	w.register("wrong")
	w.stream.Until("iq[@type='error'][@id='reg']")
	w.register("wherefore")
	w.stream.Until("iq[@type='result'][@id='reg']")
	w.irc.WaitClient(t, "juliet")
	w.join(balcony, "juliet")

	// Nothing of the secret is on the disk.
	for _, name := range []string{"transportd.db", "transportd.db-wal"} {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(w.file), name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "wherefore") {
			t.Errorf("the password is in %s", name)
		}
	}

	w.stored() // what is younger than a batch may be lost
	w.program.signal(syscall.SIGKILL)
	if code := w.program.exit(); code == exitOK {
		t.Error("a killed program ended well")
	}
	w.irc.WaitGone(t, "juliet")
	w.begin()
	w.irc.WaitClient(t, "juliet").Expect(t, `JOIN #verona`)
	// The client is asked whether it is still there, says so, and is in again.
	asked, _ := w.stream.Until(fmt.Sprintf("iq[@type='get'][@to='%s']/ping", balcony))
	w.stream.Send(`<iq type='result' id='%s' from='%s' to='%s'/>`, asked.Attr("id"), balcony, asked.Attr("from"))
	w.stream.Until(fmt.Sprintf("presence[@to='%s'][@from='%s/juliet']/x/status[@code='110']", balcony, room))
	w.irc.Puppet("romeo").Do("JOIN #verona")
	w.stream.Until(fmt.Sprintf("presence[@to='%s'][@from='%s/romeo']", balcony, room))

	// Unregistering leaves nothing to come back.
	w.stream.Send(`<iq type='set' id='bye' from='%s' to='irc.example.org'><query xmlns='jabber:iq:register'><remove/></query></iq>`, balcony)
	w.stream.Until("iq[@type='result'][@id='bye']")
	w.irc.WaitGone(t, "juliet")
	w.end()
	w.begin()
	ping(w.stream)
	if c := w.irc.Client("juliet"); c != nil {
		t.Error("an unregistered user came back")
	}
	w.end()
}

func TestScenarioWhoMayNoLongerUseItIsShownOut(t *testing.T) {
	w := newWorld(t, irctest.Config{})
	w.join(balcony, "juliet")
	edit(t, w.file, `users = ["example.org"]`, `users = ["example.net"]`)
	w.program.signal(syscall.SIGHUP)
	w.stream.Until(fmt.Sprintf("presence[@type='unavailable'][@from='%s/juliet'][@to='%s']", room, balcony))
	w.irc.WaitGone(t, "juliet")
	w.stream.Send(`<presence from='%s' to='%s/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, balcony, room)
	w.stream.Until(fmt.Sprintf("presence[@type='error'][@to='%s']/error/forbidden", balcony))
	w.end()
}

func TestScenarioRatesOfRegistrationsAreReloaded(t *testing.T) {
	const slow, fast = `registrations_user = "1/1h"`, `registrations_user = "100/1s"`
	w := newWorld(t, irctest.Config{Accounts: map[string]string{"juliet": "wherefore"}}, `# registrations_user = "20/10m"`, slow)
	refused := func(condition string) {
		t.Helper()
		w.register("wrong")
		w.stream.Until("iq[@type='error'][@id='reg']/error/" + condition)
	}
	refused("not-acceptable")
	refused("resource-constraint")
	edit(t, w.file, slow, fast)
	w.program.signal(syscall.SIGHUP)
	w.program.logged("config reloaded")
	refused("not-acceptable")
	refused("not-acceptable")
	w.end()
}

// Who is refused at the network is told what to do, and gets in again by it.
func TestScenarioRefusedLoginBeginsAgain(t *testing.T) {
	w := newWorld(t, irctest.Config{Accounts: map[string]string{"juliet": "wherefore"}})
	w.register("wherefore")
	w.stream.Until("iq[@type='result'][@id='reg']")
	w.irc.WaitClient(t, "juliet")
	w.irc.SetPassword("juliet", "romeo")
	w.irc.Restart(t)
	m, _ := w.stream.Until("message[@type='chat'][@from='net@irc.example.org']/body")
	if text := m.String(); !strings.Contains(text, "Write “relogin net” to irc.example.org to log in again") {
		t.Errorf("the user is told %s", text)
	}
	say := func(text, want string) {
		t.Helper()
		w.stream.Send(`<message type='chat' from='%s' to='irc.example.org'><body>%s</body></message>`, balcony, text)
		m, _ := w.stream.Until("message[@type='chat'][@from='irc.example.org']/body")
		if !strings.Contains(m.String(), want) {
			t.Errorf("to “%s” the user is told %s", text, m)
		}
	}
	say("relogin net", "Password")
	say("romeo", "You are logged in to net again.")
	w.irc.WaitClient(t, "juliet")
	w.end()
}

func TestScenarioTheEndOfAnIRCServerIsNotTheEndOfTheProgram(t *testing.T) {
	w := newWorld(t, irctest.Config{})
	w.join(balcony, "juliet")
	w.irc.Restart(t)
	w.irc.WaitClient(t, "juliet").Expect(t, `JOIN #verona`)
	romeo := w.irc.Puppet("romeo")
	romeo.Do("JOIN #verona")
	w.stream.Until(fmt.Sprintf("presence[@to='%s'][@from='%s/romeo']", balcony, room))
	w.end()
}

// Logged out of one network of two, a user is not back on it after a crash.
func TestScenarioLoggedOutOfOneNetworkStaysSoOverACrash(t *testing.T) {
	accounts := irctest.Config{Accounts: map[string]string{"juliet": "wherefore"}}
	two := irctest.Start(t, accounts)
	w := newWorld(t, accounts, "allow_private = true", fmt.Sprintf("allow_private = true\n\n[[gateways.irc.networks]]\nname = \"two\"\n"+
		"hosts = [\"localhost\"]\nports = [\"%d\"]\nplain = true\nallow_private = true", two.Port()))
	for _, network := range []string{"net", "two"} {
		w.stream.Send(`<iq type='set' id='%s' from='%s' to='%s@irc.example.org'><query xmlns='jabber:iq:register'>`+
			`<nick>juliet</nick><password>wherefore</password></query></iq>`, network, balcony, network)
		w.stream.Until(fmt.Sprintf("iq[@type='result'][@id='%s']", network))
	}
	w.irc.WaitClient(t, "juliet")
	two.WaitClient(t, "juliet")
	w.stream.Send(`<message type='chat' from='%s' to='irc.example.org'><body>logout net</body></message>`, balcony)
	w.irc.WaitGone(t, "juliet")

	w.stored()
	w.program.signal(syscall.SIGKILL)
	w.program.exit()
	two.WaitGone(t, "juliet")
	w.begin()
	two.WaitClient(t, "juliet")
	w.stream.Send(`<message type='chat' from='%s' to='irc.example.org'><body>show net</body></message>`, balcony)
	for said := ""; !strings.Contains(said, "Logged out."); {
		n, _ := w.stream.Until("message[@type='chat'][@from='irc.example.org']/body")
		said = n.Child("", "body").Text
	}
	if w.irc.Client("juliet") != nil {
		t.Error("it is back on the network it was logged out of")
	}
	w.stream.Send(`<message type='chat' from='%s' to='irc.example.org'><body>login net</body></message>`, balcony)
	w.irc.WaitClient(t, "juliet")
	w.end()
}
