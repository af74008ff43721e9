package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"gosrc.io/xmpp/stanza"
)

// NSCommands is ad-hoc commands (XEP-0050).
const NSCommands = "http://jabber.org/protocol/commands"

// sendTime is how long an answer may wait for the writer's queue.
const sendTime = 10 * time.Second

// Command is something a user can have done. One definition serves ad-hoc
// commands, where its steps are forms, and the chat with the gateway, where
// every field of a form becomes a question.
type Command struct {
	Node string // of the ad-hoc command, unique among those of an address; "": only in the chat
	Verb string // what is typed in the chat, one lower-case word; "": not in the chat
	Name string // a few words: the title in lists
	Help string // one sentence more, for the chat's help
	// Args are the names of form fields that may be typed behind the verb, in
	// this order; the last one takes the rest of the line.
	Args    []string
	Targets []AddressKind
	// Allowed tells who may see and use it; nil: everyone. It gets a bare JID
	// and must not wait.
	Allowed func(from JID) bool
	// Run is the first step.
	Run StepFunc
}

// StepFunc does one step of a command. It may wait, until ctx is done: it runs
// on a worker, never in the read loop. An error ends the command; the text of a
// *StanzaError is for the user, every other error is logged and hidden.
type StepFunc func(ctx context.Context, c *Call) (*Step, error)

// Call is what a step works with.
type Call struct {
	From JID // the client's full JID
	To   JID // the bare address the command was sent to
	Lang string
	Chat bool // asked for in the chat
	// Typed is what was typed behind the verb, by the names in Args. Forms take
	// it by themselves; it tells whether there is reason to ask.
	Typed  map[string]string
	Values Values // what was filled in; empty in the first step
}

// Step is the outcome of a step. With Next the user is asked for Form and Next
// gets the answer, once it fits the form; without, the command is done.
type Step struct {
	Form *Form
	Next StepFunc
	// Last says that Next is the last step: clients show "finish" for "next".
	Last bool
	// Note is a sentence beside the form, or the result.
	Note     string
	NoteType NoteType
	// Sent is called once the user has been told the step, and Dropped instead, or
	// later, when nobody goes on with it: the dialogue was cancelled, or took too
	// long. Once Next was called it sees to that itself. Dropped may be called more
	// than once; it must not wait, nor call Commands. Both may be nil.
	Sent, Dropped func()
}

// NoteType says how a note is meant (XEP-0050 section 3.3).
type NoteType string

// Types of a note; the empty one is NoteInfo.
const (
	NoteInfo  NoteType = "info"
	NoteWarn  NoteType = "warn"
	NoteError NoteType = "error"
)

// Done ends a command with a sentence for the user.
func Done(text string) *Step { return &Step{Note: text} }

// CommandsConfig is what a command service is made with. Zero values stand for
// the defaults.
type CommandsConfig struct {
	Reply   func(*Out) bool                         // from the read loop; never blocks
	Send    func(ctx context.Context, o *Out) error // from workers; may block
	Workers *Workers                                // run the steps
	Log     *slog.Logger

	Greeting string        // begins the chat's help
	PerUser  int           // dialogues a user may have open, by bare JID; default 6. The oldest idle one gives way.
	Total    int           // dialogues open in all; default 4096. Then new ones are refused.
	Expiry   time.Duration // of an idle dialogue; default 1 h
	StepTime time.Duration // what one step may take; default 45 s
	Strays   int           // unknown lines in a row the chat answers before it falls silent; default 5
}

