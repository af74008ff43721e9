package bridges

import (
	"errors"
	"time"
)

// ErrorKind is what went wrong, in terms every network shares. One place turns
// it into a stanza error.
type ErrorKind uint8

// Kinds of error.
const (
	Internal         ErrorKind = iota // ours; its text is for the log, never for the user
	NotFound                          // no such room or person
	Invalid                           // a name or value the network does not take
	TooLarge                          // more text than it takes
	Unsupported                       // it has no such thing
	Forbidden                         // not allowed to this user
	IsBanned                          // banned from there
	MembersOnly                       // invitation or membership needed
	PasswordRequired                  // a key or password is wrong or missing
	RoomFull
	RoomMoved       // another room has taken its place: Error.Instead
	Conflict        // the nick is taken
	NickLocked      // the nick cannot be changed now
	NotJoined       // the user is not in that room
	TooManyRooms    // the user is in as many rooms as the network allows
	BadCredentials  // login refused
	NeedsAccount    // a services account is needed
	RateLimited     // slower
	Offline         // no connection to the network
	Timeout         // no answer in time
	NetworkBanned   // the network does not let this user or host in
	TemporaryRefuse // the network is full or throttles connections
)

// Error is why an action or a connection failed.
type Error struct {
	Kind ErrorKind
	// Text is for the user: the network's own words where it said some.
	Text string
	// Uncertain: the network may have taken it all the same.
	Uncertain bool
	// Permanent: trying again without a change is no use.
	Permanent bool
	// RetryAfter is how long the network wants us to wait, 0: not known.
	RetryAfter time.Duration
	// Instead is the room that has taken the place of one that has Moved, as
	// Address.Name has it.
	Instead string
	// Err is the cause, for the log only.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf is left out on purpose: a text shown to users is a whole sentence
// written for them, not a format with a Go error in it.

// NewError makes an error of a kind with words for the user.
func NewError(kind ErrorKind, text string) *Error { return &Error{Kind: kind, Text: text} }

// AsError returns err as an *Error; anything else becomes kind Internal, its
// text kept from users.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Text: "internal error", Err: err}
}
