package irc

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// recovery is what happens between the welcome and Online, and afterwards
// until the user has the nick wanted: logging in where SASL could not, taking
// the nick back through services, else using what the user named instead.
type recovery struct {
	stage    stage
	attended bool
	made     bool   // we are registered under a nick made up to take the other back
	spare    int    // alternatives tried
	command  int    // regain commands tried
	attempts int    // of taking the nick meanwhile
	denied   string // services' words to a login that failed
	until    time.Time
	watching bool // for the nick to become free
	failure  *bridges.Error
}

type stage uint8

const (
	stageNone stage = iota
	stageIdentify
	stageRegain
	stageSpare
)

// Patience with services, and the pace of looking whether the nick is free
// where the server does not tell.
const (
	identifyPatience = 6 * time.Second
	regainPatience   = 8 * time.Second
	retakeEvery      = 60 * time.Second
)

// regainCommands are the commands that free one's nick, in the order tried.
var regainCommands = map[string][]string{
	"auto":    {"REGAIN", "RECOVER", "GHOST"},
	"regain":  {"REGAIN"},
	"recover": {"RECOVER"},
	"ghost":   {"GHOST"},
	"none":    nil,
}

// nicks answers the server's refusal of a nick while registering. Where
// somebody is waiting, the refusal goes to them.
func (rc *recovery) nicks(n *network, start bridges.Start) func(string, *ircconn.Failure) (string, bool) {
	made := 0
	return func(refused string, why *ircconn.Failure) (string, bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		switch {
		case why.Reason != ircconn.NickInUse:
			return "", false
		case n.checking, !rc.attended && n.canRegain():
			rc.made = true
			made++
			return madeNick(n.wanted), made <= 3
		case rc.attended:
			if asked := start.Nick; asked != "" && asked != n.wanted {
				n.wanted = asked
				return asked, true
			}
			return "", false
		}
		return rc.nextSpare(n)
	}
}

func (rc *recovery) nextSpare(n *network) (string, bool) {
	if rc.spare >= len(n.set.alternatives) {
		return "", false
	}
	rc.spare++
	return n.set.alternatives[rc.spare-1], true
}

// madeNick is a nick nobody has, to talk to services with. It is given up
// before anybody can see it.
func madeNick(wanted string) string {
	var b [2]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s%04x", cutBytes(wanted, 5), b)
}

func (n *network) canRegain() bool {
	return n.set.password != "" && len(regainCommands[n.route.link.Regain]) > 0
}

// welcomed: the server has introduced itself. What is left before Online is to
// log in and to have the right nick.
func (n *network) welcomed() {
	if n.phase != phaseWelcome {
		return
	}
	n.phase = phaseLogin
	account, failure := n.conn.Login()
	if account != "" {
		n.login = account
	}
	rc := &n.recovery
	switch {
	case failure != nil && failure.Reason == ircconn.SASLFailed:
		rc.failure = failureError(failure)
		rc.failure.Permanent = true
	case n.set.password != "" && n.login == "":
		rc.begin(n, stageIdentify, identifyPatience)
		n.utter("PRIVMSG", n.route.link.NickServ, strings.Join(slices.DeleteFunc(
			[]string{"IDENTIFY", n.identifyAs(), n.set.password}, func(s string) bool { return s == "" }), " "))
	default:
		rc.regain(n)
	}
}

// services is the account of the user's password: the one set, else the nick set.
func (n *network) services() string { return or(n.set.account, or(n.set.nick, n.wanted)) }

// identifyAs is the account IDENTIFY names; the nick's own needs no name.
func (n *network) identifyAs() string {
	if n.set.account == "" && n.support.CaseMapping.Equal(n.nick, n.services()) {
		return ""
	}
	return n.services()
}

func (rc *recovery) begin(n *network, s stage, patience time.Duration) {
	rc.stage = s
	rc.until = time.Now().Add(patience)
	n.wake(patience)
}

// regain takes the nick back, if it is to be, and otherwise ends the stage.
func (rc *recovery) regain(n *network) {
	if !rc.made || n.checking {
		rc.online(n)
		return
	}
	rc.begin(n, stageRegain, regainPatience)
	rc.nextCommand(n)
}

