// Package bridges is the contract between the gateway and the networks it
// reaches. A driver speaks one kind of network (IRC, Matrix …) and knows no
// XMPP; the gateway speaks XMPP and knows no network. Both know this package,
// and this package knows only the standard library.
//
// # Who calls what
//
// The session of a user owns the user's state and calls the methods of Driver
// and Network. A Network reports through the Sink it was opened with. Actions
// (Join, Send …) only enqueue and return at once; their outcome is an event
// that carries the same Ref. Queries (Directory, Lister …) block under their
// context and are called from a worker. Everything but Run may be called from
// any goroutine at any time after Open; when there is no connection, actions
// and queries return an *Error of kind Offline.
package bridges

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Identifiers are made and parsed by drivers only, and are canonical: two
// names that the network takes for one have the same identifier.
type (
	NetworkID string // a network of a gateway, e.g. the name or host of an IRC network
	RoomID    string // a room of one network
	UserID    string // a person on one network
	MessageID string // a message, where the network names its messages
)

// Ref is the session's name for one action, echoed in the event that tells its
// outcome. Zero means: nobody waits for it.
type Ref uint64

// AddressKind tells what an address names.
type AddressKind uint8

// The kinds of address a local part can have.
const (
	AddressNetwork AddressKind = iota + 1 // the network itself: console, settings
	AddressRoom
	AddressPerson
)

// Address is a parsed local part. Name is the room or the person as it was
// written, not yet folded by the network's rules; it is empty for a network.
type Address struct {
	Kind    AddressKind
	Network NetworkID
	Name    string
}

// Info describes a driver; it does not change while the program runs.
type Info struct {
	Type         string    // registered disco type of a gateway: "irc", "matrix"
	Name         string    // for people: "IRC"
	RoomType     string    // disco type of a conference identity: "irc" or "text"
	Prompt       string    // asked by jabber:iq:gateway: "Channel or nickname"
	PromptDesc   string    // one sentence of help with it
	FoldsCase    bool      // names that differ in the case of ASCII letters only are the same, on every network
	Groups       string    // what people call groups of rooms: "spaces"; empty: its Networks are no Groupers
	FixedNetwork NetworkID // set: there is one network and addresses leave it out
	Addresses    bool      // everybody in a room shows an Address, which is the Identity, too: rooms are not anonymous
	Blocks       bool      // networks keep a list of people the user hears nothing of (Blocker)
}

// NetworkInfo is a network the operator has listed.
type NetworkInfo struct {
	ID   NetworkID
	Name string // for people
}

// Driver is one kind of network under one gateway's settings. All methods are
// safe for concurrent use.
type Driver interface {
	Info() Info

	// Parse reads an unescaped local part. It is syntactic and does no I/O. The
	// error is an *Error of kind NotFound or Forbidden (a network the operator
	// does not allow), with words for the user.
	Parse(local string) (Address, error)
	// Format is the inverse of Parse, unescaped.
	Format(Address) string
	// ParsePrompt turns what people type ("#linux on libera") into an address.
	ParsePrompt(text string) (Address, error)
	// Networks lists what the operator has listed, in that order.
	Networks() []NetworkInfo

	// Fields is what a user may register or configure for a network; with an
	// empty id it begins with a field named "network".
	Fields(NetworkID) []Field
	// NewLogin begins to log an account in, for the first time or again: Settings
	// and State are what is stored of it, nil at first; State need not be there later
	// either. No I/O. It is also called to ask whether the Login is Unchecked, and then
	// not used.
	NewLogin(a Account) Login
	// Logout tells the network that an account is removed, where it wants to know:
	// what a login has made there ends. It blocks until ctx is done.
	Logout(ctx context.Context, a Account) error

	// Open makes the user's link to a network. No I/O. The error is an *Error of
	// kind NeedsAccount where nobody gets in without having logged in.
	Open(a Account, sink Sink) (Network, error)
}

// FieldKind tells how a field is asked for and shown.
type FieldKind uint8

// Kinds of field.
const (
	FieldText FieldKind = iota
	FieldSecret
	FieldBool   // "true" or "false"
	FieldLines  // several lines, joined by "\n"
	FieldChoice // one of Options
)

// Field is one thing a user may set.
type Field struct {
	Name     string // stable key in Account.Settings
	Label    string
	Help     string
	Kind     FieldKind
	Options  []string // FieldChoice
	Default  string
	Required bool
	Advanced bool   // left out of the short road (XEP-0077 plain fields, chat questions)
	Legacy   string // the XEP-0077 element that carries it: "nick", "username", "password", "name" …; empty: none
}

// Account is what a driver gets to know of a user on one network.
type Account struct {
	Owner    string // bare JID of the user: for log lines and for an ident answer, never sent as is
	Network  NetworkID
	Nick     string            // the nick to use when Settings has none
	Settings map[string]string // by Field.Name, secrets included; nil: not registered
	State    StateStore        // what the driver itself has stored; nil: nothing can be
	Log      *slog.Logger
}

