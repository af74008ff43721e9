package irc

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// pending is an action whose outcome the network has not shown yet. Each is
// followed by a fence: when the server has handled it and shown neither
// success nor a refusal, settle decides by the state. Where that shows nothing
// either, a late outcome gets lateGrace, because a bouncer answers the fence
// before the network has seen the action. So none waits longer than the answer
// to a PING and that, and keepalive ends a connection whose server is silent.
type pending struct {
	act   action
	ref   bridges.Ref
	room  bridges.RoomID
	user  string // folded nick or mask
	name  string // what was asked for: a channel, a nick, a text
	key   string // of a channel
	last  uint64 // number of the last line
	more  int    // lines beside the one that was refused first: each may be refused too
	label string
	names bool      // the member list has been asked for once more
	until time.Time // settle has found no outcome and waits for a late one
	want  []change  // modes that are to be seen
}

// change is one change of a channel's modes.
type change struct {
	mode byte
	add  bool
	arg  string // folded; a nick, or a mask
	raw  string // of a setting, as it is sent
}

// lateGrace is how long after its fence an action may still be answered.
const lateGrace = 15 * time.Second

// maxPending bounds the actions under way, maxLabels the labels remembered of
// lines that are done with.
const (
	maxPending = 256
	maxLabels  = 2048
)

// labelled is what a label was put on: an action, or a line of a message.
type labelled struct {
	action *pending
	line   *sending
}

// begins sends an action's line and waits for its outcome. mu is held. The
// error is for the user.
func (n *network) begins(p *pending, command string, params ...string) (*pending, error) {
	return p, n.start(p, ircconn.Line{Command: command, Params: params})
}

func (n *network) start(p *pending, lines ...ircconn.Line) error {
	if n.conn == nil || n.phase < phaseLogin {
		return errOffline()
	}
	if len(n.pending) >= maxPending {
		return errBusy()
	}
	if n.hasLabels() && len(lines) == 1 {
		p.label = n.newLabel(labelled{action: p})
		lines[0].Tags = append(lines[0].Tags, ircconn.Tag{Name: "label", Value: p.label})
	}
	lines[len(lines)-1].Fence = true
	last, err := n.write(lines...)
	if err != nil {
		delete(n.labels, p.label)
		return err
	}
	p.last, p.more = last, len(lines)-1
	n.pending = append(n.pending, p)
	return nil
}

// hasLabels tells whether answers carry the label of what they answer.
func (n *network) hasLabels() bool {
	caps := n.conn.Caps()
	return caps.On("labeled-response") && caps.On("echo-message") && caps.On("batch")
}

func (n *network) newLabel(l labelled) string {
	if len(n.labels) >= maxLabels { // of a server that does not answer them
		maps.DeleteFunc(n.labels, func(_ string, l labelled) bool { return l.line != nil && l.line.told })
	}
	n.lastLabel++
	label := strconv.FormatUint(n.lastLabel, 36)
	if n.labels == nil {
		n.labels = make(map[string]labelled)
	}
	n.labels[label] = l
	return label
}

// drop ends a pending action that has its outcome.
func (n *network) drop(p *pending) {
	if i := slices.Index(n.pending, p); i >= 0 {
		n.pending = slices.Delete(n.pending, i, i+1)
	}
	delete(n.labels, p.label)
}

// forget drops all that fit.
func (n *network) forget(fits func(*pending) bool) {
	n.pending = slices.DeleteFunc(n.pending, func(p *pending) bool {
		if !fits(p) {
			return false
		}
		delete(n.labels, p.label)
		return true
	})
}

// find returns the oldest action of a kind; an empty room or user is any.
func (n *network) find(acts action, room bridges.RoomID, user string) *pending {
	for _, p := range n.pending {
		if p.act&acts != 0 && (room == "" || p.room == room) && (user == "" || p.user == user) {
			return p
		}
	}
	return nil
}

func (n *network) pendingJoin(id bridges.RoomID) *pending { return n.find(actJoin, id, "") }

// done tells that an action succeeded.
func (n *network) done(p *pending, text string) {
	n.drop(p)
	if p.ref != 0 {
		n.emit(&bridges.Done{Ref: p.ref, Text: text})
	}
}

