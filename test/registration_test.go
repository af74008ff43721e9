package test

import (
	"regexp"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

const nsRegister = "jabber:iq:register"

// registered makes an account with the network's services: the name is that of
// the nick, and the password is "secret-" and the name.
func (s *site) registered(t *testing.T, name string) (account, password string) {
	t.Helper()
	p := s.irc(t, name)
	password = "secret-" + p.Nick
	p.Sendf("PRIVMSG NickServ :REGISTER %s %s@example.org", password, p.Nick)
	p.expect(`(?i)^:NickServ!\S+ NOTICE %s :.*registered`, p.Nick)
	p.Send("QUIT")
	p.expect(`^ERROR`)
	return p.Nick, password
}

// loggedIn fails unless the nick is on the network and logged in to the account.
func (s *site) loggedIn(t *testing.T, nick, account string) {
	t.Helper()
	p := s.irc(t, "asker")
	p.Send("WHOIS " + nick)
	p.expect(` 330 %s %s %s `, p.Nick, nick, account)
}

// Three roads lead to the same account.
var roads = map[string]func(u *user, address, nick, account, password string){
	"in-band, plain fields": func(u *user, address, nick, account, password string) {
		u.t.Helper()
		u.result("get", address, `<query xmlns='jabber:iq:register'/>`)
		u.result("set", address, `<query xmlns='jabber:iq:register'><nick>`+nick+`</nick><username>`+account+
			`</username><password>`+password+`</password></query>`)
	},
	"in-band, data form": func(u *user, address, nick, account, password string) {
		u.t.Helper()
		form := u.result("get", address, `<query xmlns='jabber:iq:register'/>`)
		if form.First("field") == nil {
			u.t.Fatalf("no form: %s", form)
		}
		u.result("set", address, `<query xmlns='jabber:iq:register'>`+submit(nsRegister, "nick", nick, "account", account, "password", password)+`</query>`)
	},
	"ad-hoc command": func(u *user, address, nick, account, password string) {
		u.t.Helper()
		first := u.result("set", address, `<command xmlns='http://jabber.org/protocol/commands' node='jabber:iq:register' action='execute'/>`)
		done := u.command(first, address, submit("", "nick", nick, "account", account, "password", password))
		if done.Attr("status") != "completed" {
			u.t.Fatalf("the command went on: %s", done)
		}
	},
	"chat with the gateway": func(u *user, address, nick, account, password string) {
		u.t.Helper()
		network, _, _ := strings.Cut(address, "@")
		answers := map[string]string{"network": network, "nick": nick, "account": account, "password": password}
		u.chat(domain, "register "+network)
		u.converse(answers, `(?i)registered|saved|done`)
	},
}

// submit is a filled-in form (XEP-0004).
func submit(formType string, pairs ...string) string {
	var b strings.Builder
	b.WriteString(`<x xmlns='jabber:x:data' type='submit'>`)
	if formType != "" {
		pairs = append([]string{"FORM_TYPE", formType}, pairs...)
	}
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString(`<field var='` + pairs[i] + `'><value>` + Escape(pairs[i+1]) + `</value></field>`)
	}
	return b.String() + `</x>`
}

// command goes on with an ad-hoc command.
func (u *user) command(before Stanza, address, form string) *Node {
	u.t.Helper()
	c := before.First("command")
	next := u.result("set", address, `<command xmlns='http://jabber.org/protocol/commands' node='`+c.Attr("node")+
		`' sessionid='`+c.Attr("sessionid")+`'>`+form+`</command>`)
	return next.First("command")
}

// converse answers the gateway's questions until it says something that is none,
// which must match.
func (u *user) converse(answers map[string]string, end string) {
	u.t.Helper()
	for range 20 {
		m := u.expect(Message(FromBare(domain), Has("jabber:client", "body")))
		question := regexp.MustCompile(`(?m)^.*\?`).FindString(m.Child("", "body").Text)
		if question == "" {
			u.check(m, BodyLike(end))
			return
		}
		u.chat(domain, answerTo(question, answers))
	}
	u.t.Fatal("the conversation does not end")
}

// answerTo finds the answer to a question, by the word it begins with; what is
// not known is left as it is.
func answerTo(question string, answers map[string]string) string {
	for field, answer := range answers {
		if strings.HasPrefix(strings.ToLower(question), field) {
			return answer
		}
	}
	return "-"
}

