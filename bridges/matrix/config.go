package matrix

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Config is a gateway's settings for Matrix.
type Config struct {
	// Homeservers are the servers whose accounts may be used: the part of a Matrix ID
	// behind the colon. In a pattern * stands for anything ("*.example.org"); "*"
	// alone lets users of every server in.
	Homeservers []string `mapstructure:"homeservers"`
	// DeviceName is what users see in the list of their sessions; "XMPP gateway".
	DeviceName string `mapstructure:"device_name"`
	// ClientURI is a page about the gateway, which homeservers show to users who log in
	// with a browser; what a gateway is, by the XMPP Standards Foundation.
	ClientURI string `mapstructure:"client_uri"`
	// AllowPrivate: homeservers may be at private and loopback addresses, and be
	// asked without TLS; false.
	AllowPrivate bool `mapstructure:"allow_private"`
	// Timeout bounds one request, beside what a long poll waits by itself; 30s.
	Timeout time.Duration `mapstructure:"timeout"`
	// RetryFor is how long a line is tried to be sent before it fails; 1m.
	RetryFor time.Duration `mapstructure:"retry_for"`
	// MaxResponse is how many bytes of an answer are read; 268435456. First answers of
	// accounts with very many rooms are tens of megabytes.
	MaxResponse int64 `mapstructure:"max_response"`
	// FirstSyncs is how many accounts may be in their first, long answer at once; 4.
	FirstSyncs int `mapstructure:"first_syncs"`
	// MaxMembers is up to how many members the whole list of a room is fetched; 500.
	// Of bigger rooms those with power and those who speak are shown.
	MaxMembers int `mapstructure:"max_members"`
	// CreateRooms: who joins a room of the own homeserver that does not exist makes it;
	// true.
	CreateRooms *bool `mapstructure:"create_rooms"`
}

// Defaults of Config, in docs/matrix.md too.
const (
	defaultDeviceName  = "XMPP gateway"
	defaultClientURI   = "https://xmpp.org/extensions/xep-0100.html"
	defaultTimeout     = 30 * time.Second
	defaultRetryFor    = time.Minute
	defaultMaxResponse = 256 << 20
	defaultFirstSyncs  = 4
	defaultMaxMembers  = 500
)

// Validate checks everything and returns all that is wrong, joined.
func (c Config) Validate() error {
	_, err := New(c)
	return err
}

// filled is c with the defaults where nothing is set.
func (c Config) filled() Config {
	c.DeviceName = or(c.DeviceName, defaultDeviceName)
	c.ClientURI = or(c.ClientURI, defaultClientURI)
	c.Timeout = or(c.Timeout, defaultTimeout)
	c.RetryFor = or(c.RetryFor, defaultRetryFor)
	c.MaxResponse = or(c.MaxResponse, defaultMaxResponse)
	c.FirstSyncs = or(c.FirstSyncs, defaultFirstSyncs)
	c.MaxMembers = or(c.MaxMembers, defaultMaxMembers)
	if c.CreateRooms == nil {
		yes := true
		c.CreateRooms = &yes
	}
	return c
}

func (c Config) check() error {
	var errs []error
	if len(c.Homeservers) == 0 {
		errs = append(errs, keyed("homeservers", errors.New(`list at least one homeserver, or "*" for all there are`)))
	}
	for _, pattern := range c.Homeservers {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.ContainsAny(pattern, "/@ ") {
			errs = append(errs, keyed("homeservers", fmt.Errorf("%q is neither the name of a homeserver nor a pattern of names", pattern)))
		}
	}
	for key, value := range map[string]int64{
		"timeout": int64(c.Timeout), "retry_for": int64(c.RetryFor), "max_response": c.MaxResponse,
		"first_syncs": int64(c.FirstSyncs), "max_members": int64(c.MaxMembers),
	} {
		if value < 0 {
			errs = append(errs, keyed(key, errors.New("is negative")))
		}
	}
	return errors.Join(errs...)
}

// allows tells whether accounts of a homeserver may be used.
func (c Config) allows(server string) bool {
	for _, pattern := range c.Homeservers {
		if ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(server)); ok {
			return true
		}
	}
	return false
}

func or[T comparable](v, base T) T {
	var zero T
	if v == zero {
		return base
	}
	return v
}

func keyed(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}
