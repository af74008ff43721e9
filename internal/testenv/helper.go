package testenv

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// helper is a program that answers one JSON line on its standard input with one on
// its standard output, {"ok": answer} or {"error": words}. It ends when its input
// does.
type helper struct {
	*Process
	in    *os.File
	lines chan []byte // closed when the program ended

	mu sync.Mutex // one question at a time
}

// startPiped runs cmd with pipes as its standard input and output, whose other ends
// it returns. Both are the caller's to close.
func (e *Env) startPiped(name, dir string, cmd *exec.Cmd) (p *Process, in, out *os.File, err error) {
	inRead, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, outWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, inRead.Close(), in.Close())
	}
	cmd.Stdin, cmd.Stdout = inRead, outWrite
	p, err = e.start(name, dir, cmd)
	if err = errors.Join(err, inRead.Close(), outWrite.Close()); err != nil {
		return nil, nil, nil, errors.Join(err, in.Close(), out.Close())
	}
	return p, in, out, nil
}

// startHelper runs a command line as a helper. What it prints that is not JSON is
// ignored.
func (e *Env) startHelper(name, dir string, cmd *exec.Cmd) (*helper, error) {
	proc, in, out, err := e.startPiped(name, dir, cmd)
	if err != nil {
		return nil, err
	}
	h := &helper{Process: proc, in: in, lines: make(chan []byte, 16)}
	go h.read(out)
	return h, nil
}

func (h *helper) read(out *os.File) {
	defer out.Close()
	defer close(h.lines)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<28)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "{") {
			h.lines <- []byte(lines.Text())
		}
	}
}

// ask sends a question and reads its answer into answer, a pointer, unless that is
// nil. After an error of ctx the helper is of no more use: its answer may still come.
func (h *helper) ask(ctx context.Context, question map[string]any, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w\n%s", h.Name, err, Tail(h.Log(), 20))
	}
	select {
	case line, ok := <-h.lines:
		if !ok {
			return fmt.Errorf("%s ended at %v:\n%s", h.Name, question, Tail(h.Log(), 20))
		}
		return h.unpack(line, question, answer)
	case <-ctx.Done():
		return fmt.Errorf("%s: %v: %w\n%s", h.Name, question, context.Cause(ctx), Tail(h.Log(), 20))
	}
}

func (h *helper) unpack(line []byte, question map[string]any, answer any) error {
	var r struct {
		OK    json.RawMessage
		Error string
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("%s: its answer to %v: %w", h.Name, question, err)
	}
	if r.Error != "" {
		return fmt.Errorf("%s: %v: %s\n%s", h.Name, question, r.Error, Tail(h.Log(), 20))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(r.OK, answer)
}

// end closes the helper's input and waits for it.
func (h *helper) end() {
	_ = h.in.Close()
	h.Stop()
}

// moduleDir is the folder of the module the working directory is in.
func moduleDir(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(mod))), nil
}
