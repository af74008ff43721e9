package registration

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"transportd/component"
)

// talk is a chat: what the user says, and what is said to that.
func talk(t *testing.T, r *rig, lines ...string) {
	t.Helper()
	for i := 0; i < len(lines); i += 2 {
		expect(t, "“"+lines[i]+"”", r.say(lines[i]), lines[i+1])
	}
}

const (
	askedNick     = "Nick?"
	askedPassword = "Password?\nSend - to leave it as it is.\nYour client or server may keep a copy of this chat; the command forms of your client leave none."
	keepPassword  = "Password (One is known; leave this blank to keep it)?\nSend - to leave it as it is.\nYour client or server may keep a copy of this chat; the command forms of your client leave none."
	keepNick      = "Nick?\nSend - for: julie"
)

func TestChatFromNothingToNothing(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		talk(t, r,
			"show", "You are not registered with any network.",
			"login", "You are not registered with any network.",
			"unregister", "You are not registered with any network.",
			"register", "Network?",
			"three", "There is no network of that name.\n\nNetwork?",
			"one", "You are not registered with First Net yet.\n\n"+askedNick,
			"julie", askedPassword,
			"wrong", "SASL authentication failed.\n\n"+keepNick,
			"-", keepPassword,
		)
		expect(t, "nothing is saved yet", r.stored(), "")
		expect(t, "“right”", r.say("right"), "You are registered with First Net.")
		expect(t, "what is stored", r.stored(), "one map[nick:julie password:secret right tls:true]")
		expect(t, "what the session is told", r.sessions.since(), `login juliet@example.org "one"`)
		talk(t, r,
			"show", "First Net: connected to one\nNick: julie\nPassword: stored, not shown\nTLS: yes",
			"register one", "You are registered with First Net; here you can change the account.\n\n"+keepNick,
			"jule", keepPassword,
			"-", "The account with First Net was changed.",
		)
		expect(t, "the password was kept", r.stored(), "one map[nick:jule password:secret right tls:true]")
		talk(t, r,
			"register two", "You are not registered with two yet.\n\n"+askedNick,
			"cancel", "Cancelled.",
			"logout", "You are logged out of First Net. Your account is kept.",
		)
		expect(t, "logged out, and so after a restart", fmt.Sprint(r.loggedIn()), "false")
		talk(t, r, "login", "Logging in to First Net.")
		expect(t, "logged in, and so after a restart", fmt.Sprint(r.loggedIn()), "true")
		r.sessions.since()
		confirm := "This removes the account with First Net: you leave its rooms, and its settings and password are forgotten.\n\nRemove the account with First Net: yes or no?"
		talk(t, r,
			"unregister", confirm,
			"no", "Nothing was removed.",
			"unregister", confirm,
			"yes", "You are not registered any more: the account with First Net was removed.",
		)
		expect(t, "nothing is left", r.stored(), "")
		expect(t, "the session is told", r.sessions.since(), `remove juliet@example.org ""; subscribed juliet@example.org `+gatewayJID+" false")
	})
}

func TestChatWithSeveralAccounts(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one", "two")
		choice := "Network:\n1. all of them\n2. First Net\n3. two\nSend the number.\nSend - for: all of them"
		talk(t, r,
			"show two", "two: connected to two\nNick: julie\nPassword: stored, not shown\nTLS: yes",
			"show three", "There is no network of that name.",
			"logout", choice,
			"2", "You are logged out of First Net. Your account is kept.",
		)
		expect(t, "the other stays", fmt.Sprintf("%v %s", r.loggedIn(), r.sessions.since()), `true logout juliet@example.org "one": Logged out.`)
		expect(t, "and so after a restart", fmt.Sprint(r.accounts.resting), "[juliet@example.org one]")
		talk(t, r, "logout all", "You are logged out of all networks. Your accounts are kept.")
		expect(t, "all are left", fmt.Sprintf("%v %s", r.loggedIn(), r.sessions.since()), `false logout juliet@example.org "": Logged out.`)
		talk(t, r,
			"login first net", "Logging in to First Net.",
			"login two", "Logging in to two.",
		)
		expect(t, "the wish is gone", fmt.Sprint(r.accounts.resting), "[]")
		talk(t, r,
			"logout two", "You are logged out of two. Your account is kept.",
			"unregister two", "This removes the account with two: you leave its rooms, and its settings and password are forgotten.\n\nRemove the account with two: yes or no?",
			"yes", "You are not registered any more: the account with two was removed.",
		)
		expect(t, "one is left", r.stored(), "one map[nick:julie password:secret right tls:true]")
		expect(t, "nothing of the other", fmt.Sprint(r.accounts.resting), "[]")
	})
}

