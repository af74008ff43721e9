package testenv

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// startTimeout bounds the start of one server; the slowest takes two seconds on
// an idle machine.
const startTimeout = 60 * time.Second

// startAttempts is how often other ports are tried.
const startAttempts = 4

// Server is a program that listens on ports and can be killed and started again
// with the same data on the same ports.
type Server struct {
	Name string

	env     *Env
	dir     string
	ports   []int
	command func() *exec.Cmd
	ready   func(ctx context.Context) error // after the ports are open; may be nil

	mu   sync.Mutex
	proc *Process
}

// launch prepares and starts a server on free ports, other ones when somebody
// else got a port in between. prepare writes the configuration for the ports and
// returns how to run it.
func (e *Env) launch(ctx context.Context, name string, ports int, prepare func(dir string, ports []int) (func() *exec.Cmd, error)) (*Server, error) {
	dir, err := e.folder(name)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		s := &Server{Name: name, env: e, dir: dir}
		if s.ports, err = e.freePorts(ports); err != nil {
			return nil, err
		}
		if s.command, err = prepare(dir, s.ports); err != nil {
			return nil, err
		}
		if err = s.Start(ctx); err == nil {
			return s, nil
		}
		if !errors.Is(err, errPortTaken) || attempt == startAttempts {
			return nil, err
		}
	}
}

// Start starts a stopped server and waits until it listens.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not within %v", startTimeout))
	defer cancel()
	p, err := s.env.start(s.Name, s.dir, s.command())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	err = p.until(ctx, "listening", func() bool { return p.listens(s.ports) || s.robbed(p) })
	if s.robbed(p) {
		p.Kill()
		return errors.Join(errPortTaken, err)
	}
	if err == nil && s.ready != nil {
		err = s.ready(ctx)
	}
	if err != nil {
		p.Kill()
	}
	return err
}

// robbed: one of our ports is open, and not by us. (Trying to open it would tell
// too, and would get in the server's own way.)
func (s *Server) robbed(p *Process) bool {
	sockets, err := listeners()
	if err != nil {
		return false
	}
	for _, port := range sockets {
		if slices.Contains(s.ports, port) && !p.listens([]int{port}) {
			return true
		}
	}
	return false
}

// Process is the present or the last process.
func (s *Server) Process() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Stop ends the server politely.
func (s *Server) Stop() { s.Process().Stop() }

// Kill9 ends it as a crash would.
func (s *Server) Kill9() { s.Process().Kill() }

// Restart kills the server and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	s.Kill9()
	return s.Start(ctx)
}

// Log is what the server has written since its first start.
func (s *Server) Log() string { return s.Process().Log() }
