package irc

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"transportd/bridges"
)

// channelPrefixes begin a channel's name. It is wider than the CHANTYPES most
// servers announce, because an address is parsed before any server is asked,
// and no server lets a nick begin with one of these (RFC 2812 section 2.3.1).
const channelPrefixes = "#&+!"

// maxName bounds a room's or person's name, in bytes. No server takes longer
// channels; the XMPP side ends at 1023 bytes with the network and the escapes.
const maxName = 300

// Parse reads an unescaped local part: "#chan%network", "nick%network" or
// "network"; under a fixed network "#chan" or "nick". A network is one of the
// operator's names, one of their hosts, or any host where the operator lets
// users name them. The last "%" divides, since hosts have none and channels may.
func (d *Driver) Parse(local string) (bridges.Address, error) {
	if d.cfg.FixedNetwork != "" {
		return d.parseFixed(local)
	}
	name, host, divided := cutLast(local, '%')
	if !divided {
		id, err := d.networkID(local)
		if err != nil {
			return bridges.Address{}, err
		}
		return bridges.Address{Kind: bridges.AddressNetwork, Network: id}, nil
	}
	id, err := d.networkID(host)
	if err != nil {
		return bridges.Address{}, err
	}
	return nameAddress(id, name)
}

func (d *Driver) parseFixed(local string) (bridges.Address, error) {
	id := d.Info().FixedNetwork
	if local == "" {
		return bridges.Address{Kind: bridges.AddressNetwork, Network: id}, nil
	}
	return nameAddress(id, local)
}

func nameAddress(id bridges.NetworkID, name string) (bridges.Address, error) {
	kind := bridges.AddressPerson
	if isChannel(name) {
		kind = bridges.AddressRoom
	}
	if text := badName(name, kind); text != "" {
		return bridges.Address{}, bridges.NewError(bridges.NotFound, text)
	}
	return bridges.Address{Kind: kind, Network: id, Name: name}, nil
}

// Format is the inverse of Parse.
func (d *Driver) Format(a bridges.Address) string {
	fixed := d.cfg.FixedNetwork != ""
	switch {
	case a.Kind == bridges.AddressNetwork && fixed:
		return ""
	case a.Kind == bridges.AddressNetwork:
		return string(a.Network)
	case fixed:
		return a.Name
	}
	return a.Name + "%" + string(a.Network)
}

// ParsePrompt reads what people type: "#linux on libera", "#linux@libera",
// "nick on irc.example.net", an irc:// link, an address as Parse takes it, or
// a name alone where there is one network.
func (d *Driver) ParsePrompt(text string) (bridges.Address, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return bridges.Address{}, bridges.NewError(bridges.Invalid, "Write the name of a channel or a nickname.")
	}
	if strings.HasPrefix(text, "irc://") || strings.HasPrefix(text, "ircs://") {
		return d.parseLink(text)
	}
	name, network := splitPrompt(text)
	if d.cfg.FixedNetwork != "" {
		if network != "" && !d.isFixedNetwork(network) {
			name = text
		}
		return d.parseFixed(name)
	}
	if network != "" {
		id, err := d.networkID(network)
		if err != nil {
			return bridges.Address{}, err
		}
		return nameAddress(id, name)
	}
	if id, err := d.networkID(name); err == nil && !isChannel(name) && (d.listed(name) || strings.Contains(name, ".")) {
		return bridges.Address{Kind: bridges.AddressNetwork, Network: id}, nil
	}
	if !d.cfg.Open && len(d.networks) == 1 {
		return nameAddress(d.networks[0].id, name)
	}
	return bridges.Address{}, bridges.NewError(bridges.NotFound, "Say which network too, as in “"+name+" on "+d.exampleNetwork()+"”.")
}

// parseLink reads irc://host[:port]/name, with or without the channel prefix.
func (d *Driver) parseLink(text string) (bridges.Address, error) {
	bad := bridges.NewError(bridges.Invalid, "This link does not name a network and a channel or person.")
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return bridges.Address{}, bad
	}
	name := strings.TrimPrefix(u.Path, "/")
	if u.Fragment != "" {
		name += "#" + u.Fragment
	}
	name, flags, _ := strings.Cut(name, ",")
	if name == "" {
		return bridges.Address{}, bad
	}
	if !isChannel(name) && !strings.Contains(flags, "isnick") {
		name = "#" + name
	}
	if d.cfg.FixedNetwork != "" {
		if !d.isFixedNetwork(u.Hostname()) {
			return bridges.Address{}, bridges.NewError(bridges.Forbidden, "This gateway does not reach that network.")
		}
		return d.parseFixed(name)
	}
	id, err := d.networkID(u.Host)
	if err != nil { // the port may be what the operator does not list
		id, err = d.networkID(u.Hostname())
	}
	if err != nil {
		return bridges.Address{}, err
	}
	return nameAddress(id, name)
}

