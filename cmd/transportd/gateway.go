package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/config"
	"transportd/internal/ops"
	"transportd/registration"
	"transportd/session"
)

// Workers of one gateway, and what may wait for them: registrations and
// commands, which ask networks and the store.
const (
	workerCount = 8
	workerQueue = 512
)

// gateway is one component domain with everything behind it.
type gateway struct {
	name   string
	log    *slog.Logger
	cfg    atomic.Pointer[config.Gateway] // the settings in use, replaced by a reload
	keeps  atomic.Pointer[config.Archive] // the same, of the whole program
	policy atomic.Pointer[session.Policy] // made of both
	driver bridges.Driver

	stream   *component.Stream
	router   *component.Router
	commands *component.Commands
	workers  *component.Workers
	sessions *session.Manager
	accounts *registration.Service
	presence *presence
	files    *gatewayFiles

	started time.Time
	state   atomic.Pointer[component.StreamState]
}

// newGateway builds a gateway. It opens no connection yet.
func newGateway(ctx context.Context, cfg config.Gateway, d *daemon) (*gateway, error) {
	g := &gateway{name: cfg.Name, log: d.log.With("gateway", cfg.Name), started: time.Now()}
	g.cfg.Store(&cfg)
	archive := d.cfg.Archive // a reload replaces the daemon's
	g.keeps.Store(&archive)
	g.setPolicy()
	g.state.Store(&component.StreamState{Text: "not connected yet"})
	var err error
	if g.driver, err = drivers[cfg.Driver].open(cfg.Section); err != nil {
		return nil, err
	}
	key, err := d.store.GatewayKey(ctx, cfg.Domain, "occupant-id")
	if err != nil {
		return nil, err
	}
	if err := g.newStream(&cfg); err != nil {
		return nil, err
	}
	if g.files, err = d.files.serve(ctx, g, d.store); err != nil {
		return nil, err
	}
	g.sessions = session.NewManager(session.Config{
		Domain: g.stream.Domain(), Name: g.title(), Driver: g.driver, Stream: g.stream,
		Store:       &sessionStore{archive: d.archive, db: d.store, driver: g.driver, gateway: cfg.Domain, log: g.log},
		Archive:     d.archive,
		Files:       g.files,
		Pictures:    d.files.pictures,
		OccupantKey: key, Policy: g.policy.Load, Log: g.log,
	})
	if err := g.sessions.Begin(ctx); err != nil {
		return nil, err
	}
	g.presence = newPresence(g, d.store)
	g.wire(d.store, d.archive)
	return g, nil
}

// title is the gateway's name for people.
func (g *gateway) title() string { return g.driver.Info().Name + " gateway" }

func (g *gateway) newStream(cfg *config.Gateway) error {
	tlsConfig, err := cfg.TLSConfig()
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	g.stream = component.NewStream(component.StreamConfig{
		Domain: cfg.Domain, Address: cfg.Server, TLS: tlsConfig,
		Secret:  func() (string, error) { return g.cfg.Load().ReadSecret() },
		Handler: func(st *component.Stanza) { g.router.Route(st) },
		OnState: g.onState,
		Log:     g.log,
	})
	return nil
}

// onState is called by the stream and does not block.
func (g *gateway) onState(s component.StreamState) {
	g.state.Store(&s)
	if s.Up {
		g.presence.streamUp()
		return
	}
	g.sessions.StreamDown()
}

// run serves until ctx is done, then leaves all rooms, tells the users and
// closes the stream, within shutdownTime. It returns when nothing of the
// gateway runs any more.
func (g *gateway) run(ctx context.Context) error {
	// What serves outlives ctx until the sessions have said goodbye.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 5)
	var parts sync.WaitGroup
	for _, part := range []func(context.Context) error{g.stream.Run, g.commands.Run, g.workers.Run, g.presence.run, g.files.run} {
		parts.Go(func() { ended <- part(serving) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended: // only for a fault: none ends by itself
		if err == nil {
			err = errors.New("a part of the gateway ended by itself")
		}
	}
	leaving, cancel := context.WithTimeout(serving, shutdownTime-closeTime)
	defer cancel()
	err = errors.Join(err, g.accounts.Stop(leaving), g.sessions.Stop(leaving))
	stop()
	parts.Wait()
	close(ended)
	for e := range ended {
		if !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("gateway %s: %w", g.name, err)
	}
	return nil
}

// reload puts settings into use that can change while running.
func (g *gateway) reload(cfg config.Gateway, archive config.Archive) {
	g.cfg.Store(&cfg)
	g.keeps.Store(&archive)
	g.setPolicy()
	g.accounts.SetLimits(registrationLimits(cfg.Rates))
	g.sessions.PolicyChanged()
}

// setPolicy puts into use what the settings say of who may do how much.
func (g *gateway) setPolicy() {
	c, a := g.cfg.Load(), g.keeps.Load()
	g.policy.Store(&session.Policy{
		Allowed: g.allowed, OpenJoin: !c.RegistrationRequired, MaxRooms: c.Limits.Rooms,
		Record: a.Record, Persistent: a.Persistent,
		Joins: spread(c.Rates.JoinsUser), DomainJoins: spread(c.Rates.JoinsDomain),
		Connections: spread(c.Rates.ConnectionsUser), DomainConnections: spread(c.Rates.ConnectionsDomain),
	})
}

// spread turns a rate into a pause between events and how many may come at once.
func spread(r config.Rate) session.Rate {
	if r.Unlimited() {
		return session.Rate{}
	}
	return session.Rate{Every: r.Per / time.Duration(r.Count), Burst: r.Count}
}

func (g *gateway) allowed(jid component.JID) bool {
	return config.Matches(g.cfg.Load().Users, jid.String())
}

func (g *gateway) admin(jid component.JID) bool {
	return config.Matches(g.cfg.Load().Admins, jid.String())
}

// check is the gateway's part of readiness.
func (g *gateway) check() ops.Check {
	s := g.state.Load()
	return ops.Check{Name: "stream " + g.name, OK: s.Up, Text: s.Text}
}

// stats are the gateway's figures for a scrape.
func (g *gateway) stats() ops.GatewayStats {
	st, se := g.stream.Stats(), g.sessions.Stats()
	return ops.GatewayStats{
		StreamUp: g.stream.Up(),
		Connects: st.Connects, Failures: st.Failures,
		StanzasIn: st.StanzasIn, StanzasOut: st.StanzasOut, BytesIn: st.BytesIn, BytesOut: st.BytesOut,
		Writes: st.Writes, Skipped: st.Skipped, Dropped: st.Dropped, GuardRefusals: st.Refused,
		StrayAnswers: st.Strays, IQTimeouts: st.Timeouts, QueueBytes: uint64(max(0, st.QueuedBytes)),
		Sessions:      count(se.Sessions),
		Links:         map[string]uint64{"online": count(se.Online), "offline": count(se.Links - se.Online)},
		Rooms:         count(se.Rooms),
		InboxRefusals: count(se.Busy), Restarts: count(se.Panics), LinesCut: count(se.Cut), LinesUnrecorded: count(se.Unrecorded),
		ToNetwork: count(se.ToNetwork), ToUsers: count(se.ToUsers),
		Errors: counts(se.Errors), LinkErrors: counts(se.LinkErrors),
	}
}

// count keeps a number that two atomics made negative for a moment out of the
// metrics.
func count(n int64) uint64 { return uint64(max(0, n)) }

func counts(m map[string]int64) map[string]uint64 {
	out := make(map[string]uint64, len(m))
	for k, n := range m {
		out[k] = count(n)
	}
	return out
}
