package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"

	"gosrc.io/xmpp/stanza"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/internal/secret"
	"transportd/registration"
	"transportd/session"
	"transportd/store"
)

// sessionStore is what the sessions of one gateway need stored.
type sessionStore struct {
	archive *archive.Archive // nil: nothing is recorded
	db      *store.DB
	driver  bridges.Driver
	gateway string
	log     *slog.Logger
	failing atomic.Bool // a write was refused, which has been logged
}

var _ session.Store = (*sessionStore)(nil)

// Record implements session.Store.
func (s *sessionStore) Record(ctx context.Context, user string) (session.Record, error) {
	var rec session.Record
	u, err := s.db.User(ctx, s.gateway, user)
	if errors.Is(err, store.ErrNotFound) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	rec.LoggedOut = !u.Online
	accounts, err := s.db.UserAccounts(ctx, s.gateway, user)
	if errors.Is(err, store.ErrSealBroken) {
		s.log.Error("a stored secret does not open, the account goes on without it", "user", user, "err", err)
		err = nil
	}
	if err != nil {
		return rec, err
	}
	for i := range accounts {
		rec.Accounts = append(rec.Accounts, session.StoredAccount{Network: accounts[i].Network, Settings: accounts[i].All()})
	}
	preferences, err := s.db.Preferences(ctx, s.gateway, user)
	if err != nil {
		return rec, err
	}
	for name := range preferences {
		if network, ok := strings.CutPrefix(name, restingPrefix); ok {
			rec.Resting = append(rec.Resting, network)
		}
	}
	subs, err := s.db.UserSubscriptions(ctx, s.gateway, user)
	if err != nil {
		return rec, err
	}
	for _, sub := range subs {
		switch {
		case s.ofPerson(sub.Address):
			// What is stored of a person began with one asking the other.
			rec.People = append(rec.People, session.Subscription{Address: sub.Address, Sends: sub.Sends, Receives: sub.Receives, Asked: true})
		case sub.Sends:
			rec.Subscribed = append(rec.Subscribed, sub.Address)
		}
	}
	err = s.roomRecord(ctx, user, &rec)
	return rec, err
}

// ofPerson tells whether an address is one of a person.
func (s *sessionStore) ofPerson(address string) bool {
	jid, err := component.ParseJID(address)
	if err != nil || jid.Local == "" {
		return false
	}
	a, err := s.driver.Parse(component.UnescapeLocal(jid.Local))
	return err == nil && a.Kind == bridges.AddressPerson
}

// SaveSubscriptions implements session.Store.
func (s *sessionStore) SaveSubscriptions(ctx context.Context, user string, subs []session.Subscription) error {
	rows := make([]store.Subscription, len(subs))
	for i, sub := range subs {
		rows[i] = store.Subscription{
			Gateway: s.gateway, User: user, Address: sub.Address, Sends: sub.Sends, Receives: sub.Receives, Asked: sub.Asked,
		}
	}
	return s.db.PutSubscription(ctx, rows...)
}

// LoggedIn implements session.Store.
func (s *sessionStore) LoggedIn(ctx context.Context) ([]string, error) {
	return s.db.LoggedIn(ctx, s.gateway)
}

// Seats implements session.Store.
func (s *sessionStore) Seats(ctx context.Context) ([]session.Seat, error) {
	var out []session.Seat
	for o, err := range s.db.Occupancies(ctx, s.gateway) {
		switch {
		case errors.Is(err, store.ErrSealBroken):
			s.log.Error("a stored room password does not open", "user", o.User, "room", o.Room, "err", err)
		case err != nil:
			return nil, err
		}
		out = append(out, session.Seat{Client: o.User, Room: o.Room, Nick: o.Nick, Password: o.Password.Reveal()})
	}
	return out, nil
}

// noWait is a context for queueing: it is done already, so that a full queue
// refuses at once instead of holding up a session.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// SaveSeat implements session.Store.
func (s *sessionStore) SaveSeat(seat session.Seat) {
	s.note(s.db.SaveOccupancy(noWait, store.Occupancy{
		Gateway: s.gateway, User: seat.Client, Room: seat.Room, Nick: seat.Nick, Password: secret.Text(seat.Password),
	}))
}

// RemoveSeat implements session.Store.
func (s *sessionStore) RemoveSeat(client, room string) {
	s.note(s.db.RemoveOccupancy(noWait, s.gateway, client, room))
}

// note logs when writes begin to be refused. What is lost is who was in which
// room, and only if the process dies too.
func (s *sessionStore) note(err error) {
	if err == nil {
		s.failing.Store(false)
		return
	}
	if !s.failing.Swap(true) {
		s.log.Error("who is in which room is not stored now", "err", err)
	}
}

// accountStore is what registration needs stored, for one gateway.
type accountStore struct {
	archive *archive.Archive // nil: nothing is recorded
	db      *store.DB
	gateway string
	log     *slog.Logger
}

// told gives an error of the database that is nobody's fault who asks words for
// that user; the cause goes to the log here.
func (s *accountStore) told(user component.JID, err error) error {
	if !store.Unable(err) {
		return err
	}
	s.log.Error("what a user asked for cannot be stored or read now", "user", user.Bare().String(), "err", err)
	return component.NewStanzaError(stanza.ErrorTypeWait, "resource-constraint",
		"The database of the gateway cannot be used at the moment, and nothing was changed. Please try again later; the operator can find the reason in the log.")
}

