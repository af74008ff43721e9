package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// lowestPort is where the search for free ports begins.
const lowestPort = 10240

// errPortTaken: somebody else was faster.
var errPortTaken = errors.New("a port was taken by another program")

// freePorts picks ports nobody listens on. They lie below the range the kernel
// gives to outgoing connections: a port of that range can be in use again by the
// time a killed server wants it back.
func (e *Env) freePorts(n int) ([]int, error) {
	high := 32768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if low, err := strconv.Atoi(strings.Fields(string(text))[0]); err == nil && low > lowestPort+1000 {
			high = low
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var ports []int
	for range 1000 {
		port := lowestPort + rand.IntN(high-lowestPort)
		if !e.ports[port] && portFree(port) {
			e.ports[port] = true
			if ports = append(ports, port); len(ports) == n {
				return ports, nil
			}
		}
	}
	return nil, fmt.Errorf("no free ports between %d and %d on %s", lowestPort, high, Host)
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", Address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Address is a port of ours as host:port.
func Address(port int) string { return net.JoinHostPort(Host, strconv.Itoa(port)) }

// listeners maps the sockets of /proc/self/net/tcp that listen, named as in
// /proc/<pid>/fd, to their ports.
func listeners() (map[string]int, error) {
	text, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return nil, err
	}
	const listen, local, state, inode = "0A", 1, 3, 9
	found := map[string]int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) <= inode || f[state] != listen {
			continue
		}
		_, hex, _ := strings.Cut(f[local], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
			found["socket:["+f[inode]+"]"] = int(port)
		}
	}
	return found, nil
}
