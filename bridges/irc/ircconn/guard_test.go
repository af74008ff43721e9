package ircconn

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"transportd/bridges/guard"
)

// TestForbiddenAddress: a name that leads inside is refused after resolution and never dialled.
func TestForbiddenAddress(t *testing.T) {
	o := Options{
		Nick: "alice", Allow: guard.PublicOnly,
		Resolver: fakeResolver{"evil.test": {"127.0.0.1", "::1", "::ffff:10.0.0.1"}},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled")
			return nil, errors.New("dialled")
		},
	}
	for _, host := range []string{"evil.test", "127.0.0.1", "::1", "::ffff:192.168.1.1", "169.254.169.254", "0.0.0.0", "fe80::1%lo"} {
		o.Endpoints = []Endpoint{{Host: host, Port: 6667}}
		if f := dialFailure(t, o, ForbiddenAddress); !f.Permanent {
			t.Errorf("%s: not permanent", host)
		}
	}
	o.Endpoints = []Endpoint{{Host: "nowhere.test", Port: 6667}}
	if f := dialFailure(t, o, Unresolved); f.Text != "There is no host named nowhere.test." {
		t.Errorf("text %q", f.Text)
	}
}
