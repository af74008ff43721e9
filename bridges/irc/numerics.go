package irc

import (
	"strings"

	"transportd/bridges"
)

// action is what a user did that a numeric can answer.
type action uint16

// The actions, as a set.
const (
	actJoin action = 1 << iota
	actLeave
	actSend
	actTopic
	actNick
	actInvite
	actKick
	actMode
	actRaw
	actWhois
	actList
	actProbe
	actWho   // our own question for accounts
	actEnter // the network has put us into a channel
	actBans
	actQuery = actWhois | actList | actProbe
)

// numericError is what an error numeric means. Its words for the user are the
// server's own.
type numericError struct {
	code string
	kind bridges.ErrorKind
	// answers is the set of actions it can refuse. A pending one of them whose
	// channel or nick is among the numeric's parameters is answered; the oldest
	// where bare is set, because such a numeric names neither.
	answers action
	bare    bool
	meaning string // for docs/irc.md
}

// kindOf is the kind of one refusal. ngIRCd tells with the numeric of a full
// channel that it is for registered users (+R).
func (e numericError) kindOf(words string) bridges.ErrorKind {
	if e.kind == bridges.RoomFull && strings.Contains(words, "(+R)") {
		return bridges.NeedsAccount
	}
	return e.kind
}

// commandActions are what a command may have been sent for, by the name an error
// gives it.
var commandActions = map[string]action{
	"JOIN": actJoin, "PART": actLeave, "PRIVMSG": actSend | actProbe, "NOTICE": actSend, "TOPIC": actTopic,
	"NICK": actNick, "INVITE": actInvite, "KICK": actKick, "MODE": actMode, "WHOIS": actWhois, "LIST": actList,
}

// about narrows a row to the command that the numeric names: 421, 461 and 517 have
// it where others have a channel or a nick, which could be called anything.
func (e numericError) about(l *line) numericError {
	switch e.code {
	case "421", "461", "517":
		if len(l.Params) > 2 {
			e.answers &= commandActions[strings.ToUpper(l.Param(1))]
		}
	}
	return e
}

