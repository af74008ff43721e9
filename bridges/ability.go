package bridges

import "context"

// Abilities are asserted once, when a network is opened. Never wrap a Network:
// a wrapper hides them. The first group are actions, the second queries.

// SubjectSetter sets a room's subject; outcome SubjectChanged or Failed.
type SubjectSetter interface {
	SetSubject(ref Ref, room RoomID, text string) error
}

// Renamer changes the user's nick; outcome Renamed with an empty Room, or Failed.
type Renamer interface {
	Rename(ref Ref, nick string) error
}

// Inviter invites a person into a room; outcome Done or Failed.
type Inviter interface {
	Invite(ref Ref, room RoomID, nick, reason string) error
}

// RoleSetter changes what others may do; outcome Done, once the network shows
// the change, or Failed. RoleNone kicks; AffiliationOutcast bans and removes.
type RoleSetter interface {
	SetRole(ref Ref, room RoomID, nick string, r Role, reason string) error
	// SetAffiliation takes a nick, or a mask as List returns them.
	SetAffiliation(ref Ref, room RoomID, target string, a Affiliation, reason string) error
}

// Presencer tells the network whether the user is away.
type Presencer interface {
	SetAway(away bool, text string) error
}

// Console runs a raw line of the network's own; answers come as ServerNotice.
type Console interface {
	Raw(ref Ref, line string) error
}

// ListEntry is an entry of a room's list.
type ListEntry struct {
	Mask   string
	By     string
	Reason string
}

// Lister reads a room's list of outcasts, members, admins or owners.
type Lister interface {
	List(ctx context.Context, room RoomID, a Affiliation) ([]ListEntry, error)
}

// DirectoryEntry is a room of the network.
type DirectoryEntry struct {
	Name    string
	Members int
	Subject string
}

// Directory lists the network's rooms, sorted by name. The whole list is
// returned; implementations share and cache it for a short while.
type Directory interface {
	Rooms(ctx context.Context) ([]DirectoryEntry, error)
}

// Probe is a question put to a person's client.
type Probe uint8

// Probes.
const (
	ProbePing Probe = iota
	ProbeVersion
	ProbeTime
)

// Prober asks a person's client; the answer is text.
type Prober interface {
	Probe(ctx context.Context, user UserID, p Probe) (string, error)
}

// Profile is what a network tells of a person.
type Profile struct {
	Nick, RealName, Mask, Account, Server string
	Text                                  string // the rest, in lines for people
}

// Profiler looks a person up.
type Profiler interface {
	Profile(ctx context.Context, user UserID) (Profile, error)
}
