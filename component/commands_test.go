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

// commandRig is a rig with commands on workers that run.
func commandRig(t *testing.T, cfg CommandsConfig, commands ...Command) *rig {
	r := newRig(t)
	cfg.Reply = r.keep
	cfg.Send = func(_ context.Context, o *Out) error { r.keep(o); return nil }
	cfg.Workers = NewWorkers(4, 64, nil)
	r.commands = NewCommands(cfg)
	r.commands.Add(commands...)
	HandleDisco(r.services, AddressHost, AddressNetwork)
	HandleCommands(r.services, r.commands, AddressHost, AddressNetwork)
	HandleChat(r.services, r.commands, AddressHost)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { _ = cfg.Workers.Run(ctx); ended <- struct{}{} }()
	go func() { _ = r.commands.Run(ctx); ended <- struct{}{} }()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	return r
}

// host is where the commands of the tests are.
var host = []AddressKind{AddressHost}

// order is a command of two steps: it asks for a drink, then for its size, and
// says what it was.
func order() Command {
	drinks := []Option{{"black tea", "tea"}, {"", "coffee"}}
	return Command{
		Node: "order", Verb: "order", Name: "Order a drink", Help: "brings a drink.",
		Args: []string{"drink"}, Targets: host,
		Run: func(context.Context, *Call) (*Step, error) {
			return &Step{
				Form: NewForm("Drink", []string{"What shall it be?"},
					FormField{Var: "drink", Type: FieldListSingle, Label: "Drink", Required: true, Options: drinks},
					FormField{Var: "pin", Type: FieldTextPrivate, Label: "PIN", Required: true},
					FormField{Var: "milk", Type: FieldBoolean, Label: "Milk", Values: []string{"true"}},
					FormField{Var: "wish", Type: FieldTextMulti, Label: "Wishes", Advanced: true},
				),
				Next: func(_ context.Context, first *Call) (*Step, error) {
					if first.Values.Get("drink") == "coffee" {
						return nil, NewStanzaError("cancel", "item-not-found", "There is no coffee.")
					}
					return &Step{
						Form: NewForm("Size", nil, FormField{Var: "size", Label: "Size", Values: []string{"small"}}),
						Last: true,
						Next: func(_ context.Context, second *Call) (*Step, error) {
							return Done(fmt.Sprintf("%s %s, PIN of %d, milk %v.", second.Values.Get("size"),
								first.Values.Get("drink"), len(first.Values.Get("pin")), first.Values.Bool("milk"))), nil
						},
					}, nil
				},
			}, nil
		},
	}
}

// command sends a command request and returns the one answer, also when it
// comes from a worker.
func (r *rig) command(from, attrs, children string) *Stanza {
	r.t.Helper()
	all := r.route(`<iq type='set' id='c1' from='` + from + `' to='irc.example.org'><command xmlns='` + NSCommands + `' ` + attrs + `>` + children + `</command></iq>`)
	synctest.Wait()
	return r.one(append(all, r.sent()...))
}

const juliet = "juliet@example.org/balcony"

// outline shows an answer to a command: its status or error, the actions, the
// fields of the form and the note.
func outline(s *Stanza) string {
	if s.IsError() {
		return condition(s)
	}
	c := s.Payload()
	parts := []string{c.Attr("status")}
	if a := c.Child("", "actions"); a != nil {
		actions := "[" + a.Attr("execute") + ":"
		for action := range a.Children() {
			actions += " " + action.Name
		}
		parts = append(parts, actions+"]")
	}
	if form, ok, err := ParseForm(c); ok && err == nil {
		for _, f := range form.Fields {
			parts = append(parts, f.Var+"="+strings.Join(f.Values, ","))
		}
	}
	if note := c.Child("", "note"); note != nil {
		parts = append(parts, note.Attr("type")+": "+note.Text())
	}
	return strings.Join(parts, " ")
}

func session(s *Stanza) string { return " sessionid='" + s.Payload().Attr("sessionid") + "'" }

// submit is a form that answers fields, given as var, value pairs.
func submit(pairs ...string) string {
	xml := `<x xmlns='jabber:x:data' type='submit'>`
	for i := 0; i < len(pairs); i += 2 {
		xml += `<field var='` + pairs[i] + `'><value>` + pairs[i+1] + `</value></field>`
	}
	return xml + `</x>`
}

