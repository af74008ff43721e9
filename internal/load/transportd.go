package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// transportdSubject is the daemon of this project.
type transportdSubject struct {
	program string
	ops     string // where it serves metrics and profiles; "" for nowhere
	archive bool   // it records the rooms, its default
}

func (t transportdSubject) name() string                      { return archiveName("transportd", t.archive) }
func (transportdSubject) network() string                     { return "load" }
func (transportdSubject) prepare(context.Context, *rig) error { return nil }

// transportdConfig opens what keeps strangers from flooding a network: the limits on how fast users join, connect and
// speak. All else is as shipped.
const transportdConfig = `
[store]
path = %q
key_file = %q

[archive]
record = %t

[ops]
listen = %q
profile = true

[[gateways]]
name = "irc"
domain = %q
driver = "irc"
server = %q
secret = %q
users = [%q]

[gateways.rates]
joins_user = "off"
joins_domain = "off"
connections_user = "off"
connections_domain = "off"

[[gateways.irc.networks]]
name = "load"
hosts = ["127.0.0.1"]
ports = ["%d"]
plain = true
allow_private = true
burst = -1
connect_interval = "1us"
`

func databaseFile(dir string) string { return filepath.Join(dir, "transportd.db") }
func keyFile(dir string) string      { return filepath.Join(dir, "transportd.key") }

func (t transportdSubject) command(e environment) (*exec.Cmd, error) {
	file := filepath.Join(e.dir, "transportd.toml")
	text := fmt.Sprintf(transportdConfig, databaseFile(e.dir), keyFile(e.dir), t.archive, t.ops,
		e.domain, local(e.xmppPort), e.secret, e.users, e.ircPort)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(t.program, "run", "--config", file), nil
}
