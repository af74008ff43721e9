package component

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"

	"gosrc.io/xmpp/stanza"
)

// Words of the chat that are always understood.
const (
	wordHelp   = "help"
	wordCancel = "cancel"
)

// chatKey names a chat: a user's bare JID and the address that is talked to.
type chatKey struct{ user, to JID }

// chat is a command under way in a chat, guarded by Commands.mu.
type chat struct {
	cmd     *Command
	step    *Step             // whose form is being asked for
	asking  []FormField       // the fields of it that become questions
	at      int               // the one that is open
	answer  *Form             // what was answered so far
	typed   map[string]string // what was typed behind the verb, by field
	running *job              // nil while the user is asked
	expires time.Time
}

// strays counts the lines in a row that were not understood.
type strays struct {
	count   int
	expires time.Time
}

// HandleChat serves commands in the chat with addresses of the given kinds.
func HandleChat(s Services, c *Commands, kinds ...AddressKind) {
	for _, kind := range kinds {
		for _, typ := range []string{"normal", "chat"} {
			s.Router.Handle(kind, KindMessage, typ, "", "", func(m *Stanza) { c.HandleMessage(kind, m) })
		}
	}
}

// HandleMessage takes a message that was sent to an address of a kind, and
// answers with one message at most. It does not wait.
//
// Programs are kept from talking to each other for ever: nothing is said to
// errors, to messages without a body, to delayed ones, to senders that are no
// accounts, and, after a number of lines that were not understood, to anything
// that is no command, for as long as a dialogue is kept.
func (c *Commands) HandleMessage(kind AddressKind, m *Stanza) {
	body, ok := m.Body()
	body = strings.TrimSpace(body)
	if !ok || body == "" || m.Type == "error" || m.Type == "groupchat" || m.Type == "headline" ||
		m.From.Local == "" || m.From.Domain == m.To.Domain || m.Child("urn:xmpp:delay", "delay") != nil {
		return
	}
	c.mu.Lock()
	text := c.hear(kind, m, body)
	c.mu.Unlock()
	if text != "" {
		c.cfg.Reply(chatReply(chatAddress(m), text))
	}
}

// Talking tells whether a command is under way in the chat that a message belongs to:
// what is written there is for it, whatever it looks like. It does not wait.
func (c *Commands) Talking(m *Stanza) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.chats[chatKey{m.From.Bare(), m.To.Bare()}]
	return t != nil && (t.running != nil || time.Now().Before(t.expires))
}

// chatAddress keeps of a message what an answer needs.
func chatAddress(m *Stanza) *Stanza {
	thread := m.Child("", "thread").Detach()
	return &Stanza{Element: thread, Kind: KindMessage, Type: m.Type, ID: m.ID, Lang: m.Lang, From: m.From, To: m.To}
}

// chatReply answers in the type and thread of the message.
func chatReply(m *Stanza, text string) *Out {
	o := NewMessage(m.To.Bare(), m.From, m.Type, rand.Text()).Elem("", "body", text)
	if m.Element != nil {
		o.Elem("", "thread", m.Text())
	}
	return o
}

// hear takes one line and returns what is said to it at once; empty leaves it to
// a worker, or says nothing.
func (c *Commands) hear(kind AddressKind, m *Stanza, body string) string {
	key := chatKey{m.From.Bare(), m.To.Bare()}
	t := c.chats[key]
	if t != nil && t.running == nil && !time.Now().Before(t.expires) {
		c.endChat(key, t)
		t = nil
	}
	const sealed = "The gateway cannot read encrypted messages. Please switch encryption off for this chat."
	encrypted := m.Child("urn:xmpp:eme:0", "encryption") != nil
	switch {
	case t == nil && encrypted:
		return c.stray(key, sealed)
	case t == nil && strings.EqualFold(body, wordCancel):
		if c.onCancel != nil {
			if text := c.onCancel(key.user); text != "" {
				return text
			}
		}
		return c.stray(key, "There is nothing to cancel.")
	case t == nil:
		return c.spoken(kind, key, m, body)
	case encrypted:
		return sealed
	case strings.EqualFold(body, wordCancel):
		c.endChat(key, t)
		return "Cancelled."
	case t.running != nil:
		return "Still working on it. Send “cancel” to give it up."
	case strings.EqualFold(body, wordHelp) || body == "?": // no answer: asked for by who lost the thread
		return "This is a question of “" + t.cmd.Verb + "”. Send “cancel” to give it up.\n\n" + t.question()
	case m.Child("urn:xmpp:message-correct:0", "replace") != nil:
		return "A question that was answered cannot be answered anew. Send “cancel” to begin again.\n\n" + t.question()
	}
	return c.answered(key, t, m, body)
}

