package guard

import (
	"net/netip"
	"testing"
)

func TestPublicOnly(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1", "127.255.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.0.1", "100.64.0.1", "0.0.0.0", "0.1.2.3",
		"224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.9",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1",
		"2002:7f00:1::", "2001::1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2606:4700::1%eth0",
	} {
		if PublicOnly(netip.MustParseAddr(s)) == nil {
			t.Errorf("%s is let through", s)
		}
	}
	if PublicOnly(netip.Addr{}) == nil {
		t.Error("no address is let through")
	}
	for _, s := range []string{"8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"} {
		if err := PublicOnly(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s is refused", s)
		}
	}
}