func TestChatConfigureAsksEverything(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one")
		talk(t, r,
			"configure one", "You are registered with First Net; here you can change the account.\n\n"+keepNick,
			"-", keepPassword,
			"-", "TLS: yes or no?\nSend - for: yes",
			"no", "Rooms? One on each line.\nSend - to leave it empty.",
			"#a&#10;#b", strings.Replace(askedPassword, "Password", "Key", 1),
			"BEGIN&#10;END", "Forget stored secrets:\n1. Password\nSend the numbers, with spaces between them.\nSend - to leave it empty.",
			"-", "The account with First Net was changed.",
		)
		expect(t, "what is stored", r.stored(), "one map[key:secret BEGIN\nEND nick:julie password:secret right rooms:#a\n#b tls:false]")
	})
}

func TestChatWhileTheNetworkIsDown(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.driver.down = true
		unchecked := "The server refuses connections.\nSo nobody knows whether the account is right. It can be saved all the same; the gateway will then try to log in with it.\n\nSave it unchecked: yes or no?"
		talk(t, r,
			"register one", "You are not registered with First Net yet.\n\n"+askedNick,
			"julie", askedPassword,
			"guess", unchecked,
			"no", "Nothing was saved.",
		)
		expect(t, "nothing is saved", r.stored(), "")
		talk(t, r,
			"register one", "You are not registered with First Net yet.\n\n"+askedNick,
			"julie", askedPassword,
			"guess", unchecked,
			"yes", "You are registered with First Net.",
		)
		expect(t, "what is stored", r.stored(), "one map[nick:julie password:secret guess tls:true]")
	})
}

func TestChatIsForThoseWhoMay(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		if help := r.saying("romeo@example.net/x", "help"); strings.Contains(help, "register [") && !strings.Contains(help, "unregister") {
			t.Errorf("a stranger is offered:\n%s", help)
		}
		expect(t, "a stranger", r.saying("romeo@example.net/x", "register one"), "This is not a command. Send “help” to see what there is.")
		expect(t, "no administrator", r.say("users"), "This is not a command. Send “help” to see what there is.")
		if help := r.say("help"); strings.Contains(help, "announce") || !strings.Contains(help, "register [network]: ") {
			t.Errorf("a user is offered:\n%s", help)
		}
	})
}

// do sends an ad-hoc command request and returns the one answer.
func (r *rig) do(to, attrs, children string) *component.Stanza {
	r.t.Helper()
	all := r.route(`<iq type='set' id='c1' from='` + juliet + `' to='` + to + `'><command xmlns='http://jabber.org/protocol/commands' ` + attrs + `>` + children + `</command></iq>`)
	for _, s := range all {
		if s.Kind == component.KindIQ {
			return s
		}
	}
	r.t.Fatalf("no answer to %s among %s", attrs, short(all))
	return nil
}

// seen describes an answer to a command: status, note and the form's fields.
func seen(s *component.Stanza) string {
	if s.IsError() {
		return short([]*component.Stanza{s})
	}
	c := s.Payload()
	text := c.Attr("status")
	if note := c.Child("", "note"); note != nil {
		text += " " + note.Attr("type") + ": " + note.Text()
	}
	if form, ok, err := component.ParseForm(c); ok && err == nil {
		for _, f := range form.Fields {
			text += " " + f.Var + "=" + strings.Join(f.Values, ",")
		}
	}
	return text
}

func TestAdHocFromNothingToNothing(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		step := func(what, attrs, children, want string) string {
			t.Helper()
			s := r.do(gatewayJID, attrs, children)
			expect(t, what, seen(s), want)
			return " sessionid='" + s.Payload().Attr("sessionid") + "'"
		}
		const register = "node='jabber:iq:register'"
		id := step("begun", register, "", "executing network=")
		step("no network", register+id, form("network", ""), "executing error: “Network” is needed. network=")
		step("an unknown one", register+id, form("network", "three"), "executing error: There is no network of that name. network=")
		step("the account", register+id, form("network", "two"), "executing nick= password= tls=true rooms= key=")
		step("a wrong password", register+id, form("nick", "julie", "password", "wrong", "tls", "0"),
			"executing error: SASL authentication failed. nick=julie password= tls=false rooms= key= forget-secrets=")
		step("a taken nick, with the right password", register+id, form("nick", "root", "password", "right"),
			"executing error: The nick root is held. nick=root password= tls=false rooms= key= forget-secrets=")
		step("the right password is remembered", register+id, form("nick", "julie", "password", ""), "completed info: You are registered with two.")
		expect(t, "what is stored", r.stored(), "two map[nick:julie password:secret right tls:false]")

		step("shown", "node='accounts'", "", "completed two=connected to two two#nick=julie two#password=stored, not shown two#tls=false")
		expect(t, "shown at the other network", seen(r.do("one@"+gatewayJID, "node='accounts'", "")), "completed info: You are not registered with First Net.")
		expect(t, "logged out at the network", seen(r.do("two@"+gatewayJID, "node='logout'", "")), "completed info: You are logged out of two. Your account is kept.")
		expect(t, "logged in at the network", seen(r.do("two@"+gatewayJID, "node='login'", "")), "completed info: Logging in to two.")
		expect(t, "at a network that is none", seen(r.do("three@"+gatewayJID, "node='login'", "")), "error cancel item-not-found: There is no network of that name.")

		id = step("unregister", "node='unregister'", "", "executing confirm-removal=")
		step("without a word", "node='unregister'"+id, form(), "executing error: “Remove the account with two” is needed. confirm-removal=")
		step("removed", "node='unregister'"+id, form("confirm-removal", "1"), "completed info: You are not registered any more: the account with two was removed.")
		expect(t, "nothing is left", r.stored(), "")
	})
}