func (c *CommandsConfig) setDefaults() {
	for _, d := range []struct {
		value *int
		def   int
	}{{&c.PerUser, 6}, {&c.Total, 4096}, {&c.Strays, 5}} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.Expiry == 0 {
		c.Expiry = time.Hour
	}
	if c.StepTime == 0 {
		c.StepTime = 45 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Commands is the command service of a gateway. Its handlers never wait: steps
// run on workers.
type Commands struct {
	cfg      CommandsConfig
	commands []*Command

	mu     sync.Mutex // guards the maps and what hangs off them
	adhoc  map[string]*dialogue
	chats  map[chatKey]*chat
	strays map[chatKey]*strays

	onCancel func(user JID) string // see OnCancel
}

// NewCommands makes a command service.
func NewCommands(cfg CommandsConfig) *Commands {
	cfg.setDefaults()
	return &Commands{
		cfg:    cfg,
		adhoc:  make(map[string]*dialogue),
		chats:  make(map[chatKey]*chat),
		strays: make(map[chatKey]*strays),
	}
}

// Add adds commands. It is called before the stream runs. Commands keep the
// order they are added in.
func (c *Commands) Add(commands ...Command) {
	for i := range commands {
		c.commands = append(c.commands, &commands[i])
	}
}

// list is what a user may do at an address of a kind.
func (c *Commands) list(kind AddressKind, from JID) []*Command {
	from = from.Bare()
	var list []*Command
	for _, cmd := range c.commands {
		if slices.Contains(cmd.Targets, kind) && cmd.allows(from) {
			list = append(list, cmd)
		}
	}
	return list
}

func (cmd *Command) allows(from JID) bool { return cmd.Allowed == nil || cmd.Allowed(from) }

// find returns the command of that node. The error says why there is none.
func (c *Commands) find(kind AddressKind, from JID, node string) (*Command, *StanzaError) {
	for _, cmd := range c.commands {
		if node == "" || cmd.Node != node || !slices.Contains(cmd.Targets, kind) {
			continue
		}
		if !cmd.allows(from.Bare()) {
			return nil, NewStanzaError(stanza.ErrorTypeAuth, "forbidden", "You may not use this command.")
		}
		return cmd, nil
	}
	return nil, NewStanzaError(stanza.ErrorTypeCancel, "item-not-found", "There is no such command.")
}

// Run forgets dialogues that nobody goes on with, until ctx is done. It is
// never needed for an answer.
func (c *Commands) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Expiry / 8)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			c.mu.Lock()
			c.expire(now)
			c.mu.Unlock()
		}
	}
}

// job is one step on its way to and through a worker.
type job struct {
	step   StepFunc
	call   *Call
	name   string // for the log
	ctx    context.Context
	cancel context.CancelFunc
	finish func(*Step, *StanzaError) // called once, on a worker
}

// submit hands a step to the workers, and reports whether there was room.
func (c *Commands) submit(j *job) bool {
	j.ctx, j.cancel = context.WithCancel(context.Background())
	if !c.cfg.Workers.Go(j.call.From, "", func(ctx context.Context) { c.work(ctx, j) }) {
		j.cancel()
		return false
	}
	return true
}

// work does a step. ctx is done when the program ends, the job's own when the
// user has cancelled it.
func (c *Commands) work(ctx context.Context, j *job) {
	defer j.cancel()
	stop := context.AfterFunc(ctx, j.cancel)
	defer stop()
	limited, cancel := context.WithTimeout(j.ctx, c.cfg.StepTime)
	defer cancel()
	step, err := c.guarded(limited, j)
	if err == nil {
		j.finish(step, nil)
		return
	}
	j.finish(nil, c.userError(limited, j, err))
}

// guarded runs a step; a panic in it costs this step alone.
func (c *Commands) guarded(ctx context.Context, j *job) (step *Step, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			c.cfg.Log.Error("command panicked", "command", j.name, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	step, err = j.step(ctx, j.call)
	if err == nil && step == nil {
		err = errors.New("a step without an outcome")
	}
	return step, err
}

// userError is what the user gets to know of an error.
func (c *Commands) userError(ctx context.Context, j *job, err error) *StanzaError {
	var se *StanzaError
	switch {
	case errors.As(err, &se):
		return se
	case ctx.Err() != nil:
		return NewStanzaError(stanza.ErrorTypeWait, "remote-server-timeout", "This could not be done in time and was given up.")
	}
	c.cfg.Log.Error("command failed", "command", j.name, "user", j.call.From.Bare().String(), "err", err)
	return NewStanzaError(stanza.ErrorTypeWait, "internal-server-error", "Something went wrong in the gateway.")
}

// send sends what a worker has to say. Without a stream it is lost: the client
// that asked got no answer and will ask again.
func (c *Commands) send(o *Out) {
	if o == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendTime)
	defer cancel()
	if err := c.cfg.Send(ctx, o); err != nil {
		c.cfg.Log.Debug("answer to a command not sent", "err", err)
	}
}

// asStanzaError is for errors that are a *StanzaError by contract.
func asStanzaError(err error) *StanzaError {
	var se *StanzaError
	if errors.As(err, &se) {
		return se
	}
	return NewStanzaError(stanza.ErrorTypeWait, "internal-server-error", "Something went wrong in the gateway.")
}

func busy(text string) *StanzaError {
	return NewStanzaError(stanza.ErrorTypeWait, "resource-constraint", text)
}

// oneLine keeps text that goes into a list on its line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
