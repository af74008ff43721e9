package irc

import (
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// sending is a message of the user's, as one or more lines, until the network
// has taken all of them.
//
// Where the server echoes with labels, each line carries one and its echo
// takes it. Elsewhere the fence behind the last line does, and an error
// numeric that comes before it refuses the message.
type sending struct {
	ref    bridges.Ref
	place  bridges.Place
	target string // folded
	kind   bridges.MessageKind
	parts  []string // texts not echoed yet, as sent
	labels []string // of lines not answered yet
	first  uint64   // numbers of the first and the last line
	last   uint64
	lines  int
	failed *bridges.Error
	told   bool // the outcome has been told
	at     time.Time
	id     bridges.MessageID
}

// maxSends bounds the messages under way, maxUnfenced those that rely on their
// labels alone.
const (
	maxSends    = 512
	maxUnfenced = 8
)

// Send says something.
func (n *network) Send(ref bridges.Ref, to bridges.Place, m bridges.Outgoing) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.online() {
		return errOffline()
	}
	s := &sending{ref: ref, place: to, kind: m.Kind, target: string(to.User)}
	target := s.target
	if to.Room != "" {
		r := n.rooms[to.Room]
		if r == nil || !r.entered {
			return bridges.NewError(bridges.NotJoined, "You are not in that channel.")
		}
		s.target, target = string(to.Room), r.name
	} else if text := badName(target, bridges.AddressPerson); text != "" || n.support.IsChannel(target) {
		return bridges.NewError(bridges.NotFound, or(text, "“"+target+"” is not a person."))
	}
	if len(n.sends) >= maxSends {
		return errBusy()
	}
	command := "PRIVMSG"
	if m.Kind == bridges.Notice {
		command = "NOTICE"
	}
	parts, err := n.parts(command, target, m)
	if err != nil {
		return err
	}
	if err := n.sendParts(s, command, target, parts); err != nil {
		return err
	}
	if to.User != "" {
		n.rememberWrote(to.User)
	}
	return nil
}

// parts are the texts of the lines a message becomes.
func (n *network) parts(command, target string, m bridges.Outgoing) ([]string, error) {
	limit := n.textLimit(command, target)
	if m.Kind == bridges.Emote {
		limit -= len(actionStart) + len(ctcpMark)
	}
	lines := outLines(m.Body)
	var parts []string
	if len(lines) == 1 && len(lines[0]) <= limit { // most of what is said
		parts, lines = lines, nil
	}
	for _, line := range lines {
		parts = append(parts, splitText(line, limit)...)
		if len(parts) > n.route.link.MaxLines {
			return nil, bridges.NewError(bridges.TooLarge, "That is too much text for IRC. Put it somewhere on the web and send its address.")
		}
	}
	if len(parts) == 0 {
		return nil, bridges.NewError(bridges.Invalid, "There is no text in it to send.")
	}
	if m.Kind == bridges.Emote {
		for i := range parts {
			parts[i] = actionStart + parts[i] + ctcpMark
		}
	}
	return parts, nil
}

const (
	ctcpMark    = "\x01"
	actionStart = "\x01ACTION "
)

func (n *network) sendParts(s *sending, command, target string, parts []string) error {
	labels := n.hasLabels()
	// With many labels unanswered a fence makes sure of them: a server that
	// owes one answer must not hold the list up.
	fence := !labels || len(n.sends) >= maxUnfenced
	var last uint64
	var err error
	if len(parts) == 1 && !labels { // nearly all: without memory of its own
		last, err = n.write(ircconn.Line{Command: command, Params: []string{target, parts[0]}, Fence: fence})
	} else {
		last, err = n.write(n.linesOf(s, command, target, parts, labels, fence)...)
	}
	if err != nil {
		n.dropLabels(s)
		return err
	}
	s.parts, s.lines = parts, len(parts)
	s.last, s.first = last, last-uint64(len(parts))+1
	n.sends = append(n.sends, s)
	return nil
}

// linesOf are the lines of a message's parts, each with a label where there are
// such, the last one with a fence.
func (n *network) linesOf(s *sending, command, target string, parts []string, labels, fence bool) []ircconn.Line {
	lines := make([]ircconn.Line, len(parts))
	for i, part := range parts {
		lines[i] = ircconn.Line{Command: command, Params: []string{target, part}}
		if labels {
			label := n.newLabel(labelled{line: s})
			s.labels = append(s.labels, label)
			lines[i].Tags = []ircconn.Tag{{Name: "label", Value: label}}
		}
	}
	lines[len(lines)-1].Fence = fence
	return lines
}