// A second client may run the same command at the same time.
func TestAdHocTwice(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		first := r.do("one@"+gatewayJID, "node='jabber:iq:register'", "")
		second := r.do("one@"+gatewayJID, "node='jabber:iq:register'", "")
		for i, s := range []*component.Stanza{first, second} {
			id := " sessionid='" + s.Payload().Attr("sessionid") + "'"
			got := seen(r.do("one@"+gatewayJID, "node='jabber:iq:register'"+id, form("nick", fmt.Sprint("n", i), "password", "right")))
			if !strings.HasPrefix(got, "completed") {
				t.Errorf("dialogue %d: %s", i, got)
			}
		}
		expect(t, "the last one holds", r.stored(), "one map[nick:n1 password:secret right tls:true]")
	})
}

func TestAdministration(t *testing.T) {
	scenario(t, Config{}, func(t *testing.T, r *rig) {
		r.register("one")
		r.presence("subscribe", gatewayJID)
		r.sessions.since()
		admin := func(text string) string { return r.saying("admin@example.org/x", text) }

		users := admin("users")
		if !strings.HasPrefix(users, "300 users. These are the first 200; give a part of the address to see others.\n\n• juliet@example.org · 1 client · 2 rooms · one: online, two: no route\n") {
			t.Errorf("got %s", users)
		}
		expect(t, "some users", strings.Split(admin("users USER12"), "\n")[0], "10 users.")
		expect(t, "one user", admin("users user123"), "1 user.\n\n• user123@example.org · 1 client · 2 rooms · one: online, two: no route")

		expect(t, "disconnect", admin("disconnect juliet@example.org too many links"), "juliet@example.org was disconnected.")
		expect(t, "the session is told", r.sessions.since(), "disconnect juliet@example.org: too many links")
		expect(t, "who", admin("disconnect"), "User?")
		expect(t, "no JID", admin("a@b@c"), "“User” takes an address such as juliet@example.org.\n\nUser?")
		expect(t, "whom", admin("User007@example.org/orchard"), "user007@example.org was disconnected.")
		expect(t, "the session is told", r.sessions.since(), "disconnect user007@example.org: Disconnected by an administrator.")
		expect(t, "a stranger", admin("disconnect romeo@example.org"), "romeo@example.org is not connected.")
		expect(t, "nobody is told", r.sessions.since(), "")

		expect(t, "announce", admin("announce Back at ten."), "7 users were told.")
		expect(t, "the session is told", r.sessions.since(), `announce "Back at ten."`)

		expect(t, "delete", admin("delete juliet@example.org"), "Delete everything of this user: yes or no?")
		got := admin("yes")
		if !strings.HasSuffix(got, "juliet@example.org was deleted.") {
			t.Errorf("got %s", got)
		}
		expect(t, "nothing is left", r.stored()+subscriptions(r), "0")
		expect(t, "the session is told", r.sessions.since(), `remove juliet@example.org ""; subscribed juliet@example.org `+gatewayJID+" false")
		admin("delete romeo@example.org")
		expect(t, "a stranger", admin("yes"), "Nothing is known of romeo@example.org.")
		expect(t, "nobody is told", r.sessions.since(), "")
	})
}

// Rights that are taken away end what was begun with them.
func TestAdministrationIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{})
		admin := true
		s := &Service{cfg: Config{IsAdmin: func(component.JID) bool { return admin }, Admin: r.sessions, StanzaError: stanzaError}}
		step, err := s.askAnnouncement(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		admin = false
		if _, err := step.Next(t.Context(), &component.Call{Values: component.Values{fieldText: {"hi"}}}); err == nil {
			t.Error("announced without the right to")
		}
		time.Sleep(time.Second)
		expect(t, "the session is told", r.sessions.since(), "")
	})
}
