package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestReload(t *testing.T) {
	const before = `
[log]
level = "info"
[ops]
listen = "127.0.0.1:1"
[[gateways]]
name = "a"
domain = "a.example.org"
driver = "irc"
secret = "one"
users = ["example.org"]
[gateways.irc]
open = true
ports = ["+6697"]
networks = [{ name = "x" }]
[[gateways]]
name = "b"
domain = "b.example.org"
driver = "irc"
secret = "one"
users = ["example.org"]
`
	after := strings.NewReplacer(`"info"`, `"debug"`, `127.0.0.1:1`, `127.0.0.1:2`, `name = "b"`, `name = "c"`,
		`"x" }]`, `"y" }]`, `open = true`, ``, `["+6697"]`, `["6667"]`).Replace(before)
	after = strings.Replace(after, `secret = "one"`, `secret = "two"`, 1)
	after = strings.Replace(after, `users = ["example.org"]`, "users = [\"*\"]\nadmins = [\"x@y\"]\nrates = { joins_user = \"1/1s\", registrations_user = \"1/1s\" }\nlimits = { rooms = 1 }", 1)
	file := write(t, before)
	old, err := Load(options(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, changes := old.Reloaded(&old); len(changes) != 0 {
		t.Errorf("changes without a change: %v", changes)
	}
	if err := os.WriteFile(file, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := old.Again()
	if err != nil {
		t.Fatal(err)
	}
	merged, changes := old.Reloaded(&next)
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s=%v", c.Key, c.Live))
	}
	want := []string{
		"gateways[a].admins=true", "gateways[a].irc.networks=false", "gateways[a].irc.open=false", "gateways[a].irc.ports=false",
		"gateways[a].limits.rooms=true", "gateways[a].rates.joins_user=true", "gateways[a].rates.registrations_user=true",
		"gateways[a].secret=false", "gateways[a].users=true", "gateways[b]=false", "gateways[c]=false",
		"log.level=true", "ops.listen=false",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	a := merged.Gateways[0]
	if merged.Log.Level != "debug" || !a.Users[0].Everyone() || len(a.Admins) != 1 || a.Limits.Rooms != 1 || a.Rates.JoinsUser.Count != 1 || a.Rates.RegistrationsUser.Count != 1 {
		t.Errorf("what is live did not change: %+v", merged)
	}
	if merged.Ops.Listen != "127.0.0.1:1" || a.Secret != "one" ||
		len(merged.Gateways) != 2 || merged.Gateways[1].Name != "b" {
		t.Errorf("what waits for a restart changed: %+v", merged)
	}
	if fmt.Sprint(a.Section.raw["networks"]) != "[map[name:x]]" {
		t.Errorf("section %v", a.Section.raw)
	}
	if old.Log.Level != "info" || old.Gateways[0].Users[0].Everyone() {
		t.Error("the old config was changed")
	}
	// What was merged is the base of the next reload: only the rest is told again.
	if _, changes := merged.Reloaded(&next); len(changes) != 7 {
		t.Errorf("second reload: %v", changes)
	}
}

func TestADriverThatChangesIsOneChange(t *testing.T) {
	file := write(t, minimal+"[gateways.irc]\nopen = true\n")
	old, err := Load(options(file))
	if err != nil {
		t.Fatal(err)
	}
	next, err := Load(options(write(t, strings.Replace(minimal, `driver = "irc"`, `driver = "matrix"`, 1))))
	if err != nil {
		t.Fatal(err)
	}
	next.Gateways[0].SecretFile = old.Gateways[0].SecretFile
	_, changes := old.Reloaded(&next)
	if len(changes) != 1 || changes[0] != (Change{"gateways[irc].driver", false}) {
		t.Errorf("got %v", changes)
	}
}
