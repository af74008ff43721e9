package registration

import (
	"context"
	"slices"

	"gosrc.io/xmpp/stanza"

	"transportd/component"
	"transportd/component/xep"
)

// handlePresence serves the subscriptions between users and the gateway or a
// network (XEP-0100 sections 4.1 to 4.3). Everybody who may use the gateway may
// subscribe, registered or not: joining needs no registration, and a client shows
// the contacts of a gateway only with the gateway among them. Others are refused.
//
// That a user unsubscribes does not destroy an account, as a tidied contact list
// is no wish to lose one's credentials: it logs out, and says so.
func (s *Service) handlePresence(services component.Services, kind component.AddressKind) {
	for typ, handle := range map[string]func(context.Context, *component.Stanza) error{
		"subscribe":    s.subscribe,
		"subscribed":   s.subscribed,
		"unsubscribe":  s.unsubscribe,
		"unsubscribed": s.unsubscribed,
	} {
		services.Router.Handle(kind, component.KindPresence, typ, "", "", func(p *component.Stanza) {
			if typ == "subscribe" && !s.cfg.Allowed(p.From.Bare()) {
				s.cfg.Reply(component.NewPresence(p.To.Bare(), p.From.Bare(), "unsubscribed", ""))
				return
			}
			s.queuePresence(p, handle)
		})
	}
	services.Router.Handle(kind, component.KindPresence, "probe", "", "", func(p *component.Stanza) {
		if s.cfg.Allowed(p.From.Bare()) {
			s.cfg.Sessions.Probed(p.From, p.To.Bare())
		}
	})
}

// queuePresence has a worker handle a presence; those of one user in order.
func (s *Service) queuePresence(p *component.Stanza, handle func(context.Context, *component.Stanza) error) {
	taken := s.cfg.Workers.Go(p.From, "presence", func(ctx context.Context) {
		if err := handle(ctx, p); err != nil {
			s.log.Error("subscription not handled", "user", p.From.Bare().String(), "type", p.Type, "err", err)
			s.send(ctx, component.ErrorReply(p, s.cfg.StanzaError(err)))
		}
	})
	if !taken {
		s.cfg.Reply(component.ErrorReply(p, tooBusy()))
	}
}

func tooBusy() *component.StanzaError {
	return component.NewStanzaError(stanza.ErrorTypeWait, "resource-constraint", "The gateway is busy. Please try again in a while.")
}

// subscription is what is stored between a user and an address.
func (s *Service) subscription(ctx context.Context, user, address component.JID) (Subscription, error) {
	all, err := s.cfg.Accounts.Subscriptions(ctx, user.Bare())
	if err != nil {
		return Subscription{}, err
	}
	address = address.Bare()
	if i := slices.IndexFunc(all, func(sub Subscription) bool { return sub.Address == address }); i >= 0 {
		return all[i], nil
	}
	return Subscription{Address: address}, nil
}

// subscribe accepts the user's wish to see the address's presence, and asks for
// theirs in turn.
func (s *Service) subscribe(ctx context.Context, p *component.Stanza) error {
	user, address := p.From.Bare(), p.To.Bare()
	sub, err := s.subscription(ctx, user, address)
	if err != nil {
		return err
	}
	if !sub.Sends {
		sub.Sends = true
		if err := s.cfg.Accounts.PutSubscription(ctx, user, sub); err != nil {
			return err
		}
	}
	s.send(ctx, component.NewPresence(address, user, "subscribed", ""))
	if !sub.Receives {
		s.ask(ctx, user, address)
	}
	s.cfg.Sessions.Subscribed(user, address, true)
	return nil
}

// ask asks for the user's presence.
func (s *Service) ask(ctx context.Context, user, address component.JID) {
	o := component.NewPresence(address, user, "subscribe", "")
	name := s.cfg.Name
	if address.Local != "" {
		if network, err := s.target(address); err == nil {
			name = s.networkName(network)
		}
	}
	if name != "" {
		xep.AppendNick(o, name)
	}
	s.send(ctx, o)
}

// subscribed takes note that the user shows the address their presence.
func (s *Service) subscribed(ctx context.Context, p *component.Stanza) error {
	user := p.From.Bare()
	if !s.cfg.Allowed(user) {
		return nil
	}
	sub, err := s.subscription(ctx, user, p.To)
	if err != nil || sub.Receives {
		return err
	}
	sub.Receives = true
	return s.cfg.Accounts.PutSubscription(ctx, user, sub)
}

// unsubscribe ends what the user sees of the address, and logs out.
func (s *Service) unsubscribe(ctx context.Context, p *component.Stanza) error {
	user, address := p.From.Bare(), p.To.Bare()
	sub, err := s.subscription(ctx, user, address)
	if err != nil {
		return err
	}
	had := sub.Sends
	if had {
		sub.Sends = false
		if err := s.cfg.Accounts.PutSubscription(ctx, user, sub); err != nil {
			return err
		}
	}
	s.cfg.Sessions.Subscribed(user, address, false)
	s.send(ctx, component.NewPresence(address, user, "unsubscribed", ""))
	s.send(ctx, component.NewPresence(address, user, "unavailable", ""))
	if !had {
		return nil
	}
	return s.logoutByContact(ctx, user, address)
}

// logoutByContact logs out whom removed the gateway, or a network, from their
// contacts.
func (s *Service) logoutByContact(ctx context.Context, user, address component.JID) error {
	network, err := s.target(address)
	if err != nil {
		return nil // an address that stands for nothing any more
	}
	accounts, err := s.cfg.Accounts.Accounts(ctx, user)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(accounts, func(a Account) bool { return network == "" || a.Network == network }) {
		return nil
	}
	if err := s.logout(ctx, user, network, len(accounts)); err != nil {
		return err
	}
	s.send(ctx, component.NewMessage(s.address(""), user, "chat", "").Elem("", "body",
		"You removed "+address.String()+" from your contacts, so you were logged out. "+
			"Your registration is kept: send “login” to me to log in again, or “unregister” to remove it."))
	return nil
}

// unsubscribed takes note that the user's presence is not shown any more.
func (s *Service) unsubscribed(ctx context.Context, p *component.Stanza) error {
	user := p.From.Bare()
	sub, err := s.subscription(ctx, user, p.To)
	if err != nil || !sub.Receives {
		return err
	}
	sub.Receives = false
	return s.cfg.Accounts.PutSubscription(ctx, user, sub)
}

// welcome asks a user who has just registered for their presence. It is the
// gateway that asks, whichever address the user registered at: its presence sums
// up all links, and one contact is enough. Networks are contacts of those who
// want them. A subscription that is there is not asked for again.
func (s *Service) welcome(ctx context.Context, user component.JID) {
	gateway := s.address("")
	sub, err := s.subscription(ctx, user, gateway)
	if err != nil {
		s.log.Error("subscription not read", "user", user.Bare().String(), "err", err)
		return
	}
	if !sub.Receives {
		s.ask(ctx, user.Bare(), gateway)
	}
}

// depart ends all that a user sees of addresses (XEP-0100 section 4.3).
func (s *Service) depart(ctx context.Context, user component.JID, addresses []component.JID) {
	for _, address := range addresses {
		for _, typ := range []string{"unsubscribe", "unsubscribed", "unavailable"} {
			s.send(ctx, component.NewPresence(address, user.Bare(), typ, ""))
		}
	}
}
