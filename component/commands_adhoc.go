package component

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"
)

// maxSteps bounds how far back "prev" reaches.
const maxSteps = 16

// dialogue is one execution of an ad-hoc command (XEP-0050 section 2.4),
// guarded by Commands.mu.
type dialogue struct {
	id      string
	cmd     *Command
	from    JID // full: a session belongs to one client
	to      JID // bare
	lang    string
	steps   []*Step // asked so far; the last one is open
	running *job    // nil while the user is asked
	expires time.Time
	expired bool // kept a while to tell the client so
}

// HandleCommands serves ad-hoc commands at addresses of the given kinds, and
// lists them in disco.
func HandleCommands(s Services, c *Commands, kinds ...AddressKind) {
	for _, kind := range kinds {
		s.Disco.AddFeature(kind, NSCommands)
		s.Disco.SetNode(kind, NSCommands,
			func(*Stanza) (DiscoInfo, *StanzaError) {
				return DiscoInfo{
					Identities: []Identity{{Category: "automation", Type: "command-list", Name: "Commands"}},
					Features:   []string{NSDiscoInfo, NSDiscoItems, NSCommands},
				}, nil
			},
			func(req *Stanza) ([]Item, *StanzaError) { return c.Items(kind, req), nil })
		for _, cmd := range c.commands {
			if cmd.Node != "" && slices.Contains(cmd.Targets, kind) {
				s.Disco.SetNode(kind, cmd.Node, func(req *Stanza) (DiscoInfo, *StanzaError) {
					return c.Info(kind, req)
				}, nil)
			}
		}
		s.Router.Handle(kind, KindIQ, "set", NSCommands, "command", func(req *Stanza) { c.HandleIQ(kind, req) })
	}
}

// Items lists the commands of an address, for disco#items of the node
// NSCommands.
func (c *Commands) Items(kind AddressKind, req *Stanza) []Item {
	var items []Item
	for _, cmd := range c.list(kind, req.From) {
		if cmd.Node == "" {
			continue
		}
		items = append(items, Item{JID: req.To.Bare(), Node: cmd.Node, Name: cmd.Name})
	}
	return items
}

// Info describes the command whose node a disco#info request names.
func (c *Commands) Info(kind AddressKind, req *Stanza) (DiscoInfo, *StanzaError) {
	cmd, err := c.find(kind, req.From, req.Payload().Attr("node"))
	if err != nil {
		return DiscoInfo{}, err
	}
	return DiscoInfo{
		Identities: []Identity{{Category: "automation", Type: "command-node", Name: cmd.Name}},
		Features:   []string{NSCommands, NSForms},
	}, nil
}

// HandleIQ answers a command request that was sent to an address of a kind. It
// does not wait.
func (c *Commands) HandleIQ(kind AddressKind, req *Stanza) {
	c.mu.Lock()
	o := c.answer(kind, req)
	c.mu.Unlock()
	if o != nil {
		c.cfg.Reply(o)
	}
}

// answer returns what can be answered at once; nil leaves it to a worker.
func (c *Commands) answer(kind AddressKind, req *Stanza) *Out {
	payload := req.Payload()
	action := payload.Attr("action")
	if !slices.Contains([]string{"", "execute", "next", "prev", "complete", "cancel"}, action) {
		return commandError(req, "bad-request", "malformed-action", "There is no such action.")
	}
	cmd, refused := c.find(kind, req.From, payload.Attr("node"))
	if refused != nil {
		return ErrorReply(req, refused)
	}
	id := payload.Attr("sessionid")
	if id == "" {
		if action != "" && action != "execute" {
			return commandError(req, "bad-request", "bad-action", "The command has not begun yet.")
		}
		return c.begin(cmd, req)
	}
	d := c.adhoc[id]
	if d == nil || d.from != req.From || d.to != req.To.Bare() || d.cmd != cmd {
		return commandError(req, "bad-request", "bad-sessionid", "There is no such dialogue of yours.")
	}
	if d.expired || !time.Now().Before(d.expires) {
		d.expire()
		return commandError(req, "not-allowed", "session-expired", "You took too long; please begin again.")
	}
	if action == "cancel" {
		return c.cancel(d, req)
	}
	if d.running != nil {
		return ErrorReply(req, busy("Your last answer is still being worked on."))
	}
	d.expires = time.Now().Add(c.cfg.Expiry)
	if action == "prev" {
		return d.back(req)
	}
	return c.advance(d, req)
}