func TestRegistration(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		for name, register := range roads {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				account, password := s.registered(t, "acct")
				alice := s.user(t, "alice")
				nick := unique("al")
				register(alice, s.console(), nick, account, password)

				// The gateway asks to be a contact, and shows the link's state.
				alice.expect(Presence(FromBare(domain), Type("subscribe")))
				alice.send(`<presence to='%s' type='subscribed'/>`, domain)
				alice.send(`<presence to='%s' type='subscribe'/>`, domain)
				alice.expect(Presence(FromBare(domain), Type("subscribed")))
				alice.expect(Presence(FromBare(domain), Type("")))

				// The nick joined with is the registered one, logged in.
				bob, garden := s.host(t, "bob", "garden")
				room := s.room(garden)
				alice.join(room, nick, "")
				alice.expect(Presence(From(room+"/"+nick), Status("110")))
				bob.meets(nick, garden)
				s.loggedIn(t, nick, account)

				// What is registered is shown; the password never is.
				shown := alice.result("get", s.console(), `<query xmlns='jabber:iq:register'/>`)
				if shown.First("registered") == nil || !strings.Contains(shown.String(), nick) {
					t.Errorf("the registration is not shown: %s", shown)
				}
				if strings.Contains(shown.String(), password) {
					t.Errorf("the password is shown: %s", shown)
				}
				if strings.Contains(s.gateway.Log(), password) {
					t.Error("the password is in the log")
				}

				// Removing it takes everything along.
				alice.result("set", s.console(), `<query xmlns='jabber:iq:register'><remove/></query>`)
				bob.expect(`^:%s!\S+ (QUIT|PART)`, nick)
				gone := alice.result("get", s.console(), `<query xmlns='jabber:iq:register'/>`)
				if gone.First("registered") != nil {
					t.Errorf("still registered: %s", gone)
				}
			})
		}
	})
}

// Credentials the network refuses are not saved, and the words are the network's.
func TestWrongPassword(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		account, _ := s.registered(t, "acct")
		alice := s.user(t, "alice")
		r := alice.request("set", s.console(), `<query xmlns='jabber:iq:register'><nick>`+unique("al")+`</nick><username>`+account+
			`</username><password>wrong</password></query>`)
		alice.check(r, Type("error"), ErrorText("(?i)sasl|authentication|password|invalid"))
		shown := alice.result("get", s.console(), `<query xmlns='jabber:iq:register'/>`)
		if shown.First("registered") != nil {
			t.Errorf("registered in spite of the refusal: %s", shown)
		}
	})
}

// An edit with a blank password keeps the stored one.
func TestEditKeepsPassword(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		account, password := s.registered(t, "acct")
		alice := s.user(t, "alice")
		before, after := unique("al"), unique("al")
		set := func(nick, password string) {
			alice.result("set", s.console(), `<query xmlns='jabber:iq:register'><nick>`+nick+`</nick><username>`+account+
				`</username><password>`+password+`</password></query>`)
		}
		set(before, password)
		set(after, "")
		_, garden := s.host(t, "bob", "garden")
		room := s.room(garden)
		alice.join(room, after, "")
		alice.expect(Presence(From(room+"/"+after), Status("110")))
		s.loggedIn(t, after, account)
	})
}

// Logging out disconnects and stays so until the user logs in again.
func TestLoginLogout(t *testing.T) {
	withServices(t, func(t *testing.T, s *site) {
		account, password := s.registered(t, "acct")
		alice := s.user(t, "alice")
		nick := unique("al")
		bob, garden := s.host(t, "bob", "garden")
		roads["in-band, data form"](alice, s.console(), nick, account, password)
		alice.result("set", s.console(), `<query xmlns='jabber:iq:register'>`+
			submit(nsRegister, "nick", nick, "account", account, "channels", garden)+`</query>`)
		bob.meets(nick, garden)

		alice.chat(domain, "logout "+s.network)
		bob.expect(`^:%s!\S+ QUIT`, nick)
		alice.chat(domain, "login "+s.network)
		bob.meets(nick, garden)
		s.loggedIn(t, nick, account)
	})
}
