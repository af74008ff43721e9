package irc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding"

	"transportd/bridges/irc/ircconn"
)

// Config is a gateway's settings for IRC. The link settings at its top are the
// defaults of every network.
type Config struct {
	// FixedNetwork names the one network of this gateway, whose addresses then
	// leave the network out.
	FixedNetwork string `mapstructure:"fixed_network"`
	// Open lets users name any host in an address, not only listed networks.
	Open     bool            `mapstructure:"open"`
	Networks []NetworkConfig `mapstructure:"networks"`
	Link     LinkConfig      `mapstructure:",squash"`
}

// NetworkConfig is a network the operator lists.
type NetworkConfig struct {
	Name  string     `mapstructure:"name"`  // stands for the hosts in addresses
	Title string     `mapstructure:"title"` // for people; the name when empty
	Hosts []string   `mapstructure:"hosts"` // tried in order; the name when empty
	Link  LinkConfig `mapstructure:",squash"`
}

// LinkConfig is how connections are made and kept. In a network, what is not
// set is taken from the gateway's, and there from the defaults.
type LinkConfig struct {
	Ports           []string      `mapstructure:"ports"`            // in the order tried: "+6697" TLS, "6667" plain
	Plain           *bool         `mapstructure:"plain"`            // connections without TLS are allowed; false
	UserPorts       []string      `mapstructure:"user_ports"`       // ports and ranges a user may name: "6697", "6660-6669"; none
	Verify          *bool         `mapstructure:"verify"`           // the server's certificate is checked; true
	CAFile          string        `mapstructure:"ca_file"`          // trusted beside nothing else; system roots
	Pins            []string      `mapstructure:"pins"`             // SHA-256 of certificates or public keys, hex; trusted whatever signed them
	AllowPrivate    *bool         `mapstructure:"allow_private"`    // private and loopback addresses are allowed; false
	SourceAddress   string        `mapstructure:"source_address"`   // local address to connect from
	Encoding        string        `mapstructure:"encoding"`         // how text that is not UTF-8 is read; windows-1252
	Password        string        `mapstructure:"password"`         // server password
	PasswordFile    string        `mapstructure:"password_file"`    // the same, from a file
	Burst           int           `mapstructure:"burst"`            // lines sent at once; 10, negative: no limit
	Interval        time.Duration `mapstructure:"interval"`         // between lines after the burst; 1s
	ConnectInterval time.Duration `mapstructure:"connect_interval"` // between connections of the whole gateway to the network; 500ms
	MaxLines        int           `mapstructure:"max_lines"`        // IRC lines one message may become; 20
	WhoLimit        int           `mapstructure:"who_limit"`        // members up to which a channel's accounts are asked for; 150, negative: never
	QuitMessage     string        `mapstructure:"quit_message"`     // sent at the end of a link
	NickServ        string        `mapstructure:"nickserv"`         // who takes IDENTIFY; NickServ
	Regain          string        `mapstructure:"regain"`           // command that frees one's nick: auto, regain, recover, ghost, none; auto
	DisableCaps     []string      `mapstructure:"disable_caps"`     // IRCv3 capabilities never asked for
}

// Defaults of LinkConfig, in docs/irc.md too.
const (
	defaultTLSPort         = 6697
	defaultPlainPort       = 6667
	defaultBurst           = 10
	defaultInterval        = time.Second
	defaultConnectInterval = 500 * time.Millisecond
	defaultMaxLines        = 20
	defaultWhoLimit        = 150
	defaultEncoding        = "windows-1252"
	defaultNickServ        = "NickServ"
	defaultRegain          = "auto"
	defaultQuit            = "leaving"
)

// port is one to try.
type port struct {
	number int
	tls    bool
}

func (p port) String() string {
	if p.tls {
		return "+" + strconv.Itoa(p.number)
	}
	return strconv.Itoa(p.number)
}

// parsePort reads "+6697" as TLS and "6667" as plain; "6697" alone is TLS too,
// the port registered for it (RFC 7194).
func parsePort(s string) (port, error) {
	digits, marked := strings.CutPrefix(strings.TrimSpace(s), "+")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return port{}, fmt.Errorf("%q is not a port: write +6697 for TLS, 6667 for plain", s)
	}
	return port{int(n), marked || n == defaultTLSPort}, nil
}

// portRange is a range of ports users may name.
type portRange struct{ first, last int }

func parsePortRange(s string) (portRange, error) {
	from, to, isRange := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "+"), "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || last < first {
		return portRange{}, fmt.Errorf("%q is neither a port nor a range of ports", s)
	}
	return portRange{int(first), int(last)}, nil
}

// link is a LinkConfig that has been read and checked.
type link struct {
	LinkConfig
	ports     []port
	userPorts []portRange
	plain     bool
	verify    bool
	private   bool
	fallback  encoding.Encoding
	roots     *x509.CertPool // nil: the system's
	pins      [][]byte
	source    netip.Addr
	password  string
}

// allowsPort tells whether a user may name a port.
func (l *link) allowsPort(number int) bool {
	return slices.ContainsFunc(l.ports, func(p port) bool { return p.number == number }) ||
		slices.ContainsFunc(l.userPorts, func(r portRange) bool { return number >= r.first && number <= r.last })
}

// portNamed is the port a user named, with or without TLS as the operator
// lists it; an unlisted one is plain only in the range plain IRC is used on.
func (l *link) portNamed(number int) port {
	for _, p := range l.ports {
		if p.number == number {
			return p
		}
	}
	return port{number, number < 6660 || number > 6669}
}

