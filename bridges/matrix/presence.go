package matrix

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"transportd/bridges"
)

// Bounds of what is asked of who is there: answers of the sync loop tell of changes only.
const (
	maxCurious   = 200 // contacts: those who have said something last
	maxUnknowing = 3   // failures in a row after which nobody else is asked about
	laneCurious  = "who is there"
)

// wonder has it asked whether somebody is there who has become a contact. mu is held.
func (n *network) wonder(user id.UserID) {
	if !n.online || slices.Contains(n.curious, user) {
		return
	}
	n.curious = append(n.curious, user)
	if len(n.curious) == 1 {
		if n.enqueue(&job{lane: laneCurious, run: n.askWhoIsThere, late: true}) != nil {
			n.curious = nil
		}
	}
}

// nextCurious is who is asked about now: of those who wait, the one who has said
// something last. False: nobody.
func (n *network) nextCurious(asked int) (user id.UserID, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online || asked >= maxCurious {
		n.curious = nil
	}
	last := int64(-1)
	for _, u := range n.curious {
		c := n.contacts[u]
		if c == nil || n.present[u] { // gone, or the sync loop was told
			continue
		}
		if c.last > last {
			user, last, ok = u, c.last, true
		}
	}
	if !ok {
		n.curious = nil
	}
	return user, ok
}

// askWhoIsThere is a job that asks about one after the other.
func (n *network) askWhoIsThere(ctx context.Context) {
	failed := 0
	for asked := 0; ctx.Err() == nil; asked++ {
		user, ok := n.nextCurious(asked)
		if !ok {
			return
		}
		var resp *mautrix.RespPresence
		err := n.ask(ctx, func(ctx context.Context, cli *mautrix.Client) (err error) {
			resp, err = cli.GetPresence(ctx, user)
			return err
		})
		n.mu.Lock()
		n.present[user] = true // asked about once
		n.mu.Unlock()
		if err == nil && resp != nil {
			failed = 0
			n.tellPresence(user, resp)
			continue
		}
		e := bridges.AsError(err)
		switch e.Kind {
		case bridges.RateLimited:
			if e.RetryAfter > maxPause || !sleep(ctx, max(e.RetryAfter, time.Second)) {
				failed = maxUnknowing
			}
		case bridges.Forbidden, bridges.NotFound: // of this one
			continue
		}
		if failed++; failed >= maxUnknowing {
			n.mu.Lock()
			n.curious = nil
			n.mu.Unlock()
			n.log.Debug("matrix: it is not known who is there", "error", err)
			return
		}
	}
}

// tellPresence reports what was asked about somebody.
func (n *network) tellPresence(user id.UserID, resp *mautrix.RespPresence) {
	t := n.begin()
	defer t.release()
	n.mu.Lock()
	if c := n.contacts[user]; c != nil {
		ago := int64(resp.LastActiveAgo)
		if resp.CurrentlyActive || ago < 0 || ago > maxAgo {
			ago = 0
		}
		t.emit(n.presenceOf(user, c, string(resp.Presence), resp.StatusMsg, ago))
	}
	n.mu.Unlock()
	if err := t.end(n.running()); err != nil {
		n.log.Debug("matrix: who is there was not told", "error", err)
	}
}

// maxAgo bounds since when somebody is said to have done nothing, in milliseconds.
const maxAgo = int64(365 * 24 * time.Hour / time.Millisecond)

// presences takes who is there, of those the user has a chat with.
func (t *turn) presences(events []*event.Event) {
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ev := range events {
		c := n.contacts[ev.Sender]
		if c == nil {
			continue
		}
		n.present[ev.Sender] = true
		o := readObject(ev.Content.VeryRaw)
		ago := o.count("last_active_ago", maxAgo)
		if o.bool("currently_active") {
			ago = 0
		}
		t.emit(n.presenceOf(ev.Sender, c, o.str("presence"), o.str("status_msg"), ago))
	}
}

// presenceOf is somebody's presence; ago is for how many milliseconds there was no sign
// of them, 0: there is, or it is not known.
func (n *network) presenceOf(user id.UserID, c *contact, presence, text string, ago int64) *bridges.Present {
	p := &bridges.Present{Member: n.contactMember(user, c), Text: cutBytes(oneLine(text), maxTitle)}
	switch presence {
	case "online":
		p.Online = true
	case "unavailable":
		p.Online, p.Member.Away = true, true
	case "busy", "org.matrix.msc3026.busy":
		p.Online, p.Busy = true, true
	}
	if ago > 0 {
		p.Since = time.Now().Add(-time.Duration(ago) * time.Millisecond)
	}
	return p
}
