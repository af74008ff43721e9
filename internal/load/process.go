package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a gateway process that the load program has started.
type process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// startProcess starts cmd with its output in the file log.
func startProcess(cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended does not matter: that it ended does
		close(p.exited)
	}()
	return p, nil
}

// stop ends the process, by force after ten seconds, and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // gone already is fine
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case <-p.exited:
	case <-t.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// tail is the end of the process's output, for an error text.
func (p *process) tail() string {
	if p == nil {
		return ""
	}
	b, err := os.ReadFile(p.log)
	if err != nil || len(b) == 0 {
		return ""
	}
	if len(b) > 1500 {
		b = b[len(b)-1500:]
	}
	return "\n  its output: " + strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "\n    ")
}

// logged waits for a line with this text in the process's output and returns it.
func (p *process) logged(ctx context.Context, text string) ([]byte, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(p.log)
		if err != nil {
			return nil, err
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
				return b[i : i+n], nil
			}
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return nil, errors.New("the gateway ended" + p.tail())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// cpu is the processor time of the whole process so far, user and system, to the nanosecond: the process's CPU clock
// (clock_getcpuclockid(3)), which counts threads that have ended, too.
func (p *process) cpu() (time.Duration, error) {
	const schedClock = 2
	clock := int32(^p.cmd.Process.Pid)<<3 | schedClock
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("the gateway's CPU clock: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// ownCPU is the same of the load program itself.
func ownCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// pss is the process's proportional set size in bytes.
func (p *process) pss() (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no Pss in smaps_rollup")
}