// StateStore is what a driver has stored of an account with Sink.Commit. It goes when
// the account is removed.
type StateStore interface {
	// Load returns everything under names that begin with prefix. It blocks on the
	// database, and waits for what was committed before.
	Load(ctx context.Context, prefix string) (map[string][]byte, error)
	// Save is Sink.Commit for what has no place among the events, such as keys: when it
	// returns nil the changes outlive the process. It does not wait for the database.
	Save(ctx context.Context, changes map[string][]byte) error
}

// MaxCommit is how many bytes names and values of one Commit have at most.
const MaxCommit = 8 << 20

// SealedState begins the names of what Commit stores encrypted.
const SealedState = "sealed/"

// SessionState begins the names of what the session itself stores of an account; a
// driver uses others.
const SessionState = SealedState + "session/"

// Start says under which circumstances a connection is made.
type Start struct {
	// Attended: somebody is waiting for this and can choose again. A nick that
	// is taken then ends Run with kind Conflict; unattended, the driver regains
	// it, or uses the alternatives the user named.
	Attended bool
	// Nick is what the user asked for with the join that opened the link; empty
	// after the first connection.
	Nick string
}

// Network is one user's link to one network.
type Network interface {
	// Run makes one connection and serves it until it is lost or ctx is done. It
	// emits State(Online) once actions are possible, and never retries; the
	// caller does, unless the error is permanent. Run is not called twice at a
	// time. It returns an *Error, or nil after a polite end through ctx. State
	// that queries show (Members) stays readable until the next Run.
	Run(ctx context.Context, start Start) error

	// RoomID and UserID fold a name by the network's rules as far as they are
	// known now. Cheap.
	RoomID(name string) RoomID
	UserID(name string) UserID

	// Join enters a room; outcome Entered or Failed.
	Join(ref Ref, room string, opt JoinOptions) error
	// Leave leaves a room; outcome Left with Self set.
	Leave(ref Ref, room RoomID, reason string) error
	// Send says something; outcome Message with the same Ref when the network
	// has taken all of it, or Failed.
	Send(ref Ref, to Place, m Outgoing) error

	// Self is the user's own identity on the network: zero before Online.
	Self() Member
	// Members is the room's present membership without the user, in no
	// particular order; ok is false where the user is not in.
	Members(room RoomID) (self Member, others []Member, ok bool)
	// Member is one of them, or the user.
	Member(room RoomID, user UserID) (Member, bool)
	// Capabilities tells what can be done at a place. Cheap.
	Capabilities(Place) Caps
}

// JoinOptions refine a Join.
type JoinOptions struct {
	Password string
	// Create: a room that does not exist may be made, where the network does not do
	// so anyway.
	Create bool
}

// Place is where something is said: in a room or with a person. One is set.
type Place struct {
	Room RoomID
	User UserID
}

// MessageKind tells how a message was meant.
type MessageKind uint8

// Kinds of message.
const (
	Text   MessageKind = iota
	Emote              // "/me" without the "/me "
	Notice             // from a program, not to be answered by one
	// NewSubject is an old change of a room's subject, which became Body: with Replay
	// only. What happens now is SubjectChanged.
	NewSubject
)

// Outgoing is what a user says. Only parts whose capability the place has are
// set; the session turns the others into text.
type Outgoing struct {
	Kind MessageKind
	Body string // plain text, may have several lines

	// Token is unguessable, and the same when the same line is sent again: a network
	// that can, takes it once.
	Token string
	// HTML is Body with its looks, of the elements in Markup; empty: there are none.
	HTML     string
	Replaces MessageID // an edit of the user's own earlier line
	ReplyTo  MessageID
	Thread   MessageID // the line a thread begins with
	Mentions []UserID  // people of the room whom Body names
	Link     string    // what the message is about is at this address
	File     *Upload   // Body is what is said about it, often nothing
	Location *Location // the same
}

// Upload is a file that the user sends.
type Upload struct {
	Name string
	Type string // media type; empty: not known
	Size int64  // bytes; negative: not known
	// Open begins to read it, from where it lies now; at most MaxFile bytes can be
	// read. It blocks under ctx, for a worker, and may be called again. The error is an
	// *Error with words for the user.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Thumbnail makes a small form of a picture; nil, and nil from it: there is none. It
	// blocks under ctx and may read the file once more.
	Thumbnail func(ctx context.Context) (*SmallPicture, error)
}

// SmallPicture is a small form of a picture.
type SmallPicture struct {
	Data          []byte
	Type          string // media type
	Width, Height int    // pixels
}

// File is a file that somebody sent.
type File struct {
	Ref      string // MediaOpener's name for it: the same for as long as the file is there
	Name     string
	Type     string // media type; empty: not known
	Size     int64  // bytes as far as the network tells; 0: not known
	Width    int    // pixels of a picture or film, 0: not known
	Height   int
	Duration time.Duration // of sound or film, 0: not known

	Desc      string     // what it shows, in words; empty: they are not said
	Thumbnail *Thumbnail // a small picture of it; nil: there is none
	Sticker   bool       // a picture that stands for a word
	Voice     bool       // a voice message
	Encrypted bool       // it lies on the network so that only its readers can read it
}

