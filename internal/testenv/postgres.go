package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postgres is a real PostgreSQL server with one empty database.
type Postgres struct {
	*Server
	password string
}

const postgresUser = "transportd"

// StartPostgres makes a cluster of its own and starts a server on it. Nothing of
// an installed cluster is used or touched.
func (e *Env) StartPostgres(ctx context.Context) (*Postgres, error) {
	initdb, err := postgresProgram("initdb")
	if err != nil {
		return nil, err
	}
	server, err := postgresProgram("postgres")
	if err != nil {
		return nil, err
	}
	p := &Postgres{password: rand.Text()}
	p.Server, err = e.launch(ctx, "postgres", 1, func(dir string, ports []int) (func() *exec.Cmd, error) {
		data := filepath.Join(dir, "data")
		if err := e.initdb(ctx, initdb, dir, data, p.password); err != nil {
			return nil, err
		}
		return func() *exec.Cmd {
			// Without fsync it survives kill -9 of its processes, which is what
			// tests do, and not a power cut.
			return exec.Command(server, "-D", data, "-p", strconv.Itoa(ports[0]), "-c", "listen_addresses="+Host,
				"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
		}, nil
	})
	if err != nil {
		return nil, err
	}
	p.Server.ready = p.accepts
	return p, p.accepts(ctx)
}

// accepts waits until the server takes connections: it listens some time before,
// after a crash while it recovers.
func (p *Postgres) accepts(ctx context.Context) error {
	isReady, err := postgresProgram("pg_isready")
	if err != nil {
		return err
	}
	return p.Process().until(ctx, "taking connections", func() bool {
		return exec.CommandContext(ctx, isReady, "-q", "-h", Host, "-p", strconv.Itoa(p.ports[0])).Run() == nil
	})
}

// initdb makes the cluster, once for all attempts at a free port.
func (e *Env) initdb(ctx context.Context, program, dir, data, password string) error {
	if made, err := filepath.Glob(filepath.Join(data, "PG_VERSION")); err != nil || len(made) > 0 {
		return err
	}
	pw := filepath.Join(dir, "password")
	if err := e.write(pw, password+"\n", 0o600); err != nil {
		return err
	}
	p, err := e.start("initdb", dir, exec.Command(program, "-D", data, "-U", postgresUser, "--pwfile="+pw,
		"-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "-N"))
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	}
	if p.ExitCode() != 0 {
		return errors.New("initdb failed:\n" + Tail(p.Log(), 20))
	}
	return nil
}

// DSN is the address of the database, password included, with further
// parameters as search_path.
func (p *Postgres) DSN(parameters ...string) string {
	q := url.Values{"sslmode": {"disable"}}
	for _, pair := range parameters {
		name, value, _ := strings.Cut(pair, "=")
		q.Set(name, value)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, p.password), Host: Address(p.ports[0]),
		Path: "/postgres", RawQuery: q.Encode()}
	return u.String()
}

// Stop ends the server politely and its connections at once: the signal the
// others take would have it wait for its clients.
func (p *Postgres) Stop() {
	proc := p.Process()
	proc.signal(syscall.SIGINT)
	select {
	case <-proc.done:
	case <-time.After(stopGrace):
	}
	proc.Kill()
}

// Start starts a stopped server. One that was killed leaves children that end a
// moment later, and until then none starts.
func (p *Postgres) Start(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		before := len(p.Log())
		err := p.Server.Start(ctx)
		if err == nil || attempt == 50 || !strings.Contains(p.Log()[min(before, len(p.Log())):], "pre-existing shared memory block") {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Restart kills the server and starts it again.
func (p *Postgres) Restart(ctx context.Context) error {
	p.Kill9()
	return p.Start(ctx)
}

// Owner is the user the server runs as: a folder it shall use must be theirs.
func (p *Postgres) Owner() (uid, gid int) {
	if p.env.owner == nil {
		return os.Getuid(), os.Getgid()
	}
	return int(p.env.owner.Uid), int(p.env.owner.Gid)
}

// Password is the one of the database's user.
func (p *Postgres) Password() string { return p.password }

// postgresProgram finds a program of the newest PostgreSQL; Debian keeps them
// out of everybody's PATH.
func postgresProgram(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return program(name, "postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}
