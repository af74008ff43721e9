package ircconn

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
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

// failureHints classify the words of ERROR and of refusing numerics. The first
// match counts.
var failureHints = []struct {
	words  string
	reason Reason
}{
	{"k-line", Banned}, {"k:line", Banned}, {"g-line", Banned}, {"g:line", Banned}, {"z-line", Banned}, {"z:line", Banned},
	{"d-line", Banned}, {"klined", Banned}, {"glined", Banned}, {"zlined", Banned}, {"dlined", Banned}, {"akill", Banned},
	{"autokill", Banned}, {"shunned", Banned}, {"gline", Banned}, {"zline", Banned}, {"kline", Banned}, {"dnsbl", Banned}, {"banned", Banned},
	{"throttl", Throttled}, {"too fast", Throttled}, {"connection limit", Throttled}, {"too many connections", Throttled},
	{"too many host connections", Throttled}, {"too many local connections", Throttled}, {"too many global connections", Throttled},
	{"too many unknown connections", Throttled}, {"max sessions", Throttled}, {"session limit", Throttled}, {"too many user connections", Throttled},
	{"server is full", ServerFull}, {"no more connections", ServerFull}, {"server full", ServerFull}, {"too many users", ServerFull},
	{"connection class is full", ServerFull}, {"no more users", ServerFull},
	{"bad password", BadPassword}, {"password mismatch", BadPassword}, {"incorrect password", BadPassword},
	{"access denied", BadPassword}, {"invalid password", BadPassword}, {"no password", BadPassword},
	{"not authorized", Banned}, {"not authorised", Banned}, {"no authorization", Banned}, {"unauthorized connection", Banned},
	{"authentication is required", SASLUnavailable}, {"need to use sasl", SASLUnavailable}, {"requires sasl", SASLUnavailable}, {"sasl access only", SASLUnavailable},
	{"killed (", Killed}, {"killed by", Killed},
	{"ping timeout", Timeout}, {"registration timeout", Timeout}, {"registration timed out", Timeout}, {"connection timed out", Timeout},
}

// classify finds the reason in a server's words.
func classify(words string) Reason {
	words = strings.ToLower(words)
	for _, h := range failureHints {
		if strings.Contains(words, h.words) {
			return h.reason
		}
	}
	return Closed
}

// leadIn is our part of the sentence in front of the server's words.
var leadIn = map[Reason]string{
	Closed:          "%s has closed the connection",
	Timeout:         "%s has closed the connection",
	NickInUse:       "%s does not let this nick in",
	NickInvalid:     "%s does not take this nick",
	BadPassword:     "%s wants another password",
	SASLFailed:      "%s refuses the login",
	SASLUnavailable: "%s wants a login",
	Banned:          "%s does not let this gateway or user in",
	ServerFull:      "%s is full",
	Throttled:       "%s wants fewer or slower connections",
	Killed:          "An operator of %s has ended the connection",
}

// refusal is a failure told by the server.
func refusal(reason Reason, host, code, words string) *Failure {
	f := &Failure{Reason: reason, Code: code, Words: words}
	f.Text = fmt.Sprintf(cmp.Or(leadIn[reason], leadIn[Closed]), host)
	if words != "" {
		f.Text += ": " + words
	} else {
		f.Text += "."
	}
	switch reason {
	case NickInvalid, BadPassword, SASLFailed, SASLUnavailable, Banned:
		f.Permanent = true
	}
	return f
}

// weight orders failures of several endpoints: the one that tells most is reported.
func (f *Failure) weight() int {
	switch f.Reason {
	case Unresolved, Refused:
		return 0
	case Timeout, Closed, Protocol:
		return 1
	case ForbiddenAddress, TLSFailed:
		return 2
	}
	return 3
}

// final tells whether trying another endpoint is pointless.
func (f *Failure) final() bool {
	switch f.Reason {
	case NickInUse, NickInvalid, BadPassword, SASLFailed, SASLUnavailable, Banned, Killed:
		return true
	}
	return false
}
