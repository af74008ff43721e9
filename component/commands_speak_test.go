package component

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hooked is a step that asks for a word, and counts what it is told.
type hooked struct{ sent, dropped, answered int }

func (h *hooked) step(fields ...FormField) *Step {
	return &Step{
		Form: NewForm("Word", []string{"One more thing."}, fields...),
		Next: func(context.Context, *Call) (*Step, error) {
			h.answered++
			return Done("Thanks."), nil
		},
		Sent:    func() { h.sent++ },
		Dropped: func() { h.dropped++ },
	}
}

func (h *hooked) String() string {
	return fmt.Sprintf("sent %d, dropped %d, answered %d", h.sent, h.dropped, h.answered)
}

// command is a command whose first step it is.
func (h *hooked) command() Command {
	return Command{
		Node: "word", Verb: "word", Name: "Say a word", Help: "takes a word.", Targets: host,
		Run: func(context.Context, *Call) (*Step, error) { return h.step(word), nil },
	}
}

var (
	word      = FormField{Var: "word", Label: "Word", Required: true}
	irc, home = JID{Domain: "irc.example.org"}, JID{Local: "juliet", Domain: "example.org"}
)

// speaks has the gateway say a step of its own accord and returns what it says.
func (r *rig) speaks(step *Step) string {
	r.t.Helper()
	if err := r.commands.Speak(r.t.Context(), irc, home, "word", step); err != nil {
		r.t.Error(err)
	}
	synctest.Wait()
	var said []string
	for _, s := range r.sent() {
		body, _ := s.Body()
		said = append(said, s.Type+" from "+s.From.String()+" to "+s.To.String()+": "+body)
	}
	return strings.Join(said, "\n---\n")
}

func TestSpeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(hooked)
		r := commandRig(t, CommandsConfig{}, order(), h.command())
		const intro = "chat from irc.example.org to juliet@example.org: "
		expect(t, "a sentence", r.speaks(Done("It is done.")), intro+"It is done.")
		expect(t, "a question", r.speaks(h.step(word)), intro+"One more thing.\n\nWord?")
		expect(t, "is a dialogue", r.say("help"), "This is a question of “word”. Send “cancel” to give it up.\n\nWord?")
		expect(t, "that is answered", r.say("hello"), "Thanks.")
		expect(t, "told", h.String(), "sent 1, dropped 0, answered 1")

		r.say("order tea")
		expect(t, "what was asked gives way", r.speaks(h.step(word)),
			intro+"What you were asked before (“order”) is given up for this.\n\nOne more thing.\n\nWord?")
		expect(t, "twice", r.speaks(h.step(word)),
			intro+"What you were asked before (“word”) is given up for this.\n\nOne more thing.\n\nWord?")
		expect(t, "cancelled", r.say("cancel"), "Cancelled.")
		expect(t, "told then", h.String(), "sent 3, dropped 2, answered 1")

		expect(t, "nothing to ask is answered at once", r.speaks(h.step()), "chat from irc.example.org to juliet@example.org: Thanks.")
		if err := r.commands.Speak(t.Context(), irc, home, "dance", h.step(word)); err != nil || h.dropped != 3 {
			t.Errorf("a question of no command: %v, %s", err, h)
		}
	})
}

// What could not be said is not waited for.
func TestSpeakWithoutAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(hooked)
		r := commandRig(t, CommandsConfig{}, h.command())
		send := r.commands.cfg.Send
		r.commands.cfg.Send = func(context.Context, *Out) error { return ErrDown }
		if err := r.commands.Speak(t.Context(), irc, home, "word", h.step(word)); !errors.Is(err, ErrDown) {
			t.Errorf("got %v", err)
		}
		r.commands.cfg.Send = send
		expect(t, "no question is open", r.say("cancel"), "There is nothing to cancel.")
		expect(t, "told", h.String(), "sent 0, dropped 0, answered 0")
	})
}

func TestSpeakWhereThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(hooked)
		r := commandRig(t, CommandsConfig{Total: 1}, order(), h.command())
		r.command("romeo@example.org/x", "node='order'", "")
		expect(t, "no room", r.speaks(h.step(word)),
			"chat from irc.example.org to juliet@example.org: Too many commands are open at present, so this cannot go on. Please begin again in a while.")
		expect(t, "told", fmt.Sprint(h.dropped, h.answered), "1 0")
	})
}