// Thumbnail is a small picture of a file.
type Thumbnail struct {
	Ref    string // as File.Ref
	Type   string // media type; empty: not known
	Width  int    // pixels, 0: not known
	Height int
}

// Media is a file being read.
type Media struct {
	io.ReadCloser
	Type string // media type; empty: not known
	Size int64  // bytes; negative: not known
}

// Markup names the elements that Outgoing.HTML and Message.HTML consist of. Of
// attributes there are href of a (http, https, mailto), and class of code; every
// element is closed, br has none. A driver that gets more from its network leaves
// it out.
var Markup = []string{
	"a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol",
	"p", "pre", "s", "strong", "u", "ul",
}

// Caps is what a place can do, as data: it shows in disco and decides what the
// session turns into text.
type Caps struct {
	HTML     bool // Outgoing.HTML
	Edit     bool // Outgoing.Replaces
	Reply    bool // Outgoing.ReplyTo
	Thread   bool // Outgoing.Thread
	Mention  bool // Outgoing.Mentions
	React    bool // the Network is a Reactor here
	Retract  bool // the Network is a Retractor here
	Typing   bool // the Network is a Typist here
	Files    bool // Outgoing.File
	Location bool // Outgoing.Location
	Read     bool // the Network is a Reader here, and tells what others have read
	Group    bool // this is a group of rooms (Grouper), not a room: nothing is said there
	// Once: the network takes what has a Token once, over restarts of both, and tells the
	// Token of the user's own lines. What it may not have got is then asked for again.
	Once bool
	// Resident: the network keeps the user in its rooms by itself. Leave then only
	// ends the reports about a room; whoever wants to be out for good needs Quit.
	Resident bool
	Accounts bool // members carry an Account where they have one: occupant-ids are stable
	Subject  bool // subjects can be set
	Moderate bool // roles and affiliations can be set by those allowed
	MaxLine  int  // bytes of text the network carries in one piece, 0: not known
	// Shared: what is said in the room is the same for every user of the gateway
	// who is in it, because the operator says where the network is. It may then be
	// stored once for all of them.
	Shared bool
}

// Sink takes what a network reports. Its methods are safe for concurrent use
// while Run runs. Emit must not be called while holding a lock that a Network
// method takes: the session may call back from inside it.
type Sink interface {
	// Emit hands over one event, in network order. It blocks while the session
	// is busy, and returns an error only when ctx is done or the session ended.
	Emit(ctx context.Context, ev Event) error
	// Commit changes what is stored of the account (Account.State), all of it or
	// none, once what was emitted before it is safe; a nil value removes a name. It
	// keeps its place among the events and blocks as Emit does; it does not wait for
	// the database. What a killed process has not stored of it comes again: the
	// driver then repeats the events since, with the same MessageIDs and with
	// Message.Replay set. More than MaxCommit is an *Error of kind TooLarge, and
	// nothing is stored; who has more divides it, and puts what must not be ahead of
	// the rest (a cursor) into the last part: commits are stored in their order.
	Commit(ctx context.Context, changes map[string][]byte) error
	// Go runs f in a goroutine that Run's caller recovers, counts and awaits:
	// the only way a driver starts one. ctx ends with Run's. A driver may hold its
	// own lock while it calls: Go must not call back into the Network.
	Go(f func(ctx context.Context))
}

// Role is what a member may do in a room now (XEP-0045 section 5.1, and the
// same on every network).
type Role uint8

// Roles, rising.
const (
	RoleNone Role = iota
	RoleVisitor
	RoleParticipant
	RoleModerator
)

// Affiliation is a member's lasting standing in a room (XEP-0045 section 5.2).
type Affiliation uint8

// Affiliations, rising.
const (
	AffiliationOutcast Affiliation = iota + 1
	AffiliationNone
	AffiliationMember
	AffiliationAdmin
	AffiliationOwner
)

// Member is somebody in a room, or the user.
type Member struct {
	ID          UserID
	Nick        string // as the network writes it; in a room nobody else has it
	Address     string // what Address.Name of the person is; empty: Nick
	Mask        string // user@host where known
	Account     string // services account where known
	Identity    string // stable name for an occupant-id: the account, else made once per presence and kept through a change of nick
	Role        Role
	Affiliation Affiliation
	Away        bool
	Avatar      string // MediaOpener's name for the person's picture, as File.Ref; another picture has another; empty: none or not known
}

// Subject is a room's subject with who set it and when, as far as known.
type Subject struct {
	Text     string
	By       string // nick, or a server's name
	At       time.Time
	Identity string    // of By, as Member.Identity has it; empty: not known
	ID       MessageID // what the network calls the change, where it does and plays changes back
}