func (rc *recovery) nextCommand(n *network) {
	commands := regainCommands[n.route.link.Regain]
	if rc.command == len(commands) {
		rc.takeSpare(n)
		return
	}
	n.utter("PRIVMSG", n.route.link.NickServ, commands[rc.command]+" "+n.wanted+" "+n.set.password)
	rc.command++
}

// takeSpare tries the next alternative, when the nick cannot be had.
func (rc *recovery) takeSpare(n *network) {
	rc.stage = stageSpare
	nick, ok := rc.nextSpare(n)
	if !ok {
		rc.failure = bridges.NewError(bridges.Conflict, "The nickname "+n.wanted+" is in use, and services did not give it back.")
		return
	}
	_, _ = n.begins(&pending{act: actNick, name: nick}, "NICK", nick)
}

// notByCertificate: the network did not ask for the certificate of an account
// that has nothing else to log in with. That ends nothing, for services may know
// the certificate later, by what the user tells them.
const notByCertificate = "You are not logged in: the network offers no SASL EXTERNAL, by which your certificate would do it. " +
	"Where its services know certificates, tell them yours with CERT ADD; else set a password."

// online makes actions possible.
func (rc *recovery) online(n *network) {
	rc.stage = stageNone
	n.phase = phaseOnline
	if n.isNick(n.wanted, n.nick) {
		n.wanted = n.nick // cut to the server's length
	}
	where := or(n.support.Network, string(n.account.Network))
	n.emit(&bridges.State{Kind: bridges.Online, Text: "Connected to " + where + " as " + n.nick + "."})
	if n.set.certificate != nil && n.login == "" && n.set.password == "" {
		n.notice("", notByCertificate)
	}
	if n.wantAway {
		n.send("AWAY", n.awayLine())
	}
	for _, line := range n.set.commands {
		if _, err := n.write(line); err != nil {
			n.notice("", "The command "+line.Command+" could not be sent.")
		}
	}
	if !n.checking && !n.support.CaseMapping.Equal(n.nick, n.wanted) {
		rc.watch(n)
	}
}

// isNick tells whether a nick is the one asked for, perhaps cut to the length
// the server allows.
func (n *network) isNick(asked, got string) bool {
	if limit := n.support.NickLen; limit > 0 && len(asked) > limit {
		asked = cutBytes(asked, limit)
	}
	return n.support.CaseMapping.Equal(asked, got)
}

// watch waits for the nick wanted to become free: by MONITOR or WATCH where
// the server has them, else by looking now and then.
func (rc *recovery) watch(n *network) {
	rc.watching = true
	switch {
	case n.support.Monitor >= 0:
		n.send("MONITOR", "+", n.wanted)
	case n.support.Watch >= 0:
		n.send("WATCH", "+"+n.wanted)
	default:
		n.wake(retakeEvery)
	}
}

func (rc *recovery) unwatch(n *network) {
	if !rc.watching {
		return
	}
	rc.watching = false
	switch {
	case n.support.Monitor >= 0:
		n.send("MONITOR", "-", n.wanted)
	case n.support.Watch >= 0:
		n.send("WATCH", "-"+n.wanted)
	}
}

// freed: a nick has no owner any more, as far as we can see.
func (rc *recovery) freed(n *network, nick string) {
	if rc.watching && n.support.CaseMapping.Equal(nick, n.wanted) {
		rc.take(n)
	}
}

func (rc *recovery) take(n *network) {
	if n.find(actNick, "", "") == nil {
		_, _ = n.begins(&pending{act: actNick, name: n.wanted}, "NICK", n.wanted)
	}
}

// woken: a wait has ended.
func (rc *recovery) woken(n *network) {
	late := !time.Now().Before(rc.until)
	switch {
	case rc.stage == stageIdentify && late:
		rc.regain(n)
	case rc.stage == stageRegain && late:
		rc.takeSpare(n)
	case rc.stage == stageNone && rc.watching && n.support.Monitor < 0 && n.support.Watch < 0:
		n.send("ISON", n.wanted)
		n.wake(retakeEvery)
	}
}

