package component

import (
	"context"
	"fmt"
	"testing"
)

func TestPrivileges(t *testing.T) {
	r := newStreamRig(t, quick)
	c := r.up(t)
	after := func() { // what was sent before has been read
		t.Helper()
		c.Send(`<message from='juliet@example.org/a' to='irc.example.org' id='next'/>`)
		if s := <-r.got; s.ID != "next" {
			t.Fatalf("handed on: %s", s.Element)
		}
	}
	if p, known := r.Privileges("example.org"); p != (Privileges{}) || known {
		t.Errorf("before anything is said: %+v, %t", p, known)
	}
	for _, space := range []string{NSPrivilege1, NSPrivilege} {
		c.Send(`<message from='example.org' to='irc.example.org'><privilege xmlns='%s'><perm access='roster' type='both'/>`+
			`<perm access='message' type='outgoing'/><perm access='presence' type='managed_entity'/>`+
			`<perm access='iq'><namespace ns='http://jabber.org/protocol/pubsub' type='both'/></perm></privilege></message>`, space)
		after()
		if p, known := r.Privileges("example.org"); p != (Privileges{space, true, true, true, true, true}) || !known {
			t.Errorf("%s: %+v, %t", space, p, known)
		}
	}
	// Only a server grants anything, and for its own users.
	c.Send(`<message from='mallory@example.net' to='irc.example.org' id='m'><privilege xmlns='%s'><perm access='message' type='outgoing'/></privilege></message>`, NSPrivilege)
	if s := <-r.got; s.ID != "m" {
		t.Errorf("handed on: %s", s.Element)
	}
	if p, _ := r.Privileges("example.net"); p != (Privileges{}) {
		t.Errorf("a user granted %+v", p)
	}

	// A message in a user's name, as XEP-0356 wants it.
	p, _ := r.Privileges("example.org")
	o := NewMessage(r.Domain(), JID{Domain: "example.org"}, "", "o")
	p.AppendPrivileged(o, mustJID(t, "juliet@example.org"), mustJID(t, "#x@irc.example.org"), "chat", "i", func(o *Out) { o.Elem("", "body", "a < b") })
	if err := r.Send(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	c.ExpectXML(`<message id='o' from='irc.example.org' to='example.org'><privilege xmlns='` + NSPrivilege + `'><forwarded xmlns='urn:xmpp:forward:0'>` +
		`<message xmlns='jabber:client' from='juliet@example.org' to='#x@irc.example.org' type='chat' id='i'><body>a &lt; b</body></message></forwarded></privilege></message>`)

	// A server that refuses what it has granted does not grant it.
	c.Send(`<message type='error' from='example.org' to='irc.example.org' id='o'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`)
	after()
	if p, known := r.Privileges("example.org"); p != (Privileges{NSPrivilege, true, true, false, true, true}) || !known {
		t.Errorf("after a refusal: %+v, %t", p, known)
	}

	// Another connection begins with nothing.
	c.Break()
	c = r.up(t)
	after()
	if p, known := r.Privileges("example.org"); p != (Privileges{}) || known {
		t.Errorf("over another connection: %+v, %t", p, known)
	}

	// However many say so, they are few.
	for i := range 2 * maxGranting {
		c.Send(`<message from='%d.example' to='irc.example.org'><privilege xmlns='%s'><perm access='roster' type='get'/></privilege></message>`, i, NSPrivilege)
	}
	after()
	n := 0
	for i := range 2 * maxGranting {
		if p, _ := r.Privileges(fmt.Sprintf("%d.example", i)); p.RosterGet {
			n++
		}
	}
	if n != maxGranting {
		t.Errorf("%d domains are remembered, not %d", n, maxGranting)
	}
}

// What requests may be made is read however servers nest it; the answer to one is inside
// the server's.
func TestPrivilegedRequests(t *testing.T) {
	st := func(xml string) *Stanza {
		t.Helper()
		st, err := ParseStanza(xml)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	granted, ok := parsePrivileges(st(`<message from='example.org' to='irc.example.org'><privilege xmlns='urn:xmpp:privilege:2'><perm access='iq'>` +
		`<namespace ns='urn:other' type='both'><namespace ns='http://jabber.org/protocol/pubsub' type='set'/></namespace></perm></privilege></message>`))
	if want := (Privileges{Space: NSPrivilege, PubSubSet: true}); !ok || granted != want {
		t.Errorf("granted is %+v", granted)
	}
	o := NewIQ(JID{Domain: "irc.example.org"}, mustJID(t, "juliet@example.org"), "set", "o")
	granted.AppendPrivilegedIQ(o, mustJID(t, "juliet@example.org"), "set", "i", func(o *Out) { o.Start(nsPubSub, "pubsub").End() })
	want := `<iq type="set" id="o" from="irc.example.org" to="juliet@example.org"><privileged_iq xmlns="urn:xmpp:privilege:2">` +
		`<iq xmlns="jabber:client" type="set" id="i" from="juliet@example.org" to="juliet@example.org"><pubsub xmlns="http://jabber.org/protocol/pubsub"/></iq></privileged_iq></iq>`
	if got, err := Encode(o, "irc.example.org"); err != nil || got != want {
		t.Errorf("the request is %s, %v", got, err)
	}
	for inner, there := range map[string]bool{"result": true, "error": false} {
		answer := PrivilegedAnswer(st(`<iq type='result' id='o' from='juliet@example.org' to='irc.example.org'><privilege xmlns='urn:xmpp:privilege:2'>` +
			`<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='` + inner + `' id='i'/></forwarded></privilege></iq>`))
		if (answer != nil) != there {
			t.Errorf("%s is answered %s", inner, answer)
		}
	}
	if PrivilegedAnswer(st(`<iq type='result' id='o' from='juliet@example.org' to='irc.example.org'/>`)) != nil {
		t.Error("an answer without one has one")
	}
}