// begin opens a dialogue and runs its first step.
func (c *Commands) begin(cmd *Command, req *Stanza) *Out {
	if !c.makeRoom(req.From.Bare()) {
		return ErrorReply(req, busy("Too many commands are open at present."))
	}
	d := &dialogue{
		id: rand.Text(), cmd: cmd, from: req.From, to: req.To.Bare(), lang: req.Lang,
		expires: time.Now().Add(c.cfg.Expiry),
	}
	if !c.run(d, req, cmd.Run, nil) {
		return ErrorReply(req, busy("The gateway is busy. Please try again in a while."))
	}
	c.adhoc[d.id] = d
	return nil
}

// advance takes an answer to the open step.
func (c *Commands) advance(d *dialogue, req *Stanza) *Out {
	open := d.last()
	answer, ok, err := ParseForm(req.Payload())
	if err != nil {
		return ErrorReply(req, withApp(asStanzaError(err), "bad-payload"))
	}
	if ok && answer.Type == FormCancel {
		return c.cancel(d, req)
	}
	if ok && answer.Type != FormSubmit {
		return commandError(req, "bad-request", "bad-payload", "The form is not an answer.")
	}
	values := make(Values)
	if open.Form != nil {
		var problems []string
		if values, problems = open.Form.Check(&answer); len(problems) > 0 {
			return d.ask(req, &Step{
				Form: open.Form.Refill(&answer), Next: open.Next, Last: open.Last,
				Note: strings.Join(problems, " "), NoteType: NoteError,
			})
		}
	}
	if !c.run(d, req, open.Next, values) {
		return ErrorReply(req, busy("The gateway is busy. Please try again in a while."))
	}
	return nil
}

// run hands a step to a worker and arranges for its answer.
func (c *Commands) run(d *dialogue, req *Stanza, step StepFunc, values Values) bool {
	reply := &Stanza{Kind: KindIQ, Type: "set", ID: req.ID, From: req.From, To: req.To}
	j := &job{
		step: step,
		name: d.cmd.Node,
		call: &Call{From: req.From, To: d.to, Lang: d.lang, Values: values},
	}
	j.finish = func(outcome *Step, err *StanzaError) { c.finished(d, j, reply, outcome, err) }
	if !c.submit(j) {
		return false
	}
	d.running = j
	return true
}

// finished answers with the outcome of a step. It runs on a worker.
func (c *Commands) finished(d *dialogue, j *job, req *Stanza, step *Step, err *StanzaError) {
	c.mu.Lock()
	cancelled := d.running != j
	d.running = nil
	var o *Out
	switch {
	case cancelled:
		step.drop()
		o = ErrorReply(req, NewStanzaError(stanza.ErrorTypeCancel, "not-allowed", "The command was cancelled."))
	case err != nil:
		delete(c.adhoc, d.id)
		o = ErrorReply(req, err)
	case step.Next == nil:
		delete(c.adhoc, d.id)
		o = d.done(req, step)
	default:
		d.steps = append(d.steps, step)
		if len(d.steps) > maxSteps {
			d.steps = slices.Delete(d.steps, 0, len(d.steps)-maxSteps)
		}
		d.expires = time.Now().Add(c.cfg.Expiry)
		o = d.ask(req, step)
	}
	c.mu.Unlock()
	c.send(o)
	if !cancelled {
		step.sent()
	}
}

