package test

import (
	"context"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

const (
	nsCommands = "http://jabber.org/protocol/commands"
	nodeAdmin  = "http://jabber.org/protocol/admin#"
)

// apart runs a scenario with servers of its own: it concerns everybody who uses
// them.
func apart(t *testing.T, scenario func(t *testing.T, s *crashSite)) {
	t.Parallel()
	for name, start := range map[string]func(*Env, context.Context, XMPPOptions) (*XMPPServer, error){
		"prosody": (*Env).StartProsody, "ejabberd": (*Env).StartEjabberd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newCrashSite(t, start, (*Env).StartNgIRCd)
			scenario(t, s)
			if fault := s.gateway.Fault(); fault != "" {
				t.Errorf("transportd reported a fault:\n%s", fault)
			}
		})
	}
}

// admin logs in who administers the gateway.
func (s *site) admin(t *testing.T) *user {
	t.Helper()
	if err := s.server.AddUsers(wait(t), "admin"); err != nil {
		t.Fatal(err)
	}
	return s.resource(t, "admin", "desk")
}

// told sends a line to the gateway and waits for an answer like that.
func (u *user) told(line, answer string) {
	u.t.Helper()
	u.chat(domain, line)
	u.expect(Message(FromBare(domain), BodyLike(answer)))
}

// execute begins an ad-hoc command.
func execute(node string) string {
	return `<command xmlns='` + nsCommands + `' node='` + node + `' action='execute'/>`
}

// registeredNow tells whether the user is shown as registered with the network.
func (u *user) registeredNow() bool {
	u.t.Helper()
	return u.result("get", u.site.console(), `<query xmlns='jabber:iq:register'/>`).First("registered") != nil
}

// An administrator sees who is there, tells everybody something, disconnects and
// deletes users; nobody else may.
func TestAdministrator(t *testing.T) {
	apart(t, func(t *testing.T, s *crashSite) {
		admin, alice := s.admin(t), s.user(t, "alice")
		bob, garden := s.host(t, "bob", "garden")
		account := alice.name + "@localhost"
		room := alice.enter(garden)

		list := `<query xmlns='http://jabber.org/protocol/disco#items' node='` + nsCommands + `'/>`
		if items := alice.result("get", domain, list); strings.Contains(items.String(), nodeAdmin) {
			t.Errorf("anybody sees the commands of administrators: %s", items)
		}
		if items := admin.result("get", domain, list); !strings.Contains(items.String(), nodeAdmin+"announce") {
			t.Errorf("the administrator does not see them: %s", items)
		}
		alice.check(alice.request("set", domain, execute(nodeAdmin+"delete-user")), Type("error"))
		alice.told("users", "not a command")

		admin.told("users", account)
		first := admin.result("set", domain, execute(nodeAdmin+"get-online-users-list"))
		if users := admin.command(first, domain, submit("")); !strings.Contains(users.String(), account) {
			t.Errorf("%s is not listed: %s", account, users)
		}

		admin.chat(domain, "announce The gateway moves tonight.")
		alice.expect(Message(FromBare(domain), BodyLike("The gateway moves tonight")))

		admin.told("disconnect "+account, "was disconnected")
		alice.expect(Presence(From(room+"/"+alice.name), Type("unavailable"), Status("110")))
		bob.expect(`(?i)^:%s!\S+ QUIT`, alice.name)

		alice.result("set", s.console(), `<query xmlns='jabber:iq:register'><nick>`+alice.name+`</nick></query>`)
		if !alice.registeredNow() {
			t.Fatal("not registered")
		}
		first = admin.result("set", domain, execute(nodeAdmin+"delete-user"))
		done := admin.command(first, domain, submit("", "accountjid", account, "confirm-removal", "true"))
		if !strings.Contains(done.String(), "was deleted") {
			t.Errorf("not deleted: %s", done)
		}
		if alice.registeredNow() {
			t.Error("still registered")
		}
	})
}

// While a network is down an account is saved only if the user insists. It logs
// in once the network is back.
func TestRegisterWhileDown(t *testing.T) {
	apart(t, func(t *testing.T, s *crashSite) {
		alice, carol := s.user(t, "alice"), s.user(t, "carol")
		garden := "#" + unique("garden")
		s.ircd.Kill9()
		register := func(extra ...string) Stanza {
			return alice.request("set", s.console(), `<query xmlns='jabber:iq:register'>`+
				submit(nsRegister, append(extra, "nick", alice.name, "channels", garden)...)+`</query>`)
		}
		alice.check(register(), Type("error"), ErrorText(`\w+ \w+`))
		if alice.registeredNow() {
			t.Fatal("registered with a network that was not asked")
		}
		alice.check(register("save-unchecked", "true"), Type("result"))
		if !alice.registeredNow() {
			t.Error("not registered")
		}
		carol.chat(domain, "register "+s.network)
		carol.converse(map[string]string{"nick": carol.name, "save": "yes"}, "You are registered")
		if !carol.registeredNow() {
			t.Error("not registered by chat")
		}

		if err := s.ircd.Start(wait(t)); err != nil {
			t.Fatal(err)
		}
		bob := s.irc(t, "bob")
		bob.join(garden)
		alice.chat(domain, "login "+s.network)
		bob.Send("NAMES " + garden)
		bob.expect(`(?i)^:%s!\S+ JOIN| 353 .*%[1]s`, alice.name)
	})
}
