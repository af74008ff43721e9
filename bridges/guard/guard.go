// Package guard says which addresses a stranger may make the gateway connect to.
package guard

import (
	"errors"
	"net/netip"
)

// ErrNotPublic is why PublicOnly refuses an address.
var ErrNotPublic = errors.New("not a public address")

// notPublic are the ranges no stranger may make us connect to, from the IANA
// special-purpose registries (RFC 6890 and later). Tunnels that carry an IPv4
// address inside (6to4, Teredo, v4-compatible) could lead anywhere.
var notPublic = func() (ranges []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
		"2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		ranges = append(ranges, netip.MustParsePrefix(s))
	}
	return ranges
}()

// nat64 is how a host without IPv4 reaches IPv4 (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// PublicOnly refuses everything that is not a public unicast address: private,
// loopback, link-local, carrier-grade NAT, multicast, documentation and benchmark ranges,
// and tunnels. IPv4-mapped and NAT64 addresses are judged by the IPv4 address in them.
func PublicOnly(a netip.Addr) error {
	if !a.IsValid() || a.Zone() != "" {
		return ErrNotPublic
	}
	if a = a.Unmap(); nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, r := range notPublic {
		if r.Contains(a) {
			return ErrNotPublic
		}
	}
	return nil
}
