package archive

import "context"

// early answers a question that nothing on its way to the database changes the answer
// to: who pages back through what is long stored need not wait for what is said now.
// False: that cannot be told, or the database does not answer.
func (a *Archive) early(ctx context.Context, q *Query) (lines []Line, more, ok bool) {
	key := memberKey{q.Gateway, q.User, q.JID}
	v := a.veil(key)
	if len(v.halls) == 0 {
		return nil, false, false // which archives are meant only the database knows
	}
	first, waits := a.w.earliest(v.halls[0].name, q.User)
	open := waits && (q.Before.IsZero() || first.Compare(q.Before) < 0) && (q.To == 0 || first.At <= q.To)
	if open && q.Last {
		return nil, false, false
	}
	lines, more, err := a.page(ctx, q, v)
	switch {
	case err != nil || v.torn:
		return nil, false, false
	case open && (!more || len(lines) == 0 || lines[len(lines)-1].Compare(first) >= 0):
		return nil, false, false
	}
	return lines, more, true
}

// earliest is where the first of the changes on their way to the database stands that
// may change what a user, who is in a room, sees under its JID; false: there is none.
func (w *writer) earliest(room Room, user string) (first Key, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.queue {
		at, concerns := Key{}, false
		switch op := w.queue[i].op.(type) {
		case *AddLine:
			at = op.Line.Key
			if found && at.Compare(first) >= 0 {
				continue // which is quickly told, and so of most
			}
			l := &op.Line
			concerns = op.Room == room || op.Room.Owner == user || l.Only == user || l.Except == user
		case *Restrict:
			at, concerns = op.Key, true
		case *Amend:
			at, concerns = op.Key, true
		case *Enter: // the JID may mean another archive from then on, and all that is in there
			concerns = op.User == user
		case *Leave:
			at, concerns = Key{At: op.At}, op.User == user
		}
		if concerns && (!found || at.Compare(first) < 0) {
			first, found = at, true
		}
	}
	return first, found
}