// spoken takes a line outside of a dialogue.
func (c *Commands) spoken(kind AddressKind, key chatKey, m *Stanza, body string) string {
	verb, rest := cutWord(body)
	verb = strings.ToLower(strings.TrimPrefix(verb, "/"))
	list := c.verbs(kind, m.From)
	if verb == wordHelp || verb == "?" {
		delete(c.strays, key)
		return c.help(list, strings.ToLower(rest))
	}
	i := slices.IndexFunc(list, func(cmd *Command) bool { return cmd.Verb == verb })
	if i < 0 {
		return c.stray(key, "This is not a command. Send “help” to see what there is.")
	}
	delete(c.strays, key)
	if len(c.adhoc)+len(c.chats) >= c.cfg.Total {
		c.expire(time.Now())
		if len(c.adhoc)+len(c.chats) >= c.cfg.Total {
			return "Too many commands are open at present. Please try again in a while."
		}
	}
	t := &chat{cmd: list[i], typed: typedArgs(list[i].Args, rest)}
	if !c.runChat(key, t, m, t.cmd.Run, nil) {
		return "The gateway is busy. Please try again in a while."
	}
	c.chats[key] = t
	return ""
}

// stray answers a line that was not understood, unless there were too many.
func (c *Commands) stray(key chatKey, text string) string {
	now := time.Now()
	n := c.strays[key]
	if n == nil || !now.Before(n.expires) {
		if len(c.strays) >= c.cfg.Total {
			c.expire(now)
			if len(c.strays) >= c.cfg.Total {
				return "" // who cannot be counted is not answered
			}
		}
		n = new(strays)
		c.strays[key] = n
	}
	n.count++
	n.expires = now.Add(c.cfg.Expiry)
	if n.count > c.cfg.Strays {
		return ""
	}
	return text
}

// verbs is what a user may type at an address of a kind.
func (c *Commands) verbs(kind AddressKind, from JID) []*Command {
	return slices.DeleteFunc(c.list(kind, from), func(cmd *Command) bool { return cmd.Verb == "" })
}

func (c *Commands) help(list []*Command, verb string) string {
	if verb != "" {
		for _, cmd := range list {
			if cmd.Verb == verb {
				return usage(cmd) + ": " + cmd.Help
			}
		}
		return "There is no command of that name. Send “help” to see what there is."
	}
	var b strings.Builder
	if c.cfg.Greeting != "" {
		b.WriteString(c.cfg.Greeting + "\n\n")
	}
	for _, cmd := range list {
		b.WriteString(usage(cmd) + ": " + cmd.Name + "\n")
	}
	b.WriteString("help COMMAND: more about a command\n")
	b.WriteString("cancel: give up what was begun")
	return b.String()
}

func usage(cmd *Command) string {
	var b strings.Builder
	b.WriteString(cmd.Verb)
	for _, arg := range cmd.Args {
		b.WriteString(" [" + arg + "]")
	}
	return b.String()
}

// typedArgs gives the words behind a verb to the fields they are for.
func typedArgs(names []string, rest string) map[string]string {
	typed := make(map[string]string)
	for i, name := range names {
		if rest == "" {
			break
		}
		if i == len(names)-1 {
			typed[name] = rest
			break
		}
		typed[name], rest = cutWord(rest)
	}
	return typed
}

func cutWord(s string) (word, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}

// runChat hands a step to a worker.
func (c *Commands) runChat(key chatKey, t *chat, m *Stanza, step StepFunc, values Values) bool {
	reply := chatAddress(m)
	j := &job{
		step: step,
		name: t.cmd.Node,
		call: &Call{From: m.From, To: key.to, Lang: m.Lang, Chat: true, Typed: maps.Clone(t.typed), Values: values},
	}
	j.finish = func(outcome *Step, err *StanzaError) { c.chatFinished(key, t, j, reply, outcome, err) }
	if !c.submit(j) {
		return false
	}
	t.running = j
	return true
}

