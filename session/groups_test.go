package session

import (
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/component"
)

// itemsOf asks what an address lists under a node.
func (w *world) itemsOf(to, node string) string {
	w.t.Helper()
	w.news()
	w.from("<iq type='get' id='i' from='ALICE/a' to='" + to + "'><query xmlns='http://jabber.org/protocol/disco#items' node='" + node + "'/></iq>")
	got := w.news()
	if len(got) != 1 {
		w.t.Fatalf("%s at %s is %q", node, to, got)
	}
	return got[0]
}

// TestGroups: groups of rooms are a tree of nodes at the network's address, not rooms.
func TestGroups(t *testing.T) {
	capable(t, bridges.Caps{}, func(w *world) {
		w.driver.Groups = map[string][]bridges.DirectoryEntry{
			"":      {{Name: "#club", Title: "The <Club>", Group: true}},
			"#club": {{Name: "#inner", Group: true}, {Name: "#room", Title: "Room"}},
			// A circle is one of nodes that are known.
			"#inner": {{Name: "#club", Title: "The <Club>", Group: true}},
		}
		w.join("a", "alice")
		for _, at := range []struct {
			to, node string
			want     []string
		}{
			{"net@GW", "", []string{`<item jid="net@gw.example" node="group/#club" name="The &lt;Club&gt;"/></query>`}},
			{"net@GW", "group/#club", []string{
				`node="group/#club"><item jid="net@gw.example" node="group/#inner" name="#inner"/><item jid="#room%net@gw.example" name="Room"/></query>`}},
			{"net@GW", "group/#inner", []string{`<item jid="net@gw.example" node="group/#club" name="The &lt;Club&gt;"/></query>`}},
			{"net@GW", "group/#other", []string{`type="error"`, "item-not-found"}},
			{"#club%net@GW", "", []string{`<item jid="#room%net@gw.example" name="Room"/></query>`}},
		} {
			got := w.itemsOf(at.to, at.node)
			for _, want := range at.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s of %s: %s", at.node, at.to, got)
				}
			}
		}
		got := w.command(component.AddressNetwork, "net@gw.example", "groups", "")
		if !strings.Contains(got, "<value>#club%net@gw.example</value>") || !strings.Contains(got, "<value>The &lt;Club&gt;</value>") {
			t.Errorf("the command answers %s", got)
		}
		if got := w.infoOf("#club%net@GW"); !strings.Contains(got, `category="hierarchy" type="branch"`) || strings.Contains(got, "conference") {
			t.Errorf("a group is %s", got)
		}
	})
}
