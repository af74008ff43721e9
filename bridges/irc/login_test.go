package irc

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/irctest"
)

func TestNickTakenWhileSomebodyWaits(t *testing.T) {
	w := open(t, setup{offline: true, start: bridges.Start{Attended: true, Nick: "alice"}, hooks: func(s *irctest.Server) { s.Puppet("alice") }})
	if err := bridges.AsError(w.ended()); err.Kind != bridges.Conflict {
		t.Errorf("ended with %+v", err)
	}
}

func TestNickNotAllowed(t *testing.T) {
	w := open(t, setup{offline: true, start: bridges.Start{Attended: true, Nick: "9lives"}})
	if err := bridges.AsError(w.ended()); err.Kind != bridges.Invalid {
		t.Errorf("ended with %+v", err)
	}
	w = open(t, setup{offline: true, start: bridges.Start{Attended: true, Nick: "two words"}})
	if err := bridges.AsError(w.ended()); err.Kind != bridges.Invalid || !err.Permanent {
		t.Errorf("ended with %+v", err)
	}
}

// Nobody is there to choose: the user's alternatives are used, told, and the
// nick is taken back as soon as it is free.
func TestAlternativeAndReturn(t *testing.T) {
	for _, monitor := range []string{"MONITOR=100", "WATCH=100", "X=1"} {
		var ghost *irctest.Client
		w := open(t, setup{
			server:   irctest.Config{ISupport: []string{monitor}},
			settings: map[string]string{setNick: "alice", setAlternatives: "taken alice2"}, nick: "alice2",
			hooks: func(s *irctest.Server) {
				ghost = s.Puppet("alice")
				ghost.Do("JOIN #room")
				s.Puppet("taken")
			},
		})
		w.join("#room")
		if nick := w.net.Self().Nick; nick != "alice2" {
			t.Fatalf("nick %q", nick)
		}
		if monitor == "MONITOR=100" {
			w.me.Expect(t, `MONITOR \+ alice`)
		}
		ghost.Leave("timed out")
		r := want(t, w, "Renamed", func(r *bridges.Renamed) bool { return r.Self && r.Room == "" })
		if r.Member.Nick != "alice" || r.Ref != 0 || r.OldNick != "alice2" {
			t.Errorf("%s: renamed %s", monitor, describe(r))
		}
	}
}

// A nick never changes in silence: without alternatives and without a secret
// the connection ends.
func TestNoSilentNick(t *testing.T) {
	w := open(t, setup{offline: true, hooks: func(s *irctest.Server) { s.Puppet("alice") }})
	if err := bridges.AsError(w.ended()); err.Kind != bridges.Conflict || err.Permanent {
		t.Errorf("ended with %+v", err)
	}
}

func TestRegainThroughServices(t *testing.T) {
	for _, regain := range []string{"auto", "ghost", "recover"} {
		for _, sasl := range [][]string{nil, {}} { // with SASL, and with NickServ alone
			w := open(t, setup{
				server:   irctest.Config{Accounts: map[string]string{"alice": "secret"}, SASL: sasl},
				link:     LinkConfig{Regain: regain},
				settings: map[string]string{setNick: "alice", setPassword: "secret"},
				hooks:    func(s *irctest.Server) { s.Puppet("alice") },
			})
			if nick := w.net.Self().Nick; nick != "alice" {
				t.Errorf("nick %q", nick)
			}
			for _, ev := range w.rec.since(0) {
				switch ev := ev.(type) {
				case *bridges.Renamed:
					t.Errorf("the made-up nick was seen: %s", describe(ev))
				case *bridges.Message:
					t.Errorf("a line of ours was shown: %s", describe(ev))
				}
			}
		}
	}
}

func TestRegainRefused(t *testing.T) {
	services := func(s *irctest.Server) {
		s.Puppet("alice")
		s.Hook("PRIVMSG", func(c *irctest.Client, m irctest.Msg) bool {
			if strings.Contains(m.Param(1), "alice") {
				c.Send(":NickServ!s@services NOTICE %s :Unknown command.", c.Nick())
				return true
			}
			return false
		})
	}
	settings := map[string]string{setNick: "alice", setAccount: "alicia", setPassword: "secret", setAlternatives: "alice3"}
	cfg := irctest.Config{Accounts: map[string]string{"alicia": "secret"}}
	w := open(t, setup{server: cfg, settings: settings, hooks: services, nick: "alice3"})
	if nick := w.net.Self().Nick; nick != "alice3" {
		t.Errorf("nick %q", nick)
	}
	delete(settings, setAlternatives)
	w = open(t, setup{server: cfg, settings: settings, hooks: services, offline: true})
	if err := bridges.AsError(w.ended()); err.Kind != bridges.Conflict {
		t.Errorf("ended with %+v", err)
	}
}

