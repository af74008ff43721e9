// Package registration is how people get an account with the networks behind a
// gateway, and how they get rid of it again. There are three roads over one
// definition, which is the driver's list of fields:
//
//   - the chat with the gateway and ad-hoc commands, both over the commands of
//     package component (commands.go, listing.go, admin.go);
//   - in-band registration, XEP-0077, with plain fields and a data form (iq.go).
//
// The address a request goes to says what it is about: the address of a network
// that network's account, the gateway's own domain all of them, with a field for
// the network. All roads drive the same login, of one step or several (login.go,
// steps.go), which may wait in the background for what the user does elsewhere
// (wait.go), and end in the same few functions (accounts.go). Beside
// them stand the subscriptions between users and gateway (presence.go, XEP-0100)
// and who may do how much (limit.go).
//
// Handlers run in the read loop and do not wait; everything that does runs on
// the workers of package component.
package registration

import (
	"context"
	"log/slog"
	"time"

	"transportd/bridges"
	"transportd/component"
)

// Account is a registration as it is stored: the values of the driver's fields
// by their names, the secret ones apart.
type Account struct {
	Network  bridges.NetworkID
	Settings map[string]string
	Secrets  map[string]string
}

// Subscription is the presence subscription between a user and an address of the
// gateway.
type Subscription struct {
	Address  component.JID
	Sends    bool // the user gets the address's presence
	Receives bool // the address gets the user's presence
}

// Accounts keeps what is registered, for one gateway. All methods block until it
// is done or ctx is; users are bare JIDs.
type Accounts interface {
	// Accounts returns a user's accounts, by network.
	Accounts(ctx context.Context, user component.JID) ([]Account, error)
	// Put stores an account and replaces all of what was stored of it.
	Put(ctx context.Context, user component.JID, a Account) error
	// Delete removes one account. It is no error when there is none.
	Delete(ctx context.Context, user component.JID, network bridges.NetworkID) error
	// DeleteUser removes everything that is stored of a user. It is no error
	// when there is nothing.
	DeleteUser(ctx context.Context, user component.JID) error
	// Subscriptions returns a user's subscriptions.
	Subscriptions(ctx context.Context, user component.JID) ([]Subscription, error)
	// PutSubscription stores one, or removes it when it has neither direction.
	PutSubscription(ctx context.Context, user component.JID, s Subscription) error
	// SetLoggedIn stores whether links are made for the user's accounts.
	SetLoggedIn(ctx context.Context, user component.JID, in bool) error
	// SetResting stores whether one of several accounts is left out of that. An
	// empty network stands for all, and only forgets it.
	SetResting(ctx context.Context, user component.JID, network bridges.NetworkID, resting bool) error
}

// Sessions is what registration asks of the users' sessions. Users are bare
// JIDs, an empty network stands for all of a user's.
type Sessions interface {
	// Login connects, and returns without waiting for the outcome.
	Login(ctx context.Context, user component.JID, network bridges.NetworkID) error
	// Logout disconnects and stays so until Login; reason goes to network and user.
	Logout(ctx context.Context, user component.JID, network bridges.NetworkID, reason string) error
	// Reload makes a session take note that an account was stored.
	Reload(ctx context.Context, user component.JID, network bridges.NetworkID) error
	// Remove ends links and rooms of an account that is about to be deleted, and
	// returns when the network has been told, or could not be.
	Remove(ctx context.Context, user component.JID, network bridges.NetworkID, reason string) error
	// State tells how the link to a network is, in words.
	State(user component.JID, network bridges.NetworkID) (text string, online bool)
	// Subscribed tells whether the user gets the presence of an address from now
	// on; if so it is sent. It does not block.
	Subscribed(user, address component.JID, on bool)
	// Probed asks for the present presence of an address to be sent to a user,
	// who may have any resource. It does not block.
	Probed(user, address component.JID)
}

