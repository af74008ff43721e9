package test

import (
	"fmt"
	"strings"
	"testing"

	. "transportd/internal/testenv"
)

// Whatever a user sends through a real server costs that user an error at most,
// never the gateway its stream, nor another stanza its meaning.
func TestHostileStanzas(t *testing.T) {
	withXMPP(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice, mallory := s.user(t, "alice"), s.user(t, "mallory")
		room := alice.enter(garden)
		bob.meets(alice.name, garden)
		before := streams(t, s)

		to := func(jid, typ, payload string) string {
			return fmt.Sprintf(`<message to='%s' type='%s' id='h'>%s</message>`, Escape(jid), typ, payload)
		}
		deep := strings.Repeat("<d>", 500) + strings.Repeat("</d>", 500)
		for name, xml := range map[string]string{
			"a body in a foreign child":   to(room, "groupchat", `<x xmlns='urn:x'><body>foreign</body><subject>foreign</subject></x>`),
			"an unknown element":          to(domain, "chat", `<z:z xmlns:z='urn:z' z:a='1'><z:z/></z:z>`),
			"a bad number":                fmt.Sprintf(`<presence to='%s'><priority>999999999999</priority></presence>`, domain),
			"a bad history":               fmt.Sprintf(`<presence to='%s/m'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='ten' since='never'/></x></presence>`, s.room("#"+unique("x"))),
			"a deep stanza":               to(domain, "chat", deep),
			"a wide stanza":               to(domain, "chat", strings.Repeat("<w/>", 6000)),
			"many attributes":             to(domain, "chat", `<a `+attributes(3000)+`/>`),
			"a long body":                 to(room, "groupchat", `<body>`+strings.Repeat("x", 150_000)+`</body>`),
			"a long name":                 fmt.Sprintf(`<presence to='%s@%s/n'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, strings.Repeat("a", 1000), domain),
			"an answer nobody asked for":  fmt.Sprintf(`<iq type='result' id='1' to='%s'/>`, domain),
			"an error nobody caused":      to(room, "error", `<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`),
			"an iq without a payload":     fmt.Sprintf(`<iq type='get' id='e' to='%s'/>`, domain),
			"two payloads":                fmt.Sprintf(`<iq type='get' id='t' to='%s'><ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/></iq>`, domain),
			"a line break in a nick":      fmt.Sprintf("<presence to='%s/a&#10;QUIT'><x xmlns='http://jabber.org/protocol/muc'/></presence>", s.room("#"+unique("x"))),
			"a raw line in a private one": to(s.person(bob.Nick), "chat", "<body>hi&#13;&#10;QUIT :gone</body>"),
			"a subject with line breaks":  to(room, "groupchat", "<subject>a&#10;QUIT :gone</subject>"),
			"an invitation to nobody":     to(room, "normal", `<x xmlns='http://jabber.org/protocol/muc#user'><invite to=''/></x>`),
			"an empty command":            fmt.Sprintf(`<iq type='set' id='c' to='%s'><command xmlns='http://jabber.org/protocol/commands'/></iq>`, domain),
			"a form that is none":         fmt.Sprintf(`<iq type='set' id='f' to='%s'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field/></x></query></iq>`, s.console()),
		} {
			if err := mallory.Send("%s", Raw(xml)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			mallory.result("get", domain, `<ping xmlns='urn:xmpp:ping'/>`)
		}

		// Everybody else is undisturbed.
		id := alice.say(room, "still here")
		bob.expect(`PRIVMSG %s :still here`, garden)
		alice.expect(Message(ID(id), Body("still here")))
		bob.none(`^:\S+ QUIT|PRIVMSG .*foreign`)
		if after := streams(t, s); after != before {
			t.Errorf("the stream to %s was opened %v times in between", s.server.Name, after-before)
		}
	})
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d='1' ", i)
	}
	return b.String()
}

// streams is how often transportd has connected to its XMPP server.
func streams(t *testing.T, s *site) float64 {
	t.Helper()
	n, err := s.gateway.Metric(wait(t), "transportd_stream_connects_total")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The other side: whatever people on the network do arrives as XML that the
// server takes, and costs nobody the stream.
func TestHostileNetwork(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		bob, garden := s.host(t, "bob", "garden")
		alice := s.user(t, "alice")
		room := alice.enter(garden)
		before := streams(t, s)
		for i, line := range []string{
			strings.Repeat("\x03", 300), strings.Repeat("\x02\x1d\x1f\x16", 80), "\x01", "\x01\x01", "\x01ACTION\x01", "\x01DCC SEND x 1 2\x01",
			"]]>", "<!DOCTYPE x>", "</stream:stream>", "&#0;&nope;", "\xff\xfe\xfd", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\u202e\u200b\u0085",
			strings.Repeat("é", 240), strings.Repeat("\xc3", 400), "\x04ff0000hex", "\x0f \x11mono\x11 \x1e",
		} {
			bob.says(garden, line)
			bob.says(garden, fmt.Sprintf("after %d", i))
			alice.expect(Message(From(room+"/"+bob.Nick), Body(fmt.Sprintf("after %d", i))))
		}
		bob.Sendf("TOPIC %s :\x02]]>\x03\x01<&", garden)
		alice.expect(Message(FromBare(room), Has("jabber:client", "subject")))
		for _, nick := range []string{"[x]`^{|}", `a\20b`, `\\\\`, "_-_"} {
			p, err := DialIRC(wait(t), s.ircd.Address(), nick+unique("n"))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Join(wait(t), garden); err != nil {
				t.Fatal(err)
			}
			p.Sendf("PRIVMSG %s :from an odd nick", garden)
			m := alice.expect(Message(FromBare(room), Body("from an odd nick")))
			alice.expect(Presence(From(m.Attr("from")), Type("")))
			p.Sendf("QUIT :\x03\x01]]>")
			alice.expect(Presence(From(m.Attr("from")), Type("unavailable")))
		}
		if after := streams(t, s); after != before {
			t.Errorf("the stream to %s was opened %v times in between", s.server.Name, after-before)
		}
	})
}
