package archive

import (
	"bytes"
	"context"
	"time"
)

// veilPage is how many lines are asked for at once where some are left out.
const veilPage = 250

// Lines returns a part of what a user has seen of a room, in rising order, and
// whether there is more in the direction asked for. It waits for what is on its
// way to the database where that may be part of the answer. It blocks on it, under ctx.
func (a *Archive) Lines(ctx context.Context, q *Query) (lines []Line, more bool, err error) {
	if lines, more, ok := a.early(ctx, q); ok {
		return lines, more, nil
	}
	err = a.unveiled(ctx, memberKey{q.Gateway, q.User, q.JID}, func(v *veil) (err error) {
		lines, more, err = a.page(ctx, q, v)
		return err
	})
	return lines, more, err
}

// readTries is how often a read is done at most, where what a user gets is settled
// meanwhile.
const readTries = 3

// unveiled calls read with what the user does not see, once the database has all that
// was before.
func (a *Archive) unveiled(ctx context.Context, key memberKey, read func(*veil) error) error {
	for try := 1; ; try++ {
		v := a.veil(key)
		if err := a.Flush(ctx); err != nil {
			return err
		}
		if err := read(v); err != nil || !v.torn || try == readTries {
			return err
		}
	}
}

// page asks on behind lines that are left out, until there is a page of others, and
// it is known whether one more follows.
func (a *Archive) page(ctx context.Context, q *Query, v *veil) (lines []Line, more bool, err error) {
	ask := *q
	for {
		found, goesOn, err := a.backend.ArchiveLines(ctx, &ask)
		if err != nil {
			return nil, false, err
		}
		v.look()
		if len(found) > 0 && q.Last {
			ask.Before = found[0].Key
		} else if len(found) > 0 {
			ask.After = found[len(found)-1].Key
		}
		asked := len(found)
		found = v.lift(found)
		if lines == nil && len(found) == asked {
			return found, goesOn, nil
		}
		if q.Last {
			lines = append(found, lines...)
		} else {
			lines = append(lines, found...)
		}
		over := len(lines) - q.Limit
		switch {
		case q.Limit > 0 && over > 0 && q.Last:
			return lines[over:], true, nil
		case q.Limit > 0 && over > 0:
			return lines[:q.Limit], true, nil
		case !goesOn:
			return lines, false, nil
		}
		ask.Limit = max(veilPage, 1-over)
	}
}

// Count counts what Lines would return without a limit.
func (a *Archive) Count(ctx context.Context, q *Query) (n int, err error) {
	err = a.unveiled(ctx, memberKey{q.Gateway, q.User, q.JID}, func(v *veil) (err error) {
		n, err = a.count(ctx, q, v)
		return err
	})
	return n, err
}

func (a *Archive) count(ctx context.Context, q *Query, v *veil) (int, error) {
	from, hides := v.since()
	if !hides {
		return a.backend.ArchiveCount(ctx, q)
	}
	// What is not settled is new: the database counts up to there.
	old, recent := *q, *q
	if b := (Key{At: from}); q.Before.IsZero() || b.Compare(q.Before) < 0 {
		old.Before = b
	}
	recent.From, recent.Last, recent.Limit = max(q.From, from), false, veilPage
	n, err := a.backend.ArchiveCount(ctx, &old)
	for more := true; more && err == nil; {
		var lines []Line
		if lines, more, err = a.page(ctx, &recent, v); len(lines) > 0 {
			recent.After = lines[len(lines)-1].Key
		}
		n += len(lines)
	}
	return n, err
}

// ByKey returns those of the lines that the user sees.
func (a *Archive) ByKey(ctx context.Context, gateway, user, jid string, keys []Key) ([]Line, error) {
	return a.some(ctx, memberKey{gateway, user, jid}, func() ([]Line, error) { return a.backend.ArchiveByKey(ctx, gateway, user, jid, keys) })
}