// over fills what is not set from the settings of a wider scope.
func (c LinkConfig) over(base LinkConfig) LinkConfig {
	c.Ports = orSlice(c.Ports, base.Ports)
	c.Plain = orPtr(c.Plain, base.Plain)
	c.UserPorts = orSlice(c.UserPorts, base.UserPorts)
	c.Verify = orPtr(c.Verify, base.Verify)
	c.CAFile = or(c.CAFile, base.CAFile)
	c.Pins = orSlice(c.Pins, base.Pins)
	c.AllowPrivate = orPtr(c.AllowPrivate, base.AllowPrivate)
	c.SourceAddress = or(c.SourceAddress, base.SourceAddress)
	c.Encoding = or(c.Encoding, base.Encoding)
	if c.Password == "" && c.PasswordFile == "" {
		c.Password, c.PasswordFile = base.Password, base.PasswordFile
	}
	c.Burst = or(c.Burst, base.Burst)
	c.Interval = or(c.Interval, base.Interval)
	c.ConnectInterval = or(c.ConnectInterval, base.ConnectInterval)
	c.MaxLines = or(c.MaxLines, base.MaxLines)
	c.WhoLimit = or(c.WhoLimit, base.WhoLimit)
	c.QuitMessage = or(c.QuitMessage, base.QuitMessage)
	c.NickServ = or(c.NickServ, base.NickServ)
	c.Regain = or(c.Regain, base.Regain)
	c.DisableCaps = orSlice(c.DisableCaps, base.DisableCaps)
	return c
}

func or[T comparable](v, base T) T {
	var zero T
	if v == zero {
		return base
	}
	return v
}

func orSlice(v, base []string) []string {
	if v == nil {
		return base
	}
	return v
}

func orPtr(v, base *bool) *bool {
	if v == nil {
		return base
	}
	return v
}

func defaultLink() LinkConfig {
	no, yes := false, true
	return LinkConfig{
		Plain: &no, Verify: &yes, AllowPrivate: &no,
		Encoding: defaultEncoding,
		Burst:    defaultBurst, Interval: defaultInterval, ConnectInterval: defaultConnectInterval,
		MaxLines: defaultMaxLines, WhoLimit: defaultWhoLimit,
		QuitMessage: defaultQuit, NickServ: defaultNickServ, Regain: defaultRegain,
	}
}

// resolve reads and checks settings whose gaps are filled.
func (c LinkConfig) resolve() (link, error) {
	l := link{LinkConfig: c, plain: *c.Plain, verify: *c.Verify, private: *c.AllowPrivate}
	var errs []error
	for _, s := range c.Ports {
		p, err := parsePort(s)
		errs = append(errs, keyed("ports", err))
		if err == nil && !p.tls && !l.plain {
			errs = append(errs, keyed("ports", fmt.Errorf("%q is a port without TLS: set plain = true to allow that, or write +%d", s, p.number)))
		}
		l.ports = append(l.ports, p)
	}
	if len(c.Ports) == 0 {
		l.ports = []port{{defaultTLSPort, true}}
		if l.plain {
			l.ports = append(l.ports, port{defaultPlainPort, false})
		}
	}
	for _, s := range c.UserPorts {
		r, err := parsePortRange(s)
		errs = append(errs, keyed("user_ports", err))
		l.userPorts = append(l.userPorts, r)
	}
	var err error
	var ok bool
	if l.fallback, ok = fallbackNamed(c.Encoding); !ok {
		errs = append(errs, keyed("encoding", fmt.Errorf("%q is not a known encoding", c.Encoding)))
	}
	errs = append(errs, l.readTrust()...)
	errs = append(errs, c.checkRates()...)
	if _, ok := regainCommands[c.Regain]; !ok {
		errs = append(errs, keyed("regain", fmt.Errorf("%q is none of auto, regain, recover, ghost, none", c.Regain)))
	}
	if badLine(c.NickServ) || strings.Contains(c.NickServ, " ") {
		errs = append(errs, keyed("nickserv", errors.New("is one nickname")))
	}
	l.password = c.Password
	if c.PasswordFile != "" {
		l.password, err = readSecret(c.PasswordFile)
		errs = append(errs, keyed("password_file", err))
	}
	if badLine(l.password) {
		errs = append(errs, keyed("password", errors.New("has a line break")))
	}
	return l, errors.Join(errs...)
}

// readTrust reads whom the server's certificate is trusted by, and where we
// connect from.
func (l *link) readTrust() []error {
	var errs []error
	if l.CAFile != "" {
		pool, err := ircconn.LoadRootCAs(l.CAFile)
		errs = append(errs, keyed("ca_file", err))
		l.roots = pool
	}
	for _, pin := range l.Pins {
		raw, err := ircconn.ParsePin(pin)
		if err != nil {
			errs = append(errs, keyed("pins", err))
			continue
		}
		l.pins = append(l.pins, raw)
	}
	if l.SourceAddress != "" {
		addr, err := netip.ParseAddr(l.SourceAddress)
		if err != nil {
			errs = append(errs, keyed("source_address", fmt.Errorf("%q is not an IP address", l.SourceAddress)))
		}
		l.source = addr
	}
	return errs
}

func (c LinkConfig) checkRates() []error {
	var errs []error
	if c.Interval < 0 {
		errs = append(errs, keyed("interval", errors.New("is negative")))
	}
	if c.ConnectInterval < 0 {
		errs = append(errs, keyed("connect_interval", errors.New("is negative")))
	}
	if c.MaxLines < 1 {
		errs = append(errs, keyed("max_lines", errors.New("is at least 1")))
	}
	return errs
}

// Validate checks everything and returns all that is wrong, joined.
func (c Config) Validate() error {
	_, err := New(c)
	return err
}

func keyed(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

func badLine(s string) bool { return strings.ContainsAny(s, "\r\n\x00") }

func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
