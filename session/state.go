package session

import (
	"context"
	"errors"
	"maps"
	"time"

	"transportd/archive"
	"transportd/bridges"
	"transportd/component"
)

// commit stores what a driver keeps of the account, in its place among the lines
// that were recorded before. While lines are still compared with the archive those
// are not recorded yet, and it waits.
func (l *link) commit(changes map[string][]byte) {
	if l.s.m.archive == nil {
		return
	}
	// Of what waits, later changes take the place of earlier ones: a database that is
	// away for long does not let it grow without end.
	if n := len(l.commits); n > 0 && archive.Size(l.commits[n-1])+archive.Size(changes) <= archive.MaxState {
		both := maps.Clone(l.commits[n-1])
		maps.Copy(both, changes)
		l.commits[n-1] = both
	} else {
		l.commits = append(l.commits, changes)
	}
	l.store()
}

// store stores what waits, in its order: nothing is ahead of what came before it.
func (l *link) store() {
	if l.dead {
		l.commits = nil // it comes again
	}
	for l.comparing == 0 && l.again == nil && len(l.commits) > 0 {
		if !l.s.m.archive.Apply(&archive.SaveState{
			Gateway: l.s.m.domain.Domain, User: l.s.user.String(), Network: string(l.id), Changes: l.commits[0],
		}) {
			if !l.full {
				l.log.Error("what the network keeps of the account is not stored now, the archive has no room for it; it is tried again")
			}
			l.full = true
			l.again = l.s.after(commitAgain, func() { l.again = nil; l.store() })
			return
		}
		l.commits, l.full = l.commits[1:], false
	}
	if len(l.commits) == 0 {
		l.commits = nil
	}
}

// commitAgain is until a commit is tried again for which the archive had no room.
const commitAgain = time.Second

// compared ends one comparison, and commits what waited for the last.
func (l *link) compared() {
	l.comparing--
	l.store()
}

// state is what a driver has stored of one account.
type state struct {
	m       *Manager
	user    string
	network bridges.NetworkID
}

// Save implements bridges.StateStore.
func (s *state) Save(_ context.Context, changes map[string][]byte) error {
	if archive.Size(changes) > min(bridges.MaxCommit, archive.MaxState) {
		return bridges.NewError(bridges.TooLarge, "")
	}
	if !s.m.archive.Apply(&archive.SaveState{Gateway: s.m.domain.Domain, User: s.user, Network: string(s.network), Changes: changes}) {
		return &bridges.Error{Kind: bridges.Internal, Text: "internal error", Err: errUnsaved}
	}
	return nil
}

// Stored is what the driver has stored of a user's account, for logins and what ends
// them; nil where nothing can be.
func (m *Manager) Stored(user component.JID, network bridges.NetworkID) bridges.StateStore {
	if m.archive == nil {
		return nil
	}
	return &state{m, user.Bare().String(), network}
}

// errUnsaved is why a driver's state is not stored.
var errUnsaved = errors.New("session: the archive has no room for what a driver keeps")

// Load implements bridges.StateStore.
func (s *state) Load(ctx context.Context, prefix string) (map[string][]byte, error) {
	return s.m.archive.State(ctx, s.m.domain.Domain, s.user, string(s.network), prefix)
}