// utter says something of our own to somebody: to services, or in answer to a
// client. It is tracked like a message of the user's, so that its echo, which
// may hold a password, is shown to nobody.
func (n *network) utter(command, target, text string) {
	s := &sending{target: n.fold(target)}
	if err := n.sendParts(s, command, target, []string{text}); err != nil {
		n.log.Debug("irc: line not queued", "command", command, "err", err)
	}
}

func (n *network) dropLabels(s *sending) {
	for _, label := range s.labels {
		delete(n.labels, label)
	}
	s.labels = nil
}

// taken: the network has all of a message. Labels that a fence has overtaken
// stay known: a bouncer answers the fence itself, and the echo comes later.
func (n *network) taken(s *sending) {
	if s.told || s.failed != nil {
		return
	}
	s.told = true
	if s.ref == 0 {
		return
	}
	n.emit(&bridges.Message{
		Ref: s.ref, Place: s.place, From: n.self(n.rooms[s.place.Room]), Self: true,
		Kind: s.kind, ID: s.id, At: s.at,
	})
}

// failSend: the network refuses a message, or part of it. The first refusal
// tells; the message stays in the list until its fence or its last label.
func (n *network) failSend(s *sending, err *bridges.Error) {
	if s.told || s.failed != nil {
		return
	}
	if s.lines > 1 {
		err.Uncertain = true // the other parts may have passed
	}
	s.failed = err
	if s.ref != 0 {
		n.emit(&bridges.Failed{Ref: s.ref, Err: err})
	}
}

// answered: one labelled line of a message is done with.
func (n *network) answered(s *sending, label string) {
	i := slices.Index(s.labels, label)
	if i < 0 {
		return
	}
	delete(n.labels, label)
	s.labels = slices.Delete(s.labels, i, i+1)
	if len(s.labels) > 0 {
		return
	}
	if i := slices.Index(n.sends, s); i >= 0 {
		n.sends = slices.Delete(n.sends, i, i+1)
	}
	n.taken(s)
}

// takeEcho takes a line the network shows us as ours, and tells whether it is
// one of those sent here. Without a label it is matched by its text, and where
// the server has altered that, by order.
func (n *network) takeEcho(l *line, target, text string) bool {
	if s := l.label.line; s != nil {
		n.noteEcho(s, l)
		n.answered(s, l.labelName)
		return true
	}
	if _, echo := n.conn.Cap("echo-message"); !echo || n.hasLabels() {
		return false
	}
	folded := n.fold(target)
	var candidate *sending
	for _, s := range n.sends {
		if s.target != folded || len(s.parts) == 0 {
			continue
		}
		if s.parts[0] == text {
			candidate = s
			break
		}
		if candidate == nil {
			candidate = s
		}
	}
	if candidate == nil {
		return false
	}
	candidate.parts = candidate.parts[1:]
	n.noteEcho(candidate, l)
	return true
}

// noteEcho keeps the name and time the network gave the first line.
func (n *network) noteEcho(s *sending, l *line) {
	if s.id == "" {
		s.id = bridges.MessageID(strings.Clone(l.Tags.Value("msgid")))
		s.at = l.time()
	}
}

// textLimit is how many bytes of text fit into one line that others receive
// with our own prefix in front. Until our address is known as others see it,
// the longest is assumed.
func (n *network) textLimit(command, target string) int {
	lineLen := max(n.support.LineLen, ircconn.DefaultLineLen)
	mask := len(n.mask)
	if mask == 0 {
		mask = n.longest("USERLEN", defaultUserLen) + 1 + n.longest("HOSTLEN", defaultHostLen)
	}
	frame := len(": ") + len(n.nick) + 1 + mask + len(command) + len("  :\r\n") + len(target)
	return max(lineLen-frame, minSplit)
}

// Lengths of user and host where the server names none: with the "~" of an
// unconfirmed user name, and the longest a host can be in IRC.
const (
	defaultUserLen = 11
	defaultHostLen = 63
)

func (n *network) longest(token string, otherwise int) int {
	value, _ := n.support.Raw(token)
	if length := atoi(value); length > 0 && length < ircconn.DefaultLineLen/2 {
		return length + 1
	}
	return otherwise
}

// learnMask keeps our address as others see it.
func (n *network) learnMask(mask string) {
	if mask != "" && mask != n.mask {
		n.mask = strings.Clone(mask)
	}
}

// maxWrote bounds how many people are remembered as written to.
const maxWrote = 64

// rememberWrote keeps whom the user speaks with: their notices and whether
// they are there are shown with them.
func (n *network) rememberWrote(user bridges.UserID) {
	if i := slices.Index(n.wrote, user); i >= 0 {
		n.wrote = append(slices.Delete(n.wrote, i, i+1), user)
		return
	}
	if len(n.wrote) == maxWrote {
		n.wrote = slices.Delete(n.wrote, 0, 1)
	}
	n.wrote = append(n.wrote, user)
}
