package archive

import (
	"context"
	"time"
)

// Room names an archive: a room of a network, as the driver canonically calls it.
type Room struct {
	Gateway string // component domain
	Network string
	Room    string
	// Owner is the bare JID of the one user the archive belongs to; empty where
	// all users of the gateway who are in the room share it.
	Owner string
}

// Line is a line of an archive.
type Line struct {
	Key
	// Only is the bare JID of the one user who sees the line; Except that of one
	// who does not. At most one is set. In an archive with an owner neither is.
	Only, Except string

	Self      bool   // the user said it: Only, or the archive's owner
	Nick      string // of who said it; empty: the room itself
	Body      string
	ID        string // message id where it is not the key
	NetID     string // what the network calls the line, where it does
	Occupant  string // identity for the occupant-id (XEP-0421), where known
	Extra     []byte // further children of the message as XML, where it had any
	Edited    int64  // when the body was replaced, in microseconds; 0: never
	Retracted int64  // when it was taken back: the body is gone; 0: never
}

// Op is one change of the store. The set is closed.
type Op interface{ op() }

// AddLine stores a line. A line with the same key in the same archive is the
// same line, and stays as it is.
type AddLine struct {
	Room Room
	Line Line
	// Named: the network refers to lines by their NetID, so that it must be found
	// by it.
	Named bool
}

// Enter notes that a user hears an archive's lines from At on, and under which
// room JID the user knows it. Leave ends that at At, exclusively: later than the
// Enter, and earlier than the user's next one there.
type Enter struct {
	Room Room
	User string // bare JID
	JID  string // of the room, bare
	At   int64  // microseconds
}

// Leave ends what Enter began.
type Leave struct {
	Room Room
	User string
	At   int64
}

// Restrict changes who sees a line: Only and Except as in Line.
type Restrict struct {
	Room         Room
	Key          Key
	Only, Except string
}

// Amend replaces what a line says, or takes it back (Retracted): then its body is
// empty, and extra tells so.
type Amend struct {
	Room      Room
	Key       Key
	Body      string
	Extra     []byte
	Edited    int64
	Retracted int64
}

// AddPrivate stores a one-to-one line. Pending: nobody of the user's was there to
// get it yet.
type AddPrivate struct {
	Gateway, User string // the gateway's domain, the user's bare JID
	Private       Private
}

// SettlePrivate notes that a pending line reached the user's server; Again puts it
// back among the pending.
type SettlePrivate struct {
	Gateway, User string
	Key           Key
	Again         bool
}

// SealedState begins the names of what the store encrypts (bridges.SealedState).
const SealedState = "sealed/"

// SaveState changes what a driver keeps of an account; a nil value removes a name.
// Where there is no such account it does nothing.
type SaveState struct {
	Gateway, User, Network string
	Changes                map[string][]byte
	// Sealed: the values of names that begin with SealedState are encrypted (Sealer).
	Sealed bool
}

// Sealer is a Backend that encrypts. What is secret then never lies open in the journal.
type Sealer interface {
	// SealState is op with what is secret encrypted; op itself stays as it is.
	SealState(op *SaveState) *SaveState
}

// MaxState is how many bytes of names and values one SaveState has at most. It is one
// record of the journal, and stored whole or not at all.
const MaxState = 8 << 20

// Size is how many bytes the names and values of changes take.
func Size(changes map[string][]byte) (n int) {
	for name, value := range changes {
		n += len(name) + len(value)
	}
	return n
}

// weight is about how many bytes an op is long.
func weight(op Op) int {
	switch op := op.(type) {
	case *AddLine:
		return len(op.Line.Body) + len(op.Line.Extra)
	case *Amend:
		return len(op.Body) + len(op.Extra)
	case *AddPrivate:
		return len(op.Private.Body) + len(op.Private.Extra)
	case *SaveState:
		return Size(op.Changes)
	}
	return 0
}

