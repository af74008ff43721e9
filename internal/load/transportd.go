package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// transportdSubject is the daemon of this project.
type transportdSubject struct{ program string }

func (transportdSubject) name() string                        { return "transportd" }
func (transportdSubject) network() string                     { return "load" }
func (transportdSubject) prepare(context.Context, *rig) error { return nil }

func (t transportdSubject) command(e environment) (*exec.Cmd, error) {
	file := filepath.Join(e.dir, "transportd.toml")
	text := fmt.Sprintf("")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(t.program, "run", "--config", file), nil
}
