package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// fakeAsker answers requests at once: by address and payload; what has no answer is
// refused, and "silence" never comes.
type fakeAsker struct {
	answers map[string]string
	silent  func() // called when something is not answered

	mu    sync.Mutex
	ids   int
	asked []string
}

func (f *fakeAsker) NewID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	return fmt.Sprint("id", f.ids)
}

func (f *fakeAsker) Request(o *component.Out, timeout time.Duration, done func(*component.Stanza, error)) {
	xml, err := component.Encode(o, "matrix.example.org")
	if err != nil {
		panic(err)
	}
	st, err := component.ParseStanza(xml)
	if err != nil {
		panic(err)
	}
	what := st.Payload().Space
	key := st.To.Domain + " " + what[strings.LastIndexAny(what, "#:")+1:]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, key)
	switch answer := f.answers[key]; answer {
	case "silence":
		_ = timeout // longer than the test
		f.silent()
	case "":
		go done(nil, component.NewStanzaError("cancel", "service-unavailable", ""))
	default:
		st, err := component.ParseStanza(fmt.Sprintf("<iq type='result' id='x' from='%s' to='matrix.example.org'>%s</iq>", st.To, answer))
		if err != nil {
			panic(err)
		}
		if e := st.Child("", "error"); e != nil {
			st.Type = "error"
			go done(st, st.StanzaError())
			return
		}
		go done(st, nil)
	}
}

func info(max string) string {
	return `<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:http:upload:0'/><x xmlns='jabber:x:data' type='result'>` +
		`<field var='FORM_TYPE'><value>urn:xmpp:http:upload:0</value></field><field var='max-file-size'><value>` + max + `</value></field></x></query>`
}

const (
	aSlot = `<slot xmlns='urn:xmpp:http:upload:0'><put url='https://up/p'><header name='Cookie'>a=b</header></put><get url='https://up/g'/></slot>`
	// items has the gateway itself, something else, a node of a service, and the service.
	items = `<query xmlns='http://jabber.org/protocol/disco#items'><item jid='matrix.example.org'/><item jid='rooms.example.org'/><item jid='nodes.example.org' node='x'/>` +
		`<item jid='up.example.org'/><item jid='up2.example.org'/></query>`
)

func TestSlots(t *testing.T) {
	found := map[string]string{"example.org info": `<query xmlns='http://jabber.org/protocol/disco#info'/>`, "example.org items": items,
		"up.example.org info": info("100"), "up2.example.org info": info("1"), "up.example.org 0": aSlot}
	with := func(key, value string) map[string]string {
		out := map[string]string{}
		for k, v := range found {
			out[k] = v
		}
		out[key] = value
		return out
	}
	for _, c := range []struct {
		name    string
		named   string
		answers map[string]string
		size    int64
		kind    bridges.ErrorKind // where there is no place
		asks    int
	}{
		{"among the items", "", found, 4, 0, 6},
		{"the server itself", "", map[string]string{"example.org info": info("100"), "example.org 0": aSlot}, 4, 0, 2},
		{"named", "up.example.org", found, 4, 0, 2},
		{"named, and tells nothing of itself", "up.example.org", map[string]string{"up.example.org 0": aSlot}, 4, 0, 2},
		{"none", "", nil, 4, bridges.Unsupported, 2},
		{"too large", "", found, 101, bridges.TooLarge, 5},
		{"too large all the same", "", with("up.example.org 0", `<error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><file-too-large xmlns='urn:xmpp:http:upload:0'/></error>`), 4, bridges.TooLarge, 6},
		{"refused", "", with("up.example.org 0", `<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`), 4, bridges.Forbidden, 6},
		{"no place in the answer", "", with("up.example.org 0", "<slot xmlns='urn:xmpp:http:upload:0'/>"), 4, bridges.Forbidden, 6},
	} {
		f := &fakeAsker{answers: c.answers}
		u := &uploadSlots{stream: f, domain: component.JID{Domain: "matrix.example.org"}, named: component.JID{Domain: c.named}}
		slot, err := u.Slot(t.Context(), "cat.png", "image/png", c.size)
		if c.kind == 0 && (err != nil || slot.Put != "https://up/p" || slot.Get != "https://up/g" || slot.Header.Get("Cookie") != "a=b") {
			t.Errorf("%s: %+v, %v", c.name, slot, err)
		}
		if e := bridges.AsError(err); c.kind != 0 && (e == nil || e.Kind != c.kind || e.Text == "") {
			t.Errorf("%s: %+v, %v", c.name, slot, err)
		}
		if len(f.asked) != c.asks || slices.Contains(f.asked, "matrix.example.org info") || slices.Contains(f.asked, "nodes.example.org info") {
			t.Errorf("%s: asked %q", c.name, f.asked)
		}
		before := len(f.asked)
		if _, err := u.Slot(t.Context(), "cat.png", "image/png", c.size); c.kind == 0 && (err != nil || len(f.asked) != before+1) {
			t.Errorf("%s: again: %v, asked %q", c.name, err, f.asked[before:])
		}
	}
}

func TestSlotsEndWithTheirContext(t *testing.T) {
	f := &fakeAsker{answers: map[string]string{"up.example.org info": info("100"), "up.example.org 0": "silence"}}
	u := &uploadSlots{stream: f, named: component.JID{Domain: "up.example.org"}, domain: component.JID{Domain: "matrix.example.org"}}
	ctx, cancel := context.WithCancel(t.Context())
	f.silent = cancel // nobody waits any more
	if _, err := u.Slot(ctx, "cat.png", "", 4); err == nil {
		t.Error("there is a place")
	}
}

func TestParents(t *testing.T) {
	for domain, want := range map[string][]string{
		"matrix.localhost": {"localhost"}, "matrix.example.org": {"example.org"}, "a.b.example.org": {"b.example.org", "example.org"}, "localhost": nil, "": nil,
	} {
		if got := parents(domain); !slices.Equal(got, want) {
			t.Errorf("parents(%q) = %q", domain, got)
		}
	}
}
