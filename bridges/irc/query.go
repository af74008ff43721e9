package irc

import (
	"context"
	"slices"
	"strings"
	"time"

	"transportd/bridges"
	"transportd/bridges/irc/ircconn"
)

// query is a question whose answer somebody waits for. Who asks the same while
// it is under way shares it. Each waits as long as their context allows, and
// queryPatience at most.
type query struct {
	act     action
	name    string // folded: a nick or a channel
	verb    string // of a CTCP question
	last    uint64 // number of its line
	waiting int
	done    chan struct{} // closed at the end
	// Set before done is closed, read after it.
	lines []reply
	err   error
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
func (n *network) ask(ctx context.Context, act action, name, verb string, line ircconn.Line) ([]reply, error) {
	n.mu.Lock()
	q, err := n.enqueue(act, name, verb, line)
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	select {
	case <-q.done:
		return q.lines, q.err
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if q.waiting--; q.waiting == 0 {
		n.queries = slices.DeleteFunc(n.queries, func(other *query) bool { return other == q })
	}
	return nil, bridges.NewError(bridges.Timeout, "There was no answer in time.")
}

func (n *network) enqueue(act action, name, verb string, line ircconn.Line) (*query, error) {
	if !n.online() {
		return nil, errOffline()
	}
	for _, q := range n.queries {
		if q.act == act && q.name == name && q.verb == verb {
			q.waiting++
			return q, nil
		}
	}
	if len(n.queries) >= maxQueries {
		return nil, errBusy()
	}
	last, err := n.write(line)
	if err != nil {
		return nil, err
	}
	q := &query{act: act, name: name, verb: verb, last: last, waiting: 1, done: make(chan struct{})}
	n.queries = append(n.queries, q)
	return q, nil
}

// finish ends the questions that fit, and tells whether there were any.
func (n *network) finish(err error, fits func(*query) bool) bool {
	before := len(n.queries)
	n.queries = slices.DeleteFunc(n.queries, func(q *query) bool {
		if !fits(q) {
			return false
		}
		q.err = err
		close(q.done)
		return true
	})
	return len(n.queries) < before
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
// hand. The end of a list that was refused before is neither.
func (n *network) onQueryReply(l *line) {
	switch {
	case n.queryReply(l):
	case queryNumerics[l.Command].ends:
		n.ignoreUnlessRaw(l)
	default:
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
		return q.act&(row.answers|actBans) != 0 && (row.bare || slices.Contains(names, q.name)) && !n.aboutMessage(l, q)
	})
}

// aboutMessage tells whether an error that names the person of a CTCP question is
// rather about a message to that person, which was sent before it and has no
// outcome yet. What speaks of CTCP is not.
func (n *network) aboutMessage(l *line, q *query) bool {
	return q.act == actProbe && !strings.Contains(strings.ToUpper(l.Last()), "CTCP") &&
		slices.ContainsFunc(n.sends, func(s *sending) bool {
			return s.failed == nil && s.target == q.name && s.last < q.last
		})
}

// Profile looks a person up with WHOIS.
func (n *network) Profile(ctx context.Context, user bridges.UserID) (bridges.Profile, error) {
	nick := string(user)
	if text := badName(nick, bridges.AddressPerson); text != "" {
		return bridges.Profile{}, bridges.NewError(bridges.NotFound, text)
	}
	lines, err := n.ask(ctx, actWhois, nick, "", ircconn.Line{Command: "WHOIS", Params: []string{nick}})
	if err != nil {
		return bridges.Profile{}, err
	}
	if len(lines) == 0 {
		return bridges.Profile{}, bridges.NewError(bridges.NotFound, "Nobody has this nickname now.")
	}
	return profileOf(lines), nil
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
	lines, err := n.ask(ctx, actBans, string(id), "", ircconn.Line{Command: "MODE", Params: []string{name, "+b"}})
	if err != nil {
		return nil, err
	}
	entries := make([]bridges.ListEntry, 0, len(lines))
	for _, l := range lines { // 367 me #chan mask [by when]
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
	start := time.Now()
	lines, err := n.ask(ctx, actProbe, nick, verb, ircconn.Line{Command: "PRIVMSG", Params: []string{nick, ctcpMark + question + ctcpMark}})
	if err != nil {
		return "", err
	}
	if p == bridges.ProbePing {
		return time.Since(start).Round(time.Millisecond).String(), nil
	}
	return lines[0].params[0], nil
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
