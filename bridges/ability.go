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
// the change, or Failed. RoleNone kicks; AffiliationOutcast bans and removes, with Left
// before the outcome or after it.
type RoleSetter interface {
	SetRole(ref Ref, room RoomID, nick string, r Role, reason string) error
	// SetAffiliation takes a nick, the Address of somebody who is not in, or a mask
	// as List returns them.
	SetAffiliation(ref Ref, room RoomID, target string, a Affiliation, reason string) error
}

// RoomConfigurer tells and changes what a room is like for everybody in it.
type RoomConfigurer interface {
	// RoomSettings are what can be set of a room, Default being how it is now; none
	// where the user may change nothing of it. A query.
	RoomSettings(ctx context.Context, room RoomID) ([]Field, error)
	// ConfigureRoom changes settings, by Field.Name. Outcome Done, once the network
	// has taken all of them, or Failed: of several, those before the one that was
	// refused stay.
	ConfigureRoom(ref Ref, room RoomID, changes map[string]string) error
}

// Names of settings that networks have in common. What else a network has goes by
// other names, of small letters, digits and "_".
const (
	RoomTitle       = "title"        // FieldText: RoomInfo.Name
	RoomDescription = "description"  // FieldLines
	RoomPublic      = "public"       // FieldBool: anybody may find it
	RoomMembersOnly = "members_only" // FieldBool: only who is invited gets in
	RoomModerated   = "moderated"    // FieldBool: only some may speak
	RoomFreeSubject = "free_subject" // FieldBool: everybody may set the subject
	RoomPassword    = "password"     // FieldSecret: empty is none
	RoomLimit       = "limit"        // FieldText: how many people there can be, a number; empty: any
)

// Knocker asks to be let into a room that one may ask to be let into; outcome Done,
// once the wish is made known, or Failed. What it comes to is an Invited, or nothing.
type Knocker interface {
	Knock(ref Ref, room, reason string) error
}

// Presencer tells the network whether the user is away.
type Presencer interface {
	SetAway(away bool, text string) error
}

// Reactor puts the user's reactions to a line: keys are all the user wants there.
// token is as Outgoing.Token. Outcome Reacted or Failed.
type Reactor interface {
	React(ref Ref, token string, at Place, line MessageID, keys []string) error
}

// Retractor takes a line back: the user's own, or another's where the user may.
// token is as Outgoing.Token. Outcome Retracted or Failed.
type Retractor interface {
	Retract(ref Ref, token string, at Place, line MessageID, reason string) error
}

// Typist tells others that the user writes, or has stopped. There is no outcome.
// While the user writes it is told again every 20 seconds; where that fades sooner,
// the network repeats it.
type Typist interface {
	SetTyping(at Place, on bool) error
}

// Reader tells the network that the user has read up to a line. There is no
// outcome.
type Reader interface {
	SetRead(at Place, line MessageID) error
}

// Quitter leaves a room of a network that is Resident for good; outcome Left or
// Failed.
type Quitter interface {
	Quit(ref Ref, room RoomID, reason string) error
}

// Befriender answers who Asks to speak to the user, asks somebody, or ends it; the
// outcome is a Contact with that person's name, or Failed.
type Befriender interface {
	Befriend(ref Ref, user UserID) error
	Unfriend(ref Ref, user UserID) error
}

// Blocker keeps people from reaching the user through whatever client: nothing they say
// or do is reported. Where a driver's networks do, Info.Blocks is set.
type Blocker interface {
	// Block does so, or ends it; outcome Done or Failed.
	Block(ref Ref, user UserID, blocked bool) error
	// Blocked are those people, as Address.Name has them, sorted. Cheap.
	Blocked() []string
}

// Decliner turns an invitation down; outcome Done or Failed.
type Decliner interface {
	Decline(ref Ref, room, reason string) error
}

// Historian returns what was said at a place before a line (an empty one: up to
// now) or a time, at most limit, oldest first, as the messages of then; more tells
// that there is older.
type Historian interface {
	History(ctx context.Context, at Place, before MessageID, limit int) (lines []*Message, more bool, err error)
}

// MediaOpener reads a file that a message came with, or a picture of a person or a
// room (Member.Avatar, RoomInfo.Avatar, Profile.Avatar). The caller closes it;
// reading ends with ctx.
type MediaOpener interface {
	OpenMedia(ctx context.Context, ref string) (*Media, error)
}

// Console runs a raw line of the network's own; answers come as ServerNotice.
type Console interface {
	Raw(ref Ref, line string) error
}

// ListEntry is an entry of a room's list.
type ListEntry struct {
	Mask    string
	Address string // of the one person it names, as Address.Name has it; empty: it is a mask
	By      string
	Reason  string
}

// Lister reads a room's list of outcasts, members, admins or owners.
type Lister interface {
	List(ctx context.Context, room RoomID, a Affiliation) ([]ListEntry, error)
}

// DirectoryEntry is a room of the network.
type DirectoryEntry struct {
	Name    string // as Address.Name has it
	Title   string // for people; empty: Name
	Members int
	Subject string
	Group   bool // not a room but a group of rooms (Grouper)
}

// Directory lists the network's rooms, sorted by name. The whole list is
// returned; implementations share and cache it for a short while.
type Directory interface {
	Rooms(ctx context.Context) ([]DirectoryEntry, error)
}

// Grouper is a network that sorts rooms into groups, which may have groups in them, and
// have each other.
type Grouper interface {
	// Group lists what is directly in a group, in the network's order, bounded: rooms
	// and groups the user is in, and others that may be entered. Of an empty name it
	// lists the groups the user is in, but for those that are in another one of them.
	// The error is of kind NotFound where there is no such group, or Forbidden where
	// what is in it is not for this user.
	Group(ctx context.Context, name string) ([]DirectoryEntry, error)
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

// PeopleFinder searches a network for people by parts of what they are called, at most
// limit of them, the best first.
type PeopleFinder interface {
	FindPeople(ctx context.Context, words string, limit int) ([]Profile, error)
}

// Profile is what a network tells of a person.
type Profile struct {
	Nick, RealName, Mask, Account, Server string
	Address                               string // as Member.Address; empty: Nick
	Text                                  string // the rest, in lines for people
	Avatar                                string // the person's picture, as Member.Avatar; empty: none
}

// Profiler looks a person up.
type Profiler interface {
	Profile(ctx context.Context, user UserID) (Profile, error)
}
