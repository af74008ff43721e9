package irc

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// line is a message being handled.
type line struct {
	*ircconn.Message
	label     labelled // what it answers
	labelName string
	playback  bool // inside a batch of old lines
}

// batch is an open batch.
type batch struct {
	label    string
	playback bool
}

// maxBatches bounds the open batches remembered.
const maxBatches = 64

// handler handles one command. n.mu is held.
type handler struct {
	params int // lines with fewer are left out
	handle func(*network, *line)
}

// ofPeople are the commands that tell what somebody does. Without a name before them
// they tell nothing: there is no address for nobody.
var ofPeople = map[string]bool{
	"JOIN": true, "PART": true, "QUIT": true, "NICK": true, "INVITE": true, "AWAY": true, "CHGHOST": true, "ACCOUNT": true,
}

var handlers map[string]handler

func init() { // the functions refer to the table's users
	handlers = map[string]handler{
		"PRIVMSG": {2, (*network).onPrivmsg},
		"NOTICE":  {2, (*network).onNotice},
		"JOIN":    {1, (*network).onJoin},
		"PART":    {1, (*network).onPart},
		"KICK":    {2, (*network).onKick},
		"QUIT":    {0, (*network).onQuit},
		"NICK":    {1, (*network).onNick},
		"MODE":    {2, (*network).onMode},
		"TOPIC":   {1, (*network).onTopic},
		"INVITE":  {2, (*network).onInvite},
		"AWAY":    {0, (*network).onAway},
		"CHGHOST": {2, (*network).onChghost},
		"ACCOUNT": {1, (*network).onAccount},
		"SETNAME": {0, (*network).ignore},
		"RENAME":  {2, (*network).onRename},
		"BATCH":   {1, (*network).onBatch},
		"ACK":     {0, (*network).onAck},
		"PONG":    {0, (*network).onPong},
		"FAIL":    {2, (*network).onFail},
		"WARN":    {2, (*network).onRemark},
		"NOTE":    {2, (*network).onRemark},
		"CAP":     {0, (*network).ignore},
		"TAGMSG":  {0, (*network).ignore},
		"ERROR":   {0, (*network).ignore},
		"WALLOPS": {1, (*network).onWallops},
	}
	for code, h := range numericTable() {
		handlers[code] = h
	}
}

// handle takes one message from the network. mu is held.
func (n *network) handle(m *ircconn.Message) {
	if m.Confirmed != 0 {
		n.confirmed(m.Confirmed)
		return
	}
	l := &n.line // every handler is done with it when it returns
	*l = line{Message: m}
	defer func() { *l = line{} }()
	if m.Tags != "" {
		n.readTags(l)
	}
	h, known := handlers[m.Command]
	switch {
	case known:
		if len(m.Params) >= h.params && (!ofPeople[m.Command] || m.Nick() != "") {
			h.handle(n, l)
		}
	case isNumeric(m.Command):
		n.onNumeric(l)
	default:
		n.notice(m.Nick(), m.Command+" "+strings.Join(m.Params, " "))
	}
	n.directory.expire()
}

func isNumeric(command string) bool {
	return len(command) == 3 && command[0] >= '0' && command[0] <= '9'
}

// readTags finds which of our lines a message answers, and whether it is old.
func (n *network) readTags(l *line) {
	name, labelled := l.Tags.Get("label")
	if ref, in := l.Tags.Get("batch"); in {
		if b, ok := n.batches[ref]; ok {
			l.playback = b.playback
			if !labelled {
				name = b.label
			}
		}
	}
	if name != "" {
		l.label, l.labelName = n.labels[name], name
	}
}

// time is when the server says it happened, or zero.
func (l *line) time() time.Time {
	if l.Tags == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, l.Tags.Value("time"))
	if err != nil {
		return time.Time{}
	}
	return at
}

func (n *network) ignore(*line) {}

// isSelf tells whether a nick is ours.
func (n *network) isSelf(nick string) bool {
	return nick == n.nick || n.support.CaseMapping.Equal(nick, n.nick)
}

// room finds a room by a name as written.
func (n *network) room(name string) *room {
	return n.rooms[bridges.RoomID(n.fold(name))]
}

// tellable tells whether a name is one that the user could be in a channel by, as far
// as addresses go.
func tellable(channel string) bool {
	return isChannel(channel) && badName(channel, bridges.AddressRoom) == ""
}

// maskOf is the user@host of a line's source, "" from a server.
func maskOf(source string) string {
	_, mask, _ := strings.Cut(source, "!")
	return mask
}

// notice tells the user something in the console.
func (n *network) notice(from, text string) {
	if text = plainText(text); text != "" {
		n.emit(&bridges.ServerNotice{From: from, Text: text})
	}
}

// intern shares a record with everyone else who knows the same of the person.
func intern(r record) unique.Handle[record] { return unique.Make(r) }

func atoi(s string) int {
	v, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return v
}

// onBatch opens or closes a batch. Lines inside are handled as they come; only
// what the batch says of them is kept.
func (n *network) onBatch(l *line) {
	ref := l.Param(0)
	if name, ends := strings.CutPrefix(ref, "-"); ends {
		b := n.batches[name]
		delete(n.batches, name)
		n.endLabel(b.label)
		return
	}
	name, begins := strings.CutPrefix(ref, "+")
	if !begins || len(n.batches) >= maxBatches {
		return
	}
	b := batch{label: l.labelName, playback: l.playback}
	switch l.Param(1) {
	case "chathistory", "znc.in/playback":
		b.playback = true
	}
	if n.batches == nil {
		n.batches = make(map[string]batch)
	}
	n.batches[strings.Clone(name)] = b
}

