package main

import (
	"fmt"
	"testing"
)

// quietRig is a rig without a gateway, for what it makes of single stanzas and lines.
func quietRig(users int, shared bool) *rig {
	r := &rig{sub: nullSubject{}, wake: make(chan struct{}, 1), down: make(chan struct{}), users: []*user{nil}, shared: shared}
	r.addUsers(newCrew(users, shared))
	return r
}

func (r *rig) hearText(t *testing.T, text string) {
	t.Helper()
	s, n, err := nextStanza([]byte(text))
	if err != nil || n == 0 {
		t.Fatalf("%q: %d, %v", text, n, err)
	}
	r.hear(s)
}

func message(from, to, attrs, text string) string {
	return fmt.Sprintf("<message from='%s' to='%s@load.test/r' %s><body>%s</body></message>", from, to, attrs, text)
}

func TestHear(t *testing.T) {
	const own, all = "#c1%127.0.0.1@irc.load.test", "#all%127.0.0.1@irc.load.test"
	bob0, self0, other0 := string(appendBody(nil, 0, 0, 0)), string(appendBody(nil, 1, 0, 0)), string(appendBody(nil, 2, 0, 0))
	for _, c := range []struct {
		name   string
		shared bool
		stanza string
		want   fault
		heard  uint64
	}{
		{"from IRC", false, message(own+"/bob", "u1", "", bob0), "", 1},
		{"reflection", false, message(own+"/u1", "u1", "", self0), "", 1},
		{"another user", true, message(all+"/u2", "u1", "", other0), "", 1},
		{"a notice of the gateway", false, message("127.0.0.1@irc.load.test", "u1", "", "Connecting"), "", 0},
		{"another room", false, message("#c2%127.0.0.1@irc.load.test/bob", "u1", "", bob0), faultMisrouted, 0},
		{"the bare room", false, message(own, "u1", "", bob0), faultMisrouted, 0},
		{"another's name", false, message(own+"/u1", "u1", "", bob0), faultMisrouted, 0},
		{"another's line in a room of one", false, message(own+"/u2", "u1", "", other0), faultMisrouted, 0},
		{"nobody", false, message(own+"/bob", "u9", "", bob0), faultMisrouted, 0},
		{"refused", false, message(own, "u1", "type='error'", self0), faultRefused, 0},
		{"altered", false, message(own+"/bob", "u1", "", bob0[:40]), faultAltered, 0},
		{"a join refused", false, fmt.Sprintf("<presence from='%s/u1' to='u1@load.test/r' type='error'/>", own), faultRefused, 0},
		{"thrown out", false, fmt.Sprintf("<presence from='%s/u1' to='u1@load.test/r' type='unavailable'/>", own), faultConnection, 0},
		{"somebody left", true, fmt.Sprintf("<presence from='%s/u2' to='u1@load.test/r' type='unavailable'/>", all), "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := quietRig(2, c.shared)
			r.hearText(t, c.stanza)
			if c.want == "" && r.led.err() != nil {
				t.Error(r.led.err())
			}
			if c.want != "" && r.led.count(c.want) != 1 {
				t.Errorf("want %s, got %v", c.want, r.led.err())
			}
			if got := r.stanzas.Load(); got != c.heard {
				t.Errorf("heard %d, want %d", got, c.heard)
			}
		})
	}
}

func TestSelfPresence(t *testing.T) {
	r := quietRig(1, false)
	const from = "<presence from='#c1%127.0.0.1@irc.load.test/"
	r.hearText(t, from+"bob' to='u1@load.test/r'/>")
	if r.users[1].joined.Load() {
		t.Error("joined by another's presence")
	}
	r.hearText(t, from+"u1' to='u1@load.test/r'><x xmlns='http://jabber.org/protocol/muc#user'><status code=\"110\"/></x></presence>")
	if !r.users[1].joined.Load() {
		t.Error("not joined by self-presence")
	}
}

func TestSaid(t *testing.T) {
	for _, c := range []struct {
		name, target, text string
		want               fault
	}{
		{"right", "#c1", string(appendBody(nil, 1, 0, 0)), ""},
		{"another channel", "#c2", string(appendBody(nil, 1, 0, 0)), faultMisrouted},
		{"another's connection", "#c1", string(appendBody(nil, 2, 0, 0)), faultMisrouted},
		{"a line nobody sent", "#c1", "hello", faultAltered},
		{"cut short", "#c1", string(appendBody(nil, 1, 0, 0)[:50]), faultAltered},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := quietRig(2, false)
			conn := &ircConn{nick: "u1"}
			r.ircRegistered(conn)
			r.ircSaid(conn, []byte(c.target), []byte(c.text))
			if c.want == "" && r.led.err() != nil || c.want != "" && r.led.count(c.want) != 1 {
				t.Errorf("want %q, got %v", c.want, r.led.err())
			}
			if ok := r.users[1].said.Load() == 1; ok != (c.want == "") {
				t.Errorf("counted: %v", ok)
			}
		})
	}
}

// What was said more often than it was sent is a fault, too.
func TestSettleUnannounced(t *testing.T) {
	r := quietRig(1, false)
	r.hearText(t, message("#c1%127.0.0.1@irc.load.test/bob", "u1", "", string(appendBody(nil, 0, 0, 0))))
	if err := r.settle(); r.led.count(faultUnasked) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestCrowd(t *testing.T) {
	see := func(nicks ...string) *ledger {
		c, led := &crowd{nicks: map[string]int{}}, &ledger{}
		for _, n := range nicks {
			c.see([]byte(n), n == "u1")
		}
		c.account(led, "u1", 2)
		return led
	}
	if err := see("bob", "m00000", "m00001", "u1").err(); err != nil {
		t.Error(err)
	}
	for want, led := range map[fault]*ledger{
		faultLost:      see("bob", "m00001", "u1"),
		faultDoubled:   see("bob", "m00000", "m00000", "m00001", "u1"),
		faultMisrouted: see("bob", "m00000", "m00001", "m00002", "u1"),
		faultReordered: see("bob", "m00000", "u1", "m00001"),
	} {
		if led.count(want) != 1 {
			t.Errorf("want %s, got %v", want, led.err())
		}
	}
}

// In a shared room a presence that never came is missing.
func TestPresences(t *testing.T) {
	r := quietRig(2, true)
	for _, to := range []string{"u1", "u2"} {
		r.hearText(t, "<presence from='#all%127.0.0.1@irc.load.test/"+to+"' to='"+to+"@load.test/r'><x><status code='110'/></x></presence>")
	}
	r.hearText(t, "<presence from='#all%127.0.0.1@irc.load.test/u1' to='u2@load.test/r'/>")
	if r.allPresent() {
		t.Error("user 2 was never shown to user 1")
	}
	if r.reportAbsent(); r.led.count(faultLost) != 1 {
		t.Errorf("want 1 lost, got %v", r.led.err())
	}
	r.hearText(t, "<presence from='#all%127.0.0.1@irc.load.test/u2' to='u1@load.test/r'/>")
	if !r.allPresent() {
		t.Error("all are there")
	}
}
