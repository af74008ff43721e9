package test

import (
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// What a server tells of members while they are in a channel is shown: away
// (away-notify), another host (chghost), an account (account-notify), and whom
// others invite (invite-notify).
func TestMembersWatched(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		carol := s.irc(t, "carol")
		carol.join(garden)
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		carolIs := From(room + "/" + carol.Nick)
		before := alice.expect(Presence(carolIs, Type("")))

		carol.Send("AWAY :at lunch")
		alice.expect(Presence(carolIs, Type(""), Has("jabber:client", "show")))
		carol.Send("AWAY")
		alice.expect(Presence(carolIs, Type(""), Not(Has("jabber:client", "show"))))

		bob.Send("OPER oper oper")
		bob.expect(` 381 `)
		bob.Sendf("CHGHOST %s moved.example.net", carol.Nick)
		alice.expect(Presence(carolIs, Type(""), itemJID("@moved.example.net")))

		carol.Sendf("PRIVMSG NickServ :REGISTER secret-%s %[1]s@example.org", carol.Nick)
		alice.expect(Presence(carolIs, Type(""), Where("another occupant-id", func(n *Node) bool {
			return occupantID(n) != "" && occupantID(n) != occupantID(before.Node)
		})))

		bob.mode(garden, "+o "+alice.name)
		alice.expect(Presence(From(room+"/"+alice.name), Role("moderator")))
		dave := s.irc(t, "dave")
		bob.Sendf("INVITE %s %s", dave.Nick, garden)
		alice.expect(Message(FromBare(s.console()), BodyLike("has invited "+dave.Nick+" to "+garden)))
	})
}

func occupantID(n *Node) string {
	if id := n.First("occupant-id"); id != nil {
		return id.Attr("id")
	}
	return ""
}

// itemJID is an occupant whose address on the network ends like that.
func itemJID(end string) Match {
	return Where("jid ends in "+end, func(n *Node) bool {
		item := n.First("item")
		return item != nil && strings.HasSuffix(item.Attr("jid"), end)
	})
}

// The services come while the user is connected (CAP NEW): who could not log in
// before does then.
func TestServicesReturn(t *testing.T) {
	t.Parallel()
	s := newCrashSite(t, (*Env).StartProsody, (*Env).StartInspIRCd)
	account, password := s.registered(t, "acct")
	s.ircd.Services.Stop()
	try(t, s.ircd.Server.Restart(wait(t))) // it tells of SASL only when it has not known the mechanisms before
	alice := s.user(t, "alice")
	alice.check(alice.registers("account", account, "password", password, "save-unchecked", "true"), Type("result"))
	bob, garden := s.host(t, "bob", "garden")
	bob.Send("CAP REQ account-notify")
	bob.expect(` ACK `)
	alice.enter(garden)
	bob.none(` ACCOUNT `)
	try(t, s.ircd.Services.Start(wait(t)))
	bob.expect(`^:%s!\S+ ACCOUNT :?%s`, alice.name, account)
}
