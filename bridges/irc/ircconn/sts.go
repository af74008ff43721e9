package ircconn

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// STSCache remembers which hosts want TLS only (IRCv3 strict transport
// security). It is shared by the connections of a process and kept in memory. The zero value is ready.
type STSCache struct {
	mu    sync.Mutex
	hosts map[string]stsPolicy
}

type stsPolicy struct {
	port  uint16
	until time.Time
}

const maxSTSHosts = 10000 // beyond it, new hosts are not remembered

// upgrade returns the endpoint to use instead of a plain one.
func (s *STSCache) upgrade(ep Endpoint) (Endpoint, bool) {
	if s == nil || ep.TLS {
		return ep, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.hosts[strings.ToLower(ep.Host)]
	if !ok {
		return ep, false
	}
	if time.Now().After(p.until) {
		delete(s.hosts, strings.ToLower(ep.Host))
		return ep, false
	}
	return Endpoint{Host: ep.Host, Port: p.port, TLS: true}, true
}

// learn takes the policy a server announces on a TLS connection.
func (s *STSCache) learn(ep Endpoint, value string) {
	duration, ok := stsKey(value, "duration")
	if s == nil || !ep.TLS || !ok {
		return
	}
	seconds, err := strconv.ParseInt(duration, 10, 64)
	if err != nil || seconds < 0 {
		return
	}
	seconds = min(seconds, int64(10*365*24*3600))
	host := strings.ToLower(ep.Host)
	s.mu.Lock()
	defer s.mu.Unlock()
	if seconds == 0 {
		delete(s.hosts, host)
		return
	}
	if s.hosts == nil {
		s.hosts = make(map[string]stsPolicy)
	}
	if _, known := s.hosts[host]; known || len(s.hosts) < maxSTSHosts {
		s.hosts[host] = stsPolicy{ep.Port, time.Now().Add(time.Duration(seconds) * time.Second)}
	}
}

// stsPort is the TLS port a server announces on a plain connection.
func stsPort(value string) (uint16, bool) {
	v, ok := stsKey(value, "port")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 16)
	return uint16(n), err == nil && n > 0
}

func stsKey(value, key string) (string, bool) {
	for item := range strings.SplitSeq(value, ",") {
		if name, v, _ := strings.Cut(item, "="); name == key {
			return v, true
		}
	}
	return "", false
}
