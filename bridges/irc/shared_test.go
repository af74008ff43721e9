package irc

import (
	"testing"

	"transportd/bridges"
)

// Lines are for all users of the gateway alike only where the operator alone says
// what a connection leads to.
func TestSharedOnlyWhereTheOperatorSaysWhere(t *testing.T) {
	d := testDriver(t, Config{Open: true, Networks: []NetworkConfig{
		{Name: "listed", Hosts: []string{"irc.example.net"}, Link: LinkConfig{UserPorts: []string{"6000-7000"}}},
		{Name: "closed", Hosts: []string{"irc.example.org"}, Link: LinkConfig{Password: "everybody's"}},
	}})
	for _, c := range []struct {
		network  bridges.NetworkID
		settings map[string]string
		shared   bool
	}{
		{"listed", nil, true},
		{"listed", map[string]string{setNick: "a", setPassword: "x"}, true},
		{"listed", map[string]string{setPorts: "+6698"}, false},
		{"listed", map[string]string{setServerPass: "me/net:pw"}, false},
		{"closed", nil, true},
		{"closed", map[string]string{setServerPass: "mine"}, false},
		{"irc.elsewhere.example", nil, false},
	} {
		n, err := d.Open(bridges.Account{Owner: "a@b", Network: c.network, Settings: c.settings}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Capabilities(bridges.Place{Room: "#room"}).Shared; got != c.shared {
			t.Errorf("%s with %v: shared is %v", c.network, c.settings, got)
		}
		if n.Capabilities(bridges.Place{User: "bob"}).Shared {
			t.Error("a chat with one person is shared")
		}
	}
}
