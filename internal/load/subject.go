package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// environment is what a gateway has to be told.
type environment struct {
	dir               string // a folder of its own
	xmppPort, ircPort int
	domain, users     string // the gateway's domain, the users' domain
	secret            string
}

// subject is a kind of gateway that can be measured.
type subject interface {
	name() string
	network() string // how a room's address names the IRC server
	// command is the process to start, its configuration written.
	command(environment) (*exec.Cmd, error)
	// prepare is called before the users join.
	prepare(context.Context, *rig) error
}

// nullSubject is the do-nothing relay: this program's own subcommand in a process of its own.
type nullSubject struct{ fault string }

func (nullSubject) name() string                        { return "null" }
func (nullSubject) network() string                     { return "127.0.0.1" }
func (nullSubject) prepare(context.Context, *rig) error { return nil }

func (n nullSubject) command(e environment) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"nullrelay", "-xmpp", local(e.xmppPort), "-irc", local(e.ircPort), "-domain", e.domain, "-secret", e.secret}
	if n.fault != "" {
		args = append(args, "-fault", n.fault)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), relayVariable+"=1")
	return cmd, nil
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// biboumiSubject is biboumi 9.0 as Debian ships it.
type biboumiSubject struct {
	program string
	archive bool // it records the rooms, its default: a disk commit a message
}

func (b biboumiSubject) name() string  { return archiveName("biboumi", b.archive) }
func (biboumiSubject) network() string { return "127.0.0.1" }

func (b biboumiSubject) command(e environment) (*exec.Cmd, error) {
	file := filepath.Join(e.dir, "biboumi.cfg")
	text := fmt.Sprintf("hostname=%s\npassword=%s\nxmpp_server_ip=127.0.0.1\nport=%d\ndb_name=%s\nlog_file=%s\nlog_level=2\n"+
		"identd_port=0\noutgoing_bind=127.0.0.1\n", e.domain, e.secret, e.xmppPort,
		filepath.Join(e.dir, "biboumi.sqlite"), filepath.Join(e.dir, "biboumi.log"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(b.program, file), nil
}

// prepare sets what biboumi keeps per user: the port of the server, no throttling, no archive unless it is measured.
func (b biboumiSubject) prepare(ctx context.Context, r *rig) error {
	for _, u := range r.users[1:] {
		err := r.x.command(ctx, u.full, b.network()+"@"+gatewayDomain, "configure",
			[][2]string{{"ports", strconv.Itoa(r.d.port())}, {"tls_ports", ""}, {"throttle_limit", "-1"}})
		if err == nil && !b.archive {
			err = r.x.command(ctx, u.full, gatewayDomain, "configure",
				[][2]string{{"record_history", "false"}, {"max_history_length", "20"}, {"persistent", "false"}})
		}
		if err != nil {
			return fmt.Errorf("configuring biboumi for %s: %w", u.name, err)
		}
	}
	return nil
}