// fail tells that an action did not succeed. What nobody waits for shows in
// the console, as does a channel of the user's list that cannot be entered.
func (n *network) fail(p *pending, err *bridges.Error) {
	n.drop(p)
	if p.more > 0 && n.conn != nil && len(n.spent) < maxPending {
		n.spent = append(n.spent, p)
	}
	if p.act == actJoin {
		delete(n.keys, p.room)
		defer n.readModes()
	}
	switch {
	case p.ref != 0:
		n.emit(&bridges.Failed{Ref: p.ref, Err: err})
	case p.act == actJoin:
		n.emit(&bridges.ServerNotice{Text: "Cannot enter " + p.name + ": " + err.Text})
	case p.act&(actWho|actEnter|actNick|actRaw) == 0:
		n.emit(&bridges.ServerNotice{Text: err.Text})
	}
}

// confirmed: the server has handled every line up to a number.
func (n *network) confirmed(last uint64) {
	n.spent = slices.DeleteFunc(n.spent, func(p *pending) bool { return p.last <= last })
	n.settleWhere(func(p *pending) bool { return p.last <= last && p.until.IsZero() })
	for len(n.sends) > 0 && n.sends[0].last <= last {
		s := n.sends[0]
		n.sends = slices.Delete(n.sends, 0, 1)
		n.taken(s)
	}
}

// overdue decides the actions whose grace is over.
func (n *network) overdue() {
	now := time.Now()
	n.settleWhere(func(p *pending) bool { return !p.until.IsZero() && !now.Before(p.until) })
}

func (n *network) settleWhere(due func(*pending) bool) {
	for _, p := range slices.Clone(n.pending) {
		if due(p) && slices.Contains(n.pending, p) {
			n.settle(p)
		}
	}
}

// unanswered fails an action without an outcome, when its grace is over.
func (n *network) unanswered(p *pending, kind bridges.ErrorKind, text string) {
	if p.until.IsZero() {
		p.until = time.Now().Add(n.grace)
		n.wake(n.grace)
		return
	}
	n.fail(p, bridges.NewError(kind, text))
}

// settle decides an action that the server has handled without a word.
func (n *network) settle(p *pending) {
	if f := settlers[p.act]; f != nil {
		f(n, p)
		return
	}
	n.done(p, "")
}

// settlers decide by the state what an action has come to. Actions that are
// not here have succeeded.
var settlers map[action]func(*network, *pending)

func init() { // the functions refer to the table's users
	settlers = map[action]func(*network, *pending){
		actJoin:  (*network).settleJoin,
		actLeave: (*network).settleLeave,
		actTopic: (*network).settleTopic,
		actNick:  (*network).settleNick,
		actKick:  (*network).settleKick,
		actMode:  (*network).settleMode,
		actWho:   (*network).settleWho,
		actEnter: (*network).settleEnter,
	}
}

func (n *network) settleJoin(p *pending) {
	r := n.rooms[p.room]
	switch {
	case r == nil:
		n.unanswered(p, bridges.Timeout, "The network did not answer.")
	case r.entered: // the user was in already
		r.ask = p
		r.entered = false
		n.enter(r)
	case r.asking: // the fence of the WHO decides
	default:
		n.endNames(r, p)
	}
}

// settleEnter is settleJoin for a channel the network has put us into.
func (n *network) settleEnter(p *pending) {
	r := n.rooms[p.room]
	if r == nil || r.entered || r.asking {
		n.drop(p)
		return
	}
	n.endNames(r, p)
}

// endNames deals with a member list that has not ended: it is asked for once
// more, and what has come then must do.
func (n *network) endNames(r *room, p *pending) {
	if !p.names {
		p.names = true
		if last, err := n.write(ircconn.Line{Command: "NAMES", Params: []string{r.name}, Fence: true}); err == nil {
			p.last = last
			return
		}
	}
	n.drop(p)
	n.enter(r)
}

func (n *network) settleLeave(p *pending) {
	if r := n.rooms[p.room]; r != nil {
		n.unanswered(p, bridges.Timeout, "The network did not answer.")
		return
	}
	n.drop(p)
	n.emit(&bridges.Left{Ref: p.ref, Room: p.room, Member: n.self(nil), Self: true})
}

