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
	Name    string // as the network writes it, and as Address.Name has it
	Self    Member
	Members []Member  // without Self
	Subject *Subject  // nil: none set
	Info    *RoomInfo // nil: nothing known
	Created bool      // the join has made the room
	// History is what was said in the room while nobody here heard it, oldest first
	// and with Replay set: everything since the last line the session was given, or
	// as much of it as is worth while; the first time the last lines there are.
	History []*Message
}

// Message is something said. With Ref it is the user's own line, taken by the
// network: whole, once, whatever number of lines it became.
type Message struct {
	Ref    Ref
	Place  Place
	From   Member // Role and Affiliation are not set
	Self   bool   // the user said it, here or through another client
	With   string // of a line of the user's to a person: the person as Address.Name has it; empty: Place.User is that
	Kind   MessageKind
	Body   string // plain text; not set with Ref
	ID     MessageID
	At     time.Time // zero: now
	Replay bool      // an old line, played back by the network
	To     string    // the prefix of the part of a room it was said to ("@": operators); usually empty

	HTML     string    // Body with its looks, of the elements in Markup; empty: there are none
	Replaces MessageID // an edit: Body is what that line of From's says now
	ReplyTo  *Reply
	Thread   MessageID // the line a thread begins with
	Files    []File    // Body is what is said about them, often nothing
	Location *Location // Body is what is said about it, often nothing
	Mentions []UserID  // people of the room whom the message is to reach, by name
	Token    string    // of the user's own line, where it was sent with one and the network tells it; set or not with Ref

	// Missing: what was said after that time and before this line is left out, as it was
	// more than is worth while; the Historian has it. Zero: nothing is.
	Missing time.Time
}

// Reply is what a message answers.
type Reply struct {
	ID   MessageID
	From Member // of whom the line is, as far as known
	Text string // what it says, as far as known
}

// Retracted: a line was taken back, by whom it was of or by somebody who may.
type Retracted struct {
	Ref    Ref // set when it answers the user's own Retract
	Place  Place
	ID     MessageID // of the line
	By     Member
	Self   bool // the user did it
	Others bool // it was not By's own line: moderation
	Reason string
	At     time.Time // zero: now
	Replay bool
	Token  string // as Message.Token
}

// Reacted: what somebody has put to a line. Keys are all of it, not the change.
type Reacted struct {
	Ref    Ref // set when it answers the user's own React
	Place  Place
	ID     MessageID // of the line
	From   Member
	Self   bool
	Keys   []string
	At     time.Time // zero: now
	Replay bool
	Token  string // as Message.Token
}

// Typing: somebody writes, or has stopped. Nothing is repeated; who says something
// has stopped.
type Typing struct {
	Place Place
	From  Member
	On    bool
}

// Read: somebody has read a place up to a line; in a room also the user, through
// whatever client.
type Read struct {
	Place Place
	From  Member
	ID    MessageID
}

// Contact: a person the user speaks with one-to-one on the network, there as long
// as the link lasts: with Gone, no more. A second one for the same person replaces
// what is known.
type Contact struct {
	Member Member
	Gone   bool
	Asks   bool   // the person wants to speak to the user, who has not agreed yet
	Text   string // of who Asks
}

// RoomInfo: what a room is like, beside its subject. A second one replaces it.
type RoomInfo struct {
	Room        RoomID
	Name        string // for people; empty: none
	Description string
	Avatar      string // the room's picture, as Member.Avatar; empty: none
	Public      bool   // anybody may find it
	Open        bool   // anybody may enter it
	Knock       bool   // who may not enter may ask to be let in: the Network is a Knocker
	Moderated   bool   // only some may speak
	// Settings are what else is set there, in whatever words: another text tells of
	// another state.
	Settings string
}

// Belongs: the network has the user in a room that the session has not entered (see
// Caps.Resident). It is told once of each room.
type Belongs struct {
	Name  string // as Address.Name has it
	Title string // for people; empty: none
	Old   bool   // it was so before the network was asked for the first time
}

// Moved: a room has ended and another takes its place. What still happens in Room is
// reported until it is left.
type Moved struct {
	Room   RoomID
	Name   string // of the other, as Address.Name has it
	Reason string
	In     bool // the network has the user in the other by now (Caps.Resident)
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
	Replay  bool // it may have been reported before, under the same Subject.ID
}

// ModeChanged: a setting of the room changed that has no event of its own.
type ModeChanged struct {
	Room  RoomID
	Actor string
	Text  string // "+k key", in the network's words
}

// Invited: somebody invites the user into a room.
type Invited struct {
	Name   string // of the room, as Address.Name has it
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
	Busy   bool
	Text   string
	Since  time.Time // of an absence; zero: not known
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
func (*Retracted) event()      {}
func (*Reacted) event()        {}
func (*Typing) event()         {}
func (*Read) event()           {}
func (*Contact) event()        {}
func (*RoomInfo) event()       {}
func (*Moved) event()          {}
func (*Belongs) event()        {}
