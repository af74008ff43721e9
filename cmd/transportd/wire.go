package main

import (
	"strings"

	"gosrc.io/xmpp/stanza"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
	"transportd/config"
	"transportd/registration"
	"transportd/session"
	"transportd/store"
)

// Kinds of address by who answers for them: this package's services for the
// gateway and its networks, the sessions for everything a user sees.
var (
	serviceKinds = []component.AddressKind{component.AddressHost, component.AddressNetwork}
	sessionKinds = []component.AddressKind{component.AddressHost, component.AddressNetwork,
		component.AddressRoom, component.AddressOccupant, component.AddressPerson}
)

// wire installs everything that answers stanzas.
func (g *gateway) wire(db *store.DB, recorded *archive.Archive) {
	reply, domain, info := g.stream.TrySend, g.stream.Domain(), g.driver.Info()
	g.router = component.NewRouter(domain, g.sessions.Classify, reply)
	g.workers = component.NewWorkers(workerCount, workerQueue, g.log)
	services := component.Services{Router: g.router, Disco: component.NewDisco(), Reply: reply}
	services.Disco.AddIdentity(component.AddressHost, component.Identity{Category: "gateway", Type: info.Type, Name: g.title()})
	services.Disco.AddIdentity(component.AddressHost, component.Identity{Category: "conference", Type: info.RoomType, Name: g.title()})
	services.Disco.AddIdentity(component.AddressNetwork, component.Identity{Category: "gateway", Type: info.Type, Name: info.Name})
	services.Disco.SetItems(component.AddressHost, g.networkItems)

	g.commands = component.NewCommands(component.CommandsConfig{
		Reply: reply, Send: g.stream.Send, Workers: g.workers, Log: g.log,
		Greeting: "This is the " + g.title() + ".",
	})
	g.accounts = registration.New(g.registrationConfig(db, recorded), g.commands)
	g.sessions.AddCommands(g.commands)
	g.accounts.Handle(services)
	g.handleSearch(services)

	component.HandleCommands(services, g.commands, append(serviceKinds, component.AddressRoom)...)
	component.HandleChat(services, g.commands, component.AddressHost)
	g.handleConsoles(services.Router)
	component.HandlePing(services, component.AddressHost)
	component.HandleTime(services, serviceKinds...)
	component.HandleVersion(services, component.SoftwareVersion{Name: "transportd", Version: version}, serviceKinds...)
	component.HandleLast(services, g.started, serviceKinds...)
	component.HandleVCard(services, component.VCard{FullName: g.title(), Nickname: info.Name}, serviceKinds...)
	component.HandleGateway(services, func(string) component.Prompt {
		return component.Prompt{Text: info.Prompt, Desc: info.PromptDesc}
	}, g.resolvePrompt, component.AddressHost)
	component.HandleDisco(services, append(serviceKinds, component.AddressRoom)...)
	services.Disco.HandleRest(component.AddressRoom, g.sessions.Deliver) // what a room is, beside its commands
	services.Disco.AddFeature(component.AddressHost, xep.NSMUC)
	services.Disco.AddFeature(component.AddressNetwork, xep.NSPing)          // whether the link is up, so the sessions answer
	services.Disco.HandleItems(component.AddressNetwork, g.sessions.Deliver) // the network's rooms
	services.Disco.HandleNodes(component.AddressNetwork, session.GroupNode, g.sessions.Deliver)
	if info.FixedNetwork != "" { // the gateway's address is the network's
		services.Disco.HandleItems(component.AddressHost, func(req *component.Stanza) {
			if !g.allowed(req.From.Bare()) || !g.sessions.DeliverKnown(req) {
				reply(component.ItemsReply(req, nil))
			}
		})
		services.Disco.HandleNodes(component.AddressHost, session.GroupNode, g.sessions.Deliver)
	}
	g.sessions.SetCaps(services.Disco.Info(component.AddressHost).Caps())

	// Whatever the entries above do not name exactly is the sessions'.
	for _, kind := range sessionKinds {
		g.router.Handle(kind, component.KindPresence, "", "", "", g.sessions.Deliver)
		if kind == component.AddressHost {
			continue
		}
		g.router.Handle(kind, component.KindMessage, "", "", "", g.sessions.Deliver)
		g.router.Handle(kind, component.KindIQ, "", "", "", g.sessions.Deliver)
	}
}

