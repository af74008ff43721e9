package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzLoad feeds any bytes to the whole way a config takes: it must end in a
// Config or in Problems that name the file, and never in a panic.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"", minimal, "[log]\nlevel = 3\n" + minimal, "[[gateways]]\n", "gateways = 1", "gateways = [[]]", "[gateways]\n", "[[gateways]]\nirc = 1\ndriver = \"irc\"",
		minimal + "[gateways.irc]\nopen = true\n[[gateways.irc.networks]]\nname = \"x\"\nports = [\"0\"]\ninterval = \"1s\"",
		"a.b.c = 1\n\"x.y\" = 2\n", "[[gateways]]\nname = 3\nusers = [3]\nrates = []\nlimits = \"x\"", "[log]\nlevel.x = 1", "\xff", "x = 1979-05-27T07:32:00Z",
		"[[gateways]]\ndriver = \"name\"\nname = \"x\"", "[[gateways]]\nusers = [[\"x\"]]",
	} {
		f.Add(s)
	}
	file := write(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(options(file))
		var problems Problems
		if err != nil && (!errors.As(err, &problems) || !strings.Contains(err.Error(), file)) {
			t.Fatalf("got %v", err)
		}
		for _, g := range c.Gateways {
			var d driverConfig
			if err := g.Section.Decode(&d); err != nil && !errors.As(err, &problems) {
				t.Fatalf("section: %v", err)
			}
			_, _ = g.ReadSecret()
		}
		if _, changes := c.Reloaded(&c); err == nil && len(changes) != 0 {
			t.Fatalf("changes without a change: %v", changes)
		}
		_ = c.Warnings()
	})
}
