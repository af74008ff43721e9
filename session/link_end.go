package session

import (
	"math/rand/v2"
	"slices"
	"time"

	"transportd/bridges"
)

// kill ends a link at once and for good; late events of it are dropped.
func (l *link) kill() {
	if l.dead {
		return
	}
	l.dead = true
	l.s.m.stats.links.Add(-1)
	if l.kind == bridges.Online {
		l.s.m.stats.online.Add(-1)
	}
	for _, t := range []*time.Timer{l.retry, l.check, l.hide, l.out.timer} {
		if t != nil {
			t.Stop()
		}
	}
	l.quiet()
	l.leavePeople()
	if l.cancel != nil {
		l.cancel()
		l.s.ending = append(l.s.ending, l)
	}
}

// abandon kills a link and tells everybody who waits for something of it: of
// what was asked of the network nobody knows what became, what waited for the
// connection was not sent.
func (l *link) abandon(text string) {
	l.kill()
	l.s.failActions(l, &bridges.Error{Kind: bridges.Offline, Uncertain: true, Text: text})
	l.out.close(bridges.NewError(bridges.Offline, text))
	l.failWaiting(bridges.NewError(bridges.Offline, text))
}

// failWaiting tells those who wait for the connection that it did not come.
func (l *link) failWaiting(err *bridges.Error) {
	waiting := l.waiting
	l.waiting = nil
	for _, send := range waiting {
		send(err)
	}
}

// ended is called in the session when a run is over.
func (l *link) ended(err *bridges.Error) {
	if l.dead {
		l.s.ending = slices.DeleteFunc(l.s.ending, func(o *link) bool { return o == l })
		return
	}
	wasOnline := l.kind == bridges.Online
	if wasOnline {
		l.s.m.stats.online.Add(-1)
	}
	l.cancel, l.running, l.kind = nil, nil, bridges.Disconnected
	if err == nil {
		err = bridges.NewError(bridges.Offline, "The connection was closed.")
	}
	l.lastErr, l.text = err, err.Text
	l.log.Info("link ended", "error", err, "permanent", err.Permanent)
	l.s.m.stats.linkErrors.Add(kindName(err.Kind), 1)
	l.quiet()
	l.peopleDown()
	for _, r := range l.s.roomsOf(l) {
		r.linkDown()
	}
	l.s.failActions(l, &bridges.Error{Kind: bridges.Offline, Uncertain: wasOnline, Text: "The connection to the network was lost; the line may or may not have arrived."})
	l.failWaiting(err)
	if l.dead { // a failed join may have been its last reason to live
		return
	}
	l.afterEnd(err, wasOnline)
}

// afterEnd decides whether to try again.
func (l *link) afterEnd(err *bridges.Error, wasOnline bool) {
	rooms := l.s.roomsOf(l)
	if !wasOnline || err.Permanent {
		// Somebody who waits to get in is told at once; whoever was in waits.
		for _, r := range rooms {
			r.failWaiting(err)
		}
		rooms = l.s.roomsOf(l)
	}
	if err.Permanent {
		l.out.close(err)
		l.lostForGood(err)
		for _, r := range rooms {
			r.close(leave{reason: "The connection to the network was lost: " + err.Text, codes: codesLost})
		}
		l.announce()
		if !l.registered {
			l.drop("Disconnected.")
		}
		return
	}
	if !l.needed() {
		l.announce()
		l.drop("Disconnected.")
		return
	}
	if l.downAt.IsZero() && len(rooms) > 0 {
		l.downAt = time.Now()
		l.s.after(roomGrace, l.graceOver)
	}
	if wasOnline && time.Since(l.upSince) >= healthy {
		l.attempt = 0
	}
	d := backoff(l.attempt)
	if err.RetryAfter > d {
		d = err.RetryAfter
	}
	l.attempt++
	l.text = err.Text + " Trying again soon."
	l.announce()
	l.retry = l.s.after(d, func() { l.retry = nil; l.start(false) })
}

// backoff is how long to wait before the nth retry, with jitter: a network
// that comes back is not met by everyone in the same second.
func backoff(n int) time.Duration {
	d := retryMax
	if n < 8 {
		d = min(retryMax, retryMin<<n)
	}
	return d/2 + rand.N(d)
}

// graceOver closes the rooms that did not come back in time.
func (l *link) graceOver() {
	if l.dead || l.downAt.IsZero() || time.Since(l.downAt) < roomGrace {
		return
	}
	l.downAt = time.Time{}
	text := "The connection to the network was lost"
	if l.lastErr != nil && l.lastErr.Text != "" {
		text += ": " + l.lastErr.Text
	}
	for _, r := range l.s.roomsOf(l) {
		if !r.inside() {
			r.close(leave{reason: text, codes: codesLost})
		}
	}
	l.reconsider()
}

// needed tells whether anything wants this link to be up.
func (l *link) needed() bool {
	if l.registered || l.wanted() {
		return true
	}
	if len(l.s.roomsOf(l)) > 0 || len(l.waiting) > 0 {
		return true
	}
	return !l.lastLine.IsZero() && time.Since(l.lastLine) < chatting
}

// reconsider arranges for an unneeded link to be dropped after a while.
func (l *link) reconsider() {
	if l.dead || l.registered || l.check != nil || len(l.s.roomsOf(l)) > 0 || l.wanted() {
		return
	}
	d := linger
	if !l.lastLine.IsZero() {
		d = max(linger, chatting-time.Since(l.lastLine)+time.Second)
	}
	l.check = l.s.after(d, func() {
		l.check = nil
		if l.dead {
			return
		}
		if l.needed() {
			l.reconsider()
			return
		}
		l.drop("Disconnected.")
	})
}

// drop ends a link politely and forgets it.
func (l *link) drop(why string) {
	if l.dead {
		return
	}
	l.kill()
	l.s.links = slices.DeleteFunc(l.s.links, func(o *link) bool { return o == l })
	l.abandon("The connection was closed.")
	l.kind, l.text = bridges.Disconnected, why
	l.announce()
}