// splitPrompt divides a name from a network at " on ", " at ", "%" or "@".
func splitPrompt(text string) (name, network string) {
	for _, word := range []string{" on ", " at "} {
		if i := strings.LastIndex(strings.ToLower(text), word); i > 0 {
			return strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+len(word):])
		}
	}
	for _, sign := range []byte{'%', '@'} {
		if n, host, ok := cutLast(text, sign); ok && n != "" && host != "" {
			return strings.TrimSpace(n), strings.TrimSpace(host)
		}
	}
	return text, ""
}

// networkID resolves a written network to its one identifier: the operator's
// name where the network is listed, else the lower-cased host, with ":port"
// where one was written.
func (d *Driver) networkID(written string) (bridges.NetworkID, error) {
	if n := d.byHost[written]; n != nil { // nearly always
		return n.id, nil
	}
	host, port, ok := splitHostPort(written)
	if !ok {
		return "", bridges.NewError(bridges.NotFound, "“"+printable(written)+"” is not the name of a network.")
	}
	n := d.byHost[host]
	if n == nil && !d.cfg.Open {
		return "", bridges.NewError(bridges.Forbidden, "This gateway does not reach the network “"+host+"”.")
	}
	link := &d.defaults
	if n != nil {
		link = &n.link
	}
	if port != 0 && !link.allowsPort(port) {
		return "", bridges.NewError(bridges.Forbidden, "Port "+strconv.Itoa(port)+" is not allowed here.")
	}
	switch {
	case n != nil:
		return n.id, nil
	case !validHost(host):
		return "", bridges.NewError(bridges.NotFound, "“"+printable(written)+"” is not the name of a network.")
	case port != 0:
		return bridges.NetworkID(host + ":" + strconv.Itoa(port)), nil
	}
	return bridges.NetworkID(host), nil
}

func (d *Driver) listed(name string) bool {
	host, _, ok := splitHostPort(name)
	return ok && d.byHost[host] != nil
}

func (d *Driver) isFixedNetwork(written string) bool {
	host, _, ok := splitHostPort(written)
	return ok && d.byHost[host] != nil && d.byHost[host].id == d.Info().FixedNetwork
}

func (d *Driver) exampleNetwork() string {
	if len(d.networks) > 0 {
		return string(d.networks[0].id)
	}
	return "irc.example.net"
}

// splitHostPort divides "host:port" and "[v6]:port" and lower-cases the host.
// A trailing dot goes: it is the same host. An IPv6 address may stand without
// brackets where no port follows; it gets them.
func splitHostPort(s string) (host string, port int, ok bool) {
	host = strings.ToLower(strings.TrimSpace(s))
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() && addr.Zone() == "" {
		return "[" + addr.String() + "]", 0, true
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		p, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil || p == 0 || host[i+1] == '0' {
			return "", 0, false
		}
		host, port = host[:i], int(p)
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !closed || err != nil || addr.Zone() != "" {
			return "", 0, false
		}
		return "[" + addr.String() + "]", port, true
	}
	host = strings.TrimSuffix(host, ".")
	return host, port, host != ""
}

// validHost tells whether a host may be looked up: letters, digits, hyphens
// and dots (RFC 1123), or a bracketed IPv6 address.
func validHost(host string) bool {
	if strings.HasPrefix(host, "[") {
		return true // splitHostPort has read it as an address
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}

// badName says what is wrong with a name, or nothing. What it refuses could
// never be one parameter of an IRC line, or would name several targets.
func badName(name string, kind bridges.AddressKind) string {
	if name == "" {
		return "The address names a network but no channel or person."
	}
	if len(name) > maxName {
		return "The name is too long for IRC."
	}
	forbidden := " ,"
	if kind == bridges.AddressPerson {
		forbidden = " ,!*?"
		if strings.ContainsRune(":$", rune(name[0])) {
			return "“" + printable(name) + "” cannot be a nickname on IRC."
		}
	}
	bad := !utf8.ValidString(name) || strings.ContainsAny(name, forbidden) || strings.ContainsFunc(name, isControl)
	switch {
	case bad && kind == bridges.AddressPerson:
		return "“" + printable(name) + "” cannot be a nickname on IRC."
	case bad:
		return "“" + printable(name) + "” cannot be a channel on IRC."
	}
	return ""
}

func isControl(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// printable is s without what would upset a message: for quoting what
// somebody wrote back to them.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	return cutBytes(s, 80)
}

// isChannel tells from the first character whether an address names a channel.
func isChannel(name string) bool {
	return name != "" && strings.IndexByte(channelPrefixes, name[0]) >= 0
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// cutBytes is the longest prefix of s of at most n bytes that ends between
// two runes.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
