// Package testenv starts real XMPP and IRC servers, and transportd itself, for
// tests and for the demonstration: each in a throw-away folder, on loopback and
// on ports that were free a moment before. Nothing it starts outlives the
// program that started it, however that program ends.
//
// It drives them as users do: XMPP through slixmpp, a client library that shares
// no code with transportd, and IRC through plain sockets.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// Host is the address everything listens on.
const Host = "127.0.0.1"

// Env owns a folder and the processes running in it. Its methods are safe for
// concurrent use.
type Env struct {
	dir   string
	owner *syscall.Credential // whom the processes run as; nil: as we do
	ca    *authority
	spawn chan func() // run on the thread that is the parent of every process

	mu    sync.Mutex
	procs []*Process
	ports map[int]bool
	names map[string]int
}

// New makes an empty environment. The caller must Close it.
//
// Started by root, the servers run as the user nobody: most refuse to run as
// root, and one that gave its rights away by itself would lose the signal that
// ends it with us.
func New() (*Env, error) {
	dir, err := os.MkdirTemp("", "transportd-env-")
	if err != nil {
		return nil, err
	}
	e := &Env{dir: dir, spawn: make(chan func()), ports: map[int]bool{}, names: map[string]int{}}
	if e.owner, err = servantOf(os.Getuid()); err == nil {
		err = e.give(dir)
	}
	if err == nil {
		e.ca, err = newAuthority()
	}
	if err == nil {
		err = e.write(e.CAFile(), e.ca.pem, 0o644)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		// The kernel sends the parent-death signal when the thread that started
		// a process ends, so that thread must live as long as the environment.
		runtime.LockOSThread()
		for f := range e.spawn {
			f()
		}
	}()
	return e, nil
}

func servantOf(uid int) (*syscall.Credential, error) {
	if uid != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("running as root needs a user to give the servers to: %w", err)
	}
	id, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(id), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// Dir is the environment's folder.
func (e *Env) Dir() string { return e.dir }

// CAFile is the certificate every TLS server of the environment can be verified
// with.
func (e *Env) CAFile() string { return filepath.Join(e.dir, "ca.pem") }

// Close ends every process and removes the folder. With TESTENV_KEEP set in the
// environment the folder stays, for a look at the logs.
func (e *Env) Close() error {
	e.mu.Lock()
	procs := e.procs
	e.procs = nil
	e.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range procs {
		wg.Go(p.Stop)
	}
	wg.Wait()
	close(e.spawn)
	if os.Getenv("TESTENV_KEEP") != "" {
		return nil
	}
	return os.RemoveAll(e.dir)
}

// folder makes a folder for the named program, one of its own each time.
func (e *Env) folder(name string) (string, error) {
	e.mu.Lock()
	e.names[name]++
	n := e.names[name]
	e.mu.Unlock()
	dir := filepath.Join(e.dir, name+"-"+strconv.Itoa(n))
	return dir, e.mkdir(dir)
}

func (e *Env) mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return e.give(dir)
}

// write puts a file where the servers can read it.
func (e *Env) write(path, text string, mode os.FileMode) error {
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return e.give(path)
}

func (e *Env) give(path string) error {
	if e.owner == nil {
		return nil
	}
	return os.Chown(path, int(e.owner.Uid), int(e.owner.Gid))
}
