// Package matrix is the driver for Matrix: every user with an account of their own.
// What it does with names, rooms, messages and errors is written down in
// docs/matrix.md.
package matrix

import (
	"net/http"
	"sync"

	"transportd/bridges"
)

// Driver speaks Matrix under one gateway's settings.
type Driver struct {
	names
	cfg       Config
	transport *http.Transport
	api       *http.Client
	firsts    chan struct{} // one is taken for a first answer

	mu      sync.Mutex
	firstAt map[string]chan struct{} // and one of its homeserver's
	running int                      // links in Run
	vias    map[string][]string      // servers that links people typed name for a room
}

// New checks a configuration and makes its driver. The error joins everything
// that is wrong, each with the key it is about. No I/O.
func New(cfg Config) (*Driver, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.filled()
	t := newTransport(cfg.AllowPrivate)
	return &Driver{cfg: cfg, transport: t, api: newAPIClient(t), firsts: make(chan struct{}, cfg.FirstSyncs)}, nil
}

// Info describes the driver.
func (d *Driver) Info() bridges.Info {
	return bridges.Info{
		Type: "matrix", Name: "Matrix", RoomType: "text", FixedNetwork: theNetwork, Addresses: true, Groups: "spaces", Blocks: true,
		Prompt:     "Matrix ID, room address or link",
		PromptDesc: "A person, as in “@juliet:example.org”, a room, as in “#balcony:example.org”, or a matrix.to link.",
	}
}

// Networks lists the one network there is.
func (d *Driver) Networks() []bridges.NetworkInfo {
	return []bridges.NetworkInfo{{ID: theNetwork, Name: "Matrix"}}
}

// Names of what is kept of an account: the fields a user may set, and what logging
// in adds to them.
const (
	setNetwork    = "network"
	setUser       = "user"
	setPassword   = "password" // never stored
	setHomeserver = "homeserver"
	setToken      = "access_token"
	setReceipts   = "receipts"

	setUserID   = "user_id"
	setDevice   = "device_id"
	setRefresh  = "refresh_token"
	setClientID = "client_id"     // of OAuth 2.0: there is none after a password or a token
	setExpires  = "token_expires" // RFC 3339; only where the token is refreshed
)

// Fields is what a user may register.
func (d *Driver) Fields(id bridges.NetworkID) []bridges.Field {
	var fields []bridges.Field
	if id == "" {
		fields = append(fields, bridges.Field{
			Name: setNetwork, Label: "Network", Kind: bridges.FieldChoice, Required: true,
			Options: []string{string(theNetwork)}, Default: string(theNetwork),
		})
	}
	return append(fields, userFields...)
}

var userFields = []bridges.Field{
	{Name: setUser, Label: "Matrix ID", Required: true, Legacy: "username",
		Help: "Your address on Matrix, as in “@juliet:example.org”."},
	{Name: setPassword, Label: "Password", Kind: bridges.FieldSecret, Legacy: "password",
		Help: "Used once to log in and not kept. Leave it out where your homeserver has you log in with a browser."},
	{Name: setHomeserver, Label: "Homeserver", Advanced: true,
		Help: "Where your homeserver is, as in “https://matrix.example.org”, if your Matrix ID does not lead there."},
	{Name: setToken, Label: "Access token", Kind: bridges.FieldSecret, Advanced: true,
		Help: "Of a session of yours, in place of a password."},
	{Name: setReceipts, Label: "Who sees what you have read", Kind: bridges.FieldChoice, Advanced: true,
		Options: []string{receiptsShown, receiptsPrivate}, Default: receiptsShown,
		Help: "“everybody”, or “nobody”: only your own clients then know."},
}

// What the setting about receipts may be.
const (
	receiptsShown   = "everybody"
	receiptsPrivate = "nobody"
)

// entered and left count the links that run. When the last ends, idle connections
// are closed with it.
func (d *Driver) entered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running++
}

func (d *Driver) left() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running--; d.running == 0 {
		d.transport.CloseIdleConnections()
	}
}

// firstsOf are the first answers that may be asked for at one homeserver at once: not
// all there may be, so that a slow one leaves some to others.
func (d *Driver) firstsOf(host string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.firstAt[host]
	if c == nil {
		if d.firstAt == nil {
			d.firstAt = map[string]chan struct{}{}
		}
		c = make(chan struct{}, max(1, d.cfg.FirstSyncs-1))
		d.firstAt[host] = c
	}
	return c
}

// maxVias bounds how many rooms servers are remembered for.
const maxVias = 1000

// ParsePrompt reads what people type. The servers a link names are kept for the join:
// an address has no place for them, and the id of a room may lead nowhere by itself.
func (d *Driver) ParsePrompt(text string) (bridges.Address, error) {
	a, err := d.names.ParsePrompt(text)
	if err == nil {
		d.remember(a.Name, promptVia(text))
	}
	return a, err
}

// remember notes servers that know a room.
func (d *Driver) remember(room string, via []string) {
	if len(via) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.vias == nil || len(d.vias) >= maxVias {
		d.vias = map[string][]string{}
	}
	d.vias[room] = via
}

// viaOf returns the servers that are known to know a room.
func (d *Driver) viaOf(room string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.vias[room]
}
