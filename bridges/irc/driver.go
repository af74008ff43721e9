// Package irc is the driver for IRC networks. What it does with names, modes,
// messages and errors is written down in docs/irc.md.
package irc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// Driver speaks IRC under one gateway's settings.
type Driver struct {
	cfg      Config
	defaults link // of networks that are not listed
	limiter  *ircconn.Limiter
	sts      ircconn.STSCache
	networks []*listed
	byHost   map[string]*listed // by name and by host, lower case
}

// listed is a network of the operator's list.
type listed struct {
	id      bridges.NetworkID
	title   string
	hosts   []string
	link    link
	limiter *ircconn.Limiter
}

// dialsAtOnce is how many connections to one host may be under way together.
const dialsAtOnce = 8

// New checks a configuration and makes its driver. The error joins everything
// that is wrong, each with the key it is about. It reads the files the
// configuration names and does no other I/O.
func New(cfg Config) (*Driver, error) {
	d := &Driver{cfg: cfg, byHost: make(map[string]*listed)}
	base := cfg.Link.over(defaultLink())
	var errs []error
	var err error
	if d.defaults, err = base.resolve(); err != nil {
		errs = append(errs, err)
	}
	d.limiter = ircconn.NewLimiter(base.ConnectInterval, dialsAtOnce)
	for i, n := range cfg.Networks {
		if err := d.list(n, base); err != nil {
			errs = append(errs, fmt.Errorf("networks[%d] (%s): %w", i, n.Name, err))
		}
	}
	if cfg.FixedNetwork != "" && d.byHost[strings.ToLower(cfg.FixedNetwork)] == nil {
		errs = append(errs, keyed("fixed_network", fmt.Errorf("%q is none of the networks listed", cfg.FixedNetwork)))
	}
	if len(cfg.Networks) == 0 && !cfg.Open {
		errs = append(errs, keyed("networks", errors.New("list at least one network, or set open = true")))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Driver) list(n NetworkConfig, base LinkConfig) error {
	name, port, ok := splitHostPort(n.Name)
	if !ok || port != 0 || !validHost(name) {
		return keyed("name", errors.New("is letters, digits, hyphens and dots"))
	}
	entry := &listed{id: bridges.NetworkID(name), title: or(n.Title, n.Name), hosts: n.Hosts}
	if len(n.Hosts) == 0 {
		entry.hosts = []string{name}
	}
	var errs []error
	if d.byHost[name] != nil {
		errs = append(errs, keyed("name", errors.New("names two networks")))
	}
	d.byHost[name] = entry
	for _, written := range entry.hosts {
		host, port, ok := splitHostPort(written)
		if !ok || port != 0 || !validHost(host) {
			errs = append(errs, keyed("hosts", fmt.Errorf("%q is not a host: ports go into ports", written)))
			continue
		}
		if other := d.byHost[host]; other != nil && other != entry {
			errs = append(errs, keyed("hosts", fmt.Errorf("%q belongs to %s already", written, other.id)))
		}
		d.byHost[host] = entry
	}
	settings := n.Link.over(base)
	var err error
	if entry.link, err = settings.resolve(); err != nil {
		errs = append(errs, err)
	}
	entry.limiter = ircconn.NewLimiter(settings.ConnectInterval, dialsAtOnce)
	d.networks = append(d.networks, entry)
	return errors.Join(errs...)
}

// Info describes the driver.
func (d *Driver) Info() bridges.Info {
	info := bridges.Info{
		Type: "irc", Name: "IRC", RoomType: "irc", FoldsCase: true,
		Prompt:     "Channel or nickname",
		PromptDesc: "A channel or a nickname and its network, as in “#linux on " + d.exampleNetwork() + "”.",
	}
	if d.cfg.FixedNetwork != "" {
		info.FixedNetwork = d.byHost[strings.ToLower(d.cfg.FixedNetwork)].id
		info.PromptDesc = "A channel, as in “#linux”, or a nickname."
	}
	return info
}

// Networks lists the operator's networks.
func (d *Driver) Networks() []bridges.NetworkInfo {
	all := make([]bridges.NetworkInfo, 0, len(d.networks))
	for _, n := range d.networks {
		all = append(all, bridges.NetworkInfo{ID: n.id, Name: n.title})
	}
	return all
}

// route is where a network is and how it is connected to.
type route struct {
	hosts   []string
	listed  bool // by the operator
	port    int  // named in the address, 0: none
	link    *link
	limiter *ircconn.Limiter
}

// route finds a network by its identifier.
func (d *Driver) route(id bridges.NetworkID) (route, error) {
	host, port, ok := splitHostPort(string(id))
	if n := d.byHost[host]; ok && n != nil {
		return route{hosts: n.hosts, listed: true, link: &n.link, limiter: n.limiter}, nil
	}
	if _, err := d.networkID(string(id)); err != nil { // it was allowed once
		return route{}, err
	}
	return route{hosts: []string{host}, port: port, link: &d.defaults, limiter: d.limiter}, nil
}

// endpoints lists what is tried, in order: every port of a host, then the next
// host. ports are the user's own, if any.
func (r route) endpoints(ports []port) []ircconn.Endpoint {
	switch {
	case len(ports) > 0:
	case r.port != 0:
		ports = []port{r.link.portNamed(r.port)}
	default:
		ports = r.link.ports
	}
	var all []ircconn.Endpoint
	for _, host := range r.hosts {
		host = strings.Trim(host, "[]")
		for _, p := range ports {
			if p.tls || r.link.plain {
				all = append(all, ircconn.Endpoint{Host: host, Port: uint16(p.number), TLS: p.tls})
			}
		}
	}
	return all
}

// Open makes a user's link to a network. No I/O.
func (d *Driver) Open(a bridges.Account, sink bridges.Sink) (bridges.Network, error) {
	r, err := d.route(a.Network)
	if err != nil {
		return nil, err
	}
	set, err := readSettings(a, r.link)
	if err != nil {
		return nil, err
	}
	return newNetwork(a, r, set, sink, &d.sts), nil
}

// wantedCaps are the capabilities asked for, less those the operator disables.
func (l *link) wantedCaps() []string {
	if len(l.DisableCaps) == 0 {
		return allCaps
	}
	return slices.DeleteFunc(slices.Clone(allCaps), func(name string) bool {
		return slices.Contains(l.DisableCaps, name)
	})
}

var allCaps = []string{
	"account-notify", "account-tag", "away-notify", "batch", "cap-notify", "chghost",
	"draft/channel-rename", "echo-message", "extended-join", "invite-notify",
	"labeled-response", "message-tags", "multi-prefix", "server-time", "setname",
	"standard-replies", "userhost-in-names", "znc.in/self-message",
}
