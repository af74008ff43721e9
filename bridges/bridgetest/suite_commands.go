package bridgetest

import (
	"context"
	"regexp"
	"testing"

	"transportd/bridges"
)

// oneWord is what a command's verb may look like.
var oneWord = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// testCommands: what a driver has of its own can be offered, and says so where there
// is no connection.
func testCommands(t *testing.T, f Fixture) {
	d, ok := f.Driver.(bridges.Commander)
	if !ok {
		return
	}
	w := open(t, f)
	seen := map[string]bool{"help": true, "cancel": true} // the chat's own
	for _, cmd := range d.Commands() {
		if !oneWord.MatchString(cmd.Verb) || seen[cmd.Verb] {
			t.Errorf("the verb %q", cmd.Verb)
		}
		seen[cmd.Verb] = true
		if cmd.Name == "" || cmd.Help == "" || cmd.Run == nil || cmd.At != bridges.AddressNetwork && cmd.At != bridges.AddressRoom {
			t.Errorf("command %+v", cmd)
			continue
		}
		values, fields := map[string]string{}, map[string]bool{}
		for _, field := range cmd.Fields {
			if field.Name == "" || field.Label == "" || fields[field.Name] {
				t.Errorf("%s: field %+v", cmd.Verb, field)
			}
			fields[field.Name], values[field.Name] = true, "x"
		}
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		_, err := cmd.Run(ctx, w.net, bridges.Place{}, values)
		wantKind(t, cmd.Verb, err, bridges.Offline)
		cancel()
	}
}
