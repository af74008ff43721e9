package ircconn

import (
	"errors"
)

// Reason is why a connection could not be made or has ended.
type Reason uint8

// Reasons.
const (
	Closed           Reason = iota // the server closed the connection
	Unresolved                     // the host has no address
	ForbiddenAddress               // every address of the host is refused by Options.Allow
	Refused                        // nobody listens, or the host is unreachable
	TLSFailed                      // handshake or certificate
	Timeout                        // no answer in time
	NickInUse                      // 433, 436, 437 and Options.Nicks gave up
	NickInvalid                    // 432 and Options.Nicks gave up
	BadPassword                    // 464: the server password
	SASLFailed                     // 902, 904, 905: wrong account or password
	SASLUnavailable                // a login is required and the server offers none we can do
	Banned                         // 465, K-line, G-line, Z-line
	ServerFull                     // no room for more users
	Throttled                      // connecting too fast, or too many from one address
	Killed                         // an operator ended the connection
	Protocol                       // the server does not speak IRC, or breaks it
)

// Failure is the error of Dial and, once the connection is over, of Read.
type Failure struct {
	Reason Reason
	// Code is the numeric or standard-reply code the server gave, or "".
	Code string
	// Text is a sentence for the user; where Words is set it holds them.
	Text string
	// Words are the server's own.
	Words string
	// Permanent: trying again without a change is no use.
	Permanent bool
	// Registered: the connection had been up.
	Registered bool
	// Err is the cause, for the log only.
	Err error
}

// Error is for the log.
func (f *Failure) Error() string {
	if f.Err != nil {
		return f.Text + " (" + f.Err.Error() + ")"
	}
	return f.Text
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Errors of Write.
var (
	// ErrQueueFull: too much is waiting to be written; nothing was queued.
	ErrQueueFull = errors.New("ircconn: queue full")
	// ErrClosed: the connection is over.
	ErrClosed = errors.New("ircconn: connection closed")
	// ErrLineTooLong: a line exceeds what the server takes; nothing was queued.
	ErrLineTooLong = errors.New("ircconn: line too long")
	// ErrBadLine: a line cannot be expressed in IRC (a control character, a space in a
	// parameter that is not the last, an empty command); nothing was queued.
	ErrBadLine = errors.New("ircconn: not a valid line")
)
