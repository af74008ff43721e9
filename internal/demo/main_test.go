package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"transportd/internal/testenv"
)

// build makes a transportd to demonstrate.
func build(t *testing.T) string {
	t.Helper()
	env, err := testenv.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := env.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	return env.Binary()
}

// output is written by the demonstration and looked at meanwhile.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	seen chan struct{} // closed when "Ctrl-C" is shown
	once sync.Once
}

func newOutput() *output { return &output{seen: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if strings.Contains(o.text.String(), "Ctrl-C") {
		o.once.Do(func() { close(o.seen) })
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// gone fails unless the folder that the output names, and every process that was
// started in it, is gone.
func gone(t *testing.T, out string) {
	t.Helper()
	dir := regexp.MustCompile(`Starting, on loopback, in (\S+)`).FindStringSubmatch(out)
	if dir == nil {
		t.Fatalf("no folder in:\n%s", out)
	}
	if _, err := os.Stat(dir[1]); !os.IsNotExist(err) {
		t.Errorf("the folder %s is still there: %v", dir[1], err)
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if cmd, err := os.ReadFile(p); err == nil && strings.Contains(string(cmd), dir[1]) {
			t.Errorf("a process was left behind: %q", cmd)
		}
	}
}

// short is a network of whose script only the beginning is played, and then something
// that cannot arrive.
type short struct{ *ircNetwork }

func (n short) script() []step {
	return []step{n.ircNetwork.script()[0], {toXMPP, "bob", "says nothing", "bob: something",
		types(n.bob, "PING x"), n.hears(testenv.Message(testenv.Body("something")))}}
}

func TestDemo(t *testing.T) {
	binary := build(t)
	for _, network := range []func() otherSide{
		func() otherSide { return &ircNetwork{} },
		func() otherSide { return &matrixNetwork{} },
	} {
		name := network().name()
		t.Run(name+" without a terminal", func(t *testing.T) { playedOnce(t, binary, network()) })
		t.Run(name+" until Ctrl-C", func(t *testing.T) { playedOn(t, binary, network()) })
	}
	t.Run("something goes missing", func(t *testing.T) {
		out := newOutput()
		err := demo(t.Context(), newScreen(out, false), short{&ircNetwork{}}, options{binary: binary, patience: 5 * time.Second})
		if err == nil || !strings.Contains(err.Error(), "1 of 2") || !strings.Contains(out.String(), "missing") {
			t.Errorf("%v\n%s", err, out)
		}
		gone(t, out.String())
	})
}

// playedOnce plays without a terminal.
func playedOnce(t *testing.T, binary string, n otherSide) {
	out := newOutput()
	err := demo(t.Context(), newScreen(out, false), n, options{binary: binary, patience: time.Minute})
	text := out.String()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got, want := strings.Count(text, " ms\n"), len(n.script()); got != want || strings.Contains(text, "missing") || strings.Contains(text, "\x1b") {
		t.Errorf("%d of %d lines:\n%s", got, want, text)
	}
	gone(t, text)
}

// playedOn plays on a terminal, until Ctrl-C.
func playedOn(t *testing.T, binary string, n otherSide) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := newOutput()
	ended := make(chan error, 1)
	go func() {
		ended <- demo(ctx, newScreen(out, true), n, options{binary: binary, stay: true, patience: time.Minute})
	}()
	select {
	case <-out.seen:
	case err := <-ended:
		t.Fatalf("it ended by itself: %v\n%s", err, out)
	case <-time.After(5 * time.Minute): // a homeserver may have to be built
		t.Fatalf("it does not get there:\n%s", out)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text := out.String()
	for _, want := range []string{"you@localhost", "password", "#garden%", "port", "\x1b["} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
	gone(t, text)
}

// A demonstration without a gateway fails too.
func TestDemoFails(t *testing.T) {
	out := newOutput()
	if err := demo(t.Context(), newScreen(out, false), &ircNetwork{}, options{binary: "/bin/false"}); err == nil {
		t.Errorf("no error with a gateway that does not run:\n%s", out)
	}
	gone(t, out.String())
}

// On Matrix people answer who comes after the conversation, in the room and in chats.
func TestCompany(t *testing.T) {
	env, err := testenv.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a homeserver may have to be built
	defer cancel()
	out := newOutput()
	n := &matrixNetwork{}
	for _, s := range n.servers(ctx, &stage{out: newScreen(out, false), env: env}) {
		if err := s.start(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	if err := n.enter(ctx, n.stage); err != nil {
		t.Fatal(err)
	}
	you, err := n.people.Login(ctx, n.server, "you", "phone")
	if err != nil {
		t.Fatal(err)
	}
	company, leave := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.keepCompany(company)
	}()
	expect := func(ms ...testenv.EventMatch) {
		t.Helper()
		if _, err := you.Expect(ctx, ms...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := you.Join(ctx, n.room); err != nil {
		t.Fatal(err)
	}
	if _, err := you.Say(ctx, n.room, "hello"); err != nil {
		t.Fatal(err)
	}
	expect(testenv.Sender(n.ben.UserID), testenv.Text("“hello”, you say?"))
	chat, err := you.CreateRoom(ctx, testenv.MatrixRoom{Direct: true, Invite: []string{n.carol.UserID}})
	if err != nil {
		t.Fatal(err)
	}
	expect(testenv.InRoom(chat), testenv.Membership(n.carol.UserID, "join"))
	if _, err := you.Say(ctx, chat, "psst"); err != nil {
		t.Fatal(err)
	}
	expect(testenv.InRoom(chat), testenv.Sender(n.carol.UserID), testenv.Text("Between you and me: psst"))
	leave()
	<-done
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct{ line, to, text string }{
		{":you!u@h JOIN :#garden", channel, "Hello you!"},
		{":bob!u@h JOIN :#garden", "", ""},
		{":you!u@h PRIVMSG #garden :hi", channel, "you: “hi”, you say?"},
		{":you!u@h PRIVMSG bob :psst", "you", "Between you and me: psst"},
		{":you!u@h PRIVMSG #garden :\x01ACTION waves\x01", "", ""},
		{":server 366 bob #garden :End", "", ""},
	} {
		if to, text, ok := answer(c.line); to != c.to || text != c.text || ok != (c.to != "") {
			t.Errorf("%s: %q %q %v", c.line, to, text, ok)
		}
	}
}
