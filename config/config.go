// Package config reads the settings of transportd: a TOML file, then the
// environment (TRANSPORTD_…), then flags, each over the one before.
//
// TOML, because a JID pattern such as "*" or a network name such as "no" needs
// no knowledge of quoting rules to be written right, indentation cannot change
// a meaning, and a list of gateways reads as a list of sections.
//
// Reading is strict. An unknown key is an error that names the nearest known
// one, and everything that is wrong is reported at once, each with its file and
// key. Gateways and networks are lists whose entries have a name, never tables
// keyed by a host. Every secret has a twin that ends in _file; relative file
// names are meant from the folder of the config file.
//
// This is the only package that knows viper. A driver's section is decoded by
// Section.Decode into that driver's own struct, which carries mapstructure tags.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"transportd/internal/secret"
)

// Config is everything an operator can set. Fields tagged reload:"live" take
// effect at a SIGHUP, the others at the next start.
type Config struct {
	Log      Log       `mapstructure:"log"`
	Store    Store     `mapstructure:"store"`
	Archive  Archive   `mapstructure:"archive"`
	Ops      Ops       `mapstructure:"ops"`
	Files    Files     `mapstructure:"files"`
	Gateways []Gateway `mapstructure:"gateways"`

	options Options // how it was loaded, for Again
}

// Log says how much is logged and in which form.
type Log struct {
	Level  string `mapstructure:"level" reload:"live"`  // debug, info, warn, error
	Format string `mapstructure:"format" reload:"live"` // text, json
}

// Store says where the database is: an SQLite file, or a PostgreSQL database
// where one of its two keys is set.
type Store struct {
	Path         string      `mapstructure:"path"`
	Postgres     secret.Text `mapstructure:"postgres"` // postgres://user@host/database, may hold a password
	PostgresFile string      `mapstructure:"postgres_file"`
	KeyFile      string      `mapstructure:"key_file"`
}

// Archive says what of conversations is kept, and how long. The first two are what
// users get who chose nothing.
type Archive struct {
	Record     bool `mapstructure:"record" reload:"live"`     // the lines of rooms are kept
	Persistent bool `mapstructure:"persistent" reload:"live"` // rooms stay joined without a client
	MaxAge     Age  `mapstructure:"max_age" reload:"live"`    // older lines are removed
	MaxSize    Size `mapstructure:"max_size" reload:"live"`   // the oldest lines beyond it are removed
}

// Ops is the HTTP listener for metrics and health.
type Ops struct {
	Listen      string `mapstructure:"listen"`       // host:port; empty: none
	AllowRemote bool   `mapstructure:"allow_remote"` // an address that is not loopback is meant
	Profile     bool   `mapstructure:"profile"`      // /debug/pprof/ too
}

// Files is how files get from networks to users and back. What is neither copied to the
// XMPP server nor has a link, as without a listener, users are told the name of.
type Files struct {
	Upload          string `mapstructure:"upload"`           // UploadAuto, UploadOff, or the address of the XMPP server's upload service
	UploadMax       Size   `mapstructure:"upload_max"`       // of a file that is copied there
	UploadEncrypted bool   `mapstructure:"upload_encrypted"` // files of encrypted rooms too, decrypted

	Listen       string `mapstructure:"listen"`        // host:port of the HTTP listener; empty: none
	URL          string `mapstructure:"url"`           // how users' clients reach it
	MaxSize      Size   `mapstructure:"max_size"`      // of a file, either way
	AllowPrivate bool   `mapstructure:"allow_private"` // files may be fetched from private and loopback addresses
	Avatars      bool   `mapstructure:"avatars"`       // pictures of people are shown in their cards
}

// Choices of Files.Upload beside an address.
const (
	UploadAuto = "auto" // the service among the items of the XMPP server
	UploadOff  = "off"
)

// Gateway is one component domain with its driver.
type Gateway struct {
	Name       string      `mapstructure:"name"`
	Domain     string      `mapstructure:"domain"`
	Driver     string      `mapstructure:"driver"`
	Server     string      `mapstructure:"server"` // host:port of the XMPP server's component listener
	Secret     secret.Text `mapstructure:"secret"`
	SecretFile string      `mapstructure:"secret_file"`
	TLS        TLS         `mapstructure:"tls"`

	Users                []Pattern `mapstructure:"users" reload:"live"`  // who may use it
	Admins               []Pattern `mapstructure:"admins" reload:"live"` // who may run admin commands
	RegistrationRequired bool      `mapstructure:"registration_required" reload:"live"`
	Rates                Rates     `mapstructure:"rates"`
	Limits               Limits    `mapstructure:"limits" reload:"live"`

	Section Section `mapstructure:"-"` // the table named like the driver
}

// TLS protects the stream to the XMPP server, where that server or a proxy
// before it expects TLS from the first byte.
type TLS struct {
	Enabled    bool   `mapstructure:"enabled"`
	CAFile     string `mapstructure:"ca_file"`     // PEM; empty: the system's
	ServerName string `mapstructure:"server_name"` // empty: the host of server
}

