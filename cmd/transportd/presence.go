package main

import (
	"context"
	"time"

	"transportd/component"
	"transportd/store"
)

// presencePause spaces the presence the gateway sends to its subscribers after
// the stream has come up.
const presencePause = 20 * time.Millisecond

// presence does what a new stream asks for: it brings back what the last process
// left behind, tells the sessions, and sends the gateway's presence to those who
// are subscribed to it (XEP-0100 section 4.4).
type presence struct {
	g  *gateway
	db *store.DB
	up chan struct{}
}

func newPresence(g *gateway, db *store.DB) *presence {
	return &presence{g: g, db: db, up: make(chan struct{}, 1)}
}

// streamUp tells that a stream was made. It does not block.
func (p *presence) streamUp() {
	select {
	case p.up <- struct{}{}:
	default: // one round is to come already, and it is for the present stream
	}
}

// run works until ctx is done.
func (p *presence) run(ctx context.Context) error {
	first := true
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.up:
		}
		if first {
			if err := p.g.sessions.Restore(ctx); err != nil {
				p.g.log.Error("who was connected before the restart cannot be read", "err", err)
			}
			first = false
		} else {
			p.g.sessions.StreamUp()
		}
		p.announce(ctx)
	}
}

// announce sends the gateway's presence to its subscribers, slowly. It gives up
// when the stream goes down: the next one begins anew.
func (p *presence) announce(ctx context.Context) {
	domain := p.g.stream.Domain()
	tick := time.NewTicker(presencePause)
	defer tick.Stop()
	for sub, err := range p.db.Subscriptions(ctx, domain.Domain) {
		if err != nil {
			p.g.log.Error("subscribers cannot be read", "err", err)
			return
		}
		if !sub.Sends || sub.Address != domain.String() {
			continue
		}
		user, err := component.ParseJID(sub.User)
		if err != nil || !p.g.allowed(user) {
			continue
		}
		p.g.sessions.Probed(user, domain)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !p.g.stream.Up() {
			return
		}
	}
}
