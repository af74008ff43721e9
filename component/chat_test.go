package component

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// say sends a chat message and returns the answer, which may be none.
func (r *rig) say(text string) string {
	r.t.Helper()
	return r.saying(`<message type='chat' id='m1' from='` + juliet + `' to='irc.example.org'><body>` + text + `</body></message>`)
}

func (r *rig) saying(xml string) string {
	r.t.Helper()
	all := r.route(xml)
	synctest.Wait()
	all = append(all, r.sent()...)
	if len(all) == 0 {
		return ""
	}
	s := r.one(all)
	if s.IsError() {
		r.t.Errorf("answered with an error: %v", s)
	}
	body, _ := s.Body()
	return body
}

func TestChatDialogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{Greeting: "Hello."}, order())
		const (
			drink = "Drink:\n1. black tea\n2. coffee\nSend the number."
			pin   = "PIN?\nYour client or server may keep a copy of this chat; the command forms of your client leave none."
			milk  = "Milk: yes or no?\nSend - for: yes"
			size  = "Size?\nSend - for: small. Send -- to leave it empty."
		)
		for _, line := range []struct{ say, want string }{
			{"help", "Hello.\n\norder [drink]: Order a drink\nhelp COMMAND: more about a command\ncancel: give up what was begun"},
			{"HELP Order", "order [drink]: brings a drink."},
			{"help dance", "There is no command of that name. Send “help” to see what there is."},
			{"dance", "This is not a command. Send “help” to see what there is."},
			{"cancel", "There is nothing to cancel."},
			{"/Order", "What shall it be?\n\n" + drink},
			{"beer", "“Drink” takes one of the choices.\n\n" + drink},
			{"3", "“Drink” takes one of the choices.\n\n" + drink},
			{"-", "“Drink” is needed.\n\n" + drink},
			{"1.", pin},
			{"Help", "This is a question of “order”. Send “cancel” to give it up.\n\n" + pin},
			{"se cret", milk},
			{"perhaps", "“Milk” takes yes or no.\n\n" + milk},
			{"No", size},
			{"-", "small tea, PIN of 7, milk false."},
			{"-", "This is not a command. Send “help” to see what there is."},

			{"order Black Tea", "What shall it be?\n\n" + pin},
			{"1", milk},
			{"-", size},
			{"huge", "huge tea, PIN of 1, milk true."},

			{"order water", "What shall it be?\n\n“Drink” takes one of the choices.\n\n" + drink},
			{"cancel", "Cancelled."},
			{"order coffee", "What shall it be?\n\n" + pin},
			{"1", milk},
			{"yes", "There is no coffee."},
		} {
			expect(t, "“"+line.say+"”", r.say(line.say), line.want)
		}
	})
}

func TestChatAnswersInKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{}, order())
		s := r.one(r.route(`<message from='` + juliet + `' to='irc.example.org/x'><thread>t1</thread><body>help</body></message>`))
		expect(t, "type, thread and addresses", fmt.Sprint(s.Type, s.Child("", "thread").Text(), s.To, s.From), "t1"+juliet+" irc.example.org")
	})
}