// handleConsoles divides what is written to networks between their consoles and the
// commands: a driver's commands, and what a command under way asks for, are not lines
// of the network's. At the gateway's address, where that is its one network's too,
// what begins with a slash is for the console and the rest for the gateway.
func (g *gateway) handleConsoles(r *component.Router) {
	fixed := g.driver.Info().FixedNetwork != ""
	for _, kind := range serviceKinds {
		if kind == component.AddressHost && !fixed {
			continue
		}
		for _, typ := range []string{"normal", "chat"} {
			r.Handle(kind, component.KindMessage, typ, "", "", func(m *component.Stanza) {
				body, _ := m.Body()
				raw := kind == component.AddressNetwork || strings.HasPrefix(strings.TrimSpace(body), "/")
				if raw && !g.sessions.DriverVerb(body) && !g.commands.Talking(m) {
					g.sessions.Deliver(m)
					return
				}
				g.commands.HandleMessage(kind, m)
			})
		}
	}
}

func (g *gateway) registrationConfig(db *store.DB, recorded *archive.Archive) registration.Config {
	return registration.Config{
		Domain: g.stream.Domain(), Name: g.title(), Driver: g.driver,
		Accounts: &accountStore{archive: recorded, db: db, gateway: g.stream.Domain().Domain, log: g.log},
		Sessions: g.sessions, Admin: &administration{g.sessions},
		Workers: g.workers, Send: g.stream.Send, Reply: g.stream.TrySend,
		State:       g.sessions.Stored,
		StanzaError: session.StanzaError,
		Allowed:     g.allowed, IsAdmin: g.admin,
		Limits: registrationLimits(g.cfg.Load().Rates),
		Log:    g.log,
	}
}

// registrationLimits are the rates of registrations; "off" is no limit there, not
// the default.
func registrationLimits(r config.Rates) registration.Limits {
	user, domain := spread(r.RegistrationsUser), spread(r.RegistrationsDomain)
	l := registration.Limits{UserEvery: user.Every, UserBurst: user.Burst, DomainEvery: domain.Every, DomainBurst: domain.Burst}
	if l.UserEvery <= 0 {
		l.UserEvery = -1
	}
	if l.DomainEvery <= 0 {
		l.DomainEvery = -1
	}
	return l
}

// networkItems lists the networks the operator has listed.
func (g *gateway) networkItems(req *component.Stanza) ([]component.Item, *component.StanzaError) {
	if !g.allowed(req.From.Bare()) {
		return nil, nil
	}
	var items []component.Item
	for _, n := range g.driver.Networks() {
		local := g.driver.Format(bridges.Address{Kind: bridges.AddressNetwork, Network: n.ID})
		if local == "" {
			continue // the one network of the gateway is the gateway
		}
		jid := component.JID{Local: component.EscapeLocal(local), Domain: g.stream.Domain().Domain}
		items = append(items, component.Item{JID: jid, Name: n.Name})
	}
	return items, nil
}

// resolvePrompt turns what people type into a JID (jabber:iq:gateway).
func (g *gateway) resolvePrompt(req *component.Stanza, text string) (component.JID, *component.StanzaError) {
	if !g.allowed(req.From.Bare()) {
		return component.JID{}, component.NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "You are not allowed to use this gateway.")
	}
	addr, err := g.driver.ParsePrompt(text)
	if err != nil {
		return component.JID{}, session.StanzaError(err)
	}
	local := g.driver.Format(addr)
	if local == "" {
		return g.stream.Domain(), nil
	}
	return component.JID{Local: component.EscapeLocal(local), Domain: g.stream.Domain().Domain}, nil
}
