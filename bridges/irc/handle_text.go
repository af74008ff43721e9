package irc

import (
	"strings"
	"time"

	"transportd/bridges"
)

func (n *network) onPrivmsg(l *line) { n.said(l, bridges.Text) }

func (n *network) onNotice(l *line) {
	if n.phase < phaseLogin || !strings.Contains(l.Source, "!") {
		if n.phase >= phaseLogin {
			n.notice(l.Nick(), l.Last())
		}
		return
	}
	if n.recovery.heard(n, l) {
		return
	}
	n.said(l, bridges.Notice)
}

// said handles a line of text: to a channel, to part of one, to us, or from us
// through another client of the same connection.
func (n *network) said(l *line, kind bridges.MessageKind) {
	target, raw := l.Param(0), l.Param(1)
	nick := l.Nick()
	self := n.isSelf(nick)
	if self {
		n.learnMask(maskOf(l.Source))
		if n.takeEcho(l, target, raw) {
			return
		}
	}
	if nick == "" { // the server itself
		n.notice("", raw)
		return
	}
	if ctcp, ok := strings.CutPrefix(raw, ctcpMark); ok {
		text, isAction := n.onCTCP(l, strings.TrimSuffix(ctcp, ctcpMark), kind, self)
		if !isAction {
			return
		}
		raw, kind = text, bridges.Emote
	}
	ev := &bridges.Message{
		Self: self, Kind: kind, Body: plainText(raw), At: l.time(), Replay: l.playback,
		ID: bridges.MessageID(l.Tags.Value("msgid")),
	}
	r, to := n.roomOf(target)
	switch {
	case r != nil:
		ev.Place.Room, ev.To = r.id, to
		ev.From = n.speaker(l, r, self)
		ev.Replay = ev.Replay || (!ev.At.IsZero() && ev.At.Before(r.joined))
		n.emitIn(r, ev)
	case n.support.IsChannel(strings.TrimLeft(target, n.support.StatusMsg)):
		n.notice(nick, "["+target+"] "+raw) // from outside a channel we are not in
	case self && !n.isSelf(target):
		ev.Place.User, ev.With = bridges.UserID(n.fold(target)), target
		ev.From = n.self(nil)
		n.emit(ev)
	case kind == bridges.Notice && !n.hasWritten(bridges.UserID(n.fold(nick))):
		n.notice(nick, raw) // services greet everyone: no chat for that
	default:
		ev.From = n.person(l, nil)
		ev.Place.User = ev.From.ID
		ev.Replay = ev.Replay || (!ev.At.IsZero() && ev.At.Before(n.since.Add(-clockDoubt)))
		n.emit(ev)
	}
}

func (n *network) speaker(l *line, r *room, self bool) bridges.Member {
	if self {
		m := n.self(r)
		m.Role, m.Affiliation = 0, 0
		return m
	}
	return n.person(l, r)
}

// roomOf finds the room of a target, which may name part of it: "@#chan".
func (n *network) roomOf(target string) (r *room, part string) {
	if r := n.room(target); r != nil {
		return r, ""
	}
	rest := strings.TrimLeft(target, n.support.StatusMsg)
	if rest == target {
		return nil, ""
	}
	return n.room(rest), target[:len(target)-len(rest)]
}

// ctcpBudget bounds the CTCP answers of a link: a few at once, then one now
// and then. Questions beyond it get none.
type ctcpBudget struct {
	left int
	at   time.Time
}

const (
	ctcpBurst = 4
	ctcpEvery = 5 * time.Second
)

func (b *ctcpBudget) take(now time.Time) bool {
	if earned := int(now.Sub(b.at) / ctcpEvery); earned > 0 {
		b.left = min(ctcpBurst, b.left+earned)
		b.at = now
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

// clientName is what a CTCP VERSION is answered with. It names no version: the
// network need not know how old we are.
const clientName = "transportd, an XMPP gateway"

// ctcpAnswers are the questions answered, by what.
var ctcpAnswers = map[string]func(args string) string{
	"VERSION":    func(string) string { return clientName },
	"PING":       func(args string) string { return cutBytes(args, 100) },
	"TIME":       func(string) string { return time.Now().UTC().Format(time.RFC1123Z) },
	"CLIENTINFO": func(string) string { return "ACTION CLIENTINFO PING TIME VERSION" },
}

// onCTCP handles what is between two CTCP marks. It returns the text of an
// ACTION; everything else it deals with itself.
func (n *network) onCTCP(l *line, ctcp string, kind bridges.MessageKind, self bool) (action string, isAction bool) {
	verb, args, _ := strings.Cut(ctcp, " ")
	verb = strings.ToUpper(verb)
	nick := l.Nick()
	switch {
	case verb == "ACTION":
		return args, true
	case self || l.playback:
	case kind == bridges.Notice:
		if !n.probed(nick, verb, args) {
			n.notice(nick, "answers CTCP "+verb+": "+args)
		}
	case verb == "DCC":
		n.notice(nick, "offers "+dccOffer(args)+" by DCC, which this gateway does not carry.")
	case ctcpAnswers[verb] != nil:
		if n.ctcp.take(time.Now()) && n.online() {
			answer := strings.TrimSpace(verb + " " + ctcpAnswers[verb](args))
			n.utter("NOTICE", nick, ctcpMark+answer+ctcpMark)
		}
	default:
		n.notice(nick, "sends CTCP "+verb+" "+args)
	}
	return "", false
}

// dccOffer puts a DCC request into words: "SEND file.txt 2130706433 5000 1024".
func dccOffer(args string) string {
	kind, rest, _ := strings.Cut(args, " ")
	if strings.EqualFold(kind, "SEND") {
		name := strings.Fields(rest)
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			file, _, _ := strings.Cut(quoted, `"`)
			return "the file “" + file + "”"
		}
		if len(name) > 0 {
			return "the file “" + name[0] + "”"
		}
	}
	if strings.EqualFold(kind, "CHAT") {
		return "a direct chat"
	}
	return "something"
}

// showNumeric shows a numeric for people: all its parameters but our own nick.
func (n *network) showNumeric(l *line) {
	if n.phase >= phaseLogin && len(l.Params) > 1 {
		n.notice(l.Nick(), strings.Join(l.Params[1:], " "))
	}
}
