package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"transportd/internal/irctest"
)

// offers lists the commands of an address (XEP-0050 section 2.2) and fails where
// one hides another.
func (w *world) offers(to string) []string {
	w.t.Helper()
	w.stream.Send(`<iq type='get' id='offers' from='%s' to='%s'><query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/></iq>`, balcony, to)
	answer, _ := w.stream.Until("iq[@type='result'][@id='offers']")
	var nodes []string
	for _, part := range strings.Split(answer.String(), ` node="`)[1:] {
		node, _, _ := strings.Cut(part, `"`)
		if slices.Contains(nodes, node) {
			w.t.Errorf("%s offers %s twice", to, node)
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// What a driver offers of its own stands beside the gateway's, and takes none of
// its names.
func TestScenarioCommandsOfDrivers(t *testing.T) {
	irc := newWorld(t, irctest.Config{})
	if nodes := irc.offers("net@irc.example.org"); !slices.Contains(nodes, "connection") || !slices.Contains(nodes, "rooms") {
		t.Errorf("IRC offers %q at a network", nodes)
	}
	if nodes := irc.offers("irc.example.org"); slices.Contains(nodes, "connection") {
		t.Errorf("IRC offers %q at the gateway", nodes)
	}
	irc.end()
	fixed := newWorld(t, irctest.Config{}, `# fixed_network = ""`, `fixed_network = "net"`)
	if nodes := fixed.offers("irc.example.org"); !slices.Contains(nodes, "connection") {
		t.Errorf("IRC with one network offers %q", nodes)
	}
	fixed.end()
	matrix := newMatrixWorld(t)
	if nodes := matrix.offers(mx); !slices.Contains(nodes, "recovery") || !slices.Contains(nodes, "session") {
		t.Errorf("Matrix offers %q", nodes)
	}
	ask := func(text, want string) {
		t.Helper()
		matrix.stream.Send(`<message type='chat' from='%s' to='%s'><body>%s</body></message>`, balcony, mx, text)
		answer, _ := matrix.stream.Until(fmt.Sprintf("message[@type='chat'][@from='%s'][@to='%s']/body", mx, balcony))
		const bare = "The gateway has no device of your account" // built without goolm
		if text := answer.String(); !strings.Contains(text, want) && !strings.Contains(text, bare) {
			t.Errorf("%q is answered with %s", text, answer)
		}
	}
	ask("session", "not connected")
	matrix.register()
	for _, slash := range []string{"", "/"} {
		ask(slash+"session", "does not trust it yet")
		ask(slash+"recovery EsTR key", "has no recovery key")
	}
	ask("recovery", "Recovery key (")
	ask("/EsTR key", "has no recovery key")
	matrix.stream.Send(`<message type='chat' from='%s' to='%s'><body>/nothing</body></message>`, balcony, mx)
	matrix.stream.Until("message[@type='error']/error/text[text()='There is no such command. Send “help” to see what there is.']")
	matrix.end()
}
