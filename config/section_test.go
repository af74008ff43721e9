package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// driverConfig is what a driver might decode its section into.
type driverConfig struct {
	Open     bool            `mapstructure:"open"`
	Networks []driverNetwork `mapstructure:"networks"`
	Link     driverLink      `mapstructure:",squash"`
}

type driverNetwork struct {
	Name string     `mapstructure:"name"`
	Link driverLink `mapstructure:",squash"`
}

type driverLink struct {
	Ports        []string      `mapstructure:"ports"`
	Plain        *bool         `mapstructure:"plain"`
	Interval     time.Duration `mapstructure:"interval"`
	PasswordFile string        `mapstructure:"password_file"`
}

func (c *driverConfig) Validate() error {
	var errs []error
	for _, n := range c.Networks {
		if n.Name == "" {
			errs = append(errs, errors.New("a network has no name"))
		}
		for _, p := range n.Link.Ports {
			if p == "0" {
				errs = append(errs, fmt.Errorf("network %s: %w", n.Name, errors.Join(fmt.Errorf("port 0: %w", os.ErrInvalid), errors.New("no port left"))))
			}
		}
	}
	return errors.Join(errs...)
}

func section(t *testing.T, text string) Section {
	t.Helper()
	c, err := Load(options(write(t, minimal+"[gateways.irc]\n"+text)))
	if err != nil {
		t.Fatal(err)
	}
	return c.Gateways[0].Section
}

func TestSectionDecode(t *testing.T) {
	s := section(t, "open = true\ninterval = \"2s\"\n[[gateways.irc.networks]]\nname = \"a\"\nports = [\"+6697\"]\nplain = false\npassword_file = \"x.secret\"\n")
	c := driverConfig{Link: driverLink{Ports: []string{"default"}}}
	if err := s.Decode(&c); err != nil {
		t.Fatal(err)
	}
	n := c.Networks[0]
	if !c.Open || c.Link.Interval != 2*time.Second || c.Link.Ports[0] != "default" || n.Name != "a" || n.Link.Ports[0] != "+6697" || n.Link.Plain == nil || *n.Link.Plain {
		t.Errorf("got %+v", c)
	}
	if !filepath.IsAbs(n.Link.PasswordFile) || filepath.Base(n.Link.PasswordFile) != "x.secret" {
		t.Errorf("password_file is %s", n.Link.PasswordFile)
	}
	var empty driverConfig
	if err := (Section{}).Decode(&empty); err != nil || !reflect.DeepEqual(empty, driverConfig{}) {
		t.Errorf("an absent section: %+v, %v", empty, err)
	}
}

func TestSectionProblems(t *testing.T) {
	for text, want := range map[string]string{
		"opne = true\n":      "gateways[irc].irc.opne: unknown key, did you mean open?",
		"interval = 5\n":     "gateways[irc].irc.interval: 5 is not a duration: write it with a unit",
		"interval = \"5\"\n": "is not a duration",
		"plain = \"no\"\n":   "gateways[irc].irc.plain: must be true or false, not a string",
		"[[gateways.irc.networks]]\nname = \"a\"\nprots = []\n":                                        "gateways[irc].irc.networks[0].prots: unknown key, did you mean ports?",
		"[[gateways.irc.networks]]\n[[gateways.irc.networks]]\nname = \"b\"\nports = [\"0\", \"0\"]\n": "gateways[irc].irc: a network has no name",
	} {
		var c driverConfig
		err := section(t, text).Decode(&c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	var c driverConfig
	err := section(t, "[[gateways.irc.networks]]\n[[gateways.irc.networks]]\nname = \"b\"\nports = [\"0\"]\n").Decode(&c)
	if p, ok := err.(Problems); !ok || len(p) != 3 || !strings.Contains(err.Error(), "irc: network b: port 0") || !strings.Contains(err.Error(), "irc: network b: no port left") {
		t.Errorf("not everything at once: %v", err)
	}
	// Also beside what cannot be read, but not about it.
	c = driverConfig{}
	err = section(t, "opne = true\ninterval = 5\n[[gateways.irc.networks]]\nname = \"b\"\nports = [\"0\"]\nprots = 1\n[[gateways.irc.networks]]\nname = 3\n").Decode(&c)
	if p, ok := err.(Problems); !ok || len(p) != 6 || !strings.Contains(err.Error(), "network b: port 0") {
		t.Errorf("not everything at once: %v", err)
	}
}