// ByNetID is ByKey for lines the network refers to by what it calls them.
func (a *Archive) ByNetID(ctx context.Context, gateway, user, jid string, netIDs []string) ([]Line, error) {
	return a.some(ctx, memberKey{gateway, user, jid}, func() ([]Line, error) { return a.backend.ArchiveByNetID(ctx, gateway, user, jid, netIDs) })
}

// some reads lines that were asked for by name.
func (a *Archive) some(ctx context.Context, key memberKey, read func() ([]Line, error)) (lines []Line, err error) {
	err = a.unveiled(ctx, key, func(v *veil) (err error) {
		lines, err = read()
		v.look()
		lines = v.lift(lines)
		return err
	})
	return lines, err
}

// PrivateByID finds one-to-one lines with a peer by message id or by what the
// network calls them, the latest first.
func (a *Archive) PrivateByID(ctx context.Context, gateway, user, peer string, ids []string) ([]Private, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	return a.backend.PrivateByID(ctx, gateway, user, peer, ids)
}

// State returns what a driver keeps of an account under names that begin with
// prefix (SaveState).
func (a *Archive) State(ctx context.Context, gateway, user, network, prefix string) (map[string][]byte, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	return a.backend.AccountState(ctx, gateway, user, network, prefix)
}

// Recent finds the latest of the user's own lines in a room by its message id.
func (a *Archive) Recent(ctx context.Context, gateway, user, jid, id string) (Line, bool, error) {
	if err := a.Flush(ctx); err != nil {
		return Line{}, false, err
	}
	return a.backend.ArchiveRecent(ctx, gateway, user, jid, id)
}

// Has reports whether a line that a network plays back is one the user has seen
// already. taken are the keys that earlier lines of the same playback were found
// to be; it is added to, and of no account for what the network has a name for. Where in has an Extra, that is compared as well.
func (a *Archive) Has(ctx context.Context, gateway, user, jid string, in *Heard, taken map[Key]bool) (bool, error) {
	if in.At.IsZero() {
		return false, nil
	}
	lines, _, err := a.Lines(ctx, &Query{
		Gateway: gateway, User: user, JID: jid, Limit: sameLimit,
		From: in.At.Add(-sameBefore).UnixMicro(), To: in.At.Add(sameAfter).UnixMicro(),
	})
	if err != nil {
		return false, err
	}
	for i := range lines {
		l := &lines[i]
		named := in.NetID != "" && l.NetID != ""
		if named && in.NetID != l.NetID || !named && taken[l.Key] {
			continue
		}
		if !named && (l.Nick != in.Nick || l.Body != in.Body || in.Extra != nil && !bytes.Equal(l.Extra, in.Extra)) {
			continue
		}
		taken[l.Key] = true
		return true, nil
	}
	return false, nil
}

// How far the times of a line may lie apart when it is heard and when it is played
// back: live lines may carry our clock, and arrive late.
const (
	sameBefore = 5 * time.Second
	sameAfter  = 30 * time.Second
	sameLimit  = 2000
)

// Pending returns a user's one-to-one lines that have not reached anybody,
// oldest first, at most limit.
func (a *Archive) Pending(ctx context.Context, gateway, user string, limit int) ([]Private, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	return a.backend.PendingPrivate(ctx, gateway, user, limit)
}

// Begin ends what an earlier process left open at a gateway: nobody is in any room
// when a process begins. Call it before anybody enters. It returns who has
// one-to-one lines pending.
func (a *Archive) Begin(ctx context.Context, gateway string) ([]string, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	// Our clock may have been set back since: nobody is put among what was said then.
	a.mu.Lock()
	now := a.now()
	a.mu.Unlock()
	if err := a.backend.CloseVisits(ctx, gateway, time.UnixMicro(now)); err != nil {
		return nil, err
	}
	ahead, err := a.backend.ArchivesAhead(ctx, gateway, now)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	for room, at := range ahead {
		a.ahead[room] = max(a.ahead[room], at)
	}
	a.mu.Unlock()
	return a.backend.PendingUsers(ctx, gateway)
}