func expect(t *testing.T, what string, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestAdHocDialogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{}, order())
		begun := r.command(juliet, "node='order' action='execute'", "")
		expect(t, "the first step", outline(begun), "executing [next: next] drink= pin= milk=true wish=")
		id := session(begun)
		expect(t, "nothing filled in", outline(r.command(juliet, "node='order'"+id, submit())),
			"executing [next: next] drink= pin= milk=true wish= error: “Drink” is needed. “PIN” is needed.")
		expect(t, "no form at all", outline(r.command(juliet, "node='order' action='next'"+id, "")),
			"executing [next: next] drink= pin= milk=true wish= error: “Drink” is needed. “PIN” is needed.")
		wrong := r.command(juliet, "node='order'"+id, submit("drink", "beer", "pin", "1234", "milk", "maybe"))
		expect(t, "wrong answers", outline(wrong),
			"executing [next: next] drink=beer pin= milk=maybe wish= error: “Drink” takes one of the choices. “Milk” takes yes or no.")
		if strings.Contains(wrong.String(), "1234") {
			t.Errorf("a secret was sent back: %s", wrong)
		}
		second := r.command(juliet, "node='order' action='next'"+id, submit("drink", "tea", "pin", " 1 ", "milk", "0"))
		expect(t, "the second step", outline(second), "executing [complete: prev complete] size=small")
		expect(t, "back", outline(r.command(juliet, "node='order' action='prev'"+id, "")), "executing [next: next] drink= pin= milk=true wish=")
		expect(t, "back from the first step", outline(r.command(juliet, "node='order' action='prev'"+id, "")), "modify bad-request bad-action")
		r.command(juliet, "node='order' action='next'"+id, submit("drink", "tea", "pin", " 1 ", "milk", "0"))
		expect(t, "the result", outline(r.command(juliet, "node='order' action='complete'"+id, submit("size", "large"))),
			"completed info: large tea, PIN of 3, milk false.")
		expect(t, "after the end", outline(r.command(juliet, "node='order'"+id, submit())), "modify bad-request bad-sessionid")
	})
}

func TestAdHocRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := order()
		secret.Node, secret.Allowed = "secret", func(from JID) bool { return from.Local == "admin" && from.IsBare() }
		elsewhere := order()
		elsewhere.Node, elsewhere.Targets = "elsewhere", []AddressKind{AddressNetwork}
		chatOnly := order()
		chatOnly.Node, chatOnly.Verb = "", "say"
		r := commandRig(t, CommandsConfig{}, order(), secret, elsewhere, chatOnly)
		id := session(r.command(juliet, "node='order'", ""))

		for name, c := range map[string]struct{ from, attrs, form, want string }{
			"no such node":       {juliet, "node='nothing'", "", "cancel item-not-found"},
			"no node":            {juliet, "", "", "cancel item-not-found"},
			"not allowed":        {juliet, "node='secret'", "", "auth forbidden"},
			"not here":           {juliet, "node='elsewhere'", "", "cancel item-not-found"},
			"unknown action":     {juliet, "node='order' action='dance'" + id, "", "modify bad-request malformed-action"},
			"action too early":   {juliet, "node='order' action='complete'", "", "modify bad-request bad-action"},
			"invented session":   {juliet, "node='order' sessionid='1'", "", "modify bad-request bad-sessionid"},
			"somebody else's":    {"romeo@example.org/balcony", "node='order'" + id, "", "modify bad-request bad-sessionid"},
			"another client's":   {"juliet@example.org/tomb", "node='order'" + id, "", "modify bad-request bad-sessionid"},
			"another command's":  {"admin@example.org/x", "node='secret'" + id, "", "modify bad-request bad-sessionid"},
			"form of no type":    {juliet, "node='order'" + id, `<x xmlns='jabber:x:data'/>`, "modify bad-request bad-payload"},
			"form is no answer":  {juliet, "node='order'" + id, `<x xmlns='jabber:x:data' type='form'/>`, "modify bad-request bad-payload"},
			"field twice":        {juliet, "node='order'" + id, submit("pin", "1", "pin", "2"), "modify bad-request bad-payload"},
			"field without name": {juliet, "node='order'" + id, submit("", "1"), "modify bad-request bad-payload"},
			"too many fields":    {juliet, "node='order'" + id, manyFields(maxFormFields + 1), "modify bad-request bad-payload"},
			"too many values":    {juliet, "node='order'" + id, `<x xmlns='jabber:x:data' type='submit'><field var='a'>` + strings.Repeat("<value/>", maxFormValues+1) + `</field></x>`, "modify bad-request bad-payload"},
			"two values":         {juliet, "node='order'" + id, `<x xmlns='jabber:x:data' type='submit'><field var='drink'><value>tea</value></field><field var='pin'><value>1</value><value>2</value></field></x>`, "executing [next: next] drink=tea pin= milk=true wish= error: “PIN” takes one value."},
			"two lines":          {juliet, "node='order'" + id, submit("drink", "tea", "pin", "1&#10;QUIT"), "executing [next: next] drink=tea pin= milk=true wish= error: “PIN” takes one line."},
			"too long":           {juliet, "node='order'" + id, submit("drink", "tea", "pin", strings.Repeat("x", maxLineValue+1)), "executing [next: next] drink=tea pin= milk=true wish= error: “PIN” is too long."},
		} {
			expect(t, name, outline(r.command(c.from, c.attrs, c.form)), c.want)
		}
		expect(t, "the dialogue is still open", outline(r.command(juliet, "node='order'"+id, submit("drink", "coffee", "pin", "1"))), "cancel item-not-found")
		expect(t, "an error ends it", outline(r.command(juliet, "node='order'"+id, "")), "modify bad-request bad-sessionid")
	})
}