// chatFinished says the outcome of a step, on a worker. Of a step that was
// cancelled nothing is said: "Cancelled." was the answer.
func (c *Commands) chatFinished(key chatKey, t *chat, j *job, m *Stanza, step *Step, err *StanzaError) {
	c.mu.Lock()
	if c.chats[key] != t || t.running != j {
		step.drop()
		c.mu.Unlock()
		return
	}
	t.running = nil
	t.expires = time.Now().Add(c.cfg.Expiry)
	var text string
	switch {
	case err != nil:
		text = chatError(err)
		delete(c.chats, key)
	case step.Next == nil:
		text = stepText(step)
		delete(c.chats, key)
	default:
		text = c.ask(key, t, m, step)
	}
	c.mu.Unlock()
	if text != "" {
		c.send(chatReply(m, text))
	}
	step.sent()
}

// chatError is an error in words.
func chatError(err *StanzaError) string {
	if err.Text != "" {
		return err.Text
	}
	if err.Type == stanza.ErrorTypeWait {
		return "This is not possible at the moment. Please try again later."
	}
	return "This was refused."
}

// ask begins to ask for a step's form, and returns the first question. Without
// a question left the form is answered at once; empty leaves it to a worker.
func (c *Commands) ask(key chatKey, t *chat, m *Stanza, step *Step) string {
	t.step, t.at, t.asking = step, 0, nil
	t.answer = &Form{Type: FormSubmit}
	intro := stepIntro(step)
	if step.Form != nil {
		intro = joinParagraphs(intro, t.prefill(step.Form))
	}
	if len(t.asking) > 0 {
		return joinParagraphs(intro, t.question())
	}
	if text, ok := c.submitChat(key, t, m); !ok {
		return text
	}
	return ""
}

// prefill answers what needs no question: hidden fields, and what was typed
// behind the verb where it fits. It returns what is wrong with the rest.
func (t *chat) prefill(form *Form) string {
	var problems []string
	for _, f := range form.Fields {
		switch {
		case f.Type == FieldFixed || f.Var == "":
		case f.Type == FieldHidden:
			t.give(f, f.Values)
		default:
			if word, ok := t.typed[f.Var]; ok {
				delete(t.typed, f.Var)
				values, problem := f.parse(word)
				if problem == "" {
					t.give(f, values)
					continue
				}
				problems = append(problems, problem)
				t.asking = append(t.asking, f)
				continue
			}
			if !f.Advanced {
				t.asking = append(t.asking, f)
			}
		}
	}
	return strings.Join(problems, " ")
}

func (t *chat) give(f FormField, values []string) {
	t.answer.Fields = append(t.answer.Fields, FormField{Var: f.Var, Values: values})
}

// answered takes a line in a dialogue.
func (c *Commands) answered(key chatKey, t *chat, m *Stanza, body string) string {
	if !t.cmd.allows(key.user) {
		c.endChat(key, t)
		return "You may not use this command any more."
	}
	t.expires = time.Now().Add(c.cfg.Expiry)
	f := t.asking[t.at]
	values, skipped, problem := f.reply(body)
	if problem != "" {
		return problem + "\n\n" + t.question()
	}
	if !skipped {
		t.give(f, values)
	}
	t.at++
	if t.at < len(t.asking) {
		return t.question()
	}
	text, _ := c.submitChat(key, t, m)
	return text
}

// submitChat hands the whole answer on. It returns what is to be said instead
// where that is not possible.
func (c *Commands) submitChat(key chatKey, t *chat, m *Stanza) (string, bool) {
	values := make(Values)
	if t.step.Form != nil {
		var problems []string
		if values, problems = t.step.Form.Check(t.answer); len(problems) > 0 {
			c.endChat(key, t)
			return strings.Join(problems, " ") + " Please begin again.", false
		}
	}
	t.answer, t.asking = nil, nil
	if !c.runChat(key, t, m, t.step.Next, values) {
		c.endChat(key, t)
		return "The gateway is busy. Please try again in a while.", false
	}
	return "", true
}
