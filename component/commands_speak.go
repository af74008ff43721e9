package component

import (
	"context"
	"slices"
	"time"
)

// Speak says a step in the chat with an address without having been asked: what has
// become of something that took long, or a question that was not due before. With
// Next the user's answers go on as those to the command of that verb do; what was
// asked in that chat before is given up. It blocks until the stream has the message.
// With an error the user was told nothing and is asked nothing, and the step hears
// nothing.
func (c *Commands) Speak(ctx context.Context, address, user JID, verb string, step *Step) error {
	m := &Stanza{Kind: KindMessage, Type: "chat", From: user, To: address}
	key := chatKey{user.Bare(), address.Bare()}
	text := stepText(step)
	var begun *chat
	if step.Next != nil {
		c.mu.Lock()
		text, begun = c.interrupt(key, m, verb, step)
		c.mu.Unlock()
	}
	if text == "" {
		return nil
	}
	if err := c.cfg.Send(ctx, chatReply(m, text)); err != nil {
		c.mu.Lock()
		if begun != nil && c.chats[key] == begun {
			delete(c.chats, key)
		}
		c.mu.Unlock()
		return err
	}
	step.sent()
	return nil
}

// interrupt begins a dialogue with a question of the gateway's and returns it; empty
// leaves it to a worker.
func (c *Commands) interrupt(key chatKey, m *Stanza, verb string, step *Step) (string, *chat) {
	var before string
	if old := c.chats[key]; old != nil {
		before = "What you were asked before (“" + old.cmd.Verb + "”) is given up for this."
		c.endChat(key, old)
	}
	i := slices.IndexFunc(c.commands, func(cmd *Command) bool { return cmd.Verb == verb })
	if i < 0 || len(c.adhoc)+len(c.chats) >= c.cfg.Total {
		step.drop()
		return joinParagraphs(before, "Too many commands are open at present, so this cannot go on. Please begin again in a while."), nil
	}
	t := &chat{cmd: c.commands[i], expires: time.Now().Add(c.cfg.Expiry)}
	c.chats[key] = t
	return joinParagraphs(before, c.ask(key, t, m, step)), t
}

// OnCancel has “cancel” in a chat without an open question answered by f, which
// returns what it has given up in words, or nothing. It gets a bare JID, must not wait
// and is set before the stream runs.
func (c *Commands) OnCancel(f func(user JID) string) { c.onCancel = f }

// endChat ends a dialogue that has no outcome. Called with the lock held.
func (c *Commands) endChat(key chatKey, t *chat) {
	delete(c.chats, key)
	if t.running != nil {
		t.running.cancel() // what it returns is dropped when it ends
		return
	}
	t.step.drop()
}

// endDialogue is endChat for an ad-hoc command.
func (c *Commands) endDialogue(d *dialogue) {
	delete(c.adhoc, d.id)
	if d.running != nil {
		d.running.cancel()
		d.running = nil
		return
	}
	d.last().drop()
}

// last is the open step, nil where there is none.
func (d *dialogue) last() *Step {
	if len(d.steps) == 0 {
		return nil
	}
	return d.steps[len(d.steps)-1]
}

// drop tells a step that nobody goes on with it.
func (s *Step) drop() {
	if s != nil && s.Dropped != nil {
		s.Dropped()
	}
}

// sent tells a step that the user has been told it.
func (s *Step) sent() {
	if s != nil && s.Sent != nil {
		s.Sent()
	}
}
