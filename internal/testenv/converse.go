package testenv

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed converse.mjs
var converseProgram string

// Converse is Converse.js in a headless Chromium. One call at a time is worked on.
type Converse struct{ h *helper }

// webModules copies what npm installed to where the processes can read it.
func (e *Env) webModules(ctx context.Context, dir string) (string, error) {
	mod, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	from := filepath.Join(mod, "internal/testenv/testdata/webclient/node_modules")
	to := filepath.Join(dir, "node_modules")
	for _, dir := range []string{to, filepath.Join(to, "converse.js")} {
		if err := e.mkdir(dir); err != nil {
			return "", err
		}
	}
	for _, part := range []string{"converse.js/dist", "playwright-core"} {
		if _, err := os.Stat(filepath.Join(from, part)); err != nil {
			return "", fmt.Errorf("the npm packages of the web client are missing: run make deps-test: %w", err)
		}
		if err := e.copyTree(filepath.Join(from, part), filepath.Join(to, part)); err != nil {
			return "", err
		}
	}
	return to, nil
}

// copyTree copies files and folders, without source maps.
func (e *Env) copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return e.mkdir(target)
		}
		if strings.HasSuffix(path, ".map") || !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return e.write(target, string(text), 0o644)
	})
}

// StartConverse logs a user in with the resource converse; the password is the
// name. socket is host and port of the server's websocket, or of a proxy to it.
func (e *Env) StartConverse(ctx context.Context, user, socket string) (*Converse, error) {
	node, err := program("node", "nodejs")
	if err != nil {
		return nil, err
	}
	if _, err := program("chromium", "chromium"); err != nil {
		return nil, err
	}
	dir, err := e.folder("converse")
	if err != nil {
		return nil, err
	}
	modules, err := e.webModules(ctx, dir)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "converse.mjs")
	if err := e.write(script, converseProgram, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(node, script, modules)
	cmd.Env = append(cmd.Environ(), "TMPDIR="+dir)
	h, err := e.startHelper("converse", dir, cmd)
	if err != nil {
		return nil, err
	}
	login := map[string]any{"op": "login", "user": user, "password": user, "socket": "ws://" + socket + "/xmpp-websocket"}
	return &Converse{h}, h.ask(ctx, login, nil)
}

// Join opens a room and waits until the user can write there.
func (c *Converse) Join(ctx context.Context, room, nick string) error {
	return c.h.ask(ctx, map[string]any{"op": "join", "room": room, "nick": nick}, nil)
}

// Back scrolls up until Converse.js has been sent that many pages of archives
// since its login.
func (c *Converse) Back(ctx context.Context, pages int) (v Views, err error) {
	err = c.h.ask(ctx, map[string]any{"op": "back", "pages": pages}, &v)
	return v, err
}

// Read scrolls from the latest line up to the earliest there is.
func (c *Converse) Read(ctx context.Context) (v Views, err error) {
	err = c.h.ask(ctx, map[string]any{"op": "read"}, &v)
	return v, err
}

// Shows waits until a line of exactly that text is on the page.
func (c *Converse) Shows(ctx context.Context, text string) error {
	return c.h.ask(ctx, map[string]any{"op": "shows", "text": text}, nil)
}

// Held is the text of all that it keeps of the room, in its order; nil for what
// has none, as a gap.
func (c *Converse) Held(ctx context.Context) (lines []*string, err error) {
	err = c.h.ask(ctx, map[string]any{"op": "held"}, &lines)
	return lines, err
}

// Pages is how many pages of archives it has been sent since its login.
func (c *Converse) Pages(ctx context.Context) (n int, err error) {
	err = c.h.ask(ctx, map[string]any{"op": "pages"}, &n)
	return n, err
}

// Away waits until its connection is gone.
func (c *Converse) Away(ctx context.Context) error {
	return c.h.ask(ctx, map[string]any{"op": "away"}, nil)
}

// Inside waits until it is connected and in the room, after a connection was lost.
func (c *Converse) Inside(ctx context.Context) error {
	return c.h.ask(ctx, map[string]any{"op": "inside"}, nil)
}

// Picture writes a picture of the page to a PNG file.
func (c *Converse) Picture(ctx context.Context, file string) error {
	return c.h.ask(ctx, map[string]any{"op": "picture", "file": file}, nil)
}

// Close ends the browser.
func (c *Converse) Close() { c.h.end() }
