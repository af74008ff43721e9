package session

import (
	"context"

	"transportd/archive"
	"transportd/bridges"
)

// commit stores what a driver keeps of the account, in its place among the lines
// that were recorded before. While lines are still compared with the archive those
// are not recorded yet, and it waits.
func (l *link) commit(changes map[string][]byte) {
	if l.comparing > 0 {
		l.commits = append(l.commits, changes)
		return
	}
	if l.dead || l.s.m.archive == nil {
		return
	}
	if !l.s.m.archive.Apply(&archive.SaveState{
		Gateway: l.s.m.domain.Domain, User: l.s.user.String(), Network: string(l.id), Changes: changes,
	}) {
		l.log.Error("what the network keeps of the account is not stored: the archive has no room for it")
	}
}

// compared ends one comparison, and commits what waited for the last.
func (l *link) compared() {
	if l.comparing--; l.comparing > 0 {
		return
	}
	waiting := l.commits
	l.commits = nil
	for _, changes := range waiting {
		l.commit(changes)
	}
}

// state is what a driver has stored of one account.
type state struct {
	m       *Manager
	user    string
	network bridges.NetworkID
}

// Load implements bridges.StateStore.
func (s *state) Load(ctx context.Context, prefix string) (map[string][]byte, error) {
	return s.m.archive.State(ctx, s.m.domain.Domain, s.user, string(s.network), prefix)
}
