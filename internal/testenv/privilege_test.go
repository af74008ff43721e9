package testenv

import (
	"crypto/sha1"
	"encoding/xml"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// component is the bare protocol of XEP-0114, which shares no code with ours.
type component struct {
	*testing.T
	conn net.Conn
	dec  *xml.Decoder
}

func dialComponent(t *testing.T, s *XMPPServer, domain string) *component {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", Address(s.Component)))
	t.Cleanup(func() { conn.Close() })
	try(t, conn.SetDeadline(time.Now().Add(long)))
	c := &component{T: t, conn: conn, dec: xml.NewDecoder(conn)}
	c.send(`<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>`, domain)
	id := ""
	for id == "" {
		if start, ok := must[xml.Token](t)(c.dec.Token()).(xml.StartElement); ok {
			for _, a := range start.Attr {
				if a.Name.Local == "id" {
					id = a.Value
				}
			}
		}
	}
	c.send(`<handshake>%x</handshake>`, sha1.Sum([]byte(id+Secret)))
	if n := c.next(); n.Name != "handshake" {
		t.Fatalf("the server answered the handshake with %s", n)
	}
	return c
}

func (c *component) send(format string, args ...any) {
	c.Helper()
	_, err := fmt.Fprintf(c.conn, format, args...)
	try(c.T, err)
}

// next is the next element the server sends.
func (c *component) next() *Node {
	c.Helper()
	return must[*Node](c.T)(readNode(c.dec))
}

// expect is the next element for which the conditions hold.
func (c *component) expect(ms ...Match) *Node {
	c.Helper()
	for {
		if n := c.next(); All(ms...).Holds(n) {
			return n
		}
	}
}

// Prosody tells a privileged component what it may do, and lets it; another one is
// told nothing and may do nothing (XEP-0356).
func TestPrivileges(t *testing.T) {
	e, ctx := newEnv(t)
	s := must[*XMPPServer](t)(e.StartProsody(ctx, XMPPOptions{
		Components: []string{"gateway.localhost", "plain.localhost"}, Privileged: []string{"gateway.localhost"},
		Users: []string{"alice"},
	}))
	clients := must[*XMPPClients](t)(e.StartXMPPClients())
	alice := must[*XMPPClient](t)(clients.Connect(ctx, s, "alice", "phone"))
	try(t, alice.Send(`<presence/>`))
	c := dialComponent(t, s, "gateway.localhost")

	told := c.expect(Message(From(Domain)))
	granted := map[string]string{}
	for _, perm := range told.All("perm") {
		granted[perm.Attr("access")] = perm.Attr("type")
	}
	for access, want := range map[string]string{"roster": "both", "message": "outgoing", "presence": "managed_entity"} {
		if granted[access] != want {
			t.Errorf("%s is %q, want %q: %s", access, granted[access], want, told)
		}
	}
	space := told.All("privilege")[0].Space
	if !strings.HasPrefix(space, "urn:xmpp:privilege:") {
		t.Errorf("the namespace is %s", space)
	}

	// Rosters can be read and written.
	c.send(`<iq type='set' id='r1' from='gateway.localhost' to='alice@localhost'><query xmlns='jabber:iq:roster'><item jid='bob@gateway.localhost' name='Bob'/></query></iq>`)
	c.expect(IQ(ID("r1"), Type("result")))
	must[Stanza](t)(alice.Expect(ctx, IQ(Type("set"), Has("jabber:iq:roster", "item"))))
	c.send(`<iq type='get' id='r2' from='gateway.localhost' to='alice@localhost'><query xmlns='jabber:iq:roster'/></iq>`)
	roster := c.expect(IQ(ID("r2"), Type("result")))
	if roster.First("item").Attr("jid") != "bob@gateway.localhost" {
		t.Errorf("the roster is %s", roster)
	}

	// Messages can be sent as the user: the others of their clients get a copy.
	must[Stanza](t)(alice.Request(ctx, "set", alice.Bare, `<enable xmlns='urn:xmpp:carbons:2'/>`))
	c.send(`<message from='gateway.localhost' to='localhost' id='m1'><privilege xmlns='%s'><forwarded xmlns='urn:xmpp:forward:0'>`+
		`<message xmlns='jabber:client' from='alice@localhost' to='bob@gateway.localhost' type='chat' id='m2'><body>from elsewhere</body></message>`+
		`</forwarded></privilege></message>`, space)
	c.expect(Message(From("alice@localhost"), To("bob@gateway.localhost")))
	must[Stanza](t)(alice.Expect(ctx, Message(Has("urn:xmpp:carbons:2", "sent"))))

	// The user's presence is told.
	try(t, alice.Send(`<presence><show>away</show></presence>`))
	c.expect(Presence(From(alice.JID), Where("away", func(n *Node) bool { return n.First("show").Content() == "away" })))

	plain := dialComponent(t, s, "plain.localhost")
	plain.send(`<iq type='get' id='r3' from='plain.localhost' to='alice@localhost'><query xmlns='jabber:iq:roster'/></iq>`)
	for {
		n := plain.next()
		if n.Name == "message" {
			t.Errorf("a component without privileges was told %s", n)
		}
		if n.Attr("id") == "r3" {
			if n.Attr("type") != "error" {
				t.Errorf("a component without privileges read a roster: %s", n)
			}
			break
		}
	}
}
