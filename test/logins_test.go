package test

import (
	"testing"

	. "transportd/internal/testenv"
)

// A password logs in by SASL where there is SASL, also when nobody hears IDENTIFY,
// and through NickServ where there is none.
func TestLinkPassword(t *testing.T) {
	t.Parallel()
	s := linkSite(t,
		func(e *Env) (*IRCServer, error) { return e.StartInspIRCd(t.Context()) },
		func(_ *Env, ircd *IRCServer) []Network {
			return []Network{
				{Name: "sasl", Server: ircd, TLS: true, Lines: `nickserv = "NobodyServ"`},
				{Name: "identify", Host: "localhost", Server: ircd, TLS: true, Lines: `disable_caps = ["sasl"]`},
			}
		})
	account, password := s.registered(t, "acct")
	for _, network := range []string{"sasl", "identify"} {
		alice := s.by(network).user(t, "alice")
		alice.check(alice.registers("account", account, "password", password), Type("result"))
		alice.arrives()
		s.loggedIn(t, alice.name, account)
	}
}

// A certificate may come with the name of its account: EXTERNAL asks for that one.
func TestLinkCertificateOfAccount(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		text, _ := clientCertificate(t)
		p := s.shows(t, "acct", text)
		p.Sendf("PRIVMSG NickServ :REGISTER secret-%s %[1]s@example.org", p.Nick)
		p.expect(`(?i)^:NickServ!\S+ NOTICE %s :.*registered`, p.Nick)
		p.Send("PRIVMSG NickServ :CERT ADD")
		p.expect(`(?i)^:NickServ!\S+ NOTICE %s :.*added`, p.Nick)
		alice := s.user(t, "alice")
		alice.check(alice.registers("account", p.Nick, "certificate", text), Type("result"))
		alice.arrives()
		s.loggedIn(t, alice.name, p.Nick)
	})
}

// registers fills in the form of its network.
func (u *user) registers(fields ...string) Stanza {
	u.t.Helper()
	return u.request("set", u.site.console(), `<query xmlns='jabber:iq:register'>`+
		submit(nsRegister, append([]string{"nick", u.name}, fields...)...)+`</query>`)
}