// Nothing that a program sends by itself is answered, and two programs cannot
// keep a conversation going.
func TestChatLoopGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{Strays: 3}, order())
		from := ` from='` + juliet + `' to='irc.example.org'>`
		for name, xml := range map[string]string{
			"error":       `<message type='error'` + from + `<body>help</body><error type='cancel'/></message>`,
			"chat state":  `<message type='chat'` + from + `<active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
			"empty body":  `<message type='chat'` + from + `<body> </body></message>`,
			"old":         `<message type='chat'` + from + `<body>help</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message>`,
			"server":      `<message from='example.org' to='irc.example.org'><body>help</body></message>`,
			"ourselves":   `<message from='nick%net@irc.example.org/x' to='irc.example.org'><body>help</body></message>`,
			"foreign":     `<message type='chat'` + from + `<x xmlns='urn:other'><body xmlns='urn:other'>help</body></x></message>`,
			"other thing": `<message type='chat'` + from + `<subject>help</subject></message>`,
		} {
			if got := r.saying(xml); got != "" {
				t.Errorf("%s: answered %q", name, got)
			}
		}
		answers := 0
		for range 20 {
			if r.say("I did not understand you. Send help.") != "" {
				answers++
			}
		}
		if answers != 3 {
			t.Errorf("answered %d of 20 lines that are no commands, want 3", answers)
		}
		if r.say("help") == "" {
			t.Error("a command is not answered any more")
		}
		if r.say("nonsense") == "" {
			t.Error("silent for ever")
		}
		for range 20 {
			r.say("nonsense")
		}
		time.Sleep(61 * time.Minute)
		if r.say("nonsense") == "" {
			t.Error("silent after an hour")
		}
	})
}

// Strangers who write nonsense take nobody's place, and are not kept for ever.
func TestChatStraysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{Total: 10}, order())
		answers := 0
		for i := range 30 {
			if r.saying(fmt.Sprintf(`<message from='u%d@example.net/x' to='irc.example.org'><body>spam</body></message>`, i)) != "" {
				answers++
			}
		}
		if answers != 10 {
			t.Errorf("answered %d strangers, want 10", answers)
		}
		if got := r.say("order tea"); !strings.Contains(got, "PIN?") {
			t.Errorf("no place for a command: %q", got)
		}
		time.Sleep(2 * time.Hour)
		r.commands.mu.Lock()
		kept := len(r.commands.strays) + len(r.commands.chats)
		r.commands.mu.Unlock()
		if kept != 0 {
			t.Errorf("%d chats are kept for ever", kept)
		}
	})
}

func TestChatOddInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := commandRig(t, CommandsConfig{}, order())
		r.say("order tea")
		message := func(children string) string {
			return r.saying(`<message type='chat' from='` + juliet + `' to='irc.example.org'>` + children + `</message>`)
		}
		got := message(`<body>12345</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/>`)
		if !strings.HasPrefix(got, "A question that was answered cannot be answered anew.") {
			t.Errorf("a correction: %q", got)
		}
		got = message(`<body>I sent you an encrypted message</body><encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>`)
		if !strings.HasPrefix(got, "The gateway cannot read encrypted messages.") {
			t.Errorf("an encrypted message: %q", got)
		}
		got = r.say("two&#10;lines")
		if !strings.HasPrefix(got, "“PIN” takes one line.") {
			t.Errorf("two lines: %q", got)
		}
		if strings.Contains(got, "two") {
			t.Errorf("a secret was echoed: %q", got)
		}
		time.Sleep(61 * time.Minute)
		expect(t, "an hour later", r.say("1234"), "This is not a command. Send “help” to see what there is.")
	})
}

func TestChatRightsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allowed := true
		c := order()
		c.Allowed = func(JID) bool { return allowed }
		r := commandRig(t, CommandsConfig{}, c)
		r.say("order tea")
		allowed = false
		expect(t, "the answer to the open question", r.say("1234"), "You may not use this command any more.")
		expect(t, "what was begun is over", r.say("1234"), "This is not a command. Send “help” to see what there is.")
	})
}

func TestChatWhileWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := commandRig(t, CommandsConfig{}, slow(gate))
		expect(t, "begun", r.say("slow"), "")
		expect(t, "impatient", r.say("and?"), "Still working on it. Send “cancel” to give it up.")
		expect(t, "given up", r.say("cancel"), "Cancelled.")
		expect(t, "begun again", r.say("slow"), "")
		close(gate)
		synctest.Wait()
		body, _ := r.one(r.sent()).Body()
		expect(t, "the result", body, "Done at last.")
	})
}

// Each kind of field can be asked for and answered in a chat.
func TestFieldAnswers(t *testing.T) {
	options := []Option{{"One", "a"}, {"Two", "b"}, {"", "c"}}
	for name, c := range map[string]struct {
		field FormField
		body  string
		want  string // the values, or what is wrong
	}{
		"text":             {FormField{}, " some text ", "[some text]"},
		"text skipped":     {FormField{}, "-", "skipped"},
		"text kept":        {FormField{Values: []string{"old"}}, "-", "[old]"},
		"text emptied":     {FormField{Values: []string{"old"}}, "--", "[]"},
		"needed":           {FormField{Label: "Nick", Required: true}, "--", "“Nick” is needed."},
		"lines":            {FormField{Type: FieldTextMulti}, "#a\n#b", "[#a #b]"},
		"bool":             {FormField{Type: FieldBoolean}, "Y", "[true]"},
		"bool as in forms": {FormField{Type: FieldBoolean}, "0", "[false]"},
		"choice by label":  {FormField{Type: FieldListSingle, Options: options}, "two", "[b]"},
		"choice by value":  {FormField{Type: FieldListSingle, Options: options}, "C", "[c]"},
		"choices":          {FormField{Type: FieldListMulti, Options: options}, "1, 3", "[a c]"},
		"bad choices":      {FormField{Var: "x", Type: FieldListMulti, Options: options}, "1 4", "“x” takes one of the choices."},
		"jid":              {FormField{Type: FieldJIDSingle}, "Juliet@Example.org", "[juliet@example.org]"},
		"bad jid":          {FormField{Var: "x", Type: FieldJIDSingle}, "@example.org", "“x” takes an address such as juliet@example.org."},
		"jids":             {FormField{Type: FieldJIDMulti}, "a@b\nc@d", "[a@b c@d]"},
		"secret kept":      {FormField{Type: FieldTextPrivate}, "-", "skipped"},
		"secret of lines":  {FormField{Type: FieldTextPrivate, Lines: true}, "a\nb", "[a b]"},
		"secret as it is":  {FormField{Type: FieldTextPrivate}, "a b", "[a b]"},
	} {
		t.Run(name, func(t *testing.T) {
			values, skipped, problem := c.field.reply(strings.TrimSpace(c.body))
			got := fmt.Sprint(values)
			if skipped {
				got = "skipped"
			}
			if problem != "" {
				got = problem
			}
			expect(t, c.body, got, c.want)
		})
	}
}

// Results are shown in words: fields by their labels, a row of a table a line.
func TestChatShowsResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := func(verb string, step *Step, err error) Command {
			return Command{Verb: verb, Targets: host, Run: func(context.Context, *Call) (*Step, error) { return step, err }}
		}
		form := &Form{
			Type: FormResult, Instructions: []string{"All there is:"},
			Fields: []FormField{
				TypeField("urn:hidden"),
				{Var: "tls", Type: FieldBoolean, Label: "TLS", Values: []string{"1"}},
				{Var: "empty", Label: "Empty"},
				{Var: "net", Type: FieldListSingle, Values: []string{"a"}, Options: []Option{{"First", "a"}}},
				{Type: FieldTextPrivate, Label: "Secret", Values: []string{"hunter2"}},
				{Type: FieldFixed, Values: []string{"A line."}},
			},
			Items: [][]FormField{{{Var: "jid", Values: []string{"a@b"}}, {Var: "n", Values: []string{"1", "2"}}}, {{Var: "jid", Values: []string{"c@d"}}}},
		}
		r := commandRig(t, CommandsConfig{},
			result("list", &Step{Form: form, Note: "Two of them."}, nil),
			result("empty", &Step{}, nil),
			result("wait", nil, NewStanzaError("wait", "resource-constraint", "")),
			result("refuse", nil, NewStanzaError("cancel", "conflict", "")),
		)
		for verb, want := range map[string]string{
			"list":   "Two of them.\n\nAll there is:\n\nTLS: yes\nnet: First\nA line.\n• a@b · 1, 2\n• c@d",
			"empty":  "Done.",
			"wait":   "This is not possible at the moment. Please try again later.",
			"refuse": "This was refused.",
		} {
			expect(t, verb, r.say(verb), want)
		}
	})
}
