package matrix

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Bounds of the votes of one poll that are counted.
const (
	votesPage  = 100
	votesPages = 20
	votesTime  = 15 * time.Second
)

// pollAt is a poll of a room: one that was seen, or is asked for; nil: there is none. mu
// must not be held.
func (n *network) pollAt(ctx context.Context, r *room, line id.EventID) *poll {
	n.mu.Lock()
	p, cli := r.polls[line], n.cli
	n.mu.Unlock()
	if p != nil || cli == nil || line == "" {
		return p
	}
	ev, err := cli.GetEvent(ctx, r.id, line)
	if err != nil || ev == nil {
		return nil
	}
	t := turn{n: n, quick: true}
	plain, _ := t.opened(ctx, r, ev)
	c := readEvent(plain)
	n.mu.Lock()
	defer n.mu.Unlock()
	r.wrote(line, ev.Sender)
	if c.Poll != nil {
		r.poll(line, c.Poll)
	}
	return c.Poll
}

// numbers is what a text may be that chooses answers of a poll.
var numbers = regexp.MustCompile(`^[0-9][0-9., \n]{0,99}$`)

// voteFor reads the answer to a line as a vote, where that is a poll.
func (n *network) voteFor(ctx context.Context, r *room, line id.EventID, text string) (kind string, content map[string]any, ok bool) {
	if line == "" || !numbers.MatchString(text) {
		return "", nil, false
	}
	p := n.pollAt(ctx, r, line)
	if p == nil {
		return "", nil, false
	}
	choices, ok := p.choose(text)
	if !ok {
		return "", nil, false
	}
	kind, content = p.vote(line, choices)
	return kind, content, true
}

// pollEnded makes the end of a poll its result, where the votes can be had. It reports
// whether whoever ended it may do so: its author, or who may take lines back.
func (t *turn) pollEnded(ctx context.Context, r *room, ev *event.Event, c *content) bool {
	n := t.n
	by := t.author(ctx, r, c.Ends)
	n.mu.Lock()
	powers := r.powers()
	may := by == "" || by == ev.Sender || powers.level(ev.Sender) >= powers.redact
	n.mu.Unlock()
	if !may {
		return false
	}
	if t.quick {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, votesTime)
	defer cancel()
	p := n.pollAt(ctx, r, c.Ends)
	if p == nil {
		return true
	}
	votes, ok := n.votes(ctx, r, c.Ends, ev.Timestamp)
	if ok {
		c.Body = p.result(votes)
	}
	return true
}

// vote is the last that somebody chose.
type vote struct {
	choices []string
	at      int64 // milliseconds
}

// votes are what people chose until a moment, as far as it can be read; false: it
// cannot be had.
func (n *network) votes(ctx context.Context, r *room, line id.EventID, until int64) (map[id.UserID]vote, bool) {
	cli, err := n.asking()
	if err != nil {
		return nil, false
	}
	t := turn{n: n, quick: true}
	out := map[id.UserID]vote{}
	req := &mautrix.ReqGetRelations{RelationType: event.RelReference, Dir: mautrix.DirectionBackward, Limit: votesPage}
	for range votesPages {
		resp, err := cli.GetRelations(ctx, r.id, line, req)
		if err != nil {
			n.log.Debug("matrix: the votes of a poll cannot be read", "error", failure(ctx, err))
			return nil, false
		}
		for _, ev := range resp.Chunk {
			if ev == nil || ev.Timestamp > until || ev.Timestamp < out[ev.Sender].at {
				continue
			}
			plain, sealed := t.opened(ctx, r, ev)
			c := readEvent(plain)
			if sealed {
				c.Target = cleanTarget(ev, c.Target)
			}
			// Of one moment the one that comes first is the later one.
			if _, known := out[ev.Sender]; c.What == contentVote && c.Target == line && (!known || ev.Timestamp > out[ev.Sender].at) {
				out[ev.Sender] = vote{c.Choices, ev.Timestamp}
			}
		}
		if req.From = resp.NextBatch; req.From == "" {
			return out, true
		}
	}
	return out, true // nobody reads more than that
}

// result is what a poll came to, in words. A vote counts up to as many answers as may
// be chosen, and one for something that is no answer does not (client-server API,
// "Polls").
func (p *poll) result(votes map[id.UserID]vote) string {
	counts, people := make([]int, len(p.Answers)), 0
	for _, v := range votes {
		counted := map[int]bool{}
		for _, choice := range v.choices[:min(len(v.choices), p.Most)] {
			for i, a := range p.Answers {
				if a.ID == choice {
					counted[i] = true
				}
			}
		}
		for i := range counted {
			counts[i]++
		}
		if len(counted) > 0 {
			people++
		}
	}
	var b strings.Builder
	b.WriteString("The poll has ended: " + p.Question)
	for i, a := range p.Answers {
		b.WriteString("\n" + strconv.Itoa(i+1) + ". " + a.Text + ": " + times(counts[i], "vote", "votes"))
	}
	b.WriteString("\n(" + times(people, "person", "people") + " voted.)")
	return b.String()
}

func times(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
