package irc

import (
	"context"
	"strings"
	"testing"

	"transportd/bridges"
	"transportd/internal/irctest"
)

// connection runs the command of that name.
func (w *world) connection() (string, error) {
	cmd := w.d.Commands()[0]
	return cmd.Run(context.Background(), w.net, bridges.Place{}, nil)
}

func TestConnectionIsDescribed(t *testing.T) {
	w := open(t, setup{
		server:   irctest.Config{Accounts: map[string]string{"alice": "secret"}},
		settings: map[string]string{"account": "alice", "password": "secret"},
	})
	w.join("#room")
	text, err := w.connection()
	w.ok(err)
	for _, want := range []string{"Server: " + w.srv.Addr() + ", since 20", "Encryption: none", "Nickname: alice", "Others see: alice!", "Account: alice", "Channels: 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "secret") {
		t.Errorf("the password is in\n%s", text)
	}
	w.srv.SetAccount("alice", "")
	w.fence()
	if text, err := w.connection(); err != nil || !strings.Contains(text, "not logged in") {
		t.Errorf("logged out: %s, %v", text, err)
	}
	_ = w.end()
	if _, err := w.connection(); bridges.AsError(err).Kind != bridges.Offline {
		t.Errorf("after the end: %v", err)
	}
}