// cancel ends a dialogue. A step under way is told through its context, and its
// request is answered when it ends.
func (c *Commands) cancel(d *dialogue, req *Stanza) *Out {
	c.endDialogue(d)
	return d.open(req, "canceled").End()
}

// back asks the step before the open one again.
func (d *dialogue) back(req *Stanza) *Out {
	if len(d.steps) < 2 {
		return commandError(req, "bad-request", "bad-action", "This is the first step.")
	}
	d.last().drop()
	d.steps = d.steps[:len(d.steps)-1]
	return d.ask(req, d.last())
}

// open begins the answer; the command element is left open.
func (d *dialogue) open(req *Stanza, status string) *Out {
	return Result(req).Start(NSCommands, "command").
		Attr("node", d.cmd.Node).Attr("sessionid", d.id).Attr("status", status)
}

func (d *dialogue) ask(req *Stanza, step *Step) *Out {
	o := d.open(req, "executing")
	next := "next"
	if step.Last {
		next = "complete"
	}
	o.Start("", "actions").Attr("execute", next)
	if len(d.steps) > 1 {
		o.Start("", "prev").End()
	}
	o.Start("", next).End().End()
	step.appendTo(o)
	return o.End()
}

func (d *dialogue) done(req *Stanza, step *Step) *Out {
	o := d.open(req, "completed")
	step.appendTo(o)
	return o.End()
}

func (s *Step) appendTo(o *Out) {
	if s.Form != nil {
		s.Form.AppendTo(o)
		s.Form.appendMedia(o)
	}
	if s.Note != "" {
		kind := s.NoteType
		if kind == "" {
			kind = NoteInfo
		}
		o.Start("", "note").Attr("type", string(kind)).Text(s.Note).End()
	}
}

// expire drops what the dialogue knows and keeps its name.
func (d *dialogue) expire() {
	if d.running == nil && !d.expired {
		d.last().drop()
		d.steps, d.expired = nil, true
		d.expires = time.Now()
	}
}

// makeRoom sees to the limits before a dialogue of user begins; false: there is
// no room. A user over the limit loses the dialogue that was idle longest.
func (c *Commands) makeRoom(user JID) bool {
	now := time.Now()
	var oldest *dialogue
	own := 0
	for _, d := range c.adhoc {
		if d.from.Bare() != user {
			continue
		}
		own++
		if d.running == nil && (oldest == nil || d.expires.Before(oldest.expires)) {
			oldest = d
		}
	}
	if own >= c.cfg.PerUser {
		if oldest == nil {
			return false
		}
		c.endDialogue(oldest)
	}
	if len(c.adhoc)+len(c.chats) >= c.cfg.Total {
		c.expire(now)
		for id, d := range c.adhoc {
			if d.expired {
				delete(c.adhoc, id)
			}
		}
	}
	return len(c.adhoc)+len(c.chats) < c.cfg.Total
}

// expire forgets what is over, and the names of dialogues that were over an
// expiry ago. Called with the lock held.
func (c *Commands) expire(now time.Time) {
	for id, d := range c.adhoc {
		switch {
		case d.expired && now.Sub(d.expires) >= c.cfg.Expiry:
			delete(c.adhoc, id)
		case !now.Before(d.expires):
			d.expire()
		}
	}
	for key, t := range c.chats {
		if t.running == nil && !now.Before(t.expires) {
			c.endChat(key, t)
		}
	}
	for key, n := range c.strays {
		if !now.Before(n.expires) {
			delete(c.strays, key)
		}
	}
}

func commandError(req *Stanza, condition, app, text string) *Out {
	kind := stanza.ErrorTypeModify
	if condition == "not-allowed" {
		kind = stanza.ErrorTypeCancel
	}
	return ErrorReply(req, withApp(NewStanzaError(kind, condition, text), app))
}

// withApp returns a copy of an error with an application-specific condition of
// XEP-0050 section 4.4.
func withApp(err *StanzaError, name string) *StanzaError {
	e := *err
	e.App = &AppCondition{Space: NSCommands, Name: name}
	return &e
}