// A step hears that nobody goes on with it, however that comes.
func TestDroppedSteps(t *testing.T) {
	const node = "node='word'"
	for name, c := range map[string]struct {
		end  func(r *rig, id string)
		want string
	}{
		"cancelled": {func(r *rig, id string) { r.command(juliet, node+id+" action='cancel'", "") }, "sent 1, dropped 1, answered 0"},
		"answered":  {func(r *rig, id string) { r.command(juliet, node+id, submit("word", "x")) }, "sent 1, dropped 0, answered 1"},
		"expired":   {func(*rig, string) { time.Sleep(3 * time.Hour); synctest.Wait() }, "sent 1, dropped 1, answered 0"},
		"given way": {func(r *rig, _ string) {
			for range 6 {
				time.Sleep(time.Second) // so that it is the oldest
				r.command(juliet, "node='order'", "")
			}
		}, "sent 1, dropped 1, answered 0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := new(hooked)
				r := commandRig(t, CommandsConfig{}, order(), h.command())
				begun := r.command(juliet, node, "")
				c.end(r, session(begun))
				expect(t, "told", h.String(), c.want)
			})
		})
	}
	t.Run("expired in the chat", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := new(hooked)
			r := commandRig(t, CommandsConfig{}, h.command())
			r.say("word")
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			expect(t, "told", h.String(), "sent 1, dropped 1, answered 0")
		})
	})
	t.Run("back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := new(hooked)
			first := h.command()
			first.Run = func(context.Context, *Call) (*Step, error) {
				return &Step{Form: NewForm("First", nil), Next: func(context.Context, *Call) (*Step, error) { return h.step(word), nil }}, nil
			}
			r := commandRig(t, CommandsConfig{}, first)
			id := session(r.command(juliet, node, ""))
			r.command(juliet, node+id, submit())
			r.command(juliet, node+id+" action='prev'", "")
			expect(t, "told", h.String(), "sent 1, dropped 1, answered 0")
		})
	})
	t.Run("cancelled under way", func(t *testing.T) {
		for _, chat := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				h := new(hooked)
				slow := h.command()
				slow.Run = func(ctx context.Context, _ *Call) (*Step, error) {
					<-ctx.Done()
					return h.step(word), nil
				}
				r := commandRig(t, CommandsConfig{}, slow)
				if chat {
					r.say("word")
					r.say("cancel")
				} else {
					r.route(`<iq type='set' id='c1' from='` + juliet + `' to='irc.example.org'><command xmlns='` + NSCommands + `' node='word'/></iq>`)
					synctest.Wait()
					for _, d := range r.commands.adhoc {
						r.route(`<iq type='set' id='c2' from='` + juliet + `' to='irc.example.org'><command xmlns='` + NSCommands + `' node='word' sessionid='` + d.id + `' action='cancel'/></iq>`)
					}
				}
				synctest.Wait()
				r.sent()
				expect(t, "told", h.String(), "sent 0, dropped 1, answered 0")
			})
		}
	})
}

func TestCancelOutsideOfADialogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{}, order())
		said := "The login is given up."
		r.commands.OnCancel(func(user JID) string { return strings.ReplaceAll(said, "The login", user.String()) })
		expect(t, "something", r.say("Cancel"), "juliet@example.org is given up.")
		said = ""
		expect(t, "nothing", r.say("cancel"), "There is nothing to cancel.")
		r.say("order tea")
		expect(t, "a dialogue comes first", r.say("cancel"), "Cancelled.")
	})
}

func TestBits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{})
		b := &Bits{Type: "image/png", Data: []byte("hello")}
		expect(t, "its name", b.CID(), "sha1+aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d@bob.xmpp.org")
		HandleBits(r.services, func(user JID, cid string) *Bits {
			if user == home && cid == b.CID() {
				return b
			}
			return nil
		}, AddressHost)
		get := func(from, cid string) *Stanza {
			return r.one(r.route(`<iq type='get' id='b' from='` + from + `' to='irc.example.org'><data xmlns='` + NSBits + `' cid='` + cid + `'/></iq>`))
		}
		data := get(juliet, b.CID()).Payload()
		expect(t, "the data", data.Attr("cid")+" "+data.Attr("type")+" "+data.Attr("max-age")+" "+data.Text(), b.CID()+" image/png 0 aGVsbG8=")
		expect(t, "of another", condition(get("romeo@example.org/x", b.CID())), "cancel item-not-found")
		expect(t, "another name", condition(get(juliet, "sha1+00@bob.xmpp.org")), "cancel item-not-found")
	})
}