func (*SaveState) op()     {}
func (*AddLine) op()       {}
func (*Enter) op()         {}
func (*Leave) op()         {}
func (*Restrict) op()      {}
func (*Amend) op()         {}
func (*AddPrivate) op()    {}
func (*SettlePrivate) op() {}

// Private is a one-to-one line with a person of a network.
type Private struct {
	Key
	Peer    string // JID of the person, or of the network for its console
	Nick    string // of the person
	Via     string // local part of the room whose occupant was written to; empty: the person
	ID      string // message id
	Body    string
	NetID   string // what the network calls the line, where it refers to lines by that
	Extra   []byte // further children of the message as XML, where it had any
	Out     bool   // the user said it
	Pending bool
}

// Query asks for a part of what a user sees of a room. After and Before are
// exclusive, From and To inclusive; zero parts do not limit.
type Query struct {
	Gateway, User string
	JID           string // of the room, bare, as Enter was told; what it meant at any time
	After, Before Key
	From, To      int64  // microseconds
	Nick          string // said by this nick only, whatever its case in ASCII
	Occupant      string // said under this identity only
	Self          bool   // said by the user only
	NoBody        bool   // lines without a body only: changes of the subject, reactions
	Last          bool   // the last lines of the range instead of the first
	Limit         int
}

// Backend is the database behind an archive. Its methods are safe for concurrent
// use and block on the database, under their context.
type Backend interface {
	// WriteArchive applies ops in their order, all or none. To apply the same ones
	// again changes nothing: what a killed process left behind is repeated.
	WriteArchive(ctx context.Context, ops []Op) error

	// ArchiveEpoch changes when what was written last may be gone again: a database
	// server that was killed forgets its last moment. 0: that does not happen.
	ArchiveEpoch() int64

	// ArchiveLines returns at most q.Limit lines, always in rising order, and
	// whether there are more in the direction asked for.
	ArchiveLines(ctx context.Context, q *Query) (lines []Line, more bool, err error)
	// ArchiveCount counts what ArchiveLines would return without a limit.
	ArchiveCount(ctx context.Context, q *Query) (int, error)
	// ArchiveByKey returns those of the lines that the user sees; others are
	// missing from the answer.
	ArchiveByKey(ctx context.Context, gateway, user, jid string, keys []Key) ([]Line, error)
	// ArchiveRoom is the archive that a user knows under a room's JID; false where
	// there is none.
	ArchiveRoom(ctx context.Context, gateway, user, jid string) (Room, bool, error)
	// ArchiveRecent finds the latest of a user's own lines (Self) with a message
	// id, among the last thousands; false where there is none.
	ArchiveRecent(ctx context.Context, gateway, user, jid, id string) (Line, bool, error)
	// ArchiveByNetID is ArchiveByKey for lines that were stored as Named, by their
	// NetID, in no particular order.
	ArchiveByNetID(ctx context.Context, gateway, user, jid string, netIDs []string) ([]Line, error)
	// PrivateByID finds one-to-one lines with a peer by message id or NetID, the
	// latest first, among the last thousands with that peer.
	PrivateByID(ctx context.Context, gateway, user, peer string, ids []string) ([]Private, error)
	// AccountState returns what a driver keeps of an account under names that begin
	// with prefix.
	AccountState(ctx context.Context, gateway, user, network, prefix string) (map[string][]byte, error)

	// PendingPrivate returns a user's pending one-to-one lines, oldest first, at
	// most limit.
	PendingPrivate(ctx context.Context, gateway, user string, limit int) ([]Private, error)
	// PendingUsers returns the users of a gateway who have any.
	PendingUsers(ctx context.Context, gateway string) ([]string, error)

	// CloseVisits ends every visit (Enter without Leave) of a gateway: nobody is in
	// any room when a process begins. It ends at a time, or behind the archive's last
	// line where that is later.
	CloseVisits(ctx context.Context, gateway string, at time.Time) error
	// ArchivesAhead returns the archives of a gateway in which a line or a visit is
	// later than at, with the latest of these times, in microseconds.
	ArchivesAhead(ctx context.Context, gateway string, at int64) (map[Room]int64, error)
}