// Config is what registration is made with.
type Config struct {
	Domain   component.JID
	Name     string // of the gateway, for people
	Driver   bridges.Driver
	Accounts Accounts
	Sessions Sessions
	Admin    Admin // nil: no commands for administrators
	Workers  *component.Workers
	Send     func(ctx context.Context, o *component.Out) error // from workers; may block
	Reply    func(o *component.Out) bool                       // from the read loop; never blocks

	// State is what the driver keeps of an account that is stored, for logins; nil, or
	// what returns nil: nothing can be kept.
	State func(user component.JID, network bridges.NetworkID) bridges.StateStore

	// StanzaError turns an error of a driver or a session into what the user is
	// told. It never shows the text of an error that is not meant for users.
	StanzaError func(error) *component.StanzaError
	// Allowed tells who may use the gateway, IsAdmin who administers it. Both get
	// bare JIDs, must not wait, and are asked at every use.
	Allowed, IsAdmin func(component.JID) bool

	Limits Limits
	// CheckTime is what asking a network may take; default 20 s, below the time-outs
	// of clients. LogoutTime is what telling it of an account's end may; default 5 s.
	CheckTime, LogoutTime time.Duration
	LoginTime             time.Duration // what a login may take in all, the user's waiting included; default 30 min
	Log                   *slog.Logger
}

// Service is the registration of one gateway. It is safe for concurrent use.
type Service struct {
	cfg      Config
	driver   bridges.Driver
	info     bridges.Info
	limit    *limiter
	logins   *logins
	commands *component.Commands
	log      *slog.Logger
}

// New makes the registration of a gateway and adds its commands to commands. It
// is called before component.HandleCommands.
func New(cfg Config, commands *component.Commands) *Service {
	if cfg.CheckTime == 0 {
		cfg.CheckTime = 20 * time.Second
	}
	if cfg.LogoutTime == 0 {
		cfg.LogoutTime = 5 * time.Second
	}
	if cfg.LoginTime == 0 {
		cfg.LoginTime = 30 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		cfg: cfg, driver: cfg.Driver, info: cfg.Driver.Info(), limit: newLimiter(cfg.Limits),
		logins: newLogins(), commands: commands, log: cfg.Log,
	}
	s.addCommands(commands)
	s.addLogins(commands)
	s.addListing(commands)
	if cfg.Admin != nil {
		s.addAdmin(commands)
	}
	return s
}

// Handle installs in-band registration and the subscriptions of the gateway and
// its networks.
func (s *Service) Handle(services component.Services) {
	for _, kind := range []component.AddressKind{component.AddressHost, component.AddressNetwork} {
		s.handleIQ(services, kind)
		s.handlePresence(services, kind)
		component.HandleBits(services, s.picture, kind)
	}
}

// SetLimits replaces how often networks are asked about accounts.
func (s *Service) SetLimits(l Limits) { s.limit.set(l) }

// target is the network an address stands for; empty for the domain of a gateway
// with several.
func (s *Service) target(to component.JID) (bridges.NetworkID, error) {
	if to.Local == "" {
		return s.info.FixedNetwork, nil
	}
	return s.network(component.UnescapeLocal(to.Local))
}

// network reads the name of a network.
func (s *Service) network(name string) (bridges.NetworkID, error) {
	a, err := s.driver.Parse(name)
	if err != nil {
		return "", err
	}
	if a.Kind != bridges.AddressNetwork {
		return "", bridges.NewError(bridges.NotFound, "This is not the name of a network.")
	}
	return a.Network, nil
}

// address is where a network is found: its own JID, or the gateway's where there
// is only one.
func (s *Service) address(network bridges.NetworkID) component.JID {
	local := ""
	if network != "" && network != s.info.FixedNetwork {
		local = component.EscapeLocal(s.driver.Format(bridges.Address{Kind: bridges.AddressNetwork, Network: network}))
	}
	return component.JID{Local: local, Domain: s.cfg.Domain.Domain}
}

// networkName is a network's name for people.
func (s *Service) networkName(network bridges.NetworkID) string {
	for _, n := range s.driver.Networks() {
		if n.ID == network && n.Name != "" {
			return n.Name
		}
	}
	return string(network)
}

// words is an error as a sentence for the user.
func (s *Service) words(err error) string {
	if text := s.cfg.StanzaError(err).Text; text != "" {
		return text
	}
	return "This was refused."
}

// send sends a stanza from a worker. Without a stream it is lost; what depends
// on it is done again when the user comes back.
func (s *Service) send(ctx context.Context, o *component.Out) {
	if o == nil {
		return
	}
	if err := s.cfg.Send(ctx, o); err != nil {
		s.log.Debug("stanza of the registration not sent", "err", err)
	}
}
