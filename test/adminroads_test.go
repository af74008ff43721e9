package test

import (
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// What an administrator does by command in a client, TestAdministrator does by
// chat, and the other way round.
func TestLinkAdministratorOtherRoad(t *testing.T) {
	t.Parallel()
	s := linkSite(t,
		func(e *Env) (*IRCServer, error) { return e.StartNgIRCd(t.Context()) },
		func(_ *Env, ircd *IRCServer) []Network { return []Network{{Name: "net", Server: ircd, TLS: true}} })
	s.network = "net"
	admin, alice := s.admin(t), s.user(t, "alice")
	bob, garden := s.host(t, "bob", "garden")
	account := alice.name + "@localhost"
	room := alice.enter(garden)
	command := func(node, words string, fields ...string) {
		t.Helper()
		first := admin.result("set", domain, execute(nodeAdmin+node))
		if done := admin.command(first, domain, submit("", fields...)); done.Attr("status") != "completed" || !strings.Contains(done.String(), words) {
			t.Fatalf("not %q: %s", words, done)
		}
	}

	command("announce", "told", "announcement", "The gateway moves tonight.")
	alice.expect(Message(FromBare(domain), BodyLike("The gateway moves tonight")))

	command("end-user-session", "was disconnected", "accountjid", account, "reason", "Enough for today.")
	alice.expect(Presence(From(room+"/"+alice.name), Type("unavailable"), Status("110"), StatusText("Enough for today")))
	bob.expect(`(?i)^:%s!\S+ QUIT`, alice.name)

	alice.result("set", s.console(), `<query xmlns='jabber:iq:register'><nick>`+alice.name+`</nick></query>`)
	if !alice.registeredNow() {
		t.Fatal("not registered")
	}
	alice.chat(domain, "delete "+account) // who may not
	alice.expect(Message(FromBare(domain), BodyLike("not a command")))
	admin.chat(domain, "delete "+account)
	admin.converse(map[string]string{"delete everything": "no"}, "Nothing was deleted")
	if !alice.registeredNow() {
		t.Fatal("deleted without a yes")
	}
	admin.chat(domain, "delete "+account)
	admin.converse(map[string]string{"delete everything": "yes"}, account+" was deleted")
	if alice.registeredNow() {
		t.Error("still registered")
	}
}
