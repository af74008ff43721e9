package session

import (
	"strings"
	"testing"

	"transportd/component"
)

func TestBlockCommands(t *testing.T) {
	account(t, func(w *world) {
		run := func(node, person, want string) {
			t.Helper()
			fields := ""
			if person != "" {
				fields = "<field var='person'><value>" + person + "</value></field>"
			}
			if out := w.command(component.AddressHost, domain, node, fields); !strings.Contains(out, want) {
				t.Errorf("%s %s says %s", node, person, out)
			}
		}
		run("block", "bob%net@"+domain, "bob is blocked")
		run("unblock", "bob%net", "bob is not blocked any more")
		w.wantAsked("block", "block bob true", "block bob false")
		run("block", "nobody%net", "There is no such person.")
		run("block", "#room%net", "This is no person.")
		run("block", "bob%other", "no connection")
		run("blocked", "", "You have blocked nobody.")
		w.driver.Blocked = []string{"bob", "carol"}
		run("blocked", "", "You have blocked bob, carol.")
	})
	// Where the network has no such list it is said.
	scenario(t, func(w *world) {
		w.join("a", "alice")
		out := w.command(component.AddressHost, domain, "block", "<field var='person'><value>bob%net</value></field>")
		if !strings.Contains(out, `type="error"`) {
			t.Errorf("the command says %s", out)
		}
	})
}
