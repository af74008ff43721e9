package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// transportdSubject is the daemon of this project.
type transportdSubject struct {
	program string
	ops     string        // where it serves metrics and profiles; "" for nowhere
	archive bool          // it records the rooms, its default
	old     bool          // it is the program of options.before
	maxAge  time.Duration // older lines are removed; 0: none are
}

func (t transportdSubject) name() string {
	if t.old {
		return archiveName("transportd-before", t.archive)
	}
	return archiveName("transportd", t.archive)
}
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
max_age = %q

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

func configFile(dir string) string { return filepath.Join(dir, "transportd.toml") }

func (t transportdSubject) command(e environment) (*exec.Cmd, error) {
	if err := t.configure(e); err != nil {
		return nil, err
	}
	return exec.Command(t.program, "run", "--config", configFile(e.dir)), nil
}

// configure writes the settings.
func (t transportdSubject) configure(e environment) error {
	age := "off"
	if t.maxAge > 0 {
		age = t.maxAge.String()
	}
	text := fmt.Sprintf(transportdConfig, databaseFile(e.dir), keyFile(e.dir), t.archive, age, t.ops,
		e.domain, local(e.xmppPort), e.secret, e.users, e.ircPort)
	return os.WriteFile(configFile(e.dir), []byte(text), 0o600)
}
