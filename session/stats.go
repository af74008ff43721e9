package session

import (
	"sync"
	"sync/atomic"

	"transportd/bridges"
)

// counters are counts by a label; a label costs a map lookup, so hot paths
// with no error do not come here.
type counters struct{ m sync.Map }

// Add adds n under a label.
func (c *counters) Add(label string, n int64) {
	v, ok := c.m.Load(label)
	if !ok {
		v, _ = c.m.LoadOrStore(label, new(atomic.Int64))
	}
	v.(*atomic.Int64).Add(n)
}

// Snapshot returns the counts.
func (c *counters) Snapshot() map[string]int64 {
	out := make(map[string]int64)
	c.m.Range(func(k, v any) bool {
		out[k.(string)] = v.(*atomic.Int64).Load()
		return true
	})
	return out
}

// stats are the manager's figures.
type stats struct {
	sessions, links, online, rooms atomic.Int64
	panics, busy, refused, cut     atomic.Int64
	unrecorded                     atomic.Int64
	toNetwork, toUsers             atomic.Int64
	errors, linkErrors             counters
}

// Stats is a snapshot for metrics. Counts are since the start but for
// Sessions, Links, Online and Rooms, which are present numbers.
type Stats struct {
	Sessions, Links, Online, Rooms int64
	Panics                         int64            // sessions restarted
	Busy                           int64            // stanzas refused by a full inbox
	Refused                        int64            // stanzas of ours the guard refused
	Cut                            int64            // lines given up while the stream was down
	Unrecorded                     int64            // lines shown that the archive could not take
	ToNetwork, ToUsers             int64            // messages taken by the network, shown to users
	Errors                         map[string]int64 // stanza errors sent, by condition
	LinkErrors                     map[string]int64 // links ended, by kind
}

// Stats returns the present figures.
func (m *Manager) Stats() Stats {
	st := &m.stats
	return Stats{
		Sessions: st.sessions.Load(), Links: st.links.Load(), Online: st.online.Load(), Rooms: st.rooms.Load(),
		Panics: st.panics.Load(), Busy: st.busy.Load(), Refused: st.refused.Load(), Cut: st.cut.Load(), Unrecorded: st.unrecorded.Load(),
		ToNetwork: st.toNetwork.Load(), ToUsers: st.toUsers.Load(),
		Errors: st.errors.Snapshot(), LinkErrors: st.linkErrors.Snapshot(),
	}
}

// kindNames are labels for metrics and logs.
var kindNames = map[bridges.ErrorKind]string{
	bridges.Internal: "internal", bridges.NotFound: "not-found", bridges.Invalid: "invalid", bridges.TooLarge: "too-large",
	bridges.Unsupported: "unsupported", bridges.Forbidden: "forbidden", bridges.IsBanned: "banned",
	bridges.MembersOnly: "members-only", bridges.PasswordRequired: "password-required", bridges.RoomFull: "room-full",
	bridges.Conflict: "conflict", bridges.NickLocked: "nick-locked", bridges.NotJoined: "not-joined",
	bridges.TooManyRooms: "too-many-rooms", bridges.BadCredentials: "bad-credentials", bridges.NeedsAccount: "needs-account",
	bridges.RateLimited: "rate-limited", bridges.Offline: "offline", bridges.Timeout: "timeout",
	bridges.NetworkBanned: "network-banned", bridges.TemporaryRefuse: "temporarily-refused",
}

func kindName(k bridges.ErrorKind) string { return kindNames[k] }
