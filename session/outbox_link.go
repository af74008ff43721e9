package session

import (
	"context"
	"time"

	"transportd/bridges"
	"transportd/component"
	"transportd/component/xep"
)

// tookPrivate notes what a person's network has taken; a receipt (XEP-0184) follows.
func (s *Session) tookPrivate(st *component.Stanza, c *contact, id bridges.MessageID, at time.Time) {
	s.recordSent(st, c, id, timeOr(at, time.Now()))
	if xep.WantsReceipt(st.Element) && st.ID != "" {
		s.receipt(st)
	}
}

// keepsWaiting tells whether what is said while there is no connection waits in the
// outbox: the link comes back by itself.
func (l *link) keepsWaiting() bool {
	return !l.online() && l.registered && (l.cancel != nil || l.retry != nil) && l.net.Capabilities(bridges.Place{}).Once
}

// readOutbox reads what the last process left. It blocks on the database.
func (l *link) readOutbox(ctx context.Context) *bridges.Error {
	if l.s.m.archive == nil || !l.net.Capabilities(bridges.Place{}).Once {
		return nil
	}
	stored := state{l.s.m, l.s.user.String(), l.id}
	values, err := stored.Load(ctx, outboxState)
	if err != nil && values == nil {
		return &bridges.Error{Kind: bridges.TemporaryRefuse, Text: "The gateway has trouble with its database.", Err: err}
	}
	l.s.post(func() { l.out.restore(values) })
	return nil
}
