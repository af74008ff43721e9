package testenv

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

//go:embed gajim.py
var gajimProgram string

// Gajim is a Gajim with a profile of its own, on a screen that is only in memory.
type Gajim struct {
	env     *Env
	dir     string
	bin     string
	display string
	screen  *Process
	proc    *Process // nil while it is stopped
}

// startScreen starts an X server and returns its display.
func (e *Env) startScreen(ctx context.Context, dir string) (*Process, string, error) {
	bin, err := program("Xvfb", "xvfb")
	if err != nil {
		return nil, "", err
	}
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer told.Close()
	cmd := exec.Command(bin, "-displayfd", "3", "-screen", "0", "1100x720x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{tell}
	p, err := e.start("Xvfb", dir, cmd)
	tell.Close()
	if err != nil {
		return nil, "", err
	}
	number := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(told).ReadString('\n')
		number <- strings.TrimSpace(line)
	}()
	select {
	case n := <-number:
		if n == "" {
			return nil, "", fmt.Errorf("the program Xvfb did not start:\n%s", Tail(p.Log(), 20))
		}
		return p, ":" + n, nil
	case <-ctx.Done():
		return nil, "", fmt.Errorf("waiting for Xvfb: %w\n%s", context.Cause(ctx), Tail(p.Log(), 20))
	}
}

// StartGajim makes a profile for a user and starts Gajim; the password is the name.
// Rooms that it has bookmarks of it joins by itself.
func (e *Env) StartGajim(ctx context.Context, s *XMPPServer, user string) (*Gajim, error) {
	bin, err := program("gajim", "gajim")
	if err != nil {
		return nil, err
	}
	dir, err := e.folder("gajim")
	if err != nil {
		return nil, err
	}
	g := &Gajim{env: e, dir: dir, bin: bin}
	if err := e.write(filepath.Join(dir, "gajim.py"), gajimProgram, 0o644); err != nil {
		return nil, err
	}
	if _, err := g.script(ctx, "seed", g.profile(), user, strconv.Itoa(s.C2S)); err != nil {
		return nil, err
	}
	screenDir, err := e.folder("screen")
	if err != nil {
		return nil, err
	}
	if g.screen, g.display, err = e.startScreen(ctx, screenDir); err != nil {
		return nil, err
	}
	return g, g.Start(ctx)
}

func (g *Gajim) profile() string { return filepath.Join(g.dir, "profile") }

// Display is the X display that Gajim is on, as in DISPLAY.
func (g *Gajim) Display() string { return g.display }

// script runs gajim.py as Gajim's user.
func (g *Gajim) script(ctx context.Context, args ...string) ([]byte, error) {
	dir, err := g.env.folder("gajim-db")
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "out")
	if err := g.env.write(out, "", 0o644); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(out, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd := exec.Command(python, append([]string{"-B", filepath.Join(g.dir, "gajim.py")}, args...)...)
	cmd.Stdout = file
	p, err := g.env.start("gajim.py", dir, cmd)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return nil, context.Cause(ctx)
	}
	if p.err != nil {
		return nil, fmt.Errorf("gajim.py %s: %w\n%s", args[0], p.err, Tail(p.Log(), 10))
	}
	return os.ReadFile(out)
}

// Start starts a stopped Gajim with its profile, and waits until it has logged in.
func (g *Gajim) Start(ctx context.Context) error {
	run, err := g.env.folder("gajim-run")
	if err != nil {
		return err
	}
	cmd := exec.Command(g.bin, "-c", g.profile(), "-v")
	cmd.Env = append(cmd.Environ(), "DISPLAY="+g.display, "GDK_BACKEND=x11", "GSETTINGS_BACKEND=memory",
		"NO_AT_BRIDGE=1", "PYTHONDONTWRITEBYTECODE=1", "DBUS_SESSION_BUS_ADDRESS=disabled:",
		"XDG_RUNTIME_DIR="+run, "XDG_CONFIG_HOME="+run, "XDG_DATA_HOME="+run, "XDG_CACHE_HOME="+run)
	if g.proc, err = g.env.start("gajim", run, cmd); err != nil {
		return err
	}
	return g.proc.until(ctx, "logging in", func() bool { return g.Logged("Signal: connected") > 0 })
}

// Stop ends Gajim; its profile stays.
func (g *Gajim) Stop() {
	g.proc.Stop()
	g.proc = nil
}

// Close ends it and its screen.
func (g *Gajim) Close() {
	if g.proc != nil {
		g.Stop()
	}
	g.screen.Stop()
}

// Logged counts the lines of Gajim's log, since its last start, with a text in them.
func (g *Gajim) Logged(text string) int { return strings.Count(g.proc.Log(), text) }

// Log is what Gajim has logged since its last start.
func (g *Gajim) Log() string { return g.proc.Log() }

// fetched is what Gajim logs when it has all of a room's archive that it wants.
var fetched = regexp.MustCompile(`Request finished: (\S+), last mam id: (\S+)`)

// AwaitArchive waits until Gajim has fetched what it wants of a room's archive
// since its last start, and has it in its database; then it returns that.
func (g *Gajim) AwaitArchive(ctx context.Context, room string) (GajimHistory, error) {
	last := ""
	err := g.proc.until(ctx, "fetching the archive of "+room, func() bool {
		for _, m := range fetched.FindAllStringSubmatch(g.proc.Log(), -1) {
			if m[1] == room {
				last = m[2]
			}
		}
		return last != ""
	})
	for err == nil {
		var h GajimHistory
		// It writes a moment later; None: there was nothing.
		if h, err = g.History(ctx, room); err == nil && (last == "None" || h.Last == last) {
			return h, nil
		}
	}
	return GajimHistory{}, err
}

// GajimHistory is what Gajim has stored of a room.
type GajimHistory struct {
	Lines []GajimLine // in the order in which they were stored
	Last  string      // id of the latest line it has of the archive
}

// GajimLine is a line in Gajim's history.
type GajimLine struct {
	Nick, Body string
	ID         string  // of the archive
	At         float64 // seconds since 1970
}

// History reads Gajim's database.
func (g *Gajim) History(ctx context.Context, room string) (GajimHistory, error) {
	var h GajimHistory
	text, err := g.script(ctx, "history", g.profile(), room)
	if err != nil {
		return h, err
	}
	err = json.Unmarshal(text, &h)
	return h, err
}