// Rates bound what users may begin, per bare JID and per domain of users.
type Rates struct {
	JoinsUser           Rate `mapstructure:"joins_user" reload:"live"`
	JoinsDomain         Rate `mapstructure:"joins_domain" reload:"live"`
	ConnectionsUser     Rate `mapstructure:"connections_user" reload:"live"`
	ConnectionsDomain   Rate `mapstructure:"connections_domain" reload:"live"`
	RegistrationsUser   Rate `mapstructure:"registrations_user" reload:"live"`
	RegistrationsDomain Rate `mapstructure:"registrations_domain" reload:"live"`
}

// Limits bound what exists at a time; 0 is no limit.
type Limits struct {
	Rooms int `mapstructure:"rooms"` // rooms one user is in
}

// Defaults of what a file does not set.
const (
	DefaultFile   = "/etc/transportd/transportd.toml"
	defaultServer = "127.0.0.1:5347"
	defaultListen = "127.0.0.1:9347"
	defaultPath   = "/var/lib/transportd/transportd.db"
	defaultKey    = "/var/lib/transportd/transportd.key"
)

// Default returns the settings before anything is read.
func Default() Config {
	return Config{
		Log:     Log{Level: "info", Format: "text"},
		Store:   Store{Path: defaultPath, KeyFile: defaultKey},
		Archive: Archive{Record: true},
		Ops:     Ops{Listen: defaultListen},
		Files:   Files{Upload: UploadAuto, UploadMax: 25 << 20, UploadEncrypted: true, MaxSize: 100 << 20, Avatars: true},
	}
}

// DefaultGateway returns the settings of a gateway before anything is read.
func DefaultGateway() Gateway {
	return Gateway{
		Server: defaultServer,
		Rates: Rates{
			JoinsUser:           Rate{30, time.Minute},
			JoinsDomain:         Rate{1200, time.Minute},
			ConnectionsUser:     Rate{10, time.Minute},
			ConnectionsDomain:   Rate{300, time.Minute},
			RegistrationsUser:   Rate{20, 10 * time.Minute},
			RegistrationsDomain: Rate{300, 10 * time.Minute},
		},
		Limits: Limits{Rooms: 500},
	}
}

// ReadSecret returns the component secret, read anew from its file where one is
// named, so that a changed secret is used at the next connection. The error
// never holds the secret.
func (g *Gateway) ReadSecret() (string, error) {
	if g.SecretFile == "" {
		return g.Secret.Reveal(), nil
	}
	return readSecretFile(g.SecretFile)
}

// ReadPostgres returns the address of the PostgreSQL database, empty where the
// database is an SQLite file. The error never holds the address.
func (s *Store) ReadPostgres() (secret.Text, error) {
	if s.PostgresFile == "" {
		return s.Postgres, nil
	}
	text, err := readSecretFile(s.PostgresFile)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.PostgresFile, err)
	}
	return secret.Text(strings.TrimSpace(text)), nil
}

// UsesPostgres tells whether the database is on a PostgreSQL server.
func (s *Store) UsesPostgres() bool { return s.Postgres != "" || s.PostgresFile != "" }

// readSecretFile reads a secret without the line end behind it.
func readSecretFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", plainFileError(err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", fmt.Errorf("everybody may read it (mode %04o), use chmod 600", mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", plainFileError(err)
	}
	s := strings.TrimRight(string(data), "\r\n")
	if s == "" {
		return "", errors.New("it is empty")
	}
	return s, nil
}

// plainFileError leaves only the reason: the path is told beside it.
func plainFileError(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// TLSConfig returns how the stream is protected, nil when it is not.
func (g *Gateway) TLSConfig() (*tls.Config, error) {
	if !g.TLS.Enabled {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(g.Server)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if g.TLS.ServerName != "" {
		c.ServerName = g.TLS.ServerName
	}
	if g.TLS.CAFile != "" {
		pem, err := os.ReadFile(g.TLS.CAFile)
		if err != nil {
			return nil, plainFileError(err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("it holds no certificate in PEM form")
		}
	}
	return c, nil
}

// Warnings tells what is allowed but worth a second look, in sentences.
func (c *Config) Warnings() []string {
	var out []string
	for i := range c.Gateways {
		g := &c.Gateways[i]
		for _, p := range g.Users {
			if p.Everyone() {
				out = append(out, fmt.Sprintf("gateway %s is open to everyone on every server (users has \"*\"): "+
					"the whole federation can reach its networks from your address", g.Name))
			}
		}
		if host, _, err := net.SplitHostPort(g.Server); err == nil && !g.TLS.Enabled && !IsLoopback(host) {
			out = append(out, fmt.Sprintf("gateway %s speaks to %s without TLS: everybody on the way can read along", g.Name, g.Server))
		}
	}
	if c.Ops.AllowRemote && c.Ops.Listen != "" {
		out = append(out, fmt.Sprintf("metrics and health are served on %s, reachable from other machines", c.Ops.Listen))
	}
	return out
}

// IsLoopback tells whether a host names this machine only.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
