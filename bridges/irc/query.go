package irc

import (
	"context"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// query is a question whose answer somebody waits for. It is bounded by its
// context and by queryPatience, whichever is shorter.
type query struct {
	act   action
	name  string // folded: a nick or a channel
	verb  string // of a CTCP question
	lines []reply
	done  chan error // buffered: the reader never waits
}

// reply is one numeric of an answer.
type reply struct {
	code   string
	params []string
}

const (
	queryPatience = 30 * time.Second
	maxQueries    = 32
	maxReplies    = 1000 // lines kept of one answer
)

// ask sends a question and waits for its end.
func (n *network) ask(ctx context.Context, q *query, lines ...ircconn.Line) error {
	q.done = make(chan error, 1)
	n.mu.Lock()
	err := n.enqueue(q, lines)
	n.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	select {
	case err = <-q.done:
	case <-ctx.Done():
		err = bridges.NewError(bridges.Timeout, "There was no answer in time.")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queries = slices.DeleteFunc(n.queries, func(other *query) bool { return other == q })
	return err
}

func (n *network) enqueue(q *query, lines []ircconn.Line) error {
	if !n.online() {
		return errOffline()
	}
	if len(n.queries) >= maxQueries {
		return errBusy()
	}
	same := slices.ContainsFunc(n.queries, func(other *query) bool {
		return other.act == q.act && other.name == q.name && other.verb == q.verb && len(other.lines) == 0
	})
	if !same { // otherwise the answer that is on its way serves both
		if _, err := n.write(lines...); err != nil {
			return err
		}
	}
	n.queries = append(n.queries, q)
	return nil
}

// finish ends the questions that fit.
func (n *network) finish(err error, fits func(*query) bool) bool {
	found := false
	for _, q := range n.queries {
		if fits(q) {
			found = true
			select {
			case q.done <- err:
			default: // ended already
			}
		}
	}
	return found
}

func (n *network) endQueries(err *bridges.Error) {
	n.finish(err, func(*query) bool { return true })
	n.directory.fail(err)
}

// queryNumerics say which question a numeric answers, where in it the name is,
// and whether it ends the answer.
var queryNumerics = map[string]struct {
	act  action
	name int
	ends bool
}{
	"276": {actWhois, 1, false}, "301": {actWhois, 1, false}, "307": {actWhois, 1, false},
	"310": {actWhois, 1, false}, "311": {actWhois, 1, false}, "312": {actWhois, 1, false},
	"313": {actWhois, 1, false}, "317": {actWhois, 1, false}, "318": {actWhois, 1, true},
	"319": {actWhois, 1, false}, "320": {actWhois, 1, false}, "330": {actWhois, 1, false},
	"335": {actWhois, 1, false}, "337": {actWhois, 1, false}, "338": {actWhois, 1, false},
	"344": {actWhois, 1, false}, "378": {actWhois, 1, false}, "379": {actWhois, 1, false},
	"569": {actWhois, 1, false}, "616": {actWhois, 1, false}, "671": {actWhois, 1, false},
	"321": {actList, 0, false}, "322": {actList, 0, false}, "323": {actList, 0, true},
	"367": {actBans, 1, false}, "368": {actBans, 1, true},
}

// onQueryReply collects an answer, or shows a line nobody has asked for but by
// hand.
func (n *network) onQueryReply(l *line) {
	if !n.queryReply(l) {
		n.showNumeric(l)
	}
}

func (n *network) queryReply(l *line) bool {
	row := queryNumerics[l.Command]
	if row.act == actList {
		return n.directory.take(n, l)
	}
	name := n.fold(l.Param(row.name))
	found := false
	for _, q := range n.queries {
		if q.act != row.act || q.name != name {
			continue
		}
		found = true
		if len(q.lines) < maxReplies && !row.ends {
			q.lines = append(q.lines, reply{l.Command, slices.Clone(l.Params)})
		}
	}
	if row.ends {
		n.finish(nil, func(q *query) bool { return q.act == row.act && q.name == name })
	}
	return found
}

// refuseQuery ends the question an error is about.
func (n *network) refuseQuery(l *line, row numericError, err *bridges.Error) bool {
	if row.answers&(actQuery|actBans) == 0 || len(n.queries) == 0 && !n.directory.listing {
		return false
	}
	if row.answers&actList != 0 && row.bare && n.directory.listing {
		n.directory.fail(err)
		return true
	}
	names := n.foldedNames(l)
	return n.finish(err, func(q *query) bool {
		return q.act&(row.answers|actBans) != 0 && (row.bare || slices.Contains(names, q.name))
	})
}

// Profile looks a person up with WHOIS.
func (n *network) Profile(ctx context.Context, user bridges.UserID) (bridges.Profile, error) {
	nick := string(user)
	if text := badName(nick, bridges.AddressPerson); text != "" {
		return bridges.Profile{}, bridges.NewError(bridges.NotFound, text)
	}
	q := &query{act: actWhois, name: nick}
	if err := n.ask(ctx, q, ircconn.Line{Command: "WHOIS", Params: []string{nick}}); err != nil {
		return bridges.Profile{}, err
	}
	if len(q.lines) == 0 {
		return bridges.Profile{}, bridges.NewError(bridges.NotFound, "Nobody has this nickname now.")
	}
	return profileOf(q.lines), nil
}

// profileOf reads the numerics of WHOIS.
func profileOf(lines []reply) bridges.Profile {
	var p bridges.Profile
	var rest []string
	for _, l := range lines {
		param := func(i int) string {
			if i < len(l.params) {
				return plainText(l.params[i])
			}
			return ""
		}
		last := param(len(l.params) - 1)
		switch l.code {
		case "311":
			p.Nick, p.Mask, p.RealName = param(1), param(2)+"@"+param(3), last
		case "312":
			p.Server = param(2)
			if last != "" {
				p.Server += " (" + last + ")"
			}
		case "330":
			p.Account = param(2)
		case "301":
			rest = append(rest, "Away: "+last)
		case "319":
			rest = append(rest, "Channels: "+strings.TrimSpace(last))
		case "317":
			idle := time.Duration(atoi(param(2))) * time.Second
			rest = append(rest, "Idle: "+idle.String())
			if since := atoi(param(3)); since > 0 {
				rest = append(rest, "Online since: "+time.Unix(int64(since), 0).UTC().Format(time.RFC1123))
			}
		default:
			if len(l.params) > 2 {
				rest = append(rest, plainText(strings.Join(l.params[2:], " ")))
			}
		}
	}
	p.Text = strings.Join(rest, "\n")
	return p
}

// List reads a channel's bans, or its members of a standing.
func (n *network) List(ctx context.Context, id bridges.RoomID, a bridges.Affiliation) ([]bridges.ListEntry, error) {
	n.mu.Lock()
	r, err := n.entered(id)
	if err != nil {
		n.mu.Unlock()
		return nil, err
	}
	name := r.name
	if a != bridges.AffiliationOutcast {
		entries := n.standing(r, a)
		n.mu.Unlock()
		return entries, nil
	}
	n.mu.Unlock()
	q := &query{act: actBans, name: string(id)}
	if err := n.ask(ctx, q, ircconn.Line{Command: "MODE", Params: []string{name, "+b"}}); err != nil {
		return nil, err
	}
	entries := make([]bridges.ListEntry, 0, len(q.lines))
	for _, l := range q.lines { // 367 me #chan mask [by when]
		e := bridges.ListEntry{Mask: plainText(l.params[min(2, len(l.params)-1)])}
		if len(l.params) > 3 {
			e.By, _, _ = ircconn.SplitSource(plainText(l.params[3]))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (n *network) standing(r *room, a bridges.Affiliation) []bridges.ListEntry {
	var entries []bridges.ListEntry
	for _, m := range append(n.members(r), n.self(r)) {
		if m.Affiliation == a {
			entries = append(entries, bridges.ListEntry{Mask: m.Nick})
		}
	}
	return entries
}

// probeVerbs are the CTCP questions of the probes.
var probeVerbs = map[bridges.Probe]string{
	bridges.ProbePing: "PING", bridges.ProbeVersion: "VERSION", bridges.ProbeTime: "TIME",
}

// Probe asks a person's client with CTCP. The answer to a ping is how long it
// took.
func (n *network) Probe(ctx context.Context, user bridges.UserID, p bridges.Probe) (string, error) {
	nick, verb := string(user), probeVerbs[p]
	if text := badName(nick, bridges.AddressPerson); text != "" || verb == "" {
		return "", bridges.NewError(bridges.NotFound, or(text, "There is no such question on IRC."))
	}
	question := verb
	if p == bridges.ProbePing {
		question += " gateway"
	}
	q := &query{act: actProbe, name: nick, verb: verb}
	start := time.Now()
	if err := n.ask(ctx, q, ircconn.Line{Command: "PRIVMSG", Params: []string{nick, ctcpMark + question + ctcpMark}}); err != nil {
		return "", err
	}
	if p == bridges.ProbePing {
		return time.Since(start).Round(time.Millisecond).String(), nil
	}
	return q.lines[0].params[0], nil
}

// probed takes the answer to a CTCP question of ours.
func (n *network) probed(nick, verb, args string) bool {
	name := n.fold(nick)
	for _, q := range n.queries {
		if q.act == actProbe && q.name == name && q.verb == verb {
			q.lines = append(q.lines, reply{verb, []string{plainText(args)}})
		}
	}
	return n.finish(nil, func(q *query) bool { return q.act == actProbe && q.name == name && q.verb == verb })
}