// numericErrors lists every error a user can cause. Where servers gave one
// number several meanings there are several rows, tried in this order.
var numericErrors = []numericError{
	{"401", bridges.NotFound, actSend | actInvite | actKick | actMode | actWhois | actProbe, false, "no such nick"},
	{"402", bridges.NotFound, actSend | actWhois | actProbe, false, "no such server"},
	{"403", bridges.NotFound, actJoin | actLeave | actSend | actTopic | actInvite | actKick | actMode, false, "no such channel"},
	{"404", bridges.Forbidden, actSend, false, "cannot send to channel"},
	{"405", bridges.TooManyRooms, actJoin, false, "too many channels"},
	{"406", bridges.NotFound, actWhois, false, "there was no such nick"},
	{"407", bridges.Invalid, actSend | actJoin, false, "too many targets"},
	{"408", bridges.Forbidden, actSend, false, "no such service, or no colours in this channel"},
	{"411", bridges.Invalid, actSend, true, "no recipient"},
	{"412", bridges.Invalid, actSend, true, "no text to send"},
	{"413", bridges.Invalid, actSend, false, "no top level domain in a mask"},
	{"414", bridges.Invalid, actSend, false, "wild card in a mask"},
	{"415", bridges.Invalid, actSend | actMode, false, "bad mask, or account needed"},
	{"416", bridges.TooLarge, actQuery, true, "too many matches"},
	{"417", bridges.TooLarge, actSend | actTopic | actKick, true, "line too long"},
	{"421", bridges.Unsupported, actInvite | actQuery, true, "unknown command"},
	{"431", bridges.Invalid, actNick, true, "no nick given"},
	{"432", bridges.Invalid, actNick, true, "erroneous nick"},
	{"433", bridges.Conflict, actNick, true, "nick in use"},
	{"435", bridges.NickLocked, actNick, true, "cannot change nick while banned"},
	{"436", bridges.Conflict, actNick, true, "nick collision"},
	{"437", bridges.TemporaryRefuse, actJoin, false, "channel temporarily unavailable"},
	{"437", bridges.Conflict, actNick, true, "nick held, or nick locked in a channel"},
	{"438", bridges.RateLimited, actNick, true, "nick changes too fast"},
	{"439", bridges.RateLimited, actSend | actJoin | actInvite | actProbe, false, "targets change too fast"},
	{"440", bridges.TemporaryRefuse, actSend, true, "services are down"},
	{"441", bridges.NotFound, actKick | actMode, false, "the person is not in the channel"},
	{"442", bridges.NotJoined, actLeave | actSend | actTopic | actInvite | actKick | actMode, false, "you are not in the channel"},
	{"443", bridges.Conflict, actInvite, false, "the person is in the channel already"},
	{"447", bridges.NickLocked, actNick, true, "cannot change nick now"},
	{"448", bridges.Forbidden, actJoin, false, "channel forbidden"},
	{"460", bridges.Forbidden, actKick | actMode, true, "not for half-operators"},
	{"461", bridges.Invalid, actJoin | actSend | actTopic | actNick | actInvite | actKick | actMode, true, "not enough parameters"},
	{"467", bridges.Conflict, actMode, false, "channel key set already"},
	{"468", bridges.Forbidden, actMode, false, "only servers may change that"},
	{"469", bridges.Forbidden, actJoin, false, "channel linked elsewhere"},
	{"471", bridges.RoomFull, actJoin, false, "channel is full"},
	{"472", bridges.Unsupported, actMode, true, "unknown mode"},
	{"473", bridges.MembersOnly, actJoin, false, "invite only"},
	{"474", bridges.IsBanned, actJoin, false, "banned"},
	{"475", bridges.PasswordRequired, actJoin, false, "wrong key"},
	{"476", bridges.Invalid, actJoin | actMode, false, "bad channel mask"},
	{"477", bridges.NeedsAccount, actJoin | actSend | actProbe, false, "account needed"},
	{"477", bridges.Unsupported, actMode, false, "channel has no modes"},
	{"478", bridges.Forbidden, actMode, false, "ban list full"},
	{"479", bridges.Invalid, actJoin, false, "illegal channel name"},
	{"480", bridges.Forbidden, actJoin, false, "throttled, or TLS needed"},
	{"481", bridges.Forbidden, actMode | actKick | actInvite | actTopic | actJoin | actSend | actList, true, "not an IRC operator"},
	{"482", bridges.Forbidden, actTopic | actInvite | actKick | actMode | actSend, false, "not a channel operator"},
	{"484", bridges.Forbidden, actKick | actMode, true, "protected, or restricted connection"},
	{"484", bridges.Forbidden, actNick, true, "restricted connection"},
	{"485", bridges.Forbidden, actJoin | actKick | actMode, false, "not the channel's founder, or join refused"},
	{"486", bridges.NeedsAccount, actSend | actProbe, false, "account needed to write to this person"},
	{"487", bridges.Forbidden, actSend, false, "not allowed for users"},
	{"488", bridges.Forbidden, actSend | actJoin, false, "TLS needed"},
	{"489", bridges.Forbidden, actJoin | actSend, false, "TLS or voice needed"},
	{"490", bridges.Forbidden, actMode | actSend | actJoin, false, "all members must use TLS, or no swearing"},
	{"492", bridges.Forbidden, actSend | actKick | actMode | actProbe, false, "no CTCP there, or cannot send to this person"},
	{"493", bridges.Forbidden, actSend | actProbe, false, "no channel in common"},
	{"494", bridges.Forbidden, actSend | actMode | actProbe, false, "your own modes forbid it"},
	{"495", bridges.RateLimited, actJoin, false, "rejoined too soon after a kick"},
	{"499", bridges.Forbidden, actMode | actKick, false, "not the channel's owner"},
	{"500", bridges.RateLimited, actJoin, false, "channel throttles joins"},
	{"501", bridges.Unsupported, actMode, true, "unknown user mode"},
	{"502", bridges.Forbidden, actMode, true, "modes of another person"},
	{"517", bridges.Unsupported, actQuery | actInvite, true, "command disabled"},
	{"518", bridges.Forbidden, actInvite, false, "no invitations to this channel"},
	{"519", bridges.Forbidden, actJoin, false, "only administrators may join"},
	{"520", bridges.Forbidden, actJoin, false, "only operators may join"},
	{"521", bridges.Invalid, actList, true, "bad list question"},
	{"525", bridges.Invalid, actMode, false, "bad key"},
	{"531", bridges.Forbidden, actSend | actProbe, false, "cannot send to this person"},
	{"696", bridges.Invalid, actMode, false, "bad mode parameter"},
	{"697", bridges.Conflict, actMode, false, "on the list already"},
	{"698", bridges.NotFound, actMode, false, "not on the list"},
	{"716", bridges.Forbidden, actSend | actProbe, false, "the person ignores strangers"},
	{"723", bridges.Forbidden, actMode | actKick | actInvite | actTopic, true, "privilege needed"},
	{"742", bridges.Forbidden, actMode | actTopic, false, "locked by services"},
	{"926", bridges.Forbidden, actJoin, false, "channel forbidden"},
	{"936", bridges.Forbidden, actSend, false, "word not allowed"},
	{"972", bridges.Forbidden, actKick | actMode, true, "refused by the server"},
	{"974", bridges.Forbidden, actMode, true, "cannot change this mode"},
}

// errorsByCode finds a numeric's rows.
var errorsByCode = func() map[string][]numericError {
	m := make(map[string][]numericError, len(numericErrors))
	for _, row := range numericErrors {
		m[row.code] = append(m[row.code], row)
	}
	return m
}()

// failCodes are standard replies (FAIL) whose code says more than refusal. The
// rest count as Forbidden.
var failCodes = map[string]bridges.ErrorKind{
	"ACCOUNT_REQUIRED":        bridges.NeedsAccount,
	"ALREADY_AUTHENTICATED":   bridges.Conflict,
	"CANNOT_SEND":             bridges.Forbidden,
	"INVALID_PARAMS":          bridges.Invalid,
	"INVALID_TARGET":          bridges.NotFound,
	"INVALID_UTF8":            bridges.Invalid,
	"MESSAGE_TOO_LONG":        bridges.TooLarge,
	"NEED_MORE_PARAMS":        bridges.Invalid,
	"NEED_REGISTRATION":       bridges.NeedsAccount,
	"NICKNAME_IN_USE":         bridges.Conflict,
	"NICKNAME_RESERVED":       bridges.Conflict,
	"NO_SUCH_CHANNEL":         bridges.NotFound,
	"NO_SUCH_NICK":            bridges.NotFound,
	"RATE_LIMITED":            bridges.RateLimited,
	"TEMPORARILY_UNAVAILABLE": bridges.TemporaryRefuse,
	"UNKNOWN_COMMAND":         bridges.Unsupported,
}
