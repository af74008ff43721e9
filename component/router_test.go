package component

import (
	"errors"
	"strings"
	"testing"

	"gosrc.io/xmpp/stanza"
)

// routeRig is a router with the answers it gave.
type routeRig struct {
	*Router
	answers []string
	took    string
}

func newRouteRig(t *testing.T) *routeRig {
	r := &routeRig{}
	r.Router = NewRouter(JID{Domain: testDomain}, func(j JID) (AddressKind, error) {
		switch {
		case j.Local == "":
			return AddressHost, nil
		case j.Local == "bad":
			return 0, NewStanzaError(stanza.ErrorTypeModify, "jid-malformed", "no")
		case j.Local == "gone":
			return 0, errors.New("some inner fault")
		case strings.HasPrefix(j.Local, "#") && j.Resource != "":
			return AddressOccupant, nil
		case strings.HasPrefix(j.Local, "#"):
			return AddressRoom, nil
		}
		return AddressPerson, nil
	}, func(o *Out) bool {
		r.answers = append(r.answers, encode(t, o))
		return true
	})
	return r
}

func (r *routeRig) handle(name string, kind AddressKind, k Kind, typ, space, el string) {
	r.Handle(kind, k, typ, space, el, func(*Stanza) { r.took = name })
}

func TestRouter(t *testing.T) {
	r := newRouteRig(t)
	r.handle("disco", AddressHost, KindIQ, "get", "urn:disco", "query")
	r.handle("any query", AddressHost, KindIQ, "", "urn:any", "query")
	r.handle("set", AddressHost, KindIQ, "set", "", "")
	r.handle("room chat", AddressRoom, KindMessage, "groupchat", "", "")
	r.handle("room message", AddressRoom, KindMessage, "", "", "")
	r.handle("invite", AddressRoom, KindMessage, "normal", "urn:muc", "x")
	r.handle("join", AddressOccupant, KindPresence, "available", "", "")
	r.handle("leave", AddressOccupant, KindPresence, "unavailable", "", "")
	const from = ` from='a@b.example/r'`
	for _, c := range []struct{ in, took, answer string }{
		{`<iq type='get' id='1' to='irc.example.org'` + from + `><query xmlns='urn:disco'/></iq>`, "disco", ""},
		{`<iq type='set' id='1' to='irc.example.org'` + from + `><query xmlns='urn:disco'/></iq>`, "set", ""},
		{`<iq type='set' id='1' to='irc.example.org'` + from + `><query xmlns='urn:any'/></iq>`, "any query", ""},
		{`<iq type='get' id='1' to='irc.example.org'` + from + `><other xmlns='urn:disco'/></iq>`, "", "cancel service-unavailable"},
		{`<iq type='get' id='1' to='#c@irc.example.org'` + from + `><query xmlns='urn:disco'/></iq>`, "", "cancel service-unavailable"},
		{`<iq type='get' id='1' to='irc.example.org'` + from + `/>`, "", "modify bad-request"},
		{`<iq type='weird' id='1' to='irc.example.org'` + from + `><query xmlns='urn:disco'/></iq>`, "", "modify bad-request"},
		{`<iq id='1' to='irc.example.org'` + from + `><query xmlns='urn:disco'/></iq>`, "", "modify bad-request"},
		{`<iq type='result' id='1' to='irc.example.org'` + from + `/>`, "", ""},
		{`<iq type='error' id='1' to='irc.example.org'` + from + `/>`, "", ""},
		// Only an IQ's first child is its payload.
		{`<iq type='get' id='1' to='irc.example.org'` + from + `><x xmlns='urn:x'/><query xmlns='urn:disco'/></iq>`, "", "cancel service-unavailable"},
		{`<message type='groupchat' to='#c@irc.example.org'` + from + `><body>x</body></message>`, "room chat", ""},
		{`<message to='#c@irc.example.org'` + from + `><body>x</body></message>`, "room message", ""},
		{`<message type='error' to='#c@irc.example.org'` + from + `/>`, "room message", ""},
		{`<message to='#c@irc.example.org'` + from + `><y xmlns='urn:y'/><x xmlns='urn:muc'/></message>`, "invite", ""},
		{`<message type='groupchat' to='#c@irc.example.org'` + from + `><x xmlns='urn:muc'/></message>`, "room chat", ""},
		{`<message to='irc.example.org'` + from + `><body>x</body></message>`, "", "cancel service-unavailable"},
		{`<message type='error' to='irc.example.org'` + from + `/>`, "", ""},
		{`<message to='nick@irc.example.org'` + from + `/>`, "", ""},
		{`<presence to='#c@irc.example.org/n'` + from + `/>`, "join", ""},
		{`<presence type='unavailable' to='#c@irc.example.org/n'` + from + `/>`, "leave", ""},
		{`<presence type='error' to='#c@irc.example.org/n'` + from + `/>`, "", ""},
		{`<presence type='subscribe' to='nick@irc.example.org'` + from + `/>`, "", ""},
		{`<presence to='bad@irc.example.org'` + from + `/>`, "", "modify jid-malformed"},
		{`<presence type='unavailable' to='bad@irc.example.org'` + from + `/>`, "", ""},
		{`<message to='gone@irc.example.org'` + from + `/>`, "", "cancel item-not-found"},
		{`<message type='error' to='gone@irc.example.org'` + from + `/>`, "", ""},
	} {
		r.took, r.answers = "", nil
		r.Route(parseOne(t, c.in))
		if r.took != c.took {
			t.Errorf("%s went to %q, want %q", c.in, r.took, c.took)
		}
		if c.answer == "" {
			if len(r.answers) != 0 {
				t.Errorf("%s was answered with %s", c.in, r.answers)
			}
			continue
		}
		if len(r.answers) != 1 {
			t.Errorf("%s got %d answers", c.in, len(r.answers))
			continue
		}
		e := parseOne(t, r.answers[0]).StanzaError()
		if got := string(e.Type) + " " + e.Condition; got != c.answer || strings.Contains(r.answers[0], "inner fault") {
			t.Errorf("%s was answered with %s, want %s", c.in, r.answers[0], c.answer)
		}
	}
}
