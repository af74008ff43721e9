package testenv

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Network is an IRC network of a gateway's configuration.
type Network struct {
	Name   string // as in addresses
	Server *IRCServer
	Host   string // the server's own when empty
	TLS    bool
	// Ports are tried in this order; the server's own when empty.
	Ports []string
	// Lines go into the network's section as they are.
	Lines string
	// Throttled: with the flood control transportd ships with, else with none.
	Throttled bool
}

// GatewayOptions say what transportd serves.
type GatewayOptions struct {
	Domain   string
	XMPP     *XMPPServer
	Networks []Network
	// Matrix: what is served is Matrix, and Networks does not count.
	Matrix bool
	// NoUpload: files of Matrix are not copied to the XMPP server.
	NoUpload bool
	Binary   string // a built transportd; empty: what Build made
	// Via is a way to the XMPP server's component port; empty: straight.
	Via string
	// Prepare is called before the first start with the paths of the database and of
	// the file with its key, to put something there; nil: the state is empty.
	Prepare func(database, key string) error
	// Closed is the domain of a second gateway in the same process, which only
	// admin@localhost may use; empty: none.
	Closed string
}

// Gateway is a running transportd.
type Gateway struct {
	*Server
	Domain string
	Files  string // base URL of its links to files; Matrix only
	health string // base URL of the health and metrics endpoints
	binary string
}

// Build builds transportd from the module of the working directory as it is shipped,
// with the race detector when the caller has it.
func (e *Env) Build(ctx context.Context) error {
	dir, err := moduleDir(ctx)
	if err != nil {
		return err
	}
	args := []string{"build", "-buildvcs=false", "-tags", "goolm", "-o", e.Binary()}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/transportd")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building transportd: %w\n%s", err, out)
	}
	return e.give(e.Binary())
}

// Binary is where Build puts transportd.
func (e *Env) Binary() string { return filepath.Join(e.dir, "transportd") }

// gatewayConfig is what the configuration is filled from.
type gatewayConfig struct {
	Dir, Domain, UserDomain, XMPP, Secret, CA, Health string
	Driver                                            string
	Files, Upload                                     string
	Closed                                            string
	Networks                                          []networkConfig
}

type networkConfig struct {
	Name, Host  string
	Ports       []string
	Lines       string
	Plain, Fast bool
}

// copyOf puts a transportd built elsewhere where the user the processes run as
// can reach it.
func (e *Env) copyOf(binary string) (string, error) {
	if binary == "" || binary == e.Binary() {
		return e.Binary(), nil
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return "", fmt.Errorf("reading the transportd to run: %w", err)
	}
	dir, err := e.folder("bin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "transportd")
	return bin, e.write(bin, string(text), 0o755)
}

// prepare has the state in dir made, for the user the processes run as.
func (e *Env) prepare(dir string, f func(database, key string) error) error {
	if err := f(filepath.Join(dir, "transportd.db"), filepath.Join(dir, "transportd.key")); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	for _, file := range files {
		err = errors.Join(err, e.give(filepath.Join(dir, file.Name())))
	}
	return err
}

// ports are those of the configuration.
func (n *Network) ports() []string {
	switch {
	case n.Ports != nil:
		return n.Ports
	case n.TLS:
		return []string{"+" + strconv.Itoa(n.Server.TLS)}
	}
	return []string{strconv.Itoa(n.Server.Plain)}
}

// StartTransportd starts a transportd and waits until it serves.
func (e *Env) StartTransportd(ctx context.Context, o GatewayOptions) (*Gateway, error) {
	bin, err := e.copyOf(o.Binary)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Domain: o.Domain, binary: bin}
	sockets := 1
	if o.Matrix { // and one for files
		sockets = 2
	}
	g.Server, err = e.launch(ctx, "transportd", sockets, func(dir string, ports []int) (func() *exec.Cmd, error) {
		c := gatewayConfig{
			Dir: dir, Domain: o.Domain, UserDomain: Domain, Secret: Secret, CA: e.CAFile(),
			XMPP: cmp.Or(o.Via, Address(o.XMPP.Component)), Closed: o.Closed, Health: Address(ports[0]),
			Driver: "irc", Upload: "auto",
		}
		if o.NoUpload {
			c.Upload = "off"
		}
		if o.Matrix {
			c.Driver, o.Networks, c.Files = "matrix", nil, Address(ports[1])
		}
		for _, n := range o.Networks {
			c.Networks = append(c.Networks, networkConfig{
				Name: n.Name, Host: cmp.Or(n.Host, n.Server.Host), Ports: n.ports(), Lines: n.Lines, Plain: !n.TLS, Fast: !n.Throttled,
			})
		}
		if o.Prepare != nil {
			if err := e.prepare(dir, o.Prepare); err != nil {
				return nil, err
			}
		}
		conf, err := e.render(transportdConfig, dir, "transportd.toml", c)
		return func() *exec.Cmd { return exec.Command(bin, "run", "--config", conf) }, err
	})
	if err != nil {
		return nil, err
	}
	g.health = "http://" + Address(g.ports[0])
	if o.Matrix {
		g.Files = "http://" + Address(g.ports[1])
	}
	return g, g.AwaitReady(ctx)
}

// Start starts a stopped transportd with the state it left.
func (g *Gateway) Start(ctx context.Context) error {
	if err := g.Server.Start(ctx); err != nil {
		return err
	}
	return g.AwaitReady(ctx)
}

// Restart kills transportd and starts it again.
func (g *Gateway) Restart(ctx context.Context) error {
	g.Kill9()
	return g.Start(ctx)
}

// AwaitReady waits until transportd serves its domain.
func (g *Gateway) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not within %v", startTimeout))
	defer cancel()
	return g.Process().until(ctx, "serving "+g.Domain, func() bool {
		resp, err := g.get(ctx, "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (g *Gateway) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.health+path, nil)
	if err != nil {
		return nil, err
	}
	return (&http.Client{Timeout: 10 * time.Second}).Do(req)
}

// Metric is the sum of a metric over its labels.
func (g *Gateway) Metric(ctx context.Context, name string) (float64, error) {
	resp, err := g.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sum, found := 0.0, false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return sum, lines.Err()
}

// Export is all that is stored of a user, a bare JID: JSON Lines.
func (g *Gateway) Export(ctx context.Context, user string) (string, error) {
	cmd := exec.CommandContext(ctx, g.binary, "export", "--config", filepath.Join(g.dir, "transportd.toml"), user)
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("exporting %s: %w\n%s", user, err, words.String())
	}
	return string(out), err
}

// Fault is a sign of a defect in what transportd has written so far, a data race
// or a panic; empty when there is none.
func (g *Gateway) Fault() string {
	log := g.Log()
	for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "goroutine 1 ["} {
		if i := strings.Index(log, sign); i >= 0 {
			return log[i:min(len(log), i+4000)]
		}
	}
	return ""
}
