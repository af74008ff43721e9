package session

import (
	"errors"

	"gosrc.io/xmpp/stanza"

	"transportd/bridges"
	"transportd/component"
)

// refusal is the stanza error a kind of network error becomes.
type refusal struct {
	typ       stanza.ErrorType
	condition string
	text      string // where the network gave no words
}

// refusals is the one place that decides which stanza error a user gets
// (RFC 6120 section 8.3.3; for rooms XEP-0045 section 7.2).
var refusals = map[bridges.ErrorKind]refusal{
	bridges.NotFound:         {stanza.ErrorTypeCancel, "item-not-found", "There is no such room or person."},
	bridges.Invalid:          {stanza.ErrorTypeModify, "not-acceptable", "The network does not accept this."},
	bridges.TooLarge:         {stanza.ErrorTypeModify, "policy-violation", "This is longer than the network takes."},
	bridges.Unsupported:      {stanza.ErrorTypeCancel, "feature-not-implemented", "The network has no such thing."},
	bridges.Forbidden:        {stanza.ErrorTypeAuth, "forbidden", "You are not allowed to do this."},
	bridges.IsBanned:         {stanza.ErrorTypeAuth, "forbidden", "You are banned from there."},
	bridges.MembersOnly:      {stanza.ErrorTypeAuth, "registration-required", "You need an invitation to enter."},
	bridges.PasswordRequired: {stanza.ErrorTypeAuth, "not-authorized", "A correct password is needed to enter."},
	bridges.RoomFull:         {stanza.ErrorTypeWait, "service-unavailable", "The room is full."},
	bridges.RoomMoved:        {stanza.ErrorTypeCancel, "gone", "The room has ended; another takes its place."},
	bridges.Conflict:         {stanza.ErrorTypeCancel, "conflict", "The nickname is in use."},
	bridges.NickLocked:       {stanza.ErrorTypeModify, "not-acceptable", "The nickname cannot be changed now."},
	bridges.NotJoined:        {stanza.ErrorTypeModify, "not-acceptable", "You are not in that room."},
	bridges.TooManyRooms:     {stanza.ErrorTypeWait, "resource-constraint", "You are in as many rooms as the network allows."},
	bridges.BadCredentials:   {stanza.ErrorTypeAuth, "not-authorized", "The network refused the login."},
	bridges.NeedsAccount:     {stanza.ErrorTypeAuth, "registration-required", "The network asks for a registered account."},
	bridges.RateLimited:      {stanza.ErrorTypeWait, "resource-constraint", "Too much at once; please wait and try again."},
	bridges.Offline:          {stanza.ErrorTypeWait, "recipient-unavailable", "There is no connection to the network."},
	bridges.Timeout:          {stanza.ErrorTypeWait, "remote-server-timeout", "The network did not answer."},
	bridges.NetworkBanned:    {stanza.ErrorTypeAuth, "forbidden", "The network does not let you in."},
	bridges.TemporaryRefuse:  {stanza.ErrorTypeWait, "remote-server-timeout", "The network cannot take the connection now."},
	bridges.Internal:         {stanza.ErrorTypeWait, "internal-server-error", "Something went wrong in the gateway; the operator can find it in the log."},
}

// StanzaError turns an error of a driver into what the user gets: the fitting
// condition with the network's own words. Any other error becomes
// internal-server-error, its text kept for the log.
func StanzaError(err error) *component.StanzaError {
	var se *component.StanzaError
	if errors.As(err, &se) {
		return se
	}
	e := bridges.AsError(err)
	r, ok := refusals[e.Kind]
	if !ok {
		r = refusals[bridges.Internal]
	}
	text := e.Text
	if text == "" || e.Kind == bridges.Internal {
		text = r.text
	}
	return component.NewStanzaError(r.typ, r.condition, text)
}

// errBusy is why something was not asked: everybody who could is busy.
var errBusy = bridges.NewError(bridges.RateLimited, "")

// isDown tells whether a stanza was not sent because there is no stream.
func isDown(err error) bool { return errors.Is(err, component.ErrDown) }