func TestIdentifyBeforeOnline(t *testing.T) {
	w := open(t, setup{
		server:   irctest.Config{Accounts: map[string]string{"alice": "secret"}, SASL: []string{}},
		settings: map[string]string{setNick: "alice", setPassword: "secret"},
	})
	w.me.Expect(t, `PRIVMSG NickServ :IDENTIFY secret`)
	if acc := w.net.Self().Account; acc != "alice" {
		t.Errorf("account %q", acc)
	}
	w.fence()
	for _, ev := range w.rec.since(0) {
		if strings.Contains(describe(ev), "secret") {
			t.Errorf("the password was shown: %s", describe(ev))
		}
	}
}

// SASL that the server offers and then refuses ends the connection with the
// reason; SASL that it does not offer leaves NickServ.
func TestWrongPassword(t *testing.T) {
	w := open(t, setup{
		server: irctest.Config{Accounts: map[string]string{"alice": "secret"}}, offline: true,
		settings: map[string]string{setNick: "alice", setPassword: "guess"},
	})
	if err := bridges.AsError(w.ended()); err.Kind != bridges.BadCredentials || !err.Permanent || err.Text == "" {
		t.Errorf("ended with %+v", err)
	}
}

// clientPEM is a client certificate as users give it.
func clientPEM(t *testing.T) string {
	t.Helper()
	cert, _ := irctest.ClientCertificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

// A certificate that logs nobody in is told, and one that does, or that a
// password stands beside, is not.
func TestCertificateAlone(t *testing.T) {
	text := clientPEM(t)
	for name, c := range map[string]struct {
		settings map[string]string
		told     bool
	}{
		"certificate": {map[string]string{setCertificate: text}, true},
		"spaces":      {map[string]string{setCertificate: strings.ReplaceAll(text, "\n", " ")}, true},
		"one line":    {map[string]string{setCertificate: strings.ReplaceAll(text, "\n", "")}, true},
		"password":    {map[string]string{setCertificate: text, setNick: "alice", setPassword: "secret"}, false},
		"neither":     {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, setup{server: irctest.Config{SASL: []string{}, Accounts: map[string]string{"alice": "secret"}}, settings: c.settings})
			w.fence()
			told := false
			for _, ev := range w.rec.since(0) {
				notice, ok := ev.(*bridges.ServerNotice)
				told = told || ok && strings.Contains(notice.Text, "You are not logged in")
			}
			if told != c.told {
				t.Errorf("told: %t", told)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		server   irctest.Config
		settings map[string]string
		hooks    func(*irctest.Server)
		kind     bridges.ErrorKind
		ok       bool
	}{
		"sasl": {server: irctest.Config{Accounts: map[string]string{"alice": "secret"}}, settings: map[string]string{setPassword: "secret"}, ok: true},
		"sasl while online": {server: irctest.Config{Accounts: map[string]string{"alice": "secret"}}, settings: map[string]string{setPassword: "secret"}, ok: true,
			hooks: func(s *irctest.Server) { s.Puppet("alice") }},
		"sasl wrong":     {server: irctest.Config{Accounts: map[string]string{"alice": "secret"}}, settings: map[string]string{setPassword: "guess"}, kind: bridges.BadCredentials},
		"nickserv":       {server: irctest.Config{Accounts: map[string]string{"alice": "secret"}, SASL: []string{}}, settings: map[string]string{setPassword: "secret"}, ok: true},
		"nickserv wrong": {server: irctest.Config{Accounts: map[string]string{"alice": "secret"}, SASL: []string{}}, settings: map[string]string{setPassword: "guess"}, kind: bridges.BadCredentials},
		"no account":     {ok: true},
		"server password": {server: irctest.Config{Password: "door"}, settings: map[string]string{setServerPass: "wrong"},
			kind: bridges.BadCredentials},
		"bad nick":        {settings: map[string]string{setNick: "a,b"}, kind: bridges.Invalid},
		"bad certificate": {settings: map[string]string{setCertificate: "xx"}, kind: bridges.Invalid},
		"banned": {hooks: func(s *irctest.Server) {
			s.Hook("USER", func(c *irctest.Client, _ irctest.Msg) bool {
				c.Send(":irc.test 465 * :You are banned from this server")
				c.Send("ERROR :Closing link: banned")
				return true
			})
		}, kind: bridges.NetworkBanned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := irctest.Start(t, c.server)
			if c.hooks != nil {
				c.hooks(srv)
			}
			d := newDriver(t, srv, LinkConfig{})
			err := d.check(context.Background(), bridges.Account{Network: "test", Nick: "alice", Settings: c.settings})
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := bridges.AsError(err); e == nil || e.Kind != c.kind || e.Text == "" {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestCheckOfSilentNetwork(t *testing.T) {
	srv := irctest.Start(t, irctest.Config{})
	srv.Hook("USER", func(*irctest.Client, irctest.Msg) bool { return true })
	d := newDriver(t, srv, LinkConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := bridges.AsError(d.check(ctx, bridges.Account{Network: "test", Nick: "alice"})); err == nil || err.Kind != bridges.Timeout {
		t.Errorf("%+v", err)
	}
	srv.Stop()
	if err := bridges.AsError(d.check(context.Background(), bridges.Account{Network: "test", Nick: "alice"})); err == nil || err.Kind != bridges.Offline {
		t.Errorf("%+v", err)
	}
}
