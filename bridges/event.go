package bridges

import "time"

// Event is something a network reports. The set is closed: a new kind is a
// change of the contract. Events are handed over as pointers and not changed
// or kept by the driver afterwards.
type Event interface{ event() }

// Entered: the user is in a room. All initial members come in this one event,
// so that the user's own presence can be last. A second Entered for a room
// replaces the list.
type Entered struct {
	Ref     Ref
	Asked   string // the name the join asked for; empty when the network put the user in by itself
	Room    RoomID
	Name    string // as the network writes it
	Self    Member
	Members []Member // without Self
	Subject *Subject // nil: none set
}

// Message is something said. With Ref it is the user's own line, taken by the
// network: whole, once, whatever number of lines it became.
type Message struct {
	Ref    Ref
	Place  Place
	From   Member // Role and Affiliation are not set
	Self   bool   // the user said it, here or through another client
	Kind   MessageKind
	Body   string // plain text; not set with Ref
	ID     MessageID
	At     time.Time // zero: now
	Replay bool      // an old line, played back by the network
	To     string    // the prefix of the part of a room it was said to ("@": operators); usually empty
}

// Joined: somebody came into a room.
type Joined struct {
	Room   RoomID
	Member Member
}

// LeftKind tells how a member left.
type LeftKind uint8

// Ways to leave.
const (
	Parted LeftKind = iota
	Kicked
	Banned // kicked where a ban that matches has been seen
	Quit
)

// Left: a member, or the user (Self), left a room.
type Left struct {
	Ref    Ref
	Room   RoomID
	Member Member
	Self   bool
	Kind   LeftKind
	Actor  string // who did it, Kicked and Banned
	Reason string
}

// Renamed: a member of Room has another nick. Member is the new state. With an
// empty Room it concerns one-to-one chats with that person.
type Renamed struct {
	Ref     Ref // set when it answers the user's own Rename, and Room is empty
	Room    RoomID
	OldID   UserID
	OldNick string
	Member  Member
	Self    bool
}

// Updated: a member's role, affiliation, mask, account or absence changed.
type Updated struct {
	Room   RoomID
	Member Member
	Self   bool
	Actor  string // who changed a role, where known
}

// SubjectChanged: a room has another subject.
type SubjectChanged struct {
	Ref     Ref
	Room    RoomID
	Subject Subject
}

// ModeChanged: a setting of the room changed that has no event of its own.
type ModeChanged struct {
	Room  RoomID
	Actor string
	Text  string // "+k key", in the network's words
}

// Invited: somebody invites the user into a room.
type Invited struct {
	Name   string // of the room
	By     Member
	Reason string
}

// ServerNotice is text from the network itself, for its console.
type ServerNotice struct {
	From string // server or nick; may be empty
	Text string // may have several lines
}

// Done: an action without an event of its own succeeded.
type Done struct {
	Ref  Ref
	Text string // what the network said, may be empty
}

// Failed: an action did not succeed.
type Failed struct {
	Ref Ref
	Err *Error
}

// Present: a person of a one-to-one chat came, went or is away (where the
// network tells).
type Present struct {
	Member Member
	Online bool
	Text   string
}

// StateKind is where a link stands.
type StateKind uint8

// Link states.
const (
	Disconnected StateKind = iota
	Connecting
	Online
)

// State is what the user is told of a link.
type State struct {
	Kind StateKind
	Text string // in words: "connecting to irc.example.net:6697 with TLS"
}

func (*Entered) event()        {}
func (*Message) event()        {}
func (*Joined) event()         {}
func (*Left) event()           {}
func (*Renamed) event()        {}
func (*Updated) event()        {}
func (*SubjectChanged) event() {}
func (*ModeChanged) event()    {}
func (*Invited) event()        {}
func (*ServerNotice) event()   {}
func (*Done) event()           {}
func (*Failed) event()         {}
func (*Present) event()        {}
func (*State) event()          {}
