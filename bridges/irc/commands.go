package irc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// Commands implements bridges.Commander.
func (d *Driver) Commands() []bridges.Command {
	return []bridges.Command{{
		Verb: "connection", Name: "Your connection", At: bridges.AddressNetwork,
		Help: "says which server you are connected to and since when, how that is encrypted, who you are there and which account you are logged in to.",
		Run: func(_ context.Context, link bridges.Network, _ bridges.Place, _ map[string]string) (string, error) {
			return link.(*network).connection()
		},
	}}
}

// connection describes the user's connection, a fact a line.
func (n *network) connection() (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return "", errOffline()
	}
	info := n.conn.Info()
	address := net.JoinHostPort(info.Endpoint.Host, strconv.Itoa(int(info.Endpoint.Port)))
	if remote := info.Remote.String(); info.Remote.IsValid() && remote != address {
		address += " (" + remote + ")"
	}
	lines := []string{
		"Server: " + address + ", since " + info.Since.UTC().Format(time.RFC3339),
		"Encryption: " + encryption(info.TLS),
		"Nickname: " + n.nick,
	}
	if n.mask != "" {
		lines = append(lines, "Others see: "+n.nick+"!"+n.mask)
	}
	login := "none, you are not logged in"
	if n.login != "" {
		login = n.login
	}
	lines = append(lines, "Account: "+login, fmt.Sprintf("Channels: %d", len(n.rooms)))
	if waiting := n.conn.Pending(); waiting > 0 {
		lines = append(lines, fmt.Sprintf("Lines waiting to be sent: %d", waiting))
	}
	return strings.Join(lines, "\n"), nil
}

func encryption(t *ircconn.TLSInfo) string {
	if t == nil {
		return "none"
	}
	return tls.VersionName(t.Version) + ", " + tls.CipherSuiteName(t.CipherSuite) + "\nFingerprint of the server's certificate (SHA-256): " + t.Fingerprint
}