// onAck is the answer to a labelled line that has none.
func (n *network) onAck(l *line) { n.endLabel(l.labelName) }

// endLabel: the server has said all it had to say to a labelled line.
func (n *network) endLabel(label string) {
	if s := n.labels[label].line; s != nil {
		n.answered(s, label)
	}
}

// onPong is the answer to a PING of ours that is no fence.
func (n *network) onPong(l *line) {
	switch l.Last() {
	case welcomeToken:
		n.welcomed()
	case wakeToken:
		n.overdue()
		n.recovery.woken(n)
	}
}

func (n *network) onWallops(l *line) { n.notice(l.Nick(), l.Last()) }

// onRemark is a standard reply that is no failure: "NOTE * CODE :text".
func (n *network) onRemark(l *line) { n.notice(l.Nick(), l.Last()) }

// onFail is a standard reply: "FAIL command code context :text".
func (n *network) onFail(l *line) {
	kind, ok := failCodes[l.Param(1)]
	if !ok {
		kind = bridges.Forbidden
	}
	row := numericError{code: l.Param(1), kind: kind, answers: commandActions[strings.ToUpper(l.Param(0))], bare: true}
	if l.Param(0) == "*" {
		row.answers = actSend
	}
	if !n.refuse(l, row) {
		n.notice(l.Nick(), l.Last())
	}
}

// onNumeric handles a numeric without a handler of its own: an error goes to
// who caused it, everything else is for the console.
func (n *network) onNumeric(l *line) {
	rows := errorsByCode[l.Command]
	for _, row := range rows {
		if n.refuse(l, row.about(l)) {
			return
		}
	}
	isError := len(rows) > 0 || l.Command[0] == '4' || l.Command[0] == '5'
	if isError && len(rows) == 0 && l.labelName != "" {
		if n.refuse(l, numericError{code: l.Command, kind: bridges.Forbidden}) {
			return
		}
	}
	if n.phase < phaseLogin {
		return // the server introduces itself
	}
	n.notice(l.Nick(), strings.Join(l.Params[min(1, len(l.Params)):], " "))
}

// refuse ends the action an error answers, and tells whether there is one.
func (n *network) refuse(l *line, row numericError) bool {
	err := bridges.NewError(row.kindOf(l.Last()), plainText(l.Last()))
	switch {
	case l.label.action != nil:
		return n.refuseAction(l.label.action, err)
	case l.label.line != nil:
		s := l.label.line
		n.failSend(s, err)
		n.answered(s, l.labelName)
		return true
	}
	if n.refuseQuery(l, row, err) {
		return true
	}
	p, s := n.culprit(l, row)
	switch {
	case n.refusedBefore(l, row, p):
		return true
	case p != nil && (s == nil || p.last < s.last):
		return n.refuseAction(p, err)
	case s != nil:
		n.failSend(s, err)
		return true
	}
	return n.repeated(l, row)
}

// refuseAction fails an action. A raw line has no failure of its own: what the
// server says to it goes to the console.
func (n *network) refuseAction(p *pending, err *bridges.Error) bool {
	if p.act == actRaw {
		return false
	}
	if p.act == actNick && n.recovery.nickRefused(n, p, err) {
		return true
	}
	n.fail(p, err)
	return true
}

// culprit finds the action or the message an error numeric is about.
func (n *network) culprit(l *line, row numericError) (*pending, *sending) {
	names := n.foldedNames(l)
	var p *pending
	best := 0
	for _, candidate := range n.pending {
		if candidate.act&row.answers == 0 {
			continue
		}
		score := candidate.fits(names)
		if row.bare {
			score++
		}
		if score > best {
			p, best = candidate, score
		}
	}
	if row.answers&actSend == 0 || best > 1 {
		return p, nil
	}
	for _, s := range n.sends {
		if s.failed == nil && (row.bare || slices.Contains(names, s.target)) {
			return p, s
		}
	}
	return p, nil
}

// refusedBefore tells whether an error is about another line of an action that has
// failed already, and not about a later one.
func (n *network) refusedBefore(l *line, row numericError, later *pending) bool {
	names := n.foldedNames(l)
	for _, p := range n.spent {
		if p.more == 0 || (p.act|actKick)&row.answers == 0 || later != nil && later.last < p.last {
			continue // actions of several lines are changes of modes, and bans, which kick
		}
		if row.bare || p.fits(names) > 0 {
			p.more--
			return true
		}
	}
	return false
}

// repeated tells whether an error is the second of the same kind for a message
// of several lines, of which the first has failed it.
func (n *network) repeated(l *line, row numericError) bool {
	if row.answers&actSend == 0 {
		return false
	}
	names := n.foldedNames(l)
	return slices.ContainsFunc(n.sends, func(s *sending) bool {
		return s.failed != nil && s.lines > 1 && slices.Contains(names, s.target)
	})
}

// foldedNames are the parameters of a numeric that may name what it is about.
func (n *network) foldedNames(l *line) []string {
	if len(l.Params) < 3 {
		return nil
	}
	names := make([]string, 0, len(l.Params)-2)
	for _, p := range l.Params[1 : len(l.Params)-1] {
		names = append(names, n.fold(p))
	}
	return names
}

// fits counts how much of what an action is about is among the names.
func (p *pending) fits(names []string) int {
	score := 0
	if p.room != "" && slices.Contains(names, string(p.room)) {
		score++
	}
	if p.user != "" && slices.Contains(names, p.user) {
		score++
	}
	return score
}