var _ registration.Accounts = (*accountStore)(nil)

// Accounts implements registration.Accounts. A secret that does not open is
// left out: the user can enter it again.
func (s *accountStore) Accounts(ctx context.Context, user component.JID) ([]registration.Account, error) {
	stored, err := s.db.UserAccounts(ctx, s.gateway, user.String())
	if err != nil && !errors.Is(err, store.ErrSealBroken) {
		return nil, s.told(user, err)
	}
	out := make([]registration.Account, len(stored))
	for i, a := range stored {
		secrets := make(map[string]string, len(a.Secrets))
		for name, s := range a.Secrets {
			secrets[name] = s.Reveal()
		}
		out[i] = registration.Account{Network: bridges.NetworkID(a.Network), Settings: a.Settings, Secrets: secrets}
	}
	return out, nil
}

// Put implements registration.Accounts.
func (s *accountStore) Put(ctx context.Context, user component.JID, a registration.Account) error {
	secrets := make(map[string]secret.Text, len(a.Secrets))
	for name, text := range a.Secrets {
		secrets[name] = secret.Text(text)
	}
	return s.told(user, s.db.PutAccount(ctx, store.Account{
		Gateway: s.gateway, User: user.String(), Network: string(a.Network), Settings: a.Settings, Secrets: secrets,
	}))
}

// Delete implements registration.Accounts.
func (s *accountStore) Delete(ctx context.Context, user component.JID, network bridges.NetworkID) error {
	// What a driver kept of it must not come back for an account that is made later.
	if err := drain(ctx, s.archive, user.String()); err != nil {
		return s.told(user, err)
	}
	return s.told(user, known(s.db.DeleteAccount(ctx, s.gateway, user.String(), string(network))))
}

// DeleteUser implements registration.Accounts.
func (s *accountStore) DeleteUser(ctx context.Context, user component.JID) error {
	if err := drain(ctx, s.archive, user.String()); err != nil {
		return s.told(user, err)
	}
	return s.told(user, known(s.db.DeleteUser(ctx, s.gateway, user.String())))
}

// known forgives that there was nothing to delete.
func known(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Subscriptions implements registration.Accounts.
func (s *accountStore) Subscriptions(ctx context.Context, user component.JID) ([]registration.Subscription, error) {
	stored, err := s.db.UserSubscriptions(ctx, s.gateway, user.String())
	if err != nil {
		return nil, s.told(user, err)
	}
	var out []registration.Subscription
	for _, sub := range stored {
		address, err := component.ParseJID(sub.Address)
		if err != nil {
			continue // written by an operator's hand; nobody can be subscribed to it
		}
		out = append(out, registration.Subscription{Address: address, Sends: sub.Sends, Receives: sub.Receives})
	}
	return out, nil
}

// PutSubscription implements registration.Accounts.
func (s *accountStore) PutSubscription(ctx context.Context, user component.JID, sub registration.Subscription) error {
	return s.told(user, s.db.PutSubscription(ctx, store.Subscription{
		Gateway: s.gateway, User: user.String(), Address: sub.Address.String(), Sends: sub.Sends, Receives: sub.Receives,
	}))
}

// SetLoggedIn implements registration.Accounts.
func (s *accountStore) SetLoggedIn(ctx context.Context, user component.JID, in bool) error {
	return s.told(user, s.db.SetOnline(ctx, s.gateway, user.String(), in))
}

// restingPrefix begins the name of the preference that a user has logged out of
// one network; the network follows.
const restingPrefix = "logged out of "

// SetResting implements registration.Accounts.
func (s *accountStore) SetResting(ctx context.Context, user component.JID, network bridges.NetworkID, resting bool) error {
	if resting {
		return s.db.SetPreference(ctx, s.gateway, user.String(), restingPrefix+string(network), "true")
	}
	stored, err := s.db.Preferences(ctx, s.gateway, user.String())
	if err != nil {
		return err
	}
	for name := range stored { // nothing is written where nothing is stored
		if id, ok := strings.CutPrefix(name, restingPrefix); ok && (network == "" || id == string(network)) {
			if err := s.db.SetPreference(ctx, s.gateway, user.String(), name, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// administration is what administrators may do with sessions.
type administration struct{ sessions *session.Manager }

var _ registration.Admin = (*administration)(nil)

// Users implements registration.Admin.
func (a *administration) Users(ctx context.Context) ([]registration.UserState, error) {
	states, err := a.sessions.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]registration.UserState, len(states))
	for i, s := range states {
		out[i] = registration.UserState{User: s.User, Clients: s.Clients}
		for _, l := range s.Links {
			out[i].Rooms += len(l.Rooms)
			out[i].Links = append(out[i].Links, registration.LinkState{Network: string(l.Network), Online: l.Online, Text: l.Text})
		}
	}
	return out, nil
}

// Disconnect implements registration.Admin.
func (a *administration) Disconnect(ctx context.Context, user component.JID, reason string) error {
	return a.sessions.Logout(ctx, user, "", reason)
}

// Announce implements registration.Admin.
func (a *administration) Announce(_ context.Context, text string) (int, error) {
	return a.sessions.Announce(text), nil
}