func manyFields(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprint("f", i), "")
	}
	return submit(pairs...)
}

func TestAdHocExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{}, order())
		id := session(r.command(juliet, "node='order'", ""))
		time.Sleep(59 * time.Minute)
		expect(t, "in time", outline(r.command(juliet, "node='order'"+id, submit()))[:9], "executing")
		time.Sleep(61 * time.Minute)
		expect(t, "too late", outline(r.command(juliet, "node='order'"+id, submit())), "cancel not-allowed session-expired")
		time.Sleep(2 * time.Hour)
		r.commands.mu.Lock()
		kept := len(r.commands.adhoc)
		r.commands.mu.Unlock()
		if kept != 0 {
			t.Errorf("%d dialogues are kept for ever", kept)
		}
	})
}

func TestAdHocBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{PerUser: 2, Total: 5}, order())
		first := session(r.command(juliet, "node='order'", ""))
		time.Sleep(time.Second)
		second := session(r.command(juliet, "node='order'", ""))
		time.Sleep(time.Second)
		third := session(r.command("juliet@example.org/tomb", "node='order'", ""))
		expect(t, "the oldest gave way", outline(r.command(juliet, "node='order'"+first, "")), "modify bad-request bad-sessionid")
		expect(t, "the second is there", outline(r.command(juliet, "node='order' action='cancel'"+second, "")), "canceled")
		expect(t, "the third is there", outline(r.command("juliet@example.org/tomb", "node='order' action='cancel'"+third, "")), "canceled")
		for i := range 5 {
			r.command(fmt.Sprintf("user%d@example.org/x", i), "node='order'", "")
		}
		expect(t, "all places taken", outline(r.command(juliet, "node='order'", "")), "wait resource-constraint")
		time.Sleep(time.Hour)
		expect(t, "places are free again", outline(r.command(juliet, "node='order'", ""))[:9], "executing")
	})
}

// slow waits at its first step until it is told to go on or given up.
func slow(gate chan struct{}) Command {
	return Command{
		Node: "slow", Verb: "slow", Name: "Slow", Targets: host,
		Run: func(ctx context.Context, _ *Call) (*Step, error) {
			return &Step{Form: NewForm("", nil), Next: func(ctx context.Context, _ *Call) (*Step, error) {
				select {
				case <-gate:
					return Done("Done at last."), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}}, nil
		},
	}
}

func TestAdHocWhileWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := commandRig(t, CommandsConfig{}, slow(gate))
		request := func(id, attrs string) []*Stanza {
			all := r.route(`<iq type='set' id='` + id + `' from='` + juliet + `' to='irc.example.org'><command xmlns='` + NSCommands + `' node='slow' ` + attrs + `/></iq>`)
			synctest.Wait()
			return append(all, r.sent()...)
		}
		id := session(r.command(juliet, "node='slow'", ""))
		if all := request("work", id); len(all) != 0 {
			t.Fatalf("answered already: %v", all)
		}
		expect(t, "again while it works", outline(r.one(request("again", id))), "wait resource-constraint")
		close(gate)
		synctest.Wait()
		done := r.one(r.sent())
		expect(t, "which request was answered", done.ID, "work")
		expect(t, "the result", outline(done), "completed info: Done at last.")

		gate = make(chan struct{})
		r.commands.commands[0].Run = slow(gate).Run
		id = session(r.command(juliet, "node='slow'", ""))
		request("work", id)
		answers := map[string]string{}
		for _, s := range request("cancel", "action='cancel'"+id) {
			answers[s.ID] = outline(s)
		}
		expect(t, "cancel while it works", fmt.Sprint(answers), "map[cancel:canceled work:cancel not-allowed]")

		id = session(r.command(juliet, "node='slow'", ""))
		request("work", id)
		time.Sleep(time.Minute)
		expect(t, "a step takes too long", outline(r.one(r.sent())), "wait remote-server-timeout")
	})
}

func TestCommandFaultsAreHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := func(run StepFunc) Command {
			return Command{Node: "fail", Verb: "fail", Targets: host, Run: run}
		}
		for name, run := range map[string]StepFunc{
			"error":      func(context.Context, *Call) (*Step, error) { return nil, errors.New("dial 192.0.2.1: secret") },
			"panic":      func(context.Context, *Call) (*Step, error) { panic("secret") },
			"no outcome": func(context.Context, *Call) (*Step, error) { return nil, nil },
		} {
			r := commandRig(t, CommandsConfig{}, fail(run))
			answer := r.command(juliet, "node='fail'", "")
			expect(t, name, outline(answer), "wait internal-server-error")
			if strings.Contains(answer.String(), "secret") {
				t.Errorf("%s: the user is shown %s", name, answer)
			}
			expect(t, name, r.say("fail"), "Something went wrong in the gateway.")
		}
	})
}

func TestCommandsInDisco(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := order()
		admin.Node, admin.Name, admin.Allowed = "admin", "Administer", func(JID) bool { return false }
		r := commandRig(t, CommandsConfig{}, order(), admin)
		list := r.ask("get", "irc.example.org", `<query xmlns='`+NSDiscoItems+`' node='`+NSCommands+`'/>`).Payload()
		var found []string
		for item := range list.Children() {
			found = append(found, item.Attr("jid")+" "+item.Attr("node")+" "+item.Attr("name"))
		}
		expect(t, "the list", strings.Join(found, "; "), "irc.example.org order Order a drink")
		info := r.ask("get", "irc.example.org", `<query xmlns='`+NSDiscoInfo+`' node='order'/>`).Payload()
		expect(t, "a node", info.Child("", "identity").Attr("type")+" "+info.Child("", "identity").Attr("name"), "command-node Order a drink")
		expect(t, "a node of others", condition(r.ask("get", "irc.example.org", `<query xmlns='`+NSDiscoInfo+`' node='admin'/>`)), "auth forbidden")
		info = r.ask("get", "irc.example.org", `<query xmlns='`+NSDiscoInfo+`' node='`+NSCommands+`'/>`).Payload()
		expect(t, "the list itself", info.Child("", "identity").Attr("type"), "command-list")
	})
}

func TestCommandsWhenBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		workers := NewWorkers(1, 1, nil) // nobody runs them
		r.commands = NewCommands(CommandsConfig{Reply: r.keep, Workers: workers})
		r.commands.Add(order())
		HandleCommands(r.services, r.commands, AddressHost)
		HandleChat(r.services, r.commands, AddressHost)
		begin := func() []*Stanza {
			return r.route(`<iq type='set' id='c1' from='` + juliet + `' to='irc.example.org'><command xmlns='` + NSCommands + `' node='order'/></iq>`)
		}
		if all := begin(); len(all) != 0 {
			t.Fatalf("answered by nobody: %v", all)
		}
		expect(t, "a second command", outline(r.one(begin())), "wait resource-constraint")
		expect(t, "in the chat", r.say("order"), "The gateway is busy. Please try again in a while.")
		r.commands.mu.Lock()
		defer r.commands.mu.Unlock()
		if len(r.commands.adhoc) != 1 || len(r.commands.chats) != 0 {
			t.Errorf("%d dialogues and %d chats are kept, want the first", len(r.commands.adhoc), len(r.commands.chats))
		}
	})
}

// What is under way when the program ends is answered, and ends with it.
func TestCommandsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		workers := NewWorkers(1, 8, nil)
		r.commands = NewCommands(CommandsConfig{
			Reply: r.keep, Workers: workers,
			Send: func(_ context.Context, o *Out) error { r.keep(o); return nil },
		})
		r.commands.Add(slow(nil))
		HandleCommands(r.services, r.commands, AddressHost)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { _ = workers.Run(ctx); close(ended) }()
		id := session(r.command(juliet, "node='slow'", ""))
		r.route(`<iq type='set' id='work' from='` + juliet + `' to='irc.example.org'><command xmlns='` + NSCommands + `' node='slow'` + id + `/></iq>`)
		r.route(`<iq type='set' id='waits' from='` + juliet + `' to='irc.example.org'><command xmlns='` + NSCommands + `' node='slow'/></iq>`)
		synctest.Wait()
		cancel()
		<-ended
		answers := map[string]string{}
		for _, s := range r.sent() {
			answers[s.ID] = outline(s)
		}
		expect(t, "the answers", fmt.Sprint(answers), "map[waits:executing [next: next] work:wait remote-server-timeout]")
	})
}
