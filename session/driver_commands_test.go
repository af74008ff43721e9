package session

import (
	"context"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/component"
)

// What a driver has of its own is offered at the addresses it is for, asks for its
// fields, and is done on the user's own link.
func TestCommandsOfTheDriver(t *testing.T) {
	scenario(t, func(w *world) {
		const network, room = component.AddressNetwork, component.AddressRoom
		tell := func(_ context.Context, n bridges.Network, at bridges.Place, values map[string]string) (string, error) {
			if values["word"] == "bad" {
				return "", bridges.NewError(bridges.Invalid, "Not that word.")
			}
			return strings.Join([]string{n.Self().Nick, "in", string(at.Room), "says", values["word"], values["tone"]}, " "), nil
		}
		w.driver.Offers = []bridges.Command{
			{Verb: "plain", Name: "Plain", Help: "does it.", At: bridges.AddressNetwork, Run: tell},
			{Verb: "asks", Name: "Asks", Help: "asks.", At: bridges.AddressNetwork, Run: tell, Fields: []bridges.Field{
				{Name: "word", Label: "Word", Kind: bridges.FieldSecret, Required: true},
				{Name: "tone", Label: "Tone", Kind: bridges.FieldChoice, Options: []string{"soft", "loud"}, Default: "soft"},
			}},
			{Verb: "local", Name: "Local", Help: "does it there.", At: bridges.AddressRoom, Run: tell},
		}
		if answer := w.command(network, "net@gw.example", "plain", ""); !strings.Contains(answer, "not connected") {
			t.Errorf("without a link: %s", answer)
		}
		w.join("a", "alice")
		for _, c := range []struct {
			kind           component.AddressKind
			to, node, form string
			want           string
		}{
			{network, "net@gw.example", "plain", "", "alice in  says"},
			{network, "net@gw.example", "asks", field("word", "hello"), "says hello soft"},
			{network, "net@gw.example", "asks", field("word", "hello") + field("tone", "loud"), "says hello loud"},
			{network, "net@gw.example", "asks", field("word", "bad"), "Not that word"},
			{network, "net@gw.example", "asks", field("word", "x") + field("tone", "shrill"), "takes one of the choices"},
			{network, "net@gw.example", "local", "", "item-not-found"},
			{room, "#room%net@gw.example", "local", "", "alice in #room says"},
			{room, "#other%net@gw.example", "local", "", "not-acceptable|not in"},
			{room, "#room%net@gw.example", "plain", "", "item-not-found"},
		} {
			if answer := w.command(c.kind, c.to, c.node, c.form); !matches(c.want, answer) {
				t.Errorf("%s at %s (%s): %s", c.node, c.to, c.form, answer)
			}
		}
		for line, want := range map[string]bool{"plain": true, "/PLAIN now": true, "  /asks x": true, "local": false, "plainly": false, "/": false, "": false, "/motd": false} {
			if w.m.DriverVerb(line) != want {
				t.Errorf("DriverVerb(%q) is %t", line, !want)
			}
		}
	})
}
