package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// poll is how often conditions outside our control are looked at.
const poll = 10 * time.Millisecond

// stopGrace is how long a process may take to end by itself.
const stopGrace = 10 * time.Second

// Process is a running program, leader of a process group of its own.
type Process struct {
	Name string
	log  string // path of what it writes
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
}

// start runs cmd. Its output goes to a log file in dir, unless cmd says
// otherwise.
func (e *Env) start(name, dir string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, log: filepath.Join(dir, "output.log"), cmd: cmd, done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: e.owner}
	started := make(chan error)
	e.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	e.mu.Lock()
	e.procs = append(e.procs, p)
	e.mu.Unlock()
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode waits for the end and tells the exit code, -1 after a signal.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the process to end, kills it when it does not, and waits.
func (p *Process) Stop() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
	}
	p.Kill()
}

// Terminate asks the process to end and does not wait.
func (p *Process) Terminate() { p.signal(syscall.SIGTERM) }

// Kill ends the process and whatever it started with SIGKILL, and waits.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// signal reaches the whole group; a group that is gone is no error.
func (p *Process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.PID(), sig) }

// Log is everything the process has written so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Tail is the end of a log, for an error message.
func Tail(log string, lines int) string {
	all := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// until waits for cond, or the end of the process or of ctx.
func (p *Process) until(ctx context.Context, what string, cond func() bool) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended (%v) before %s:\n%s", p.Name, p.err, what, Tail(p.Log(), 30))
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w\n%s", p.Name, what, context.Cause(ctx), Tail(p.Log(), 30))
		}
	}
	return nil
}

// program finds an executable of a Debian package; the folders of the
// administrator's programs are not in everybody's PATH.
func program(name, debian string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the program %s is missing: run scripts/install-deps.sh test, or install the Debian package %s", name, debian)
}

// listens tells whether this very process listens on all of the ports: a port
// somebody else took first must not pass for ours.
func (p *Process) listens(ports []int) bool {
	sockets, err := listeners()
	if err != nil {
		return false
	}
	fds := fmt.Sprintf("/proc/%d/fd", p.PID())
	dir, err := os.Open(fds)
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	var own []int
	for _, name := range names {
		if target, err := os.Readlink(filepath.Join(fds, name)); err == nil {
			if port, ok := sockets[target]; ok {
				own = append(own, port)
			}
		}
	}
	for _, port := range ports {
		if !slices.Contains(own, port) {
			return false
		}
	}
	return true
}