func (n *network) settleTopic(p *pending) {
	r := n.rooms[p.room]
	switch {
	case r == nil:
		n.fail(p, bridges.NewError(bridges.NotJoined, "You are not in that channel."))
	case r.subjectText() == p.name: // a server need not repeat what is so already
		n.drop(p)
		n.emit(&bridges.SubjectChanged{Ref: p.ref, Room: r.id, Subject: bridges.Subject{Text: p.name, By: n.nick, Identity: n.self(nil).Identity}})
	default:
		n.unanswered(p, bridges.Forbidden, "The network has not taken the subject as it was written.")
	}
}

func (r *room) subjectText() string {
	if r.subject == nil {
		return ""
	}
	return r.subject.Text
}

func (n *network) settleNick(p *pending) {
	if !n.isNick(p.name, n.nick) {
		if p.ref == 0 && !p.until.IsZero() {
			n.recovery.nickRefused(n, p, nil)
			return
		}
		n.unanswered(p, bridges.Timeout, "The network did not change the nickname.")
		return
	}
	n.drop(p)
	if p.ref != 0 {
		n.emit(&bridges.Renamed{Ref: p.ref, OldID: bridges.UserID(n.fold(n.nick)), OldNick: n.nick, Member: n.self(nil), Self: true})
	}
}

func (n *network) settleKick(p *pending) {
	if r := n.rooms[p.room]; r != nil && r.roster.find(p.user) != nil {
		n.unanswered(p, bridges.Forbidden, "The network did not remove this person.")
		return
	}
	n.done(p, "")
}

func (n *network) settleMode(p *pending) {
	r := n.rooms[p.room]
	for _, c := range p.want {
		if r == nil || !n.holds(r, c) {
			n.unanswered(p, bridges.Forbidden, "The network did not make the change.")
			return
		}
	}
	n.done(p, "")
}

// holds tells whether a wanted change is the state already. Of lists only
// changes are known: a server that is silent has the entry, or has it not, as
// wanted.
func (n *network) holds(r *room, c change) bool {
	i := slices.IndexFunc(n.levels, func(l level) bool { return l.mode == c.mode })
	if i < 0 {
		return c.arg != "" || r.has(c)
	}
	prefix := r.prefix
	if c.arg != n.fold(n.nick) {
		m := r.roster.find(c.arg)
		if m == nil {
			return !c.add
		}
		prefix = m.prefix
	}
	return (prefix&(1<<i) != 0) == c.add
}

func (n *network) settleWho(p *pending) {
	n.drop(p)
	if r := n.rooms[p.room]; r != nil {
		n.accountsKnown(r)
	}
}

// failAll ends everything under way when the connection is lost. Lines that
// were never handed to the operating system have certainly not been sent.
func (n *network) failAll(written uint64) {
	for _, s := range n.sends {
		n.failSend(s, &bridges.Error{Kind: bridges.Offline, Text: "The connection to the network was lost.", Uncertain: s.first <= written})
	}
	for _, p := range slices.Clone(n.pending) {
		if p.ref != 0 {
			n.fail(p, &bridges.Error{Kind: bridges.Offline, Text: "The connection to the network was lost.", Uncertain: p.last <= written})
		}
	}
	n.sends, n.pending, n.spent, n.labels = nil, nil, nil, nil
	n.endQueries(errOffline())
}

func errOffline() *bridges.Error {
	return bridges.NewError(bridges.Offline, "There is no connection to the network.")
}

func errBusy() *bridges.Error {
	return bridges.NewError(bridges.RateLimited, "Too much is waiting to be sent to the network. Try again shortly.")
}

// writeError is why a line could not be queued, for the user.
func writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ircconn.ErrQueueFull):
		return errBusy()
	case errors.Is(err, ircconn.ErrLineTooLong):
		return bridges.NewError(bridges.TooLarge, "That is too long for this network.")
	case errors.Is(err, ircconn.ErrBadLine):
		return bridges.NewError(bridges.Invalid, "That cannot be expressed on IRC.")
	}
	return errOffline()
}
