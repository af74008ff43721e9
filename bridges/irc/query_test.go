package irc

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/internal/irctest"
)

func TestWhois(t *testing.T) {
	w := open(t, setup{})
	bob := w.srv.Puppet("Bob")
	bob.Do("JOIN #room")
	w.srv.SetAccount("Bob", "Robert")
	bob.Do("AWAY :tea")
	p, err := w.net.Profile(context.Background(), "bob")
	if err != nil || p.Nick != "Bob" || p.Account != "Robert" || !strings.Contains(p.Mask, "@") || !strings.Contains(p.Text, "tea") {
		t.Errorf("profile %+v, %v", p, err)
	}
	if _, err := w.net.Profile(context.Background(), "nobody"); err == nil || bridges.AsError(err).Kind != bridges.NotFound {
		t.Errorf("nobody: %v", err)
	}
	w.fence()
	for _, ev := range w.rec.since(0) { // the end of the list follows the refusal
		if told, ok := ev.(*bridges.ServerNotice); ok && strings.Contains(told.Text, "nobody") {
			t.Errorf("told: %s", told.Text)
		}
	}
}

func TestProfileOfAllNumerics(t *testing.T) {
	line := func(code string, params ...string) reply {
		return reply{code, append([]string{"me", "bob"}, params...)}
	}
	p := profileOf([]reply{
		line("311", "user", "host", "*", "Bob B."), line("312", "irc.test", "a server"), line("330", "Robert", "is logged in as"),
		line("319", "@#a +#b "), line("317", "61", "1700000000", "seconds idle, signon time"), line("671", "is using a secure connection"),
		{"312", []string{"me"}},
	})
	want := bridges.Profile{Nick: "bob", RealName: "Bob B.", Mask: "user@host", Account: "Robert", Server: " (me)",
		Text: "Channels: @#a +#b\nIdle: 1m1s\nOnline since: Tue, 14 Nov 2023 22:13:20 UTC\nis using a secure connection"}
	if p != want {
		t.Errorf("profile %+v", p)
	}
}

func TestProbes(t *testing.T) {
	w := open(t, setup{server: irctest.Config{NoCap: true}})
	bob := w.srv.Puppet("Bob")
	answer := func(verb, text string) {
		bob.ExpectSeen(t, "PRIVMSG (?i:bob) :\x01"+verb)
		bob.Do("NOTICE alice :\x01" + verb + " " + text + "\x01")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if v, err := w.net.Probe(context.Background(), "bob", bridges.ProbeVersion); err != nil || v != "chat 1.0" {
			t.Errorf("version %q, %v", v, err)
		}
	})
	answer("VERSION", "chat 1.0")
	wg.Wait()
	wg.Go(func() {
		if v, err := w.net.Probe(context.Background(), "bob", bridges.ProbePing); err != nil || v == "" {
			t.Errorf("ping %q, %v", v, err)
		}
	})
	answer("PING", "gateway")
	wg.Wait()
	if _, err := w.net.Probe(context.Background(), "nobody", bridges.ProbeTime); err == nil || bridges.AsError(err).Kind != bridges.NotFound {
		t.Errorf("nobody: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.net.Probe(ctx, "bob", bridges.ProbeTime); err == nil || bridges.AsError(err).Kind != bridges.Timeout {
		t.Errorf("silence: %v", err)
	}
}

func TestProbesEndWithTheLink(t *testing.T) {
	w := open(t, setup{})
	_ = w.srv.Puppet("bob")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := w.net.Probe(context.Background(), "bob", bridges.ProbeTime); err == nil || bridges.AsError(err).Kind != bridges.Offline {
			t.Errorf("lost: %v", err)
		}
	})
	w.me.Expect(t, "TIME")
	w.me.Drop()
	wg.Wait()
}

func TestDirectory(t *testing.T) {
	w := open(t, setup{})
	for _, name := range []string{"#b", "#A", "#c"} {
		p := w.srv.Puppet("in" + name[1:])
		p.Do("JOIN " + name)
		p.Do("TOPIC " + name + " :about " + name)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			rooms, err := w.net.Rooms(context.Background())
			if err != nil || len(rooms) != 3 {
				t.Errorf("%v, %v", rooms, err)
				return
			}
			if rooms[0].Name != "#A" || rooms[0].Members != 1 || rooms[0].Subject != "about #A" || rooms[2].Name != "#c" {
				t.Errorf("rooms %v", rooms)
			}
		})
	}
	wg.Wait()
	if n := w.srv.Counters().Commands["LIST"]; n != 1 {
		t.Errorf("%d LISTs", n)
	}
	for _, ev := range w.rec.since(0) {
		if n, ok := ev.(*bridges.ServerNotice); ok {
			t.Errorf("shown in the console: %s", describe(n))
		}
	}
}

func TestDirectoryRefused(t *testing.T) {
	w := open(t, setup{hooks: func(s *irctest.Server) {
		s.Hook("LIST", func(c *irctest.Client, m irctest.Msg) bool {
			c.Numeric("481", "Permission Denied")
			return true
		})
	}})
	if _, err := w.net.Rooms(context.Background()); err == nil || bridges.AsError(err).Kind != bridges.Forbidden {
		t.Errorf("%v", err)
	}
}

func TestConsole(t *testing.T) {
	w := open(t, setup{server: irctest.Config{MOTD: []string{"welcome all"}}})
	for _, ev := range w.rec.since(0) {
		if n, ok := ev.(*bridges.ServerNotice); ok {
			t.Errorf("shown without being asked: %s", describe(n))
		}
	}
	ref := w.nextRef()
	w.ok(w.net.Raw(ref, "motd"))
	want(t, w, "the message of the day", func(n *bridges.ServerNotice) bool { return strings.Contains(n.Text, "welcome all") })
	want(t, w, "Done", func(d *bridges.Done) bool { return d.Ref == ref })
	w.ok(w.net.Raw(w.nextRef(), "FROBNICATE now"))
	want(t, w, "the refusal", func(n *bridges.ServerNotice) bool { return strings.Contains(n.Text, "FROBNICATE") })
	w.ok(w.net.Raw(w.nextRef(), "WHOIS alice"))
	want(t, w, "WHOIS", func(n *bridges.ServerNotice) bool { return strings.HasPrefix(n.Text, "alice") })
	for _, bad := range []string{"", "  ", "PRIVMSG a :b\r\nQUIT", ":x QUIT"} {
		if err := w.net.Raw(w.nextRef(), bad); err == nil || bridges.AsError(err).Kind != bridges.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