// loggedIn: services know us.
func (rc *recovery) loggedIn(n *network) {
	if rc.stage == stageIdentify && n.login != "" {
		rc.regain(n)
	}
}

// renamed: we have a nick that was waited for, or another.
func (rc *recovery) renamed(n *network) {
	has := n.support.CaseMapping.Equal(n.nick, n.wanted)
	switch {
	case rc.stage == stageRegain && has, rc.stage == stageSpare:
		rc.made = false
		rc.online(n)
	case has:
		rc.unwatch(n)
	}
}

// nickRefused deals with the refusal of a nick that we, and not the user,
// asked for.
func (rc *recovery) nickRefused(n *network, p *pending, _ *bridges.Error) bool {
	if p.ref != 0 {
		return false
	}
	n.drop(p)
	if rc.stage == stageSpare {
		rc.takeSpare(n)
	}
	return true
}

// Words by which services tell how a login went. They have no codes.
var (
	saysYes     = []string{"identified", "accepted", "logged in", "recognized", "recognised"}
	saysNotYet  = []string{"not identified", "not logged in", "not recognized", "not recognised", "not accepted"}
	saysNo      = []string{"incorrect", "invalid", "wrong", "registered", "denied", "failed", "not correct"}
	saysUnknown = []string{"unknown command", "invalid command", "no such command", "not recognized"}
)

func saysAny(text string, words []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// heard listens to services while something is expected of them, and tells
// whether the line needs no further handling.
func (rc *recovery) heard(n *network, l *line) bool {
	services, _, _ := strings.Cut(n.route.link.NickServ, "@") // "NickServ@services.example.net"
	if rc.stage == stageNone || !n.support.CaseMapping.Equal(l.Nick(), services) {
		return false
	}
	text := plainText(l.Last())
	switch rc.stage {
	case stageIdentify:
		n.notice(l.Nick(), text)
		rc.identified(n, text)
	case stageRegain:
		switch {
		case saysAny(text, saysUnknown):
			rc.nextCommand(n)
		case rc.attempts < 4:
			rc.attempts++
			rc.take(n)
		}
	}
	return true
}

func (rc *recovery) identified(n *network, text string) {
	switch yes, answers := loginAnswer(text); {
	case !answers:
	case yes:
		n.login = or(n.login, n.services())
		rc.regain(n)
	default:
		rc.denied = text
		rc.regain(n)
	}
}

// loginAnswer reads what services say to IDENTIFY. The reminder that the nick is
// registered is no answer: that is still to come.
func loginAnswer(text string) (yes, answers bool) {
	switch {
	case saysAny(text, []string{"please", "/msg"}):
		return false, false
	case saysAny(text, saysNotYet):
		return false, true
	case saysAny(text, saysYes):
		return true, true
	}
	return false, saysAny(text, saysNo)
}

// onMonitored and the others are what MONITOR and WATCH tell of the nick
// wanted; of others, only a raw command can have asked.
func (n *network) onMonitored(l *line) {
	if !n.recovery.watching {
		n.showNumeric(l)
	}
}

func (n *network) onUnmonitored(l *line) {
	if !n.recovery.watching {
		n.showNumeric(l)
		return
	}
	for target := range strings.SplitSeq(l.Last(), ",") {
		n.recovery.freed(n, target)
	}
}

func (n *network) onWatched(l *line) { n.onMonitored(l) }

func (n *network) onUnwatched(l *line) {
	if !n.recovery.watching {
		n.showNumeric(l)
		return
	}
	n.recovery.freed(n, l.Param(1))
}

// onIson is 303, which of the nicks asked for are there.
func (n *network) onIson(l *line) {
	if !n.recovery.watching || n.find(actRaw, "", "") != nil {
		n.showNumeric(l)
		return
	}
	for nick := range strings.FieldsSeq(l.Last()) {
		if n.support.CaseMapping.Equal(nick, n.wanted) {
			return
		}
	}
	n.recovery.take(n)
}
