package registration

import (
	"context"
	"errors"
	"slices"
	"sync"

	"transportd/bridges"
	"transportd/component"
)

// account returns a user's account with a network, or nil.
func (s *Service) account(ctx context.Context, user component.JID, network bridges.NetworkID) (*Account, error) {
	all, err := s.cfg.Accounts.Accounts(ctx, user.Bare())
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(a Account) bool { return a.Network == network }); i >= 0 {
		return &all[i], nil
	}
	return nil, nil
}

// unreachable reports whether a check failed because the network could not be
// asked, so that nothing is known against the account.
func unreachable(err error) bool {
	var e *bridges.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Kind == bridges.Offline || e.Kind == bridges.Timeout || e.Kind == bridges.TemporaryRefuse
}

// save stores an account and lets the session know. Who is new is logged in, and
// who asked to be.
func (s *Service) save(ctx context.Context, user component.JID, a *Account, again bool) error {
	user = user.Bare()
	stored, err := s.account(ctx, user, a.Network)
	if err != nil {
		return err
	}
	if err := s.cfg.Accounts.Put(ctx, user, *a); err != nil {
		return err
	}
	first := stored == nil
	s.log.Info("account saved", "user", user.String(), "network", string(a.Network), "new", first)
	if first || again {
		if err := s.storeLogin(ctx, user, a.Network); err != nil {
			return err
		}
	}
	if first {
		s.tell(ctx, user, a.Network, s.cfg.Sessions.Login)
	} else {
		s.tell(ctx, user, a.Network, s.cfg.Sessions.Reload)
	}
	return nil
}

// tell lets the session know what was stored. It is stored all the same when that
// fails, and the next session begins with it.
func (s *Service) tell(ctx context.Context, user component.JID, network bridges.NetworkID, how func(context.Context, component.JID, bridges.NetworkID) error) {
	if err := how(ctx, user, network); err != nil {
		s.log.Warn("session does not know of an account yet", "user", user.String(), "network", string(network), "err", err)
	}
}

// goodbye is what networks and rooms are told of an account that is removed.
const goodbye = "The account was removed."

// remove deletes one account, or with an empty network everything that is known
// of a user. It returns the addresses whose subscriptions have ended with it:
// depart takes leave of them once the user has been answered.
func (s *Service) remove(ctx context.Context, user component.JID, network bridges.NetworkID) ([]component.JID, error) {
	user = user.Bare()
	if err := s.giveUp(ctx, user, network, errRemoved); err != nil {
		return nil, err
	}
	all, err := s.cfg.Accounts.Accounts(ctx, user)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(a Account) bool { return a.Network != network }) {
		network = "" // the last one: nothing is left to keep the rest for
	}
	subscriptions, err := s.cfg.Accounts.Subscriptions(ctx, user)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Sessions.Remove(ctx, user, network, goodbye); err != nil {
		return nil, err
	}
	s.leaveAll(ctx, user, slices.DeleteFunc(slices.Clone(all), func(a Account) bool { return network != "" && a.Network != network }))
	if network == "" {
		err = s.cfg.Accounts.DeleteUser(ctx, user)
	} else {
		err = s.cfg.Accounts.Delete(ctx, user, network)
		if err == nil {
			err = s.cfg.Accounts.SetResting(ctx, user, network, false)
		}
	}
	if err != nil {
		for _, a := range all { // they are still there
			if network == "" || a.Network == network {
				s.tell(ctx, user, a.Network, s.cfg.Sessions.Reload)
			}
		}
		return nil, err
	}
	s.log.Info("account removed", "user", user.String(), "network", string(network))
	gone := s.departing(subscriptions, network)
	for _, address := range gone {
		if network != "" { // else they went with the user
			if err := s.cfg.Accounts.PutSubscription(ctx, user, Subscription{Address: address}); err != nil {
				return nil, err
			}
		}
		s.cfg.Sessions.Subscribed(user, address, false)
	}
	return gone, nil
}

// leaveAll tells networks that accounts end, all at the same time.
func (s *Service) leaveAll(ctx context.Context, user component.JID, accounts []Account) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.LogoutTime)
	defer cancel()
	var all sync.WaitGroup
	for i := range accounts {
		all.Go(func() { s.leave(ctx, user, &accounts[i]) })
	}
	all.Wait()
}

// departing are the addresses that go with a network; with an empty one all, the
// gateway among them.
func (s *Service) departing(subscriptions []Subscription, network bridges.NetworkID) []component.JID {
	var gone []component.JID
	if network == "" {
		gone = append(gone, s.address(""))
	}
	for _, sub := range subscriptions {
		if slices.Contains(gone, sub.Address) {
			continue
		}
		if network == "" || s.belongs(sub.Address, network) {
			gone = append(gone, sub.Address)
		}
	}
	return gone
}

// belongs reports whether an address is of a network.
func (s *Service) belongs(address component.JID, network bridges.NetworkID) bool {
	if address.Local == "" {
		return network == s.info.FixedNetwork
	}
	a, err := s.driver.Parse(component.UnescapeLocal(address.Local))
	return err == nil && a.Network == network
}

// login connects to a network, or all.
func (s *Service) login(ctx context.Context, user component.JID, network bridges.NetworkID) error {
	user = user.Bare()
	if err := s.storeLogin(ctx, user, network); err != nil {
		return err
	}
	return s.cfg.Sessions.Login(ctx, user, network)
}

// storeLogin stores the wish to be connected to a network, or all.
func (s *Service) storeLogin(ctx context.Context, user component.JID, network bridges.NetworkID) error {
	if err := s.cfg.Accounts.SetResting(ctx, user, network, false); err != nil {
		return err
	}
	return s.cfg.Accounts.SetLoggedIn(ctx, user, true)
}

// logout disconnects from a network, or all, of count accounts the user has.
// The wish is stored first: it holds until the next login, also over a restart.
func (s *Service) logout(ctx context.Context, user component.JID, network bridges.NetworkID, count int) error {
	user = user.Bare()
	var err error
	if network == "" || count <= 1 {
		err = s.cfg.Accounts.SetLoggedIn(ctx, user, false)
	} else {
		err = s.cfg.Accounts.SetResting(ctx, user, network, true)
	}
	if err != nil {
		return err
	}
	return s.cfg.Sessions.Logout(ctx, user, network, "Logged out.")
}
